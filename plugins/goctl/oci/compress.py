"""Compression to bytes that do not depend on the machine: not on its CPU, nor on how many cores take part.

Content is cut into pieces of a fixed size, each compressed by itself and in parallel, and joined in order: as full-flushed
blocks of one deflate stream (RFC 1951) behind a gzip header of our own (RFC 1952), or as frames of zstd (RFC 8878), which
decoders read one after another.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING

from goctl.oci.packages import installed

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The size of a piece. Measured on a 92 MB Go program at level 2: pieces of 1 MiB cost 0.3 % of the ratio, and two cores
#: compress nearly twice as fast as one.
PIECE = 1 << 20

#: Magic, deflate, no flags, no time, no extra flags, unknown system: the same wherever it is written.
_GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))


def compressors() -> Mapping[str, str]:
    """Library and version whose bytes each kind of compression gives; part of every image's key.

    The packages carry zlib-ng and libzstd in themselves, so that their versions tell those of the C code.
    """
    return {"gzip": f"zlib-ng {installed('zlib-ng')}", "zstd": f"zstandard {installed('zstandard')}"}


def compress(kind: str, level: int, pieces: Iterable[bytes], executor: Executor, ahead: int) -> Iterator[bytes]:
    """The compressed content of `pieces` (each of PIECE bytes but the last), compressed by `executor`.

    At most `ahead` pieces are in memory.
    """
    return _gzip(level, pieces, executor, ahead) if kind == "gzip" else _zstd(level, pieces, executor, ahead)


def _in_order(work: Callable[[bytes], bytes], pieces: Iterable[bytes], executor: Executor, ahead: int) -> Iterator[bytes]:
    running: deque[Future[bytes]] = deque()
    try:
        for piece in pieces:
            running.append(executor.submit(work, piece))
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _gzip(level: int, pieces: Iterable[bytes], executor: Executor, ahead: int) -> Iterator[bytes]:
    from zlib_ng import zlib_ng

    checksum, size = zlib_ng.crc32(b""), 0

    def deflate(piece: bytes) -> bytes:
        stream = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15)
        return stream.compress(piece) + stream.flush(zlib_ng.Z_FULL_FLUSH)

    def counted() -> Iterator[bytes]:
        nonlocal checksum, size
        for piece in pieces:
            checksum = zlib_ng.crc32(piece, checksum)
            size += len(piece)
            yield piece

    yield _GZIP_HEADER
    yield from _in_order(deflate, counted(), executor, ahead)
    # An empty last block closes the stream: fixed Huffman codes, end of block.
    yield b"\x03\x00" + struct.pack("<II", checksum & 0xFFFFFFFF, size & 0xFFFFFFFF)


def _zstd(level: int, pieces: Iterable[bytes], executor: Executor, ahead: int) -> Iterator[bytes]:
    import zstandard

    def frame(piece: bytes) -> bytes:
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(piece)

    yield from _in_order(frame, pieces, executor, ahead)
