"""What steps make: programs, images, indexes, archives; and how a step ended."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from goctl.errors import GoctlError
from goctl.values import Descriptor, Digest, Platform


class Binary(msgspec.Struct, frozen=True, tag="binary", rename="kebab"):
    """A program. `path` is the file's, relative to `Host.root`, with forward slashes."""

    path: str
    digest: Digest
    size: int


class Image(msgspec.Struct, frozen=True, tag="image", rename="kebab"):
    """A single-platform image whose content is in the blob store. `diff_ids` are the uncompressed layers' digests."""

    platform: Platform
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> Digest:
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Bytes stored: layers, config and manifest."""
        return self.manifest.size + self.config.size + sum(layer.size for layer in self.layers)


class Index(msgspec.Struct, frozen=True, tag="index", rename="kebab"):
    """An image index in the blob store, over images of several platforms."""

    descriptor: Descriptor
    images: tuple[Image, ...]

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def size(self) -> int:
        blobs = {d.digest: d.size for image in self.images for d in (image.manifest, image.config, *image.layers)}
        return self.descriptor.size + sum(blobs.values())


class Archive(msgspec.Struct, frozen=True, tag="archive", rename="kebab"):
    """A file for people below dist/: an archive, or the checksums of all. `path` is as a Binary has it."""

    path: str
    digest: Digest
    size: int

    @classmethod
    def of(cls, root: Path, path: Path, content: bytes) -> Self:
        """A file of the project at `root`, with the content that it has."""
        return cls(path.relative_to(root).as_posix(), Digest.of(content), len(content))


Artifact = Binary | Image | Index | Archive


class Outcome(msgspec.Struct, frozen=True):
    """How a step ended: with an artifact or an error, never both. `seconds` is the step's own time."""

    step: str
    artifact: Artifact | None = None
    error: GoctlError | None = None
    seconds: float = 0.0
