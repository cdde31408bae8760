"""Images out of an image layout that another program wrote, into the blob store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from goctl.contracts import Host, Image
from goctl.errors import ImageError
from goctl.oci import manifests
from goctl.oci.layout import copy_in, document, read_index
from goctl.values import Descriptor, Platform, from_json, to_json


def read_images(host: Host, folder: Path) -> tuple[Image, ...]:
    """The images of the one entry of a layout, their content in the store. What is no image for a platform, as BuildKit's
    attestations are, is left out. Raises ImageError for what is damaged.
    """
    entries = read_index(folder)
    if len(entries) != 1:
        raise ImageError(f"{folder} holds {len(entries)} images, and should hold one")
    top = _descriptor(entries[0], folder)
    found = document(folder, top.digest)
    children = found.manifests if found.config is None else (top,)
    images = [_image(host, folder, child) for child in children if not _is_attestation(child)]
    return tuple(image for image in images if image is not None)


def _descriptor(entry: dict[str, Any], folder: Path) -> Descriptor:
    try:
        return from_json(to_json(entry), Descriptor)
    except ValueError as error:
        raise ImageError(f"{folder} holds no readable image layout: {error}") from error


def _is_attestation(entry: Descriptor) -> bool:
    return (entry.platform or {}).get("os") == "unknown"


def _image(host: Host, folder: Path, entry: Descriptor) -> Image | None:
    found = document(folder, entry.digest)
    if found.config is None:
        return None
    for blob in (entry, found.config, *found.layers):
        copy_in(host, folder, blob)
    config = msgspec.json.decode(host.blobs.read(found.config.digest), type=dict[str, Any])
    try:
        platform = Platform.parse("/".join(filter(None, (config["os"], config["architecture"], config.get("variant")))))
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(f"the config {found.config.digest} names no platform: {error}") from error
    return Image(platform, Descriptor(manifests.MANIFEST, entry.digest, entry.size), found.config, found.layers)
