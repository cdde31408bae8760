"""What remote levels hold of an action, and the list of what a build asked for.

A record is the action's line as go's own cache has it, and behind it the output itself where that is small: one request
then brings both. The list of the last build lets the next one, on any machine, fetch in one go what it will ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from goctl.cacheprog.folder import ENTRY_SIZE, Entry, parse

#: Outputs up to this many bytes travel with their action: lists of files, flags that were tried, empty logs.
INLINE: Final = 2048
#: How many runs an action is remembered for that none of them asked for: a branch, or one target of several.
_FORGOTTEN_AFTER: Final = 4
#: The most actions that a list holds, and the most bytes it may have.
LONGEST: Final = 100_000
LARGEST: Final = 64 << 20


class Record(NamedTuple):
    """An action's entry; `content` is its output where that is small."""

    entry: Entry
    content: bytes | None = None

    def encoded(self, action: bytes) -> bytes:
        return self.entry.line(action) + (self.content or b"")


def decode(action: bytes, data: bytes) -> Record | None:
    """A record; None where it is damaged or another action's. The content of a small output is not verified yet."""
    entry = parse(action, data[:ENTRY_SIZE])
    if entry is None or len(data) != ENTRY_SIZE + (entry.size if entry.size <= INLINE else 0):
        return None
    return Record(entry, data[ENTRY_SIZE:] if entry.size <= INLINE else None)


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """An action that a build asked for: its record, and how many runs ago."""

    action: bytes
    record: bytes
    age: int = 0


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What builds of one kind asked for, in that order. `inputs` tell what the last ones were made from."""

    inputs: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def last(self) -> list[bytes]:
        """The actions that the last builds asked for, and found or made."""
        return [asked.action for asked in self.asked if asked.age == 0]

    def after(self, inputs: tuple[str, ...], records: Mapping[bytes, Record]) -> Known:
        """What is known after one more run."""
        older = (
            msgspec.structs.replace(asked, age=asked.age + 1)
            for asked in self.asked
            if asked.action not in records and asked.age < _FORGOTTEN_AFTER
        )
        new = (Asked(action, record.encoded(action)) for action, record in records.items())
        return Known(inputs, (*new, *older)[:LONGEST])


_decoder = msgspec.msgpack.Decoder(Known)


def known(data: bytes | None) -> Known:
    """The list from its bytes; an empty one where they are none."""
    if not data:
        return Known()
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Known()


def merged(*lists: Known) -> dict[bytes, Record]:
    """The records of several lists by action, those of the last builds first."""
    found: dict[bytes, Record] = {}
    for asked in sorted((asked for each in lists for asked in each.asked), key=lambda asked: asked.age):
        record = None if asked.action in found else decode(asked.action, asked.record)
        if record is not None:
            found[asked.action] = record
    return found
