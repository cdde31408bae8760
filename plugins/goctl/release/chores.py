"""Small tasks of their own: go.mod, Go's environment, base images, cleaning up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goctl.config.members import FILE_NAME
from goctl.errors import (
    BuilderError,
    ClusterError,
    ConfigError,
    GoctlError,
    ImageError,
    ModuleError,
    MovedError,
    RegistryError,
    StorageError,
    joined,
)
from goctl.events import Notice, StageStarted, Table
from goctl.golang import command, moduleinfo, moduleinit, modules, tidying
from goctl.plan.images import base_reference, wants_image
from goctl.plan.select import platforms_of
from goctl.plan.systems import SCRATCH
from goctl.release import builders, clusters, compiled, copies, dockers, logins, looks, nightly, rollouts

if TYPE_CHECKING:
    from goctl.release.bases import PinnedBases
    from goctl.release.crew import Crew
    from goctl.release.session import Session
    from goctl.values import Platform


def go_env(session: Session, *, dry: bool) -> None:
    """A table of what of `go env` matters here, and what is wrong with it. Raises ToolchainError where go refuses."""
    del dry
    from goctl.golang.report import COLUMNS, go_env_rows
    from goctl.release.doctor import advice

    situation, findings = advice(session.config, session.root, session.module)
    if situation.version:
        session.emit(Table("go env", COLUMNS, tuple(go_env_rows(situation))))
        session.emit(findings)
    if not situation.values:
        session.toolchain()


def generate(session: Session, *, dry: bool) -> None:
    """Runs `go generate` as the stage of that name does. Raises ConfigError where no packages are named for it."""
    patterns = session.config.go.generate
    if not patterns:
        raise ConfigError("there is nothing to generate", hint='name packages in [go]: generate = ["./..."]')
    if dry:
        session.emit(Notice(f"would run: go generate {' '.join(patterns)}", level="info"))
        return
    with session.lock():
        modules.generate(session, patterns)


def base_update(session: Session, *, dry: bool) -> None:
    """Looks every base up anew, and tells which have moved."""
    pins = _pins(session)
    slots = _base_slots(session)
    references = tuple(sorted({reference for reference, _ in slots} - {SCRATCH}))
    if dry:
        session.emit(Notice(f"would look up: {', '.join(references)}", level="info"))
        return
    with session.lock():
        rows = pins.update(references, sorted(slots, key=str))
    session.emit(Table("bases", ("base", "was", "is"), tuple(rows)))


def base_status(session: Session, *, check: bool, dry: bool) -> None:
    """Tells which bases have moved since they were pinned; writes nothing.

    With `check`, raises MovedError where one has, or is not pinned. Raises what kept a base from being looked up.
    """
    del dry
    references = sorted({reference for reference, _ in _base_slots(session)} - {SCRATCH})
    found = _pins(session).status(references)
    rows = tuple((one.reference, one.pinned or "-", one.now or "-", one.state) for one in found)
    session.emit(Table("bases", ("base", "pinned", "now", "state"), rows))
    for one in found:
        if one.error is not None:
            raise one.error
    moved = [f"{one.reference} is {one.state}" for one in found if not one.is_settled]
    if check and moved:
        raise MovedError(", ".join(moved), hint="`invoke base.update` pins what they name now; commit goctl.lock")


def _base_slots(session: Session) -> set[tuple[str, Platform]]:
    """The bases of this project's images, each with its platforms."""
    return {
        (base_reference(session.config, target, platform), platform)
        for target in session.config.targets.values()
        for platform in platforms_of(session.config, target)
        if wants_image(session.config, target, platform)
    }


def _pins(session: Session) -> PinnedBases:
    from goctl.release.bases import PinnedBases

    pins = session.bases
    if not isinstance(pins, PinnedBases):
        raise TypeError("a session's bases are pinned ones")
    return pins


def clean(session: Session, *, dry: bool) -> None:
    """Removes what was made of a project below dist/."""
    _clear(session, session.dist, dry=dry)


def clean_all(crew: Crew, *, dry: bool) -> None:
    """Removes what is remembered of a project, or of a whole workspace, and what its projects share below dist/."""
    outputs = dict.fromkeys(session.output for session in crew.files)
    for folder in (*outputs, crew.first.state):
        _clear(crew.first, folder, dry=dry)


def _refuse_sources(session: Session, folder: Path) -> None:
    """A folder that holds a project, this one or another's, is no output, whatever release.dist says."""
    project = session.root / session.loaded.folder
    holds = project.resolve().is_relative_to(folder.resolve())
    for inner, _, names in os.walk(folder):
        holds = holds or (FILE_NAME in names and not Path(inner).is_relative_to(session.state))
    if holds:
        raise ConfigError(
            f"release.dist is {session.config.release.dist!r}: it holds a project, and is not removed",
            location=session.loaded.place("release", "dist"),
            hint="name a folder that holds nothing but what is made",
        )


def _clear(session: Session, folder: Path, *, dry: bool) -> None:
    _refuse_sources(session, folder)
    if not folder.exists():
        return
    if dry:
        session.emit(Notice(f"would remove {folder}", level="info"))
        return
    _remove(folder)
    session.emit(Notice(f"removed {folder}", level="info"))


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be removed: {error.strerror or error}", hint="is a program in it running?"
        ) from error


def run(crew: Crew, name: str, /, *, dry: bool, **options: Any) -> None:
    """A chore, for each module of the crew, or for each project where it is about one. All are tried before the first error
    is raised."""
    chore = CHORES[name]
    sessions = _about(crew, name)
    if name == "mod.tidy" and not crew.is_whole:
        options["alone"] = True
    errors: list[GoctlError] = []
    for session in sessions:
        if len(sessions) > 1:
            session.emit(StageStarted(name, f"{session.config.project.name}: {name}"))
        try:
            chore(session, dry=dry, **options)
        except (BuilderError, ClusterError, ConfigError, ModuleError, ImageError, RegistryError) as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else joined(errors)
    if name == "clean" and crew.is_whole:
        clean_all(crew, dry=dry)


def _about(crew: Crew, name: str) -> list[Session]:
    """The sessions that a chore is done for: of those in one module, or in one go.work that go sees to as a whole, the
    first."""
    sessions = crew.files
    if name == "generate":
        return [session for session in sessions if session.config.go.generate] or sessions[:1]
    if name.startswith("cluster."):
        # A workspace's clusters are its members' too.
        by_clusters = {clusters.declared_names(session): session for session in reversed(sessions)}
        return [session for names, session in by_clusters.items() if names] or sessions[:1]
    plain = (*looks.LOOKS, *builders.BUILDERS, "docker.mirrors", "go.prune")
    if name.startswith(("registry.", "ci.", "tools.")) or name in plain:
        # They are about registries, builders, this machine or the checkout, whoever uses them.
        return sessions[:1]
    if name in rollouts.ROLLOUTS:
        return [session for session in sessions if session.config.deploy] or sessions[:1]
    if name == "mod.init":
        lacking = [session for session in sessions if not (session.module / "go.mod").exists()]
        sessions = lacking or sessions[:1]
    elif name != "go.env" and not name.startswith("mod."):
        return sessions
    by_module: dict[Path, Session] = {}
    for session in sessions:
        work = command.workspace(session) if crew.is_whole and name != "mod.init" else None
        by_module.setdefault(work or session.module, session)
    return list(by_module.values())


CHORES: dict[str, Callable[..., None]] = {
    "mod.init": moduleinit.init,
    "mod.tidy": tidying.tidy,
    "mod.download": modules.download,
    "mod.verify": modules.verify,
    "mod.vendor": modules.vendor,
    "mod.why": moduleinfo.why,
    "mod.outdated": moduleinfo.outdated,
    "go.env": go_env,
    "go.prune": compiled.prune,
    "generate": generate,
    "base.update": base_update,
    "registry.login": logins.login,
    "registry.logout": logins.logout,
    "registry.copy": copies.copy,
    "registry.retag": copies.retag,
    "base.status": base_status,
    "clean": clean,
    "ci.nightly": nightly.nightly,
    "cluster.up": clusters.up,
    "cluster.down": clusters.down,
    "cluster.status": clusters.status,
    "tools.install": clusters.install,
    **builders.BUILDERS,
    "docker.mirrors": dockers.mirrors,
    **looks.LOOKS,
    **rollouts.ROLLOUTS,
}
