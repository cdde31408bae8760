"""Images as one stream: an image layout in a tar archive, and Docker's own list beside it (`docker load` reads either).

The bytes depend on the images and their names alone. Content comes from the blob store, or from where a caller finds it,
and is verified as it passes.
"""

from __future__ import annotations

import hashlib
import platform as machine
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Final

import msgspec

from goctl.contracts import Image, Index
from goctl.errors import ImageError, StorageError
from goctl.oci import manifests
from goctl.oci.layout import LAYOUT, entry_of
from goctl.oci.select import select
from goctl.oci.tar import Entry, header, padding
from goctl.values import Descriptor, Platform, to_json

Open = Callable[[Descriptor], AbstractContextManager[BinaryIO]]

DOCKERS_LIST: Final = "manifest.json"
_MODE: Final = 0o644
_END: Final = bytes(2 * 512)
_READ: Final = 1 << 20
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm/v7"}


class Named(msgspec.Struct, frozen=True):
    """What the names (`repository:tag`) stand for: an index, or for Docker one image alone. No names: known by digest."""

    content: Index | Image
    names: tuple[str, ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        return self.content.manifest if isinstance(self.content, Image) else self.content.descriptor

    @property
    def images(self) -> tuple[Image, ...]:
        return (self.content,) if isinstance(self.content, Image) else self.content.images


def blobs_of(named: Iterable[Named]) -> list[Descriptor]:
    """All content, each once, in the order of digests."""
    found = {}
    for one in named:
        for descriptor in (one.descriptor, *(d for i in one.images for d in (i.manifest, i.config, *i.layers))):
            found[descriptor.digest] = descriptor
    return [found[digest] for digest in sorted(found)]


def stream(named: Sequence[Named], open_blob: Open, *, docker: bool) -> Iterator[bytes]:
    """The archive. With `docker`, every content is an image, and Docker's list is part of it.

    Raises StorageError for content that is not what it should be.
    """
    yield from archive(_documents(named, docker=docker), blobs_of(named), open_blob)


def layout_of(
    entries: Sequence[Mapping[str, Any]], blobs: Sequence[Descriptor], open_blob: Open
) -> tuple[int, Iterator[bytes]]:
    """An image layout in a tar archive with these entries in its index, and these blobs alone: how many bytes, and they."""
    index = to_json({"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": list(entries)})
    documents = [("oci-layout", LAYOUT), ("index.json", index)]
    sizes = [(name, len(content)) for name, content in documents] + [(path_of(blob), blob.size) for blob in blobs]
    size = sum(len(_header(*one)) + one[1] + len(padding(one[1])) for one in sizes) + len(_END)
    return size, archive(documents, blobs, open_blob)


def archive(documents: Iterable[tuple[str, bytes]], blobs: Iterable[Descriptor], open_blob: Open) -> Iterator[bytes]:
    """Documents by name, and blobs where a layout has them. Raises StorageError for a blob that is not what it should be."""
    for name, content in documents:
        yield _header(name, len(content)) + content + padding(len(content))
    for blob in blobs:
        yield _header(path_of(blob), blob.size)
        yield from _content(blob, open_blob)
        yield padding(blob.size)
    yield _END


def _header(name: str, size: int) -> bytes:
    return header(Entry(name=name, source=b"", mode=_MODE), size)


def path_of(blob: Descriptor) -> str:
    return f"blobs/{blob.digest.algorithm}/{blob.digest.hex}"


def _documents(named: Sequence[Named], *, docker: bool) -> Iterator[tuple[str, bytes]]:
    entries = sorted(
        ((name, one.descriptor) for one in named for name in one.names), key=lambda pair: (pair[0], pair[1].digest)
    )
    # An image without a name is in Docker's list, and in the index by its digest.
    index: list[object] = [entry_of(descriptor, name) for name, descriptor in entries]
    index += [one.descriptor for one in named if not one.names]
    yield "oci-layout", LAYOUT
    yield "index.json", to_json({"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": index})
    if docker:
        listed = [
            {
                "Config": path_of(image.config),
                "RepoTags": sorted(one.names) or None,
                "Layers": list(map(path_of, image.layers)),
            }
            for one in sorted(named, key=lambda one: (sorted(one.names), one.descriptor.digest))
            for image in one.images
        ]
        yield DOCKERS_LIST, to_json(listed)


def _content(blob: Descriptor, open_blob: Open) -> Iterator[bytes]:
    hasher, left = hashlib.new(blob.digest.algorithm), blob.size
    with open_blob(blob) as file:
        while left and (data := file.read(min(_READ, left))):
            left -= len(data)
            hasher.update(data)
            yield data
    if left or hasher.hexdigest() != blob.digest.hex:
        raise StorageError(f"the blob {blob.digest.short} is damaged", hint="run `invoke clean`")


def choose(index: Index, wanted: Platform | None, *, here: Platform | None = None) -> Image:
    """The image of an index for Docker, which takes one: for the platform that is wanted, else for this machine, else the
    first. `here` is the engine's platform where it is not this machine's. Raises ImageError where what is wanted lacks.
    """
    entries = []
    for image in index.images:
        words = {"os": image.platform.os, "architecture": image.platform.architecture, "variant": image.platform.variant}
        plain = {name: word for name, word in words.items() if word}
        entries.append(msgspec.structs.replace(image.manifest, platform=plain))
    try:
        found = select(entries, wanted or here or this_machine(), name="the release").digest
    except ImageError:
        if wanted is not None:
            raise
        return index.images[0]
    return next(image for image in index.images if image.digest == found)


def this_machine() -> Platform:
    """Linux, as containers on this machine see it."""
    name = machine.machine().lower()
    return Platform.parse(f"linux/{_MACHINES.get(name, name)}")
