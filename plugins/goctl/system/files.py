"""Files: durable atomic writes, identities that tell whether a file was touched, locks between processes, safe paths."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from goctl.errors import ConfigError, StorageError

#: Whether `st_ctime` is the time of the last change of the inode, which no one can set back. On Windows it is the time of
#: creation, so that there content decides.
CHANGE_TIME_TELLS: Final = os.name != "nt"

#: Two writes closer together than this may carry the same times: the kernel's clock ticks every 1 to 16 ms. Where times
#: carry no fraction of a second the file system itself is coarse (FAT keeps 2 s, HFS+ and some network ones 1 s).
TICK_NS: Final = 50_000_000
COARSE_TICK_NS: Final = 2_000_000_000


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What `stat` says of a file's content without reading it. Times are nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int

    def is_settled(self, at: int) -> bool:
        """Whether every write after the time `at` (ns, by the file system's own clock) must give another identity."""
        tick = TICK_NS if self.changed % 1_000_000_000 else COARSE_TICK_NS
        return CHANGE_TIME_TELLS and max(self.modified, self.changed) < at - tick


def identity(path: str | os.PathLike[str]) -> Identity | None:
    """The identity of what the path leads to, links followed; None where there is nothing."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Identity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def clock(folder: Path) -> int:
    """The time by the clock that stamps files in a folder (a file server's may differ from ours), ns since the epoch."""
    with storage_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".clock.", dir=folder)
        try:
            return os.fstat(handle).st_mtime_ns
        finally:
            os.close(handle)
            os.unlink(name)


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turns an OSError of a write into a StorageError that says what could not be written, and why."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {what}: {error.strerror or error}", hint=_storage_hint(error)) from error


def _storage_hint(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: free some space, `invoke clean` removes what goctl made"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return "check who owns the folder and whether it may be written to"
        case errno.ENAMETOOLONG:
            return "the path is too long for this system: move the project nearer to the root of the disk"
    return ""


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder survive a power loss. Windows has no such call and needs none (NTFS logs renames)."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """os.replace that waits a little on Windows, where a virus scanner or a reader may hold the target for a moment."""
    for attempt in range(20):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == 19:
                raise
            time.sleep(0.05)


def move(source: Path, target: Path) -> None:
    """replace() that also reaches another disk: a folder for results may be a mount."""
    try:
        replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.new")
        shutil.copy2(source, beside)
        replace(beside, target)
        source.unlink()


def write_atomic(path: Path, content: bytes, *, durable: bool = True, private: bool = False) -> None:
    """Writes a whole file or nothing: temporary file beside it, fsync, rename, fsync of the folder.

    A `private` file is for its owner's eyes alone, and never was for others'.
    """
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            # mkstemp makes files for their owner alone; most are ordinary project files.
            if not private:
                os.chmod(name, 0o666 & ~umask())
            replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        if durable:
            sync_folder(path.parent)


def umask() -> int:
    """The bits that new files of this process are made without."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    return 0o022


#: Seconds until one looks again whether a lock is free: most are held for a moment, and others for minutes.
_FIRST_LOOK: Final = 0.001
_LAST_LOOK: Final = 0.1


class Lock:
    """A lock between processes on a file, given back by the system when its holder dies, however it dies.

    `with Lock(path, waiting=...)` blocks; `waiting` is called at short intervals meanwhile, at last ten times a second, and
    may raise.
    """

    def __init__(self, path: Path, *, waiting: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._waiting = waiting
        self._handle = -1

    def __enter__(self) -> Self:
        with storage_errors(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            pause = _FIRST_LOOK
            while not _try_lock(self._handle):
                self._waiting()
                time.sleep(pause)
                pause = min(2 * pause, _LAST_LOOK)
        except BaseException:
            os.close(self._handle)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._handle)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def inside(root: Path, relative: str, *, what: str) -> Path:
    """The path `root/relative`, when it does not leave `root` (links followed); else a ConfigError that names `what`."""
    path = Path(os.path.normpath(root / relative.replace("\\", "/") if os.name != "nt" else root / relative))
    real_root = os.path.realpath(root)
    try:
        stays = os.path.commonpath([real_root, os.path.realpath(path)]) == real_root
    except ValueError:  # another drive
        stays = False
    # What leaves the project on Windows is not a folder of an odd name elsewhere.
    if not stays or "\0" in relative or (os.name != "nt" and relative[1:2] == ":"):
        raise ConfigError(f"{what}: {relative!r} leaves the project's folder", hint="name a path inside it")
    return path
