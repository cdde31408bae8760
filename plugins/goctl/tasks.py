"""`namespace("goctl.toml")`: the invoke Collection of a project.

This module and `menu` are all that `invoke --list` imports: they know names, options and help, and nothing of Go, images or
registries. A task's body hands over to `goctl.commands` when it is run. The pipeline owns the chaining of stages: no task
has pre-tasks.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from inspect import Signature
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from goctl.menu import DEFAULT_TASKS, KINDS, Kind

#: How the script is called that hands its command line to invoke's own program, and nothing else.
_INVOKE = ("invoke", "inv")
#: Scalar defaults, so that INVOKE_GOCTL_PROFILE, INVOKE_GOCTL_JOBS and the others are heard.
DEFAULTS = {"goctl": {"profile": "", "jobs": 0, "json": False, "offline": False}}


def namespace(path: str | Path = "goctl.toml") -> Collection:
    """The tasks of the project that a goctl.toml describes; of a workspace, with a sub-collection for each project in it.

    `path` counts from the folder of the tasks.py that calls. The file is read when a task runs, so `invoke --list` works
    whatever it holds; to name a workspace's projects, as much of the files is read as can be.
    """
    file = _beside(sys._getframe(1), path)  # noqa: SLF001 - who calls is what the path counts from
    made = _collection(file, "")
    for name, member in _members(file).items():
        project = _collection(member, "")
        project.is_project = True
        made.add_collection(project, name=_free(name, made))
    return made


def collection(path: str | Path = "goctl.toml", *, profile: str = "") -> Collection:
    """The tasks of a goctl.toml, to be added to another collection under any name, and twice if need be:

    ns.add_collection(goctl.collection("services/api/goctl.toml", profile="staging"), "staging")

    `path` counts from the calling file's folder; `profile` is what its tasks use unless they are told another.
    """
    return _collection(_beside(sys._getframe(1), path), profile)  # noqa: SLF001 - as in namespace


def _free(name: str, made: Collection) -> str:
    """A project's name for invoke, which takes a dot for the end of a collection's name and `_` for `-`. A project that is
    called like a task keeps out of its way."""
    taken = {*made.tasks, *made.collections}
    plain = name.replace(".", "-").replace("_", "-")
    names = (plain, f"project-{plain}", *(f"project-{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)


def _beside(frame: FrameType, path: str | Path) -> Path:
    caller = frame.f_globals.get("__file__")
    folder = Path(caller).resolve().parent if caller else Path.cwd()
    return folder / path


def _members(file: Path) -> dict[str, Path]:
    """A workspace's projects by name; none where the file is none, or cannot be read."""
    try:
        if b"workspace" not in file.read_bytes():
            return {}
    except OSError:
        return {}
    from goctl.config.members import member_files, name_of, peek

    files = member_files(file.parent, peek(file))
    found: dict[str, Path] = {}
    for member in files:
        found.setdefault(name_of(member, peek(member)), member)
    return found


def _is_listing() -> bool:
    return any(word in ("-l", "--list") or word.startswith("--list=") for word in sys.argv[1:])


def _words() -> list[str] | None:
    """The words of the command line that invoke was called with, any of which may name a task. None where all tasks may be
    meant: of another program, of the shell's completion, and where no task is named."""
    words = sys.argv[1:]
    program = Path(sys.argv[0])
    called = program.parent.name if program.stem == "__main__" else program.stem
    if called not in _INVOKE or "--complete" in words or all(word[0:1] == "-" and "=" not in word for word in words):
        return None
    return [word.replace("_", "-") for word in words]


def _may_meet(project: str) -> bool:
    """Whether the command line may name a task of this project."""
    words = _words()
    return not _is_listing() and (words is None or any(project in word for word in words))


class _Shared(Collection):
    """A collection that invoke need not copy: nothing in it changes once it is made. `is_project` says that it is a part of
    a workspace's."""

    is_project = False

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self

    def add_collection(self, coll: Any, name: str | None = None, default: bool | None = None) -> None:
        """As invoke's own, and the collection knows the name it has here: `--list-format=json` tells that one."""
        super().add_collection(coll, name, default)
        if isinstance(coll, _Shared) and not coll.name:
            coll.name = name

    @property
    def task_names(self) -> dict[str, list[str]]:
        """What the parser may meet. It copies each task that it could, twice, and forty projects have a thousand of them."""
        if self.is_project and not _may_meet(self.name or ""):
            return {}
        names = super().task_names
        words = _words()
        if words is None:
            return names
        # By the last part of a name alone: this may be a part of any collection, under any name.
        return {
            name: aliases
            for name, aliases in names.items()
            if name == self.default or any(part in word for part in (name.rpartition(".")[2], *aliases) for word in words)
        }

    def transform(self, name: str) -> str:
        # invoke goes through each name letter by letter; those of goctl's tasks hold no underscores to begin with.
        return super().transform(name) if "_" in name else name


def _collection(file: Path, profile: str) -> _Shared:
    made = _Shared()
    groups: dict[str, Collection] = {}
    for name, task in _tasks(file, profile).items():
        group, _, short = name.rpartition(".")
        if group:
            groups.setdefault(group, _Shared(group)).add_task(task, name=short, default=name in DEFAULT_TASKS)
        else:
            made.add_task(task, name=name)
    for inner in groups.values():
        made.add_collection(inner)
    made.configure(DEFAULTS)
    return made


def _tasks(file: Path, profile: str = "") -> dict[str, Task[Any]]:
    return {name: _Task(kind, file, name, profile) for name, kind in KINDS.items()}


class _Option(Argument):
    """An option with a short name for itself: invoke writes all of them out for its debug log, read or not."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


_OPTIONS: dict[str, list[Argument]] = {}


class _Task(Task[Any]):
    """One task of one goctl.toml. It equals itself alone: invoke takes tasks of one name and one code for the same, and runs
    one of them.

    A workspace has hundreds of them, so that what is the same for all is made once.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, kind: Kind, file: Path, name: str, profile: str) -> None:
        def body(context: Context, **options: Any) -> None:
            _call(context, file, name, profile, options)

        body.__doc__ = f"{kind.words[0].upper()}{kind.words[1:]}."
        self._kind = kind
        self._whole_name = name
        super().__init__(
            body,
            name=name.rpartition(".")[2],
            auto_shortflags=False,
            help=dict(kind.help),
            iterable=kind.iterable,
            positional=kind.positional,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Task:
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options as the parser has them; it copies what it fills in, so that tasks of one kind can share theirs."""
        if self._whole_name not in _OPTIONS:
            made = super().get_arguments(ignore_unknown_help)
            for argument in made:
                argument.__class__ = _Option
            _OPTIONS[self._whole_name] = made
        return _OPTIONS[self._whole_name]

    def argspec(self, body: Callable[..., Any]) -> Signature:
        """The options without the context, as invoke asks for them."""
        del body
        return self._kind.options


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt in here is raised at the end.

    Python's own handler raises wherever it is, in a callback of the import system too, and there the exception is dropped.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


def _call(context: Context, file: Path, name: str, profile: str, options: dict[str, Any]) -> None:
    # invoke keeps Python from writing bytecode, so that a tasks.py leaves no folder behind. It is loaded by now, and where
    # an installer compiled nothing (uv, an editable install), every run would compile goctl and its packages anew.
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    # What is imported stays: to look through it for garbage, every 700 objects anew, takes a tenth of a short command.
    thresholds = gc.get_threshold()
    gc.set_threshold(50_000, *thresholds[1:])
    # Nor is there anything to win by it when the process ends, and that would take twice as long.
    atexit.register(gc.freeze)
    try:
        with _interrupts_held():
            from goctl.commands import command

        defaults = dict(context.config.goctl)
        command(
            file,
            name,
            dry=bool(context.config.run.dry),
            defaults=defaults | ({"profile": profile} if profile else {}),
            **options,
        )
    except KeyboardInterrupt:
        # invoke would end with 1; shells and their scripts expect 130 of what was interrupted.
        raise Exit(code=130) from None
    finally:
        gc.set_threshold(*thresholds)
        sys.dont_write_bytecode = before
