"""Compression to bytes that do not depend on the machine: not on its CPU, nor on how many cores take part.

Content is cut into pieces of a fixed size, each compressed by itself and in parallel, and joined in order: as members of one
gzip file (RFC 1952, 2.2; eStargz layers are made so too), or as frames of zstd (RFC 8878), which decoders read one after
another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING

from goctl.oci.packages import installed

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The size of a piece. Measured on a 125 MB Go program at level 1: pieces of 1 MiB cost less than half a percent of the
#: ratio, and two cores compress nearly twice as fast as one.
PIECE = 1 << 20


def compressors() -> Mapping[str, str]:
    """Library and version whose bytes each kind of compression gives; part of every image's key.

    The packages carry libdeflate and libzstd in themselves, so that their versions tell those of the C code.
    """
    return {"gzip": f"deflate {installed('deflate')}", "zstd": f"zstandard {installed('zstandard')}"}


def compress(kind: str, level: int, pieces: Iterable[bytes], executor: Executor, ahead: int) -> Iterator[bytes]:
    """The compressed content of `pieces` (each of PIECE bytes but the last), compressed by `executor`.

    At most `ahead` pieces are in memory.
    """
    work = _member(level) if kind == "gzip" else _frame(level)
    return _in_order(work, pieces, executor, ahead)


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


def _member(level: int) -> Callable[[bytes], bytes]:
    from deflate import gzip_compress  # its header has no name and no time, and leaves the system unknown

    def member(piece: bytes) -> bytes:
        return bytes(gzip_compress(piece, level))

    return member


def _frame(level: int) -> Callable[[bytes], bytes]:
    from zstandard import ZstdCompressor

    def frame(piece: bytes) -> bytes:
        return ZstdCompressor(level=level, write_checksum=True).compress(piece)

    return frame
