"""How many bytes a layer has when it is unpacked, and their digest, which its image's config calls a diff ID.

Nothing but the whole content tells: gzip's last four bytes count modulo 4 GiB, and only the last of its members. So the
content is unpacked in passing, a megabyte at a time, and kept nowhere.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Final, cast

import msgspec

from goctl.errors import ImageError
from goctl.values import Digest

#: Bytes that are unpacked at once, however well they were compressed.
_PIECE: Final = 1 << 20
#: Bytes that unpacking zstd may look back; its tools ask for an option beyond this.
_WINDOW: Final = 1 << 27


class Unpacked(msgspec.Struct, frozen=True):
    """Bytes and digest of a layer's tar file."""

    size: int
    diff_id: Digest


def measure(media_type: str, parts: Iterable[bytes]) -> Unpacked:
    """Size and digest of what a layer's content unpacks to. Raises ImageError for content that is not of its type."""
    hasher, size = hashlib.sha256(), 0
    for piece in _unpack(media_type, parts):
        hasher.update(piece)
        size += len(piece)
    return Unpacked(size, Digest(f"sha256:{hasher.hexdigest()}"))


def _unpack(media_type: str, parts: Iterable[bytes]) -> Iterator[bytes]:
    if media_type.endswith("gzip"):
        return _gunzip(parts)
    if media_type.endswith("zstd"):
        return _unzstd(parts)
    return iter(parts)


def _gunzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Member after member (RFC 1952, 2.2)."""
    member = zlib.decompressobj(wbits=31)
    begun = False
    try:
        for part in parts:
            # What fills up a block after the last member is none.
            part = part if begun else part.lstrip(b"\0")
            more = bool(part)
            while more:
                begun = True
                piece = member.decompress(part, _PIECE)
                yield piece
                part = member.unconsumed_tail
                more = bool(part) or len(piece) == _PIECE
                if member.eof:
                    part = member.unused_data.lstrip(b"\0")
                    member, begun, more = zlib.decompressobj(wbits=31), False, bool(part)
    except zlib.error as error:
        raise ImageError(f"a layer is not the gzip file it says it is: {error}") from None
    if begun:
        raise ImageError("a layer ends before its gzip file does")


def _unzstd(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Frame after frame (RFC 8878)."""
    import zstandard

    source = cast("IO[bytes]", _Parts(parts))
    unpacking = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(source, read_across_frames=True)
    try:
        while piece := unpacking.read(_PIECE):
            yield piece
    except zstandard.ZstdError as error:
        raise ImageError(f"a layer is not the zstd file it says it is: {error}") from None


class _Parts:
    """Pieces as something to read from; a piece is given whole or in parts, never joined with the next."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._rest = b""

    def read(self, size: int) -> bytes:
        self._rest = self._rest or next(self._parts, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
