"""What files an image holds: read out of its layers, in memory, nothing unpacked."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Collection
from typing import IO, BinaryIO, cast

from goctl.contracts import BlobStore, Image
from goctl.errors import ImageError
from goctl.values import Descriptor, Digest


def files(blobs: BlobStore, image: Image, below: Collection[str]) -> dict[str, Digest]:
    """The digests of the files at or below some paths (absolute), as the uppermost layer has them. Raises ImageError for a
    layer that cannot be read. Files that a layer takes away again are not looked for.
    """
    found: dict[str, Digest] = {}
    for layer in image.layers:
        try:
            with blobs.open(layer.digest) as source, _plain(source, layer) as stream:
                found |= _of_layer(stream, below)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise ImageError(f"the layer {layer.digest} cannot be read: {error}") from error
    return found


def _plain(source: BinaryIO, layer: Descriptor) -> BinaryIO:
    if layer.media_type.endswith("zstd"):
        import zstandard

        return cast(BinaryIO, io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(source)))
    if layer.media_type.endswith("gzip"):
        import gzip

        return cast(BinaryIO, gzip.GzipFile(fileobj=source))
    return source


def _of_layer(stream: BinaryIO, below: Collection[str]) -> dict[str, Digest]:
    found: dict[str, Digest] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            path = "/" + entry.name.removeprefix("./").strip("/")
            content = archive.extractfile(entry) if entry.isfile() and _is_wanted(path, below) else None
            if content is not None:
                found[path] = _digest(content)
    return found


def _digest(content: IO[bytes]) -> Digest:
    hasher = hashlib.sha256()
    while chunk := content.read(1 << 20):
        hasher.update(chunk)
    return Digest("sha256:" + hasher.hexdigest())


def _is_wanted(path: str, below: Collection[str]) -> bool:
    return any(path == one.rstrip("/") or path.startswith(one.rstrip("/") + "/") for one in below)
