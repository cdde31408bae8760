"""A shelf in a folder: the disk level of a user, or a directory that machines share.

Any number of processes may use it. A name is a file; it is written beside itself, made durable, and renamed. The time of a
file is that of its last use, to the hour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from goctl.cache.envelope import PIECE
from goctl.contracts import Held, Sealed
from goctl.errors import LevelError
from goctl.system.files import replace, sync_folder

_NEW: Final = ".new."
_HOUR: Final = 3600.0


class FolderShelf:
    """contracts.Shelf, Listing, Conditional and Roomy: `SPACE/KEY` is the file `SPACE/KE/KEY`."""

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self.folder = folder
        # What machines share, other users read; mkstemp makes files for their owner alone.
        self._mode = 0o644 if shared else 0o600

    def read(self, name: str) -> Iterator[bytes] | None:
        path = self._path(name)
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - the iterator closes it
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failure(path, "read", error) from error

        def pieces() -> Iterator[bytes]:
            with file:
                try:
                    found = os.fstat(file.fileno())
                    while piece := file.read(PIECE):
                        yield piece
                except OSError as error:
                    raise _failure(path, "read", error) from error
            if time.time() - found.st_mtime > _HOUR:
                with contextlib.suppress(OSError):
                    os.utime(path)

        return pieces()

    def write(self, name: str, content: Sealed) -> None:
        path = self._path(name)
        with _failures(path), _beside(path) as (file, new):
            with content.open() as source:
                shutil.copyfileobj(source, file, PIECE)
            if file.tell() != content.size:
                raise LevelError(f"{path} could not be written whole")
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.chmod(new, self._mode)
            try:
                replace(new, path)
            except PermissionError:
                # Windows: somebody reads what is there, under the same name.
                if os.name != "nt" or not path.is_file():
                    raise
            sync_folder(path.parent)

    def remove(self, name: str) -> None:
        path = self._path(name)
        with _failures(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def create(self, name: str, content: bytes) -> bool:
        """contracts.Conditional: a link fails where there is a name, on network file systems too."""
        path = self._path(name)
        with _failures(path), _beside(path) as (file, new):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            try:
                os.link(new, path)
            except FileExistsError:
                return False
            except OSError:
                return _created(path, content)
        return True

    def held(self) -> Iterator[Held]:
        """What there is. Files that writers which were killed left behind go, once they are a day old."""
        with _failures(self.folder):
            for space in _names(self.folder):
                for part in _names(space):
                    for path in _names(part):
                        yield from self._one(space, path)

    def _one(self, space: Path, path: Path) -> Iterator[Held]:
        try:
            found = path.lstat()
        except OSError:
            return
        if path.name.startswith(_NEW):
            if time.time() - found.st_mtime > 24 * _HOUR:
                with contextlib.suppress(OSError):
                    path.unlink()
        elif stat.S_ISREG(found.st_mode):
            yield Held(f"{space.name}/{path.name}", found.st_size, found.st_mtime)

    def free(self) -> int:
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with _failures(folder):
            return shutil.disk_usage(folder).free

    def _path(self, name: str) -> Path:
        space, _, key = name.partition("/")
        return self.folder / space / key[:2] / key


def _names(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _created(path: Path, content: bytes) -> bool:
    """As create does it where the file system knows no links."""
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """An open file in the folder of a path, which is gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_NEW, dir=path.parent)
    try:
        with open(handle, "wb") as file:
            yield file, name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


@contextlib.contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(path, "use", error) from error


def _failure(path: Path, verb: str, error: OSError) -> LevelError:
    return LevelError(f"cannot {verb} {path}: {error.strerror or error}")


def user_folder() -> Path:
    """The folder of a user's own level: below what the system has for caches."""
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "goctl", "cache")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Caches" / "goctl"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "goctl")
    return folder
