"""Image layouts: `oci-layout:DIR` as a destination, and as a place to take bases from (image-spec, image-layout.md).

One layout holds many images. Each tag is an entry of index.json, named `REPOSITORY:TAG` by the annotation ref.name, which
skopeo takes as it is (`oci:DIR:shop/api:latest`), and by containerd's own, which `docker load` and `ctr import` read.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ImageError, StorageError
from goctl.oci import manifests
from goctl.oci.select import select
from goctl.plan.facts import Base
from goctl.system.files import Lock, inside, replace, storage_errors, sync_folder, write_atomic
from goctl.values import Descriptor, Digest, ImageRef, Platform, from_json, is_tag, to_json

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
#: Seconds after which a half written file is nobody's.
_ABANDONED = 3600.0
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """A layout has no settings but its folder."""


class LayoutDestination:
    """`oci-layout:DIR`, relative to goctl.toml."""

    Options: ClassVar[type[LayoutOptions]] = LayoutOptions
    works_offline = True

    def __init__(self, name: str, settings: Registry, address: str, options: LayoutOptions, host: Host) -> None:
        del settings, options
        self._host = host
        self._address = address
        self._folder = inside(host.root, address, what=f"registries.{name}.url")
        self._lock = threading.Lock()

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        name = f"{repository}:{tag}" if tag else repository
        return f"oci-layout:{self._address}:{name}" + (f"@{digest}" if digest else "")

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        named = {_name(entry): entry.get("digest") for entry in self._entries()}
        wanted = tuple(tags)
        if not all(self._holds(descriptor) for descriptor in _content(index)):
            return wanted
        return tuple(tag for tag in wanted if named.get(f"{repository}:{tag}") != index.digest)

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        del repository
        wanted = [content.descriptor] if isinstance(content, Index) else [*content.layers, content.config, content.manifest]
        total, sent = sum(descriptor.size for descriptor in wanted), 0
        for number, descriptor in enumerate(wanted):
            if not self._holds(descriptor):
                self._take(descriptor)
                sent += descriptor.size
            progress(sum(done.size for done in wanted[: number + 1]), total)
        return sent

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        names = {f"{repository}:{tag}" for tag in tags}
        self._make()
        with self._lock, Lock(self._folder / ".goctl.lock", waiting=self._host.check):
            self._tidy()
            kept = [entry for entry in self._entries() if _name(entry) not in names]
            added = [entry_of(index.descriptor, name) for name in sorted(names)]
            entries = sorted([*kept, *added], key=lambda entry: (_name(entry), entry.get("digest", "")))
            document = {"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": entries}
            write_atomic(self._folder / "index.json", to_json(document))

    def _tidy(self) -> None:
        """Removes what killed runs left half written; what is younger may be in another run's hands."""
        before = time.time() - _ABANDONED
        for left in (*self._folder.glob(".index.json.*"), *(self._folder / "blobs" / "sha256").glob(".*")):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < before:
                    left.unlink()

    def _entries(self) -> list[dict[str, Any]]:
        return read_index(self._folder) if (self._folder / "index.json").exists() else []

    def _path(self, digest: Digest) -> Path:
        return self._folder / "blobs" / digest.algorithm / digest.hex

    def _holds(self, descriptor: Descriptor) -> bool:
        try:
            return os.stat(self._path(descriptor.digest)).st_size == descriptor.size
        except OSError:
            return False

    def _make(self) -> None:
        blobs = self._folder / "blobs" / "sha256"
        # A link in the layout must not lead what is written out of the project.
        inside(self._host.root, os.path.relpath(blobs, self._host.root), what="the image layout")
        if not blobs.is_dir():
            with storage_errors(str(blobs)):
                blobs.mkdir(parents=True, exist_ok=True)
        if not (self._folder / "oci-layout").exists():
            write_atomic(self._folder / "oci-layout", LAYOUT)

    def _take(self, descriptor: Descriptor) -> None:
        """Puts a blob of the store into the layout: whole, or not at all. Copied, not linked: a layout is the user's."""
        self._make()
        path = self._path(descriptor.digest)
        new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with storage_errors(str(path)), self._host.blobs.open(descriptor.digest) as source:
                with open(new, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    os.fsync(target.fileno())
                if new.stat().st_size != descriptor.size:
                    raise StorageError(f"the blob {descriptor.digest} is not as long as it should be")
                replace(new, path)
                sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                new.unlink()


def _content(index: Index) -> list[Descriptor]:
    blobs = [index.descriptor]
    for image in index.images:
        blobs += [image.manifest, image.config, *image.layers]
    return blobs


def _name(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(REF_NAME, ""))


def entry_of(descriptor: Descriptor, name: str) -> dict[str, Any]:
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "annotations": {CONTAINERD_NAME: str(ImageRef.parse(name)), REF_NAME: name},
    }


def read_index(folder: Path) -> list[dict[str, Any]]:
    """The entries of a layout's index.json. Raises ImageError when it is damaged."""
    try:
        document = msgspec.json.decode((folder / "index.json").read_bytes())
        return [entry for entry in document["manifests"] if isinstance(entry, dict)]
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise ImageError(
            f"{folder} holds no readable image layout: {error}", hint="remove the folder to start anew"
        ) from error


class Manifest(msgspec.Struct, rename="camel"):
    """An image's manifest, or an index: which of the two the fields tell."""

    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    annotations: dict[str, str] | None = None


def read_base(host: Host, reference: str, pinned: Digest | None, platform: Platform) -> tuple[Digest, Base]:
    """A base from `oci-layout:DIR[:NAME]`: the digest that the name stands for, and the base, content in the store."""
    address = reference.removeprefix("oci-layout:")
    where, name = split(address)
    folder = inside(host.root, where, what="image.base")
    top = pinned or _named(read_index(folder), name, reference)
    digest = top
    found = document(folder, digest)
    if found.manifests:
        digest = select(found.manifests, platform, name=reference).digest
        found = document(folder, digest)
    if found.config is None:
        raise ImageError(f"{reference} holds no image manifest for {platform}")
    for descriptor in (found.config, *found.layers):
        copy_in(host, folder, descriptor)
    config = msgspec.json.decode(host.blobs.read(found.config.digest))
    diff_ids = tuple(Digest(text) for text in config.get("rootfs", {}).get("diff_ids", []))
    return top, Base(reference, digest, found.config, found.layers, diff_ids)


def named(host: Host, reference: str) -> Digest:
    """The digest that `oci-layout:DIR[:NAME]` stands for now."""
    where, name = split(reference.removeprefix("oci-layout:"))
    return _named(read_index(inside(host.root, where, what="image.base")), name, reference)


def split(address: str) -> tuple[str, str]:
    """Folder and name. A colon after a drive letter belongs to the folder."""
    match = re.fullmatch(r"((?:[A-Za-z]:[\\/])?[^:]*)(?::(.+))?", address)
    return (match[1], match[2] or "") if match else (address, "")


def _named(entries: list[dict[str, Any]], name: str, reference: str) -> Digest:
    found = [entry for entry in entries if not name or _name(entry) == name or (is_tag(name) and _name(entry) == name)]
    digests = sorted({str(entry.get("digest")) for entry in found})
    if len(digests) != 1:
        names = ", ".join(sorted(filter(None, (_name(entry) for entry in entries)))) or "nothing with a name"
        raise ImageError(
            f"{reference} names {len(digests)} images; the layout has {names}", hint="write oci-layout:DIR:NAME"
        )
    return Digest(digests[0])


def document(folder: Path, digest: Digest) -> Manifest:
    """A manifest or an index of a layout. Raises ImageError where it is damaged."""
    path = folder / "blobs" / digest.algorithm / digest.hex
    try:
        content = path.read_bytes()
        if Digest.of(content) != digest:
            raise ImageError(f"{path} is damaged: its digest is another")
        return from_json(content, Manifest)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {error}", hint="make the layout anew") from error


def copy_in(host: Host, folder: Path, descriptor: Descriptor) -> None:
    """Brings a blob of a layout into the store, verified. Raises ImageError."""
    if host.blobs.has(descriptor.digest, descriptor.size):
        return
    path = folder / "blobs" / descriptor.digest.algorithm / descriptor.digest.hex
    try:
        if path.stat().st_size != descriptor.size:
            raise ImageError(f"{path} is {path.stat().st_size} bytes long, and should be {descriptor.size}")
        with open(path, "rb") as source, host.blobs.writer() as writer:
            while chunk := source.read(1 << 20):
                writer.write(chunk)
            writer.commit(descriptor.digest)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="make the layout anew") from error
