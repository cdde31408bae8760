"""Small tasks of their own: go.mod, Go's environment, base images, cleaning up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from goctl.config.model import Image
from goctl.errors import ConfigError, StorageError
from goctl.events import Notice, Table
from goctl.golang import moduleinfo, moduleinit, modules, tidying
from goctl.plan.images import SCRATCH, base_reference
from goctl.plan.select import platforms_of
from goctl.release import copies

if TYPE_CHECKING:
    from pathlib import Path

    from goctl.release.session import Session


def go_env(session: Session, *, dry: bool) -> None:
    """A table of what of `go env` matters here."""
    del dry
    from goctl.golang.report import go_env_rows

    session.emit(Table("go env", ("name", "value", "meaning"), tuple(go_env_rows(session))))


def base_update(session: Session, *, dry: bool) -> None:
    """Looks every base up anew, and tells which have moved."""
    from goctl.release.bases import PinnedBases

    pins = session.bases
    if not isinstance(pins, PinnedBases):
        raise TypeError("a session's bases are pinned ones")
    slots = {
        (base_reference(session.config, target, platform), platform)
        for target in session.config.targets.values()
        if isinstance(target.image, Image)
        for platform in platforms_of(session.config, target)
        if platform.os == "linux"
    }
    references = tuple(sorted({reference for reference, _ in slots} - {SCRATCH}))
    if dry:
        session.emit(Notice(f"would look up: {', '.join(references)}", level="info"))
        return
    with session.lock():
        rows = pins.update(references, sorted(slots, key=str))
    session.emit(Table("bases", ("base", "was", "is"), tuple(rows)))


def clean(session: Session, *, dry: bool) -> None:
    """Removes dist/ and .goctl/. Refuses a dist folder that is, or holds, the project itself."""
    if session.root.resolve().is_relative_to(session.dist.resolve()):
        raise ConfigError(f"release.dist is {session.config.release.dist!r}: it holds the project itself")
    for folder in (session.dist, session.state):
        if not folder.exists():
            continue
        if dry:
            session.emit(Notice(f"would remove {folder}", level="info"))
            continue
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
    "registry.copy": copies.copy,
    "registry.retag": copies.retag,
    "clean": clean,
}
