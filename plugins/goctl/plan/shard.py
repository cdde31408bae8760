"""A plan in parts for several machines, by measured cost: the same split on each of them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, permutations
from typing import NamedTuple

import msgspec

from goctl.errors import ConfigError
from goctl.plan import keys
from goctl.values import Digest, Platform

#: No target takes longer, in seconds: a file of costs may say anything.
_LONGEST = 1e6

#: With so many platforms or fewer each order of them is tried.
_ALL_ORDERS = 4

_FORM = re.compile(r"\s*(\d{1,4})\s*/\s*(\d{1,4})\s*\Z")


class Shard(msgspec.Struct, frozen=True):
    """The part `number` (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        match = _FORM.match(text)
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count:
            raise ConfigError(f"--shard: {text!r} is no part of a whole", hint="write 1/4 for the first of four")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class Costs(msgspec.Struct, frozen=True):
    """Seconds as measured: `own` by slot (`project:target@platform`); `shared` by platform, of what is compiled once for all
    of its targets.
    """

    own: dict[str, float] = {}
    shared: dict[str, float] = {}


class Slot(NamedTuple):
    """One target on one platform: what a shard takes or leaves."""

    project: str
    target: str
    platform: Platform

    def __str__(self) -> str:
        return f"{self.project}:{self.target}@{self.platform}"


Choice = Mapping[str, Mapping[str, tuple[Platform, ...]]]


def slots(chosen: Choice) -> list[Slot]:
    """All slots of a choice, platform by platform."""
    found = [
        Slot(project, target, platform)
        for project, targets in chosen.items()
        for target, platforms in targets.items()
        for platform in platforms
    ]
    order = {platform: number for number, platform in enumerate(dict.fromkeys(slot.platform for slot in found))}
    return sorted(found, key=lambda slot: order[slot.platform])


def split(every: Sequence[Slot], costs: Costs, count: int) -> list[list[Slot]]:
    """Slots in `count` parts of which the slowest takes as little as can be, by what was measured.

    Each machine compiles for itself what the targets of a platform share: a part that touches two platforms pays for both,
    and a platform on two machines is paid for twice.
    """
    rows = _rows(every, costs)
    orders: Iterable[Sequence[_Row]] = permutations(rows) if len(rows) <= _ALL_ORDERS else (rows, _by_whole(rows))
    best = min((_Line(order, every) for order in orders), key=lambda line: line.least(0, count))
    return best.cut(count)


class _Row(NamedTuple):
    """The slots of one platform by their numbers, and milliseconds: of what they share, and of each for itself.

    Whole numbers, for all machines must come to the same split, whatever the Python that adds them up.
    """

    numbers: list[int]
    shared: int
    own: list[int]


def _rows(every: Sequence[Slot], costs: Costs) -> list[_Row]:
    """What nobody measured costs as much as most others."""
    from statistics import median_low

    own = {slot: _milliseconds(seconds) for slot, seconds in costs.own.items() if seconds > 0}
    shared = {platform: _milliseconds(seconds) for platform, seconds in costs.shared.items()}
    usual = median_low([own[str(slot)] for slot in every if str(slot) in own] or [1000])
    usually_shared = median_low(list(shared.values()) or [0])
    found: dict[Platform, _Row] = {}
    for number, slot in enumerate(every):
        row = found.setdefault(slot.platform, _Row([], shared.get(str(slot.platform), usually_shared), []))
        row.numbers.append(number)
        row.own.append(own.get(str(slot), usual))
    return list(found.values())


def _milliseconds(seconds: float) -> int:
    return round(min(max(seconds, 0.001), _LONGEST) * 1000)


def _by_whole(rows: Sequence[_Row]) -> list[_Row]:
    return sorted(rows, key=lambda row: -row.shared - sum(row.own))


class _Line:
    """Platforms in one order, slot after slot, to be cut into consecutive parts.

    Of the cuts of one order, filling each part as far as it goes is the best: what is left then costs least.
    """

    def __init__(self, rows: Sequence[_Row], every: Sequence[Slot]) -> None:
        self._slots = [every[number] for row in rows for number in row.numbers]
        self._rows: list[tuple[int, int]] = []  # where each platform ends, and what its slots share
        for row in rows:
            self._rows.append((len(row.numbers) + (self._rows[-1][0] if self._rows else 0), row.shared))
        self._before = [0, *accumulate(own for row in rows for own in row.own)]

    def _filled(self, start: int, limit: int) -> int:
        """How far a part gets that starts here and may cost `limit`."""
        for end, shared in self._rows:
            if start < end:
                limit -= shared
                reached = bisect_right(self._before, self._before[start] + limit) - 1
                if reached < end:
                    return max(start, reached)
                limit -= self._before[end] - self._before[start]
                start = end
        return start

    def _fits(self, start: int, count: int, limit: int) -> bool:
        for _ in range(count):
            start = self._filled(start, limit)
        return start == len(self._slots)

    def least(self, start: int, count: int) -> int:
        """What the slowest of `count` parts must cost at least, of what stands from `start` on."""
        most = self._before[-1] - self._before[start] + sum(shared for _, shared in self._rows)
        return bisect_left(range(most), True, key=lambda limit: self._fits(start, count, limit))

    def cut(self, count: int) -> list[list[Slot]]:
        """The parts. Each takes the least that it and those after it can do with, so that none stays idle for nothing."""
        parts, start = [], 0
        for left in range(count, 0, -1):
            end = self._filled(start, self.least(start, left))
            parts.append(self._slots[start:end])
            start = end
        return parts


def choice(part: Sequence[Slot]) -> dict[str, dict[str, tuple[Platform, ...]]]:
    """Slots as a choice of platforms by project and target."""
    found: dict[str, dict[str, tuple[Platform, ...]]] = {}
    for slot in part:
        targets = found.setdefault(slot.project, {})
        targets[slot.target] = (*targets.get(slot.target, ()), slot.platform)
    return found


def identity(parts: Sequence[Sequence[Slot]], *more: str) -> Digest:
    """What two machines agree on when they made the same split of the same plan."""
    return keys.combine("split", *(f"{number} {slot}" for number, part in enumerate(parts) for slot in part), *more)
