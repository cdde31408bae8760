"""A cache level behind go's own cache: actions and outputs brought from there, verified, and sent there.

In the level's space `action` lie lists of what builds asked for, with a record of each action; in `output` the larger
outputs, many in a pack, which is named by its sha256. What one build made lies together: one request brings much of what the
next one needs. What no list tells of is not there: an entry for each action would be a thousand requests for one build, and
as many tags in a registry.

In a pack lies each output's id, and behind it the output, compressed by itself, with a checksum of its own. Whoever packs it
compares it with its id. Levels verify a pack as they do all that they keep; to compute each id anew would take a fourth of
all the time that fetching takes, and what is behind it cannot have become another's meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from goctl.cacheprog import records
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.protocol import ID_SIZE
from goctl.cacheprog.records import INLINE, Known, Packed, Record
from goctl.contracts import ActionLevel

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

#: How hard outputs are compressed, which is done once: what is packed so is unpacked in three quarters of level 1's time.
_LEVEL: Final = 3
#: The most bytes of a pack: a few outputs, or one that is large by itself.
_LARGEST: Final = 1 << 30


class Remote:
    """One level for one GOCACHE."""

    def __init__(self, level: ActionLevel, folder: Folder) -> None:
        self._level = level
        self._folder = folder

    def known(self, name: str) -> Known:
        """The list of that name: what the last builds asked for, on any machine."""
        content = self._level.read("action", _list_key(name), records.LARGEST)
        found = _decompressed(_decompressor(), content, records.LARGEST) if content is not None else None
        return records.known(found)

    def keep(self, name: str, known: Known) -> None:
        self._level.store("action", _list_key(name), _compressed(known.encoded()))

    def bring(self, pack: str, wanted: Iterable[tuple[bytes, Record]]) -> int:
        """Brings actions into the folder whose outputs lie in that pack, or in their records where it has no name; how many
        are there now."""
        if not pack:
            return sum(self._take(action, record.entry, partial(_enclosed, record)) for action, record in wanted)
        content = self._level.read("output", pack, _LARGEST)
        if content is None:
            return 0
        unpack = partial(_unpacked, _decompressor(), memoryview(content))
        done = [self._take(action, record.entry, partial(unpack, record)) for action, record in wanted]
        if not all(done):
            # Damaged, or somebody else's. What is named by its content has another name then.
            self._level.forget("output", pack)
        return sum(done)

    def _take(self, action: bytes, entry: Entry, verified: Callable[[], bytes | None]) -> bool:
        """Keeps an action with its output, unless there is none that is what it should be."""
        if not self._folder.put(entry, verified):
            return False
        self._folder.note(action, entry)
        return True

    def send(self, entries: Iterable[tuple[bytes, Entry]]) -> tuple[dict[bytes, Record], int]:
        """Stores the larger outputs of actions of the folder, as one pack: the records, for a list, of those that are still
        there, and the bytes that went to the level."""
        made: dict[bytes, Record] = {}
        pack = bytearray()
        places: dict[bytes, tuple[int, int]] = {}
        for action, entry in entries:
            content = self._content(entry)
            if content is None:
                continue
            if entry.size > INLINE and entry.output not in places:
                packed = entry.output + _compressed(content)
                places[entry.output] = (len(pack), len(packed))
                pack += packed
            made[action] = Record(entry, content if entry.size <= INLINE else None)
        name = hashlib.sha256(pack).hexdigest()
        if pack:
            self._level.store("output", name, bytes(pack))
        for action, record in made.items():
            if record.content is None:
                start, length = places[record.entry.output]
                made[action] = record._replace(packed=Packed(name, start, length))
        return made, len(pack)

    def _content(self, entry: Entry) -> bytes | None:
        """The output of an entry of the folder; None where it has gone, or is damaged."""
        content = self._folder.beginning(entry, entry.size)
        return content if hashlib.sha256(content).digest() == entry.output else None


def _enclosed(record: Record) -> bytes | None:
    """The output that came with a record, compared with its id."""
    content = record.content or b""
    return content if hashlib.sha256(content).digest() == record.entry.output else None


def _unpacked(decompressor: ZstdDecompressor, pack: memoryview, record: Record) -> bytes | None:
    """The output of a record out of its pack; None where another one lies there, or it is damaged."""
    place = record.packed
    packed = pack[place.start : place.start + place.size] if place is not None else pack[:0]
    is_its = packed[:ID_SIZE] == record.entry.output
    return _decompressed(decompressor, packed[ID_SIZE:], record.entry.size) if is_its else None


def _list_key(name: str) -> str:
    return f"asked-{name}"


def _compressed(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content)


def _decompressor() -> ZstdDecompressor:
    """One for many frames, in one thread: to make it takes as long as a small frame."""
    import zstandard

    return zstandard.ZstdDecompressor()


def _decompressed(decompressor: ZstdDecompressor, data: bytes | memoryview, most: int) -> bytes | None:
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        return decompressor.decompress(data) if 0 <= size <= most else None
    except zstandard.ZstdError:
        return None
