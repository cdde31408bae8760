"""What an image consists of: platforms, layers with what made them, sizes; and what two images have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from goctl.errors import ImageError
from goctl.oci.unpacked import measure
from goctl.registry.documents import Document, ImageConfig, decode, parse, spelled
from goctl.registry.sources import Source
from goctl.values import Descriptor, Digest

_TITLE: Final = "org.opencontainers.image.title"
#: How the classic builder wrote what only changed the config.
_NOT_RUN: Final = "/bin/sh -c #(nop) "


class Layer(msgspec.Struct, frozen=True, rename="kebab"):
    """One layer. `unpacked` is its size unpacked, 0 where nobody asked."""

    digest: Digest
    size: int
    media_type: str
    made_by: str = ""
    unpacked: int = 0


class One(msgspec.Struct, frozen=True, rename="kebab"):
    """One image, or what else a manifest holds. `size` counts layers, config and manifest; `platform` is empty for what has
    none; `attests` is the image that an attestation is about; `created` is as its config has it.
    """

    digest: Digest
    size: int
    platform: str = ""
    created: str = ""
    artifact_type: str = ""
    attests: str = ""
    layers: tuple[Layer, ...] = ()


class Common(msgspec.Struct, frozen=True, rename="kebab"):
    """What two images of a platform share: layers by digest, and bytes of those, and of those that only one has."""

    platform: str
    shared: tuple[Digest, ...]
    shared_bytes: int
    only_first: int
    only_second: int


class Compared(msgspec.Struct, frozen=True, rename="kebab"):
    """What one reference has in common with another, `name`: by platform, and in all."""

    name: str
    digest: Digest
    platforms: tuple[Common, ...]
    only_one_has: tuple[str, ...]
    shared: int
    shared_bytes: int


class Whole(msgspec.Struct, frozen=True, rename="kebab"):
    """What a reference names: an index with all that is in it, or a single image."""

    name: str
    digest: Digest
    media_type: str
    parts: tuple[One, ...]
    annotations: dict[str, str] = {}
    compared: Compared | None = None

    @property
    def images(self) -> dict[str, One]:
        """Images by platform."""
        return {part.platform: part for part in self.parts if part.platform}

    @property
    def blobs(self) -> dict[Digest, int]:
        """Sizes of all layers, each once."""
        return {layer.digest: layer.size for part in self.parts for layer in part.layers}


def inspect(source: Source, reference: str, name: str, *, unpacked: bool = False) -> Whole:
    """Everything that a tag or a digest names. With `unpacked` every layer is read, and measured as it unpacks.

    Raises RegistryError, and ImageError for what is no image or is not what it says.
    """
    digest, content = source.manifest(reference)
    document = parse(name, content)
    looker = _Looker(source, name, unpacked)
    parts = looker.entries(document) if document.is_index else [looker.one(digest, len(content), document)]
    return Whole(name, digest, document.kind, tuple(parts), document.annotations or {})


class _Looker:
    """Looks at the parts of one reference; a layer that several have is measured once."""

    def __init__(self, source: Source, name: str, unpacked: bool) -> None:
        self._source = source
        self._name = name
        self._unpacked = unpacked
        self._measured: dict[Digest, int] = {}

    def entries(self, index: Document) -> list[One]:
        found = []
        for entry, _ in index.entries(self._name):
            digest, content = self._source.manifest(entry.digest)
            if len(content) != entry.size:
                raise ImageError(f"{self._name}: the size of {entry.digest} is not what its index says")
            document = parse(f"{self._name} ({entry.digest.short})", content)
            if document.is_index:
                found += self.entries(document)
                continue
            attests = str(entry.attested or "")
            one = self.one(digest, len(content), document, spelled(entry.platform))
            found.append(msgspec.structs.replace(one, attests=attests, platform="" if attests else one.platform))
        return found

    def one(self, digest: Digest, size: int, document: Document, platform: str = "") -> One:
        blobs = [blob for blob in (document.config, *document.layers) if blob is not None]
        size += sum({blob.digest: blob.size for blob in blobs}.values())
        if document.config is None or not document.is_image:
            kind = document.artifact_type or (document.config.media_type if document.config else "")
            layers = tuple(self._layer(layer, (layer.annotations or {}).get(_TITLE, "")) for layer in document.layers)
            return One(digest, size, platform, artifact_type=kind, layers=layers)
        config = decode(self._name, "config", self._source.read(document.config), ImageConfig)
        makers = _makers(config, len(document.layers))
        diff_ids: Sequence[Digest | None] = config.rootfs.diff_ids
        if len(diff_ids) != len(document.layers):
            diff_ids = [None] * len(document.layers)  # BuildKit's attestations have none
        layers = tuple(map(self._layer, document.layers, makers, diff_ids))
        platform = platform or spelled(config.platform)
        return One(digest, size, platform, config.created or "", document.artifact_type, layers=layers)

    def _layer(self, layer: Descriptor, made_by: str, diff_id: Digest | None = None) -> Layer:
        size = 0
        if self._unpacked:
            if layer.digest not in self._measured:
                found = measure(layer.media_type, self._source.chunks(layer))
                if diff_id is not None and diff_id.algorithm == "sha256" and found.diff_id != diff_id:
                    raise ImageError(f"{self._name}: the layer {layer.digest.short} unpacks to another than its config says")
                self._measured[layer.digest] = found.size
            size = self._measured[layer.digest]
        return Layer(layer.digest, layer.size, layer.media_type, made_by, size)


def _makers(config: ImageConfig, layers: int) -> list[str]:
    """What made each layer, from the history; nothing where history and layers do not fit."""
    lines = [entry.created_by or entry.comment for entry in config.history or () if not entry.empty_layer]
    if len(lines) != layers:
        return [""] * layers
    return [" ".join(line.removeprefix(_NOT_RUN).split()) for line in lines]


def compare(first: Whole, second: Whole) -> Compared:
    """What two references share on each platform that both have, and in all."""
    left, right = first.images, second.images
    both = first.blobs.keys() & second.blobs.keys()
    return Compared(
        second.name,
        second.digest,
        tuple(_common(name, left[name].layers, right[name].layers) for name in left if name in right),
        tuple(sorted(left.keys() ^ right.keys())),
        len(both),
        sum(first.blobs[digest] for digest in both),
    )


def _common(platform: str, first: Iterable[Layer], second: Iterable[Layer]) -> Common:
    left, right = ({layer.digest: layer.size for layer in layers} for layers in (first, second))
    shared = tuple(digest for digest in left if digest in right)
    return Common(
        platform,
        shared,
        sum(left[digest] for digest in shared),
        sum(size for digest, size in left.items() if digest not in right),
        sum(size for digest, size in right.items() if digest not in left),
    )
