"""What remote levels hold of an action, and the list of what a build asked for.

A record is the action's line as go's own cache has it, and behind it the output itself where that is small, or where it lies
in a pack of many. The list of the last build lets the next one, on any machine, fetch in one go what it will ask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec

from goctl.cacheprog.folder import ENTRY_SIZE, Entry, parse
from goctl.values import from_msgpack

#: Outputs up to this many bytes travel with their action: lists of files, flags that were tried, empty logs.
INLINE: Final = 2048
#: How many runs an action is remembered for that none of them asked for: a branch, for one.
RUNS: Final = 4
#: The most actions that a list holds, and the most bytes it may have.
LONGEST: Final = 100_000
LARGEST: Final = 64 << 20

_T = TypeVar("_T")

_PLACE: Final = re.compile(rb"([0-9a-f]{64}) (\d{1,15}) (\d{1,15})\n")


class Packed(NamedTuple):
    """Where an output lies: the sha256 of the pack, where its id begins there, and the bytes of both, it compressed."""

    pack: str
    start: int
    size: int


class Record(NamedTuple):
    """An action's entry, with its output where that is small, or else where that lies."""

    entry: Entry
    content: bytes | None = None
    packed: Packed | None = None

    @property
    def pack(self) -> str:
        """The pack that its output lies in; none where that travels with it."""
        return self.packed.pack if self.packed is not None else ""

    def encoded(self, action: bytes) -> bytes:
        place = self.packed
        beside = (self.content or b"") if place is None else f"{place.pack} {place.start} {place.size}\n".encode()
        return self.entry.line(action) + beside


def decode(action: bytes, data: bytes) -> Record | None:
    """A record; None where it is damaged or another action's. The content of a small output is not verified yet."""
    entry, beside = parse(action, data[:ENTRY_SIZE]), data[ENTRY_SIZE:]
    if entry is None:
        return None
    if entry.size <= INLINE:
        return Record(entry, beside) if len(beside) == entry.size else None
    match = _PLACE.fullmatch(beside)
    return None if match is None else Record(entry, packed=Packed(match[1].decode(), int(match[2]), int(match[3])))


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """An action that a build asked for: its record, and how many runs ago."""

    action: bytes
    record: bytes
    age: int = 0


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What builds of one kind asked for, in that order."""

    asked: tuple[Asked, ...] = ()

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def last(self) -> list[bytes]:
        """The actions that the last builds asked for, and found or made."""
        return [asked.action for asked in self.asked if asked.age == 0]

    def after(self, records: Mapping[bytes, Record], runs: int = RUNS) -> Known:
        """What is known after one more run; what none of `runs` asked for is forgotten."""
        older = (
            msgspec.structs.replace(asked, age=asked.age + 1)
            for asked in self.asked
            if asked.action not in records and asked.age < runs
        )
        new = (Asked(action, record.encoded(action)) for action, record in records.items())
        return Known((*new, *older)[:LONGEST])


class Warmth(msgspec.Struct, frozen=True, array_like=True):
    """What a GOCACHE had when a level had it too: the actions of a build, what that was made from, and when that was, in
    seconds since 1970."""

    inputs: str = ""
    actions: tuple[bytes, ...] = ()
    at: float = 0.0

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)


def known(data: bytes | None) -> Known:
    """The list from its bytes; an empty one where they are none."""
    return _decoded(data, Known)


def warmth(data: bytes | None) -> Warmth:
    """As `known`."""
    return _decoded(data, Warmth)


def _decoded(data: bytes | None, type: type[_T]) -> _T:
    try:
        return from_msgpack(data or b"", type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return type()


def merged(*lists: Known) -> dict[bytes, Record]:
    """The records of several lists by action, those of the last builds first."""
    found: dict[bytes, Record] = {}
    for asked in sorted((asked for each in lists for asked in each.asked), key=lambda asked: asked.age):
        record = None if asked.action in found else decode(asked.action, asked.record)
        if record is not None:
            found[asked.action] = record
    return found
