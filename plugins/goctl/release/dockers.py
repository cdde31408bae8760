"""Docker itself: what `doctor` says of it, and `docker.mirrors`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.buildkit import daemon, docker_desktop
from goctl.buildkit.docker_look import Found, ask_engine, contexts, look
from goctl.errors import BuilderError, StorageError
from goctl.events import Document, Notice
from goctl.system.files import write_atomic
from goctl.values import to_json

if TYPE_CHECKING:
    from goctl.buildkit.docker_judge import Remark
    from goctl.release.session import Session


def remarks(session: Session) -> list[Remark]:
    """What there is to say of Docker, for a project. Raises nothing of Docker's."""
    from goctl.buildkit.docker_judge import judge

    found = look()
    shared = None
    engine = found.engine
    if engine is not None and engine.is_desktop and not engine.is_wsl:
        shared = docker_desktop.shared_folders(docker_desktop.settings_files(sys.platform, os.environ, _home()))
    return judge(found, session.config.buildkit.builder, project=session.root, system=sys.platform, shared=shared)


def mirrors(session: Session, *, dry: bool, write: bool, file: str) -> None:
    """Adds the declared mirrors and plain registries to daemon.json; without `write`, shows what would change.

    Raises BuilderError for a file that cannot be added to, StorageError where it cannot be written.
    """
    engine, trouble = ask_engine()
    wanted = daemon.additions(session.config.registries, engine.server_version if engine is not None else "")
    for words in wanted.left_out:
        session.emit(Notice(f"left out: {words}"))
    if not wanted.mirrors and not wanted.insecure:
        session.emit(Notice("goctl.toml declares nothing that daemon.json has a place for", level="info"))
        return
    if file:
        path = session.root / os.path.expanduser(file)
    else:
        if trouble:
            session.emit(Notice(f"Docker's engine does not answer ({trouble}); its file is taken to be the usual one"))
        _refuse_elsewhere()
        wsl = docker_desktop.is_wsl()
        asks_windows = wsl and engine is not None and engine.is_desktop
        windows = docker_desktop.windows_home() if asks_windows else None
        path = daemon.place(engine, daemon.Home(sys.platform, _home(), os.environ, wsl, windows))
    _merge(session, Path(os.path.realpath(path)), wanted, write=write and not dry)


def _refuse_elsewhere() -> None:
    found = Found(contexts=contexts())
    if found.is_elsewhere:
        raise BuilderError(
            f"Docker's engine is on another machine ({found.endpoint})", hint="run this there, or name a file with --file"
        )


def _merge(session: Session, path: Path, wanted: daemon.Additions, *, write: bool) -> None:
    before = _read(path)
    after = daemon.merged(before or b"", wanted, str(path))
    if after == before:
        session.emit(Notice(f"{path} holds all of it", level="info"))
        return
    shown = daemon.difference(before or b"", after, str(path))
    session.emit(Document("docker.mirrors", shown, _raw({"file": str(path), "diff": shown, "written": write})))
    if not write:
        session.emit(Notice("nothing was written: add --write to do it", level="info"))
        return
    if before is not None:
        backup = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}.bak")
        _write(backup, before, like=path)
        session.emit(Notice(f"the file as it was is {backup}", level="info"))
    _write(path, after, like=path)
    session.emit(Notice(f"wrote {path}: restart Docker's engine, so that it reads it", level="info"))


def _write(path: Path, content: bytes, *, like: Path) -> None:
    """Writes a file that may be read by those who may read another, if that is there."""
    mode = like.stat().st_mode & 0o777 if like.exists() else 0o644
    try:
        write_atomic(path, content, private=mode & 0o077 == 0)
    except StorageError as error:
        raise StorageError(str(error), hint="it is the administrator's: run this with their rights") from None
    if os.name != "nt":
        path.chmod(mode)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from None


def _raw(value: dict[str, object]) -> msgspec.Raw:
    return msgspec.Raw(to_json(value))


def _home() -> Path:
    return Path(os.path.expanduser("~"))
