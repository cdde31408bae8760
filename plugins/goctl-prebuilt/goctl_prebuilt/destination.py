"""The destination `dir:FOLDER`: each image a folder in the form of skopeo's `dir:` transport.

    FOLDER/REPOSITORY@TAG/manifest.json           the index
                         /HEX.manifest.json       each platform's manifest
                         /HEX                     configs and layers
                         /version                 "Directory Transport Version: 1.1"

(containers/image, directory/directory_transport.go: manifestPath, layerPath, versionPath.) What was uploaded and has no name
yet lies in `FOLDER/REPOSITORY@.content`; names share its files by hard links where the disk has them. A name cannot hold
an `@`, so that no repository's folder meets another's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ConfigError
from goctl.system.files import inside, replace, storage_errors, sync_folder
from goctl.values import Descriptor, Digest, is_repository, is_tag

_VERSION = b"Directory Transport Version: 1.1\n"
_CHUNK = 1 << 20


class DirOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """`options` of a `dir:` registry. `link = false` gives every tag files of its own."""

    link: bool = True


class DirDestination:
    """Keeps images in folders; see the module's words for their form."""

    Options: ClassVar[type[DirOptions]] = DirOptions
    works_offline = True

    def __init__(self, name: str, settings: Registry, address: str, options: DirOptions, host: Host) -> None:
        del settings
        self._name = name
        self._link = options.link
        self._host = host
        self._address = address.strip("/") or "."
        self._folder = inside(host.root, address, what=f"registries.{name}.url")
        self._lock = threading.Lock()

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        """`dir:FOLDER/REPOSITORY@TAG`, as skopeo takes it. Without a tag there is only content, under no name."""
        name = f"dir:{self._address}/{repository}"
        return f"{name}@{tag}" if tag else f"{name}@.content" + (f"/{digest.hex}.manifest.json" if digest else "")

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        """The tags whose folder holds another index, or lacks a file of this one."""
        return tuple(tag for tag in tags if not self._is_complete(self._tag_folder(repository, tag), index))

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        """Copies what is not there yet, manifests after what they point to; the bytes that were copied."""
        folder = self._content_folder(repository)
        wanted = [content.descriptor] if isinstance(content, Index) else [*content.layers, content.config, content.manifest]
        total, done, sent = sum(each.size for each in wanted), 0, 0
        for each in wanted:
            path = folder / _file_name(each)
            if not _holds(path, each.size):
                self._copy(each, path)
                sent += each.size
            done += each.size
            progress(done, total)
        return sent

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        """Makes each tag's folder anew beside the old one, then puts it in its place."""
        for tag in tags:
            folder = self._tag_folder(repository, tag)
            with self._lock, storage_errors(str(folder)):
                fresh = Path(tempfile.mkdtemp(prefix=".tag.", dir=self._content_folder(repository).parent))
                try:
                    os.chmod(fresh, 0o755)  # noqa: S103 - mkdtemp makes folders for their owner alone
                    self._fill(fresh, repository, index)
                    self._swap(fresh, folder)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)

    def _fill(self, fresh: Path, repository: str, index: Index) -> None:
        content = self._content_folder(repository)
        for each in _content(index):
            self._host.check()
            self._share(content / _file_name(each), fresh / _file_name(each))
        self._share(content / _file_name(index.descriptor), fresh / "manifest.json")
        (fresh / "version").write_bytes(_VERSION)

    def _share(self, source: Path, target: Path) -> None:
        if target.exists():
            return
        if self._link:
            with contextlib.suppress(OSError):
                os.link(source, target)
                return
        shutil.copyfile(source, target)

    def _swap(self, fresh: Path, folder: Path) -> None:
        """A folder that is not empty cannot be replaced by one rename: for a moment the tag is missing, never half there."""
        old = fresh.with_name(f"{fresh.name}.old")
        if folder.exists():
            replace(folder, old)
        replace(fresh, folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)

    def _copy(self, descriptor: Descriptor, path: Path) -> None:
        with storage_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix=".new.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as target, self._host.blobs.open(descriptor.digest) as source:
                for chunk in self._chunks(source):
                    with storage_errors(str(path)):
                        target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            with storage_errors(str(path)):
                os.chmod(beside, 0o644)
                replace(beside, path)
        finally:
            Path(beside).unlink(missing_ok=True)

    def _chunks(self, source: BinaryIO) -> Iterator[bytes]:
        while chunk := source.read(_CHUNK):
            self._host.check()
            yield chunk

    def _is_complete(self, folder: Path, index: Index) -> bool:
        try:
            if Digest.of((folder / "manifest.json").read_bytes()) != index.digest:
                return False
        except OSError:
            return False
        return all(_holds(folder / _file_name(each), each.size) for each in _content(index))

    def _content_folder(self, repository: str) -> Path:
        if not is_repository(repository):
            raise ConfigError(f"registries.{self._name}: {repository!r} cannot be the name of a repository")
        return self._folder / f"{repository}@.content"

    def _tag_folder(self, repository: str, tag: str) -> Path:
        if not is_tag(tag):
            raise ConfigError(f"registries.{self._name}: {tag!r} cannot be a tag")
        return self._content_folder(repository).with_name(f"{repository.rpartition('/')[2]}@{tag}")


def _content(index: Index) -> Iterator[Descriptor]:
    """All that an index points to."""
    for image in index.images:
        yield from (*image.layers, image.config, image.manifest)


def _file_name(descriptor: Descriptor) -> str:
    is_manifest = descriptor.media_type.endswith((".manifest.v1+json", ".index.v1+json"))
    return f"{descriptor.digest.hex}.manifest.json" if is_manifest else descriptor.digest.hex


def _holds(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
