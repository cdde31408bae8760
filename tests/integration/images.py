"""Images that an engine takes: a layer that is a tar archive, compressed."""

from __future__ import annotations

import gzip

import msgspec

from goctl.contracts import Image, Index
from goctl.oci.bundle import this_machine
from goctl.oci.tar import Entry, archive
from goctl.testing import Host, make_index
from goctl.values import Descriptor, Digest, to_json

_OCI = "application/vnd.oci.image"


def runnable(host: Host, label: str) -> Index:
    """An index of one image for this machine, with a file and a label in it."""
    plain = b"".join(archive([Entry(name="hello", source=label.encode())]))
    packed = gzip.compress(plain, mtime=0)
    layer = Descriptor(f"{_OCI}.layer.v1.tar+gzip", host.blobs.add(packed), len(packed))
    here = this_machine()
    document = {
        "architecture": here.architecture,
        "os": here.os,
        "config": {"Labels": {"who": label}, "Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(plain)]},
    }
    config = _keep(host, f"{_OCI}.config.v1+json", to_json(document))
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": config,
        "layers": [layer],
    }
    image = Image(here, _keep(host, f"{_OCI}.manifest.v1+json", to_json(manifest)), config, (layer,))
    return msgspec.structs.replace(make_index(host), images=(image,))


def _keep(host: Host, media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type, host.blobs.add(content), len(content))
