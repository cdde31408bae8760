"""Files attached to an image: sent, and referred from by a manifest."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from goctl.contracts import Host
from goctl.registry.carry import send
from goctl.registry.documents import parse
from goctl.registry.referrers import EMPTY, EMPTY_TYPE, TITLE, artifact, attach
from goctl.registry.sources import Repository
from goctl.system.files import storage_errors
from goctl.values import Descriptor, Digest


def attach_files(
    host: Host,
    place: Repository,
    reference: str,
    paths: Sequence[Path],
    types: tuple[str, str],
    annotations: Mapping[str, str],
) -> tuple[Digest, Digest]:
    """Attaches files to what a reference names; the digests of that and of the manifest that refers to it.

    `types` are the artifact's and the files' (empty: application/octet-stream). What is sent is what was read into the blob
    store, whatever becomes of the file meanwhile. Raises RegistryError, StorageError.
    """
    digest, content = place.manifest(reference)
    subject = Descriptor(parse(place.name, content).kind, digest, len(content))
    artifact_type, media_type = types
    files = []
    for path in paths:
        found, size = _keep(host, path)
        blob = Descriptor(media_type or "application/octet-stream", found, size, annotations={TITLE: path.name})
        send(place, blob, lambda digest=found: host.blobs.open(digest))  # type: ignore[misc]
        files.append(blob)
    send(place, Descriptor(EMPTY_TYPE, Digest.of(EMPTY), len(EMPTY)), lambda: io.BytesIO(EMPTY))
    return digest, attach(place, artifact(subject, artifact_type, files, annotations))


def _keep(host: Host, path: Path) -> tuple[Digest, int]:
    with storage_errors(str(path)), open(path, "rb") as file, host.blobs.writer() as writer:
        while part := file.read(1 << 20):
            writer.write(part)
        return writer.commit()
