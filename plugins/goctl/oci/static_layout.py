"""The `static` base as an image layout: what another engine can build on, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from goctl.contracts import BlobStore, Memo
from goctl.oci import manifests
from goctl.oci.layout import LAYOUT
from goctl.oci.static import static_base
from goctl.values import Descriptor, Digest, Platform, to_json

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def static_layout(
    platforms: Sequence[Platform], blobs: BlobStore, memo: Memo, *, write: bool = True
) -> tuple[Digest, dict[str, bytes]] | None:
    """The digest of an index over `static` for these platforms, and the layout's files: content by name.

    Without `write`, None where the base was not made yet.
    """
    files: dict[str, bytes] = {}
    images = []

    def put(content: bytes) -> Digest:
        digest = Digest.of(content)
        files[f"blobs/{digest.algorithm}/{digest.hex}"] = content
        return digest

    for platform in platforms:
        made = static_base(platform, blobs, memo, write=write)
        if made is None:
            return None
        base, config = made
        put(config)
        for layer in base.layers:
            put(blobs.read(layer.digest))
        document = manifests.manifest(base.config, base.layers, {})
        images.append((Descriptor(_MANIFEST, put(document), len(document)), platform))
    index = manifests.index(images, {})
    digest = put(index)
    entry = {"mediaType": manifests.INDEX, "digest": digest, "size": len(index)}
    files["index.json"] = to_json({"schemaVersion": 2, "mediaType": manifests.INDEX, "manifests": [entry]})
    files["oci-layout"] = LAYOUT
    return digest, files
