"""Zip archives whose bytes depend on their entries alone (APPNOTE.TXT 6.3.10, sections 4.3 and 4.4).

Not by the standard library's zipfile: its bytes are those of whichever zlib Python was linked with.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from goctl.errors import ImageError
from goctl.oci.tar import Entry
from goctl.values import Digest

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
#: Made on Unix, so that those who unpack there see modes; needs version 2.0, which deflate and folders came with.
_MADE_BY, _NEEDS = 3 << 8 | 20, 20
_UTF8 = 1 << 11
_STORED, _DEFLATED = 0, 8
_REGULAR = 0o100000
#: The first and the last second that a DOS time can tell, 1980-01-01 and 2107-12-31.
_FIRST, _LAST = 315_532_800, 4_354_819_198
#: Beyond these numbers a zip needs extensions that not every reader has.
_MOST_BYTES, _MOST_ENTRIES = (1 << 32) - 1, (1 << 16) - 1


class _Written(msgspec.Struct, frozen=True):
    """What a file's header in the central directory says once more. `common` is what both headers share."""

    name: bytes
    common: bytes
    mode: int
    offset: int


def zip_archive(entries: Iterable[Entry], level: int) -> Iterator[bytes]:
    """The archive in pieces, one file in memory at a time; `level` is libdeflate's, 1 to 12.

    Raises ImageError when a file is not what it was, or should be, and for more than a zip can hold.
    """
    from deflate import deflate_compress

    written: list[_Written] = []
    offset = 0
    for entry in entries:
        content = _content(entry)
        packed = bytes(deflate_compress(content, level))
        method = _DEFLATED if len(packed) < len(content) else _STORED
        data = packed if method == _DEFLATED else content
        name = entry.name.encode("utf-8")
        flags = 0 if entry.name.isascii() else _UTF8
        if max(len(content), offset + len(data)) > _MOST_BYTES:
            raise ImageError(f"{entry.name} is too much for a zip archive: 4 GiB is the most", hint="use tar.gz")
        sizes = (zlib.crc32(content), len(data), len(content), len(name), 0)
        common = struct.pack("<HHHIIIIHH", _NEEDS, flags, method, _dos_time(entry.time), *sizes)
        written.append(_Written(name, common, entry.mode, offset))
        header = _LOCAL + common + name
        yield header
        yield data
        offset += len(header) + len(data)
    directory = b"".join(_central(file) for file in written)
    if len(written) > _MOST_ENTRIES or offset > _MOST_BYTES:
        raise ImageError(f"{len(written)} files are too many for a zip archive", hint="use tar.gz")
    yield directory
    yield _END + struct.pack("<HHHHIIH", 0, 0, len(written), len(written), len(directory), offset, 0)


def _content(entry: Entry) -> bytes:
    if not isinstance(entry.source, Path):
        return entry.source or b""
    try:
        content = entry.source.read_bytes()
    except OSError as error:
        raise ImageError(f"{entry.source} cannot be read: {error.strerror or error}") from error
    if entry.expected is not None and Digest.of(content) != entry.expected:
        raise ImageError(f"{entry.source} changed while it was read", hint="run it again when nothing writes to it")
    return content


def _central(file: _Written) -> bytes:
    more = struct.pack("<HHHII", 0, 0, 0, (_REGULAR | file.mode) << 16, file.offset)
    return _CENTRAL + struct.pack("<H", _MADE_BY) + file.common + more + file.name


def _dos_time(seconds: int) -> int:
    """Seconds since the epoch as DOS has them, in UTC: the date in the upper half, the time by two seconds in the lower."""
    moment = time.gmtime(min(max(seconds, _FIRST), _LAST))
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date << 16 | moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
