"""Small tasks of their own: go.mod, Go's environment, base images, cleaning up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from goctl.config.model import Image
from goctl.errors import ConfigError, MovedError, StorageError
from goctl.events import Notice, StageStarted, Table
from goctl.golang import moduleinfo, moduleinit, modules, tidying
from goctl.plan.images import SCRATCH, base_reference
from goctl.plan.select import platforms_of
from goctl.release import looks

if TYPE_CHECKING:
    from pathlib import Path

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
        if isinstance(target.image, Image)
        for platform in platforms_of(session.config, target)
        if platform.os == "linux"
    }


def _pins(session: Session) -> PinnedBases:
    from goctl.release.bases import PinnedBases

    pins = session.bases
    if not isinstance(pins, PinnedBases):
        raise TypeError("a session's bases are pinned ones")
    return pins


def clean(session: Session, *, dry: bool) -> None:
    """Removes dist/. Refuses a folder that is, or holds, the project itself."""
    if session.root.resolve().is_relative_to(session.dist.resolve()):
        raise ConfigError(f"release.dist is {session.config.release.dist!r}: it holds the project itself")
    _clear(session, session.dist, dry=dry)


def clean_state(session: Session, *, dry: bool) -> None:
    """Removes what is remembered of a project, or of a whole workspace, and what its projects share below dist/."""
    for folder in (session.output, session.state):
        _clear(session, folder, dry=dry)


def _clear(session: Session, folder: Path, *, dry: bool) -> None:
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
    """A chore, for each module of the crew, or for each project where it is about one."""
    chore = CHORES[name]
    sessions = [crew.first] if name in looks.LOOKS else crew.files
    if name == "go.env" or name.startswith("mod."):
        sessions = list({session.module: session for session in reversed(sessions)}.values())[::-1]
    for session in sessions:
        if len(sessions) > 1:
            session.emit(StageStarted(name, f"{session.config.project.name}: {name}"))
        chore(session, dry=dry, **options)
    if name == "clean" and crew.is_whole:
        clean_state(crew.first, dry=dry)


CHORES: dict[str, Callable[..., None]] = {
    "mod.init": moduleinit.init,
    "mod.tidy": tidying.tidy,
    "mod.download": modules.download,
    "mod.verify": modules.verify,
    "mod.vendor": modules.vendor,
    "mod.why": moduleinfo.why,
    "mod.outdated": moduleinfo.outdated,
    "go.env": go_env,
    "base.update": base_update,
    "base.status": base_status,
    "clean": clean,
    **looks.LOOKS,
}
