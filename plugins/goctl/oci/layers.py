"""Layers: entries in, a compressed blob and its two digests out, in one pass and in bounded memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from goctl.contracts import BlobStore, Memo
from goctl.oci.compress import PIECE, compress
from goctl.oci.tar import Entry, archive, pieces, with_parents
from goctl.plan import keys
from goctl.values import Descriptor, Digest, from_json, to_json

_MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
#: Cores that compress one layer. More would not be fed: tar and two sha256 run in one thread.
_MOST_WORKERS = 4


#: One lock for each layer in the making, so that two images which share it make it once.
_making: dict[str, threading.Lock] = {}
_guard = threading.Lock()


class Layer(msgspec.Struct, frozen=True):
    """A layer in the blob store; `diff_id` is the digest of the tar archive, uncompressed."""

    descriptor: Descriptor
    diff_id: Digest


class Compression(msgspec.Struct, frozen=True):
    """How layers are compressed: `compressor` names the library and version."""

    kind: str
    level: int
    compressor: str


def remembered(
    content: tuple[str, ...], compression: Compression, blobs: BlobStore, memo: Memo, make: Callable[[], Layer]
) -> Layer:
    """The layer of some content (all that its bytes depend on, as text), made only when it is not there already."""
    key = _key(content, compression)
    with _guard:
        turn = _making.setdefault(key, threading.Lock())
    with turn:
        layer = _recall(key, blobs, memo)
        if layer is None:
            layer = make()
            memo.put("layer", key, to_json(layer))
    return layer


def known(content: tuple[str, ...], compression: Compression, blobs: BlobStore, memo: Memo) -> Layer | None:
    """The layer of some content, where it is there already."""
    return _recall(_key(content, compression), blobs, memo)


def _key(content: tuple[str, ...], compression: Compression) -> str:
    return keys.combine("layer", compression.kind, str(compression.level), compression.compressor, *content)


def _recall(key: str, blobs: BlobStore, memo: Memo) -> Layer | None:
    content = memo.get("layer", key)
    if content is None:
        return None
    try:
        layer = from_json(content, Layer)
    except ValueError:
        return None
    return layer if blobs.has(layer.descriptor.digest, layer.descriptor.size) else None


def write_layer(
    entries: Iterable[Entry],
    compression: Compression,
    blobs: BlobStore,
    check: Callable[[], None] = lambda: None,
    *,
    without: frozenset[str] = frozenset(),
    workers: int = 0,
) -> Layer:
    """Archives, compresses and stores; no entries are written for the folders `without`.

    `check` is called between pieces, and may raise. Neither it nor the number of workers (0: by the machine) changes a byte.
    """
    return write_archive(
        pieces(archive(with_parents(entries, without=without)), PIECE), compression, blobs, check, workers=workers
    )


def write_archive(
    content: Iterable[bytes],
    compression: Compression,
    blobs: BlobStore,
    check: Callable[[], None] = lambda: None,
    *,
    workers: int = 0,
) -> Layer:
    """As write_layer, of an archive that is there, in pieces of PIECE bytes."""
    diff = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for piece in content:
            check()
            diff.update(piece)
            yield piece

    workers = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, "compress") as executor, blobs.writer() as writer:
        for chunk in compress(compression.kind, compression.level, hashed(), executor, workers + 2):
            writer.write(chunk)
        digest, size = writer.commit()
    return Layer(
        Descriptor(_MEDIA_TYPES[compression.kind], digest, size),
        Digest("sha256:" + diff.hexdigest()),
    )
