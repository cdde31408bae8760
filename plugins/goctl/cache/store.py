"""The artifact store: blobs by digest, and records: small values by key.

A blob is written as containerd's content store does it: temporary file, sha256 while writing, check, fsync, rename, fsync
of the folder. What was written by another run is hashed again while it is read, and removed when it is damaged, so that the
next run makes it anew. A record carries its own checksum; a damaged one is a miss. Any number of processes may share a
store.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from goctl.errors import StorageError
from goctl.system.files import replace, storage_errors, sync_folder
from goctl.values import Digest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HOUR = 3600.0
_NEW = ".new."


class Blobs:
    """contracts.BlobStore in a folder: one file for each digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sha256"
        self._made = False
        # Hashed by this very process while it wrote them.
        self._fresh: set[str] = set()

    def has(self, digest: Digest, size: int) -> bool:
        return self.has_here(digest, size)

    def has_here(self, digest: Digest, size: int) -> bool:
        """Whether it is in this folder, whoever else may have it."""
        path = self._path(digest)
        try:
            found = os.stat(path)
        except OSError:
            return False
        if found.st_size != size or not stat.S_ISREG(found.st_mode):
            return False
        if time.time() - found.st_mtime > _HOUR:
            # The time of the last use, for prune; to the hour, so that looking costs nothing.
            with contextlib.suppress(OSError):
                os.utime(path)
        return True

    def open(self, digest: Digest) -> BinaryIO:
        """The content. A read from start to end raises StorageError at the end when it was damaged on the disk."""
        path = self._path(digest)
        try:
            return open(path, "rb") if digest.hex in self._fresh else io.BufferedReader(_Verified(path, digest), 1 << 16)
        except OSError as error:
            raise StorageError(f"the blob {digest} is not there: {error.strerror}", hint="run the release again") from error

    def read(self, digest: Digest) -> bytes:
        with self.open(digest) as file:
            content = file.read()
        if Digest.of(content) != digest:
            raise _damaged(self._path(digest), digest)
        return content

    def add(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        if not self.has_here(digest, len(content)):
            with self.writer() as writer:
                writer.write(content)
                writer.commit(digest)
        return digest

    def writer(self) -> Writer:
        self._make()
        return Writer(self._folder, self._fresh)

    def _make(self) -> None:
        if not self._made:
            with storage_errors(str(self._folder)):
                self._folder.mkdir(parents=True, exist_ok=True)
            self._made = True

    def path(self, digest: Digest) -> Path:
        """The file of a blob, for those who can link to it."""
        return self._path(digest)

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest.hex


def _damaged(path: Path, digest: Digest) -> StorageError:
    with contextlib.suppress(OSError):  # Windows does not remove what is open: the next reader will
        path.unlink()
    return StorageError(f"the blob {digest} was damaged; it is removed", hint="run the release again")


class _Verified(io.FileIO):
    """A blob's file that compares the digest when the last byte was read. Bytes that were sought past are not judged."""

    def __init__(self, path: Path, digest: Digest) -> None:
        super().__init__(path, "rb")
        self._where = path
        self._digest = digest
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._whole = os.fstat(self.fileno()).st_size

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        at = self.tell()
        count = super().readinto(buffer) or 0
        if at == self._hashed:
            self._hash.update(memoryview(buffer).cast("B")[:count])
            self._hashed += count
            if self._hashed >= self._whole and self._hash.hexdigest() != self._digest.hex:
                raise _damaged(self._where, self._digest)
        return count

    def readall(self) -> bytes:
        content = bytearray()
        piece = bytearray(1 << 20)
        while count := self.readinto(piece):
            content += memoryview(piece)[:count]
        return bytes(content)


class Writer:
    """A blob in the making. `fresh` is told its digits when it is there."""

    def __init__(self, folder: Path, fresh: set[str]) -> None:
        self._folder = folder
        self._fresh = fresh
        self._hash = hashlib.sha256()
        self._size = 0
        self._name = ""
        with storage_errors(str(folder)):
            handle, self._name = _temporary(folder)
            self._file = os.fdopen(handle, "wb", buffering=0)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        self._hash.update(view)
        self._size += size
        with storage_errors(str(self._folder)):
            while view:
                view = view[self._file.write(view) :]
        return size

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        digest = Digest("sha256:" + self._hash.hexdigest())
        if expected is not None and digest != expected:
            raise StorageError(f"content has the digest {digest}, and should have {expected}; it is not kept")
        target = self._folder / digest.hex
        with storage_errors(str(self._folder)):
            # A write that failed, and whose error somebody swallowed, shows here.
            if os.fstat(self._file.fileno()).st_size != self._size:
                raise StorageError(f"not all of the blob {digest} could be written; it is not kept")
            os.fsync(self._file.fileno())
            self._file.close()
            try:
                replace(self._name, target)
                self._name = ""
            except PermissionError:
                # Windows: somebody reads the blob that is there already. It is the same content.
                if os.name != "nt" or not target.is_file():
                    raise
            sync_folder(self._folder)
        self._fresh.add(digest.hex)
        return digest, self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name)


def _temporary(folder: Path) -> tuple[int, str]:
    """A new file in a folder, made again where `clean` took it away meanwhile."""
    try:
        return tempfile.mkstemp(prefix=_NEW, dir=folder)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.mkstemp(prefix=_NEW, dir=folder)


class Records:
    """contracts.Memo in a folder: a file for each key, its content behind a sha256 of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, kind: str, key: str) -> bytes | None:
        return self._read(self._path(kind, key))

    @staticmethod
    def _read(path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return None
        sum, value = content[:32], content[32:]
        return value if hashlib.sha256(value).digest() == sum else None

    def put(self, kind: str, key: str, value: bytes) -> None:
        path = self._path(kind, key)
        folder = Path(path).parent
        with storage_errors(str(folder)):
            # No fsync: what a power loss takes or damages is only made again.
            handle, name = _temporary(folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(value).digest() + value)
                replace(name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise

    def forget(self, kind: str, key: str) -> None:
        """Removes a value, if it is there."""
        self.forget_name(kind, record_name(key))

    def each(self, kind: str) -> Iterator[tuple[str, bytes, float]]:
        """All values of a kind that are whole: the name that record_name() gives their key, and when they were written."""
        try:
            paths = sorted(Path(self._folder, kind).iterdir())
        except OSError:
            return
        for path in paths:
            value = self._read(str(path)) if not path.name.startswith(_NEW) else None
            if value is not None:
                with contextlib.suppress(OSError):
                    yield path.name, value, path.stat().st_mtime

    def forget_name(self, kind: str, name: str) -> None:
        """Removes a value by the name of its key."""
        with storage_errors(str(self._folder)), contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, kind, name))

    def _path(self, kind: str, key: str) -> str:
        return os.path.join(self._folder, kind, record_name(key))


def record_name(key: str) -> str:
    """The name of a key's file."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class Unwritten:
    """Records that are only read: for questions, which leave no trace."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, kind: str, key: str) -> bytes | None:
        return self._records.get(kind, key)

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Forgets it."""


def prune(folder: Path, most: int, *, keep: Collection[Digest] = (), unused: float = _HOUR) -> int:
    """Removes blobs or records below a folder, the longest unused first, until `most` bytes are left; the bytes removed.

    Never removes what was used in the last `unused` seconds, for another run may be about to read it, nor the blobs in
    `keep`. What writers that were killed left behind goes too.
    """
    now = time.time()
    kept = {digest.hex for digest in keep}
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode):
                files.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in files)
    removed = 0
    for used, size, path in sorted(files):
        is_rest = path.name.startswith(_NEW)
        if now - used < unused or path.name in kept or (total - removed <= most and not is_rest):
            continue
        with contextlib.suppress(OSError):
            # Looked at once more: it may have been used while others were removed.
            if now - path.lstat().st_mtime >= unused:
                path.unlink()
                removed += size
    return removed
