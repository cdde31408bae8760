"""The artifact store: blobs by digest, and records: small values by key.

A blob is written as containerd's content store does it: temporary file, sha256 while writing, fsync, check, rename, fsync
of the folder. A record carries its own checksum; a damaged one is a miss. Any number of processes may share a store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Self

from goctl.errors import StorageError
from goctl.system.files import replace, storage_errors, sync_folder
from goctl.values import Digest

_HOUR = 3600.0


class Blobs:
    """contracts.BlobStore in a folder: one file for each digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sha256"
        self._made = False

    def has(self, digest: Digest, size: int) -> bool:
        path = self._path(digest)
        try:
            found = os.stat(path)
        except OSError:
            return False
        if found.st_size != size:
            return False
        if time.time() - found.st_mtime > _HOUR:
            # The time of the last use, for prune; to the hour, so that looking costs nothing.
            with contextlib.suppress(OSError):
                os.utime(path)
        return True

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self._path(digest), "rb")
        except OSError as error:
            raise StorageError(f"the blob {digest} is not there: {error.strerror}", hint="run the release again") from error

    def read(self, digest: Digest) -> bytes:
        with self.open(digest) as file:
            content = file.read()
        if Digest.of(content) != digest:
            self._path(digest).unlink(missing_ok=True)
            raise StorageError(f"the blob {digest} was damaged; it is removed", hint="run the release again")
        return content

    def add(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        if not self.has(digest, len(content)):
            with self.writer() as writer:
                writer.write(content)
                writer.commit(digest)
        return digest

    def writer(self) -> Writer:
        if not self._made:
            with storage_errors(str(self._folder)):
                self._folder.mkdir(parents=True, exist_ok=True)
            self._made = True
        return Writer(self._folder)

    def path(self, digest: Digest) -> Path:
        """The file of a blob, for those who can link to it."""
        return self._path(digest)

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest.hex


class Writer:
    """A blob in the making."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hash = hashlib.sha256()
        self._size = 0
        self._name = ""
        with storage_errors(str(folder)):
            handle, self._name = tempfile.mkstemp(prefix=".new.", dir=folder)
            self._file = os.fdopen(handle, "wb", buffering=0)

    def write(self, data: bytes | memoryview) -> int:
        with storage_errors(str(self._folder)):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self._hash.update(data)
        size = len(data)
        self._size += size
        return size

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        digest = Digest("sha256:" + self._hash.hexdigest())
        if expected is not None and digest != expected:
            raise StorageError(f"content has the digest {digest}, and should have {expected}; it is not kept")
        with storage_errors(str(self._folder)):
            os.fsync(self._file.fileno())
            self._file.close()
            replace(self._name, self._folder / digest.hex)
            self._name = ""
            sync_folder(self._folder)
        return digest, self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name)


class Records:
    """contracts.Memo in a folder: a file for each key, its content behind a sha256 of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, kind: str, key: str) -> bytes | None:
        try:
            with open(self._path(kind, key), "rb") as file:
                content = file.read()
        except OSError:
            return None
        sum, value = content[:32], content[32:]
        return value if hashlib.sha256(value).digest() == sum else None

    def put(self, kind: str, key: str, value: bytes) -> None:
        path = self._path(kind, key)
        folder = os.path.dirname(path)
        with storage_errors(folder):
            # No fsync: what a power loss takes or damages is only made again.
            try:
                handle, name = tempfile.mkstemp(prefix=".new.", dir=folder)
            except FileNotFoundError:
                os.makedirs(folder, exist_ok=True)
                handle, name = tempfile.mkstemp(prefix=".new.", dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(value).digest() + value)
                replace(name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise

    def _path(self, kind: str, key: str) -> str:
        return os.path.join(self._folder, kind, hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40])


class Unwritten:
    """Records that are only read: for questions, which leave no trace."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, kind: str, key: str) -> bytes | None:
        return self._records.get(kind, key)

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Forgets it."""


def prune(folder: Path, most: int, *, keep: frozenset[str] = frozenset(), unused: float = _HOUR) -> int:
    """Removes files below a store's folder, the longest unused first, until `most` bytes are left; the bytes removed.

    Never removes what was used in the last `unused` seconds, for another run may be about to read it, nor a file named in
    `keep`. What writers that were killed left behind goes too.
    """
    now = time.time()
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if not path.is_dir():
                files.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in files)
    removed = 0
    for used, size, path in sorted(files, key=lambda entry: entry[0]):
        is_rest = path.name.startswith(".new.")
        if now - used < unused or path.name in keep or (total - removed <= most and not is_rest):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            removed += size
    return removed
