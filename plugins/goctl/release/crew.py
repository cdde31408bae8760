"""The projects of one command line: one, those of a workspace, or a member with what it needs; and where they compile.

A unit is a module, or a go.work with the modules it uses, under one set of Go settings. Everything that is asked of Go is
asked once for each unit, however many projects lie in it: modules, package graphs, compilation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from goctl.config import members
from goctl.config.loader import Loaded, load
from goctl.config.model import Config
from goctl.errors import ConfigError, Problem
from goctl.events import Emit
from goctl.plan.joined import order
from goctl.plan.make import unit_of
from goctl.plan.model import CompileStep, Step
from goctl.release.session import Session
from goctl.values import to_json


class Crew:
    """Sessions by project, in the order of their files. `file` is the one that was asked for, `name` the workspace's or the
    only project's; `is_whole` says that these are all that share what is kept.
    """

    def __init__(
        self,
        loaded: Sequence[Loaded],
        *,
        file: Path,
        profile: str,
        emit: Emit,
        jobs: int = 0,
        look_only: bool = False,
        offline: bool = False,
        beside: Session | None = None,
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self.file = Path(os.path.abspath(file))
        self.profile = profile
        self.is_whole = all(one.file != self.file or not one.is_member for one in loaded)
        self.is_workspace = any(one.is_member or one.config.workspace.members for one in loaded)
        self._files: dict[str, Session] = {}
        #: Units whose modules nobody has looked at yet: they are seen to before something is compiled.
        self.unprepared: set[str] = set()
        first: Session | None = None
        works = _Works()
        for one in loaded:
            plain = Session(one, emit=emit, jobs=jobs, look_only=look_only, offline=offline, beside=first or beside)
            first = first or plain
            self._files[one.config.project.name] = plain
            placed = works.placed(one) if self.is_workspace else one
            self.sessions[one.config.project.name] = (
                plain if placed is one else Session(placed, emit=emit, jobs=jobs, look_only=look_only, beside=first)
            )
        if first is None:
            raise ConfigError("this workspace has no projects", hint="name their folders in workspace.members")
        self.first = first
        self.name = _workspace_name(first.loaded) if self.is_workspace else first.config.project.name

    @property
    def configs(self) -> dict[str, Config]:
        """Configurations by project, as the plan is made from them."""
        return {name: session.config for name, session in self.sessions.items()}

    @property
    def files(self) -> list[Session]:
        """Each project as its file has it, for tasks about one module or one file; of a member and what it needs, the
        member."""
        return [session for session in self._files.values() if self.is_whole or session.loaded.file == self.file]

    @cached_property
    def units(self) -> dict[str, Session]:
        """What is compiled together, by unit: the only project in it, or one session for all."""
        grouped: dict[str, list[Session]] = {}
        for session in self.sessions.values():
            grouped.setdefault(unit_of(session.config), []).append(session)
        return {unit: _joined(sessions) for unit, sessions in grouped.items()}

    def unit_name(self, project: str) -> str:
        return unit_of(self.sessions[project].config)

    def host(self, step: Step) -> Session:
        """Who carries a step out."""
        if isinstance(step, CompileStep):
            return self.units[step.unit]
        return self.sessions[step.project] if step.project else self.first

    def prepare(self, unit: str, steps: Sequence[CompileStep]) -> None:
        """Sees to the modules that these steps of a unit need, where that was put off."""
        if unit in self.unprepared:
            from goctl.golang import modules, needed

            host = self.units[unit]
            modules.setup_for(host, self.first.stores.levels, needed.sums_of(host, steps))

    def listen(self, emit: Emit) -> None:
        """Has all of them tell another listener."""
        for session in (*self.sessions.values(), *self._files.values(), *self.units.values()):
            session.emit = emit

    def waves(self, projects: Iterable[str]) -> list[list[str]]:
        """Projects in the order that `needs` asks for, those that need none of each other side by side."""
        chosen = set(projects)
        return [wave for names in order(self.configs) if (wave := [name for name in names if name in chosen])]


def assemble(
    file: Path,
    *,
    profile: str,
    emit: Emit,
    jobs: int = 0,
    look_only: bool = False,
    offline: bool = False,
    beside: Session | None = None,
) -> Crew:
    """The crew that a goctl.toml stands for. Raises ConfigError with the problems of all its files.

    One that is made `beside` a session shares what that keeps.
    """
    loaded = _load_first(file, profile)
    if loaded.config.workspace.members:
        everyone = _members(loaded, profile)
    elif loaded.is_member and loaded.config.project.needs:
        everyone = _needed(loaded, profile)
    else:
        everyone = [loaded]
        _check_needs(everyone, {loaded.config.project.name})
    return Crew(
        everyone, file=file, profile=profile, emit=emit, jobs=jobs, look_only=look_only, offline=offline, beside=beside
    )


def _load_first(file: Path, profile: str) -> Loaded:
    tree = members.peek(file)
    if not members.is_workspace(tree):
        return load(file, profile=profile)
    try:
        # Its own profiles are not all there are: its members may have others.
        return load(file, profile=profile, lenient=True)
    except ConfigError as error:
        # Everything that is wrong is told at once, whichever file it is in.
        _load_all(None, members.member_files(file.parent, tree), profile, error.problems)
        raise


def _workspace_name(loaded: Loaded) -> str:
    above = loaded.source.above or loaded.source
    return members.name_of(above.file, above.raw)


def _members(top: Loaded, profile: str) -> list[Loaded]:
    files = members.member_files(top.root, top.source.raw)
    loaded = ([top] if top.config.targets else []) + _load_all(top, files, profile)
    known = any(profile in one.config.profiles for one in (top, *loaded))
    if profile and not known:
        raise ConfigError(
            f"no file of this workspace has a profile {profile!r}", hint="mend the name, or add [profiles.NAME]"
        )
    _check_names(loaded)
    _check_needs(loaded, {one.config.project.name for one in loaded})
    return loaded


def _needed(member: Loaded, profile: str) -> list[Loaded]:
    """A member, and the projects that it needs, and those that they need."""
    files = _files_by_name(member.root)
    found = {member.file: member}
    todo = [member]
    while todo:
        for name in todo.pop().config.project.needs:
            for file in files.get(name, ()):
                if file not in found:
                    found[file] = load(file, profile=profile, lenient=True)
                    todo.append(found[file])
    loaded = list(found.values())
    _check_names(loaded)
    _check_needs(loaded, set(files))
    return loaded


def _files_by_name(root: Path) -> dict[str, list[Path]]:
    """The projects of a workspace by name, as far as their files can be read."""
    top = root / members.FILE_NAME
    tree = members.peek(top)
    found: dict[str, list[Path]] = {}
    for file in ([top] if tree.get("targets") else []) + members.member_files(root, tree):
        found.setdefault(members.name_of(file, members.peek(file)), []).append(file)
    return found


def _load_all(top: Loaded | None, files: Iterable[Path], profile: str, known: Iterable[Problem] = ()) -> list[Loaded]:
    loaded: list[Loaded] = []
    problems = list(known)
    for file in files:
        try:
            loaded.append(load(file, profile=profile, lenient=True, above=top))
        except ConfigError as error:
            problems += error.problems
    if problems:
        # What the workspace's file says wrongly, every member says too.
        raise ConfigError(tuple(dict.fromkeys(problems)))
    return loaded


def _check_names(loaded: Iterable[Loaded]) -> None:
    seen: dict[str, Loaded] = {}
    problems = []
    for one in loaded:
        name = one.config.project.name
        other = seen.setdefault(name, one)
        if other is not one:
            where = one.place("project", "name")
            problems.append(
                Problem(
                    f"{other.folder or 'the workspace'} is called {name!r} too", where, hint="give it another project.name"
                )
            )
    if problems:
        raise ConfigError(problems)


def _check_needs(loaded: Sequence[Loaded], known: set[str]) -> None:
    problems = [
        Problem(f"project.needs: there is no project {need!r}", one.place("project", "needs"), hint=_known(one, known))
        for one in loaded
        for need in one.config.project.needs
        if need not in known
    ]
    if problems:
        raise ConfigError(problems)
    order({one.config.project.name: one.config for one in loaded})


def _known(loaded: Loaded, names: set[str]) -> str:
    if not loaded.is_member and not loaded.config.workspace.members:
        return "this one is in no workspace: a goctl.toml above it must name it in workspace.members"
    shown = sorted(names)
    return f"known are {', '.join(shown[:12])}" + (", ..." if len(shown) > 12 else "")


class _Works:
    """Where packages are counted from: the go.work that a project's module is used by, if there is one in the workspace, for
    one go command then serves all modules of it. Looked up once for all projects of one module and one environment.
    """

    def __init__(self) -> None:
        self._folders: dict[tuple[Path, bytes], Path | None] = {}

    def placed(self, loaded: Loaded) -> Loaded:
        module = Path(os.path.normpath(loaded.root / loaded.config.go.directory))
        slot = (module, to_json(loaded.config.go.env))
        if slot not in self._folders:
            self._folders[slot] = _work_folder(module, loaded)
        folder = self._folders[slot]
        if folder is None or folder == module:
            return loaded
        return loaded.with_config(counted_from(loaded.config, folder.relative_to(loaded.root).as_posix()))


def _work_folder(module: Path, loaded: Loaded) -> Path | None:
    from goctl.golang.environment import child_environment
    from goctl.golang.modfiles import used_modules, work_file

    work = work_file(module, child_environment(loaded.config.go, loaded.config.go.env))
    if work is None or not work.parent.is_relative_to(loaded.root) or str(module) not in used_modules(str(work)):
        return None
    return work.parent


def counted_from(config: Config, directory: str) -> Config:
    """The same configuration with its packages counted from another folder; both as go.directory has them."""
    before = config.go.directory

    def written(patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            members.moved(pattern, before, directory) if members.is_relative(pattern) else pattern for pattern in patterns
        )

    targets = {
        name: msgspec.structs.replace(target, packages=written(target.packages)) for name, target in config.targets.items()
    }
    go = msgspec.structs.replace(config.go, directory=directory, generate=written(config.go.generate))
    return msgspec.structs.replace(config, go=go, targets=targets)


def _joined(sessions: Sequence[Session]) -> Session:
    """One session for the Go of several projects."""
    first = sessions[0]
    if len(sessions) == 1:
        return first
    targets = {
        f"{session.config.project.name}:{name}": target
        for session in sessions
        for name, target in session.config.targets.items()
    }
    go = msgspec.structs.replace(first.config.go, generate=())
    config = msgspec.structs.replace(first.config, targets=targets, go=go)
    made = Session(
        first.loaded.with_config(config), emit=first.emit, jobs=first.jobs, look_only=first.look_only, beside=first
    )
    made.output = _common(sessions)
    return made


def _common(sessions: Sequence[Session]) -> Path:
    """The folder that most of them share for what they make."""
    outputs: Mapping[Path, int] = {one.output: sum(other.output == one.output for other in sessions) for one in sessions}
    return max(outputs, key=lambda path: outputs[path])
