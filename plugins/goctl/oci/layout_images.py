"""Images out of an image layout that another program wrote, into the blob store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goctl.contracts import Host, Image
from goctl.errors import ImageError
from goctl.oci import manifests
from goctl.oci.compress import PIECE
from goctl.oci.layers import Compression, Layer, remembered, write_archive
from goctl.oci.layout import copy_in, document, read_index
from goctl.values import Descriptor, Platform, from_json, to_json

#: A layer as it is without any compression.
PLAIN = "application/vnd.oci.image.layer.v1.tar"


def read_images(host: Host, folder: Path, compression: Compression | None = None) -> tuple[Image, ...]:
    """The images of the one entry of a layout, or of the layouts in a folder, their content in the store. What is no image
    for a platform, as BuildKit's attestations are, is left out. Layers that are not compressed are, with `compression`.
    Raises ImageError for what is damaged.
    """
    if not (folder / "index.json").exists() and (parts := sorted(folder.glob("*/index.json"))):
        return tuple(image for part in parts for image in read_images(host, part.parent, compression))
    entries = read_index(folder)
    if len(entries) != 1:
        raise ImageError(f"{folder} holds {len(entries)} images, and should hold one")
    top = _descriptor(entries[0], folder)
    found = document(folder, top.digest)
    children = found.manifests if found.config is None else (top,)
    images = [_image(host, folder, child, compression) for child in children if not _is_attestation(child)]
    return tuple(image for image in images if image is not None)


def _descriptor(entry: dict[str, Any], folder: Path) -> Descriptor:
    try:
        return from_json(to_json(entry), Descriptor)
    except ValueError as error:
        raise ImageError(f"{folder} holds no readable image layout: {error}") from error


def _is_attestation(entry: Descriptor) -> bool:
    return (entry.platform or {}).get("os") == "unknown"


def _image(host: Host, folder: Path, entry: Descriptor, compression: Compression | None) -> Image | None:
    found = document(folder, entry.digest)
    if found.config is None:
        return None
    copy_in(host, folder, found.config)
    layers = tuple(_layer(host, folder, layer, compression) for layer in found.layers)
    config = from_json(host.blobs.read(found.config.digest), dict[str, Any])
    try:
        platform = Platform.parse("/".join(filter(None, (config["os"], config["architecture"], config.get("variant")))))
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(f"the config {found.config.digest} names no platform: {error}") from error
    if layers == found.layers:
        copy_in(host, folder, entry)
        return Image(platform, Descriptor(manifests.MANIFEST, entry.digest, entry.size), found.config, layers)
    content = manifests.manifest(found.config, layers, found.annotations or {})
    return Image(platform, Descriptor(manifests.MANIFEST, host.blobs.add(content), len(content)), found.config, layers)


def _layer(host: Host, folder: Path, layer: Descriptor, compression: Compression | None) -> Descriptor:
    """A layer in the store, compressed if it was not: by several cores, and with bytes that are the same everywhere."""
    if compression is None or layer.media_type != PLAIN:
        copy_in(host, folder, layer)
        return layer
    path = folder / "blobs" / layer.digest.algorithm / layer.digest.hex

    def make() -> Layer:
        try:
            with open(path, "rb") as source:
                made = write_archive(iter(lambda: source.read(PIECE), b""), compression, host.blobs, host.check)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="make the layout anew") from error
        if made.diff_id != layer.digest:
            raise ImageError(f"{path} is damaged: its digest is another")
        return made

    return remembered(("archive", layer.digest), compression, host.blobs, host.memo, make).descriptor
