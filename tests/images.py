"""Images put into a registry by hand, as other tools leave them there."""

from __future__ import annotations

import json
from typing import Any

from goctl.registry.carry import send
from goctl.registry.client import OCI_INDEX, OCI_MANIFEST, connect
from goctl.registry.sources import Repository
from goctl.testing import Host, Registry
from goctl.values import Descriptor, Digest, to_json

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def place(host: Host, registry: Registry, repository: str = "shop/api") -> Repository:
    return Repository(connect(host, registry.address), repository)


def blob(to: Repository, content: bytes, media_type: str) -> Descriptor:
    import io

    made = Descriptor(media_type, Digest.of(content), len(content))
    send(to, made, lambda: io.BytesIO(content))
    return made


def manifest(to: Repository, document: dict[str, Any], tag: str = "") -> Digest:
    content = to_json({"schemaVersion": 2, **document})
    digest = Digest.of(content)
    to.client.put_manifest(to.repository, tag or digest, content, document["mediaType"], digest)
    return digest


def image(
    to: Repository,
    tag: str = "",
    platform: str = "linux/amd64",
    layers: tuple[bytes, ...] = (b"layer",),
    *,
    kind: str = OCI_MANIFEST,
    layer_type: str = LAYER,
    **config: Any,
) -> Digest:
    words = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    diff_ids = config.pop("diff_ids", [Digest.of(layer) for layer in layers])
    document = {**words, "rootfs": {"type": "layers", "diff_ids": diff_ids}, **config}
    kept = blob(to, json.dumps(document).encode(), CONFIG)
    return manifest(
        to, {"mediaType": kind, "config": kept, "layers": [blob(to, layer, layer_type) for layer in layers]}, tag
    )


def entry(to: Repository, digest: Digest, **more: Any) -> dict[str, Any]:
    content = to.client.get_manifest(to.repository, digest)
    assert content is not None
    return {"mediaType": json.loads(content)["mediaType"], "digest": digest, "size": len(content), **more}


def index(to: Repository, entries: list[dict[str, Any]], tag: str = "", kind: str = OCI_INDEX) -> Digest:
    return manifest(to, {"mediaType": kind, "manifests": entries}, tag)


def attestation(to: Repository, about: Digest) -> dict[str, Any]:
    """What BuildKit leaves in an index for an image."""
    made = image(to, "", "unknown/unknown", (b"statement of " + about.encode(),), layer_type="application/vnd.in-toto+json")
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about}
    return entry(to, made, platform={"os": "unknown", "architecture": "unknown"}, annotations=annotations)


def named(to: Repository, tag: str) -> dict[str, Any]:
    content = to.client.get_manifest(to.repository, tag)
    assert content is not None
    return json.loads(content)  # type: ignore[no-any-return]
