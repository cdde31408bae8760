"""What the fake registry holds: contents by digest, in memory or in a folder, and which repository knows which."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import msgspec

from goctl.system.files import write_atomic
from goctl.values import to_json


class Repository(msgspec.Struct):
    """What one repository knows: digests of blobs, media types of manifests by digest, digests by tag."""

    blobs: set[str] = msgspec.field(default_factory=set)
    manifests: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Contents(Protocol):
    """Contents by digest."""

    def begin(self) -> IO[bytes]: ...

    def commit(self, file: IO[bytes], digest: str) -> bool:
        """Keeps what was written, if it has this digest."""
        ...

    def size(self, digest: str) -> int | None: ...

    def open(self, digest: str) -> BinaryIO: ...


def _has_digest(file: IO[bytes], digest: str) -> bool:
    algorithm, _, digits = digest.partition(":")
    if algorithm not in ("sha256", "sha512"):
        return False
    hasher = hashlib.new(algorithm)
    file.seek(0)
    while part := file.read(2**20):
        hasher.update(part)
    return hasher.hexdigest() == digits


class Memory:
    """Contents that end with the process."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def begin(self) -> IO[bytes]:
        return io.BytesIO()

    def commit(self, file: IO[bytes], digest: str) -> bool:
        if not _has_digest(file, digest):
            return False
        file.seek(0)
        self._contents[digest] = file.read()
        return True

    def size(self, digest: str) -> int | None:
        content = self._contents.get(digest)
        return None if content is None else len(content)

    def open(self, digest: str) -> BinaryIO:
        return io.BytesIO(self._contents[digest])


class Folder:
    """Contents in files, for images that are too large for memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self) -> IO[bytes]:
        return tempfile.NamedTemporaryFile(dir=self._folder, prefix=".upload.", delete=False)

    def commit(self, file: IO[bytes], digest: str) -> bool:
        right = _has_digest(file, digest)
        file.close()
        if right:
            os.replace(file.name, self._path(digest))
        else:
            os.unlink(file.name)
        return right

    def size(self, digest: str) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except OSError:
            return None

    def open(self, digest: str) -> BinaryIO:
        return open(self._path(digest), "rb")

    def _path(self, digest: str) -> Path:
        return self._folder / digest.replace(":", "-")


class Holdings:
    """Everything in the registry. Changes are made under `guard`; a folder keeps them for the next registry."""

    def __init__(self, folder: Path | None) -> None:
        self.guard = threading.RLock()
        self.contents: Contents = Memory() if folder is None else Folder(folder)
        self._file = None if folder is None else folder / "repositories.json"
        self.repositories: dict[str, Repository] = {}
        if self._file is not None and self._file.exists():
            self.repositories = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Repository])

    def repository(self, name: str) -> Repository:
        """The repository of that name, made where there is none."""
        with self.guard:
            return self.repositories.setdefault(name, Repository())

    def save(self) -> None:
        if self._file is not None:
            with self.guard:
                write_atomic(self._file, to_json(self.repositories), durable=False)
