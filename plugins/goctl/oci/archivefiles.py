"""Archive files as destinations: `oci-archive:FILE` and `docker-archive:FILE`.

A file holds what one run releases there, and is replaced as a whole: written beside itself when the last of the run's images
has come, renamed when the last of them gets its names. What is not new is taken from the file as it was, where the blob
store no longer has it.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ConfigError
from goctl.oci.bundle import Named, blobs_of, choose, path_of, stream
from goctl.oci.layout import REF_NAME
from goctl.system.files import inside, replace, storage_errors, sync_folder
from goctl.values import Descriptor, Digest, Platform

#: Bytes of index.json that are read.
_MOST = 16 * 2**20


class ArchiveOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """`platform` is that of the image which Docker's format, made for one, takes. Default: this machine's."""

    platform: str = ""


class _Old(msgspec.Struct, frozen=True):
    """What a file holds: digests by name, and where each member's content begins, and its size."""

    names: dict[str, str] = {}
    members: dict[str, tuple[int, int]] = {}


class ArchiveDestination:
    """`oci-archive:FILE`, relative to goctl.toml: images of all platforms."""

    Options: ClassVar[type[ArchiveOptions]] = ArchiveOptions
    works_offline = True
    docker: ClassVar[bool] = False

    def __init__(self, name: str, settings: Registry, address: str, options: ArchiveOptions, host: Host) -> None:
        del settings
        self._host = host
        self._address = address
        self._file = inside(host.root, address, what=f"registries.{name}.url")
        if not address or self._file.is_dir():
            raise ConfigError(f"registries.{name}.url: {address!r} is no file", hint="write SCHEME:FILE.tar")
        try:
            self._platform = Platform.parse(options.platform) if options.platform else None
        except ValueError as error:
            raise ConfigError(f"registries.{name}.options.platform: {error}") from error
        self._guard = threading.RLock()
        self._old: _Old | None = None
        self._wanted: dict[str, Named] = {}
        self._coming: set[str] = set()
        self._unnamed: set[str] = set()
        self._written: dict[str, Named] = {}

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        scheme = "docker-archive" if self.docker else "oci-archive"
        name = f"{repository}:{tag}" if tag else repository
        return f"{scheme}:{self._address}:{name}" + (f"@{digest}" if digest and not self.docker else "")

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        asked = tuple(tags)
        with self._guard:
            old = self._read_old()
            named = self._want(repository, index, asked)
            whole = all(old.members.get(path_of(blob), (0, -1))[1] == blob.size for blob in blobs_of((named,)))
            names = {tag: f"{repository}:{tag}" for tag in asked}
            found = tuple(tag for tag in asked if not whole or old.names.get(names[tag]) != named.descriptor.digest)
            if found:
                self._coming.add(repository)
                self._unnamed.add(repository)
            return found

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        """Writes the new file, beside the old one, when the last index of the run comes; the bytes written."""
        with self._guard:
            self._coming -= {repository} if isinstance(content, Index) else set()
            if isinstance(content, Image) or self._coming or not self._wanted:
                return 0
            return self._write(progress)

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        with self._guard:
            self._want(repository, index, tuple(tags))
            self._unnamed.discard(repository)
            if self._unnamed:
                return  # the last one puts the file in its place
            if self._written != self._wanted:
                self._write(None)
            replace(self._part, self._file)
            sync_folder(self._file.parent)
            self._old = None

    @property
    def _part(self) -> Path:
        return self._file.with_name(f".{self._file.name}.part")

    def _want(self, repository: str, index: Index, tags: tuple[str, ...]) -> Named:
        content = choose(index, self._platform) if self.docker else index
        before = self._wanted.get(repository)
        kept = before.names if before is not None and before.content == content else ()
        names = tuple(dict.fromkeys((*kept, *(f"{repository}:{tag}" for tag in tags))))
        self._wanted[repository] = Named(content, names)
        return self._wanted[repository]

    def _write(self, progress: Progress | None) -> int:
        named = [self._wanted[repository] for repository in sorted(self._wanted)]
        total = sum(blob.size for blob in blobs_of(named))
        written = 0
        with storage_errors(str(self._file)):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(self._part, "wb") as file:
                for data in stream(named, self._open, docker=self.docker):
                    self._host.check()
                    written += file.write(data)
                    if progress is not None:
                        progress(min(written, total), total)
                file.flush()
                os.fsync(file.fileno())
        self._written = dict(self._wanted)
        return written

    @contextlib.contextmanager
    def _open(self, blob: Descriptor) -> Iterator[BinaryIO]:
        """Content of the blob store, or of the file as it was."""
        at, size = self._read_old().members.get(path_of(blob), (0, -1))
        if self._host.blobs.has(blob.digest, blob.size) or size != blob.size:
            with self._host.blobs.open(blob.digest) as file:
                yield file
            return
        with open(self._file, "rb") as file:
            file.seek(at)
            yield file

    def _read_old(self) -> _Old:
        if self._old is None:
            try:
                self._old = _read(self._file)
            except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, AttributeError):
                self._old = _Old()  # none, or none of ours
        return self._old


class DockerArchiveDestination(ArchiveDestination):
    """`docker-archive:FILE`: an image for one platform under each name, for `docker load`."""

    docker: ClassVar[bool] = True


def _read(path: Path) -> _Old:
    """Names and members of an archive. Nothing is extracted."""
    members, document = {}, b""
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isreg():
                members[member.name] = (member.offset_data, member.size)
                if member.name == "index.json" and member.size <= _MOST:
                    document = cast("BinaryIO", archive.extractfile(member)).read()
    entries = msgspec.json.decode(document)["manifests"]
    names = {entry.get("annotations", {}).get(REF_NAME, ""): entry["digest"] for entry in entries}
    return _Old(names, members)
