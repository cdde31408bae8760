"""A plan in parts of about the same cost, for several machines: the same split on each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from goctl.errors import ConfigError
from goctl.plan import keys
from goctl.values import Digest, Platform

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


class Slot(NamedTuple):
    """One target on one platform: what a shard takes or leaves."""

    project: str
    target: str
    platform: Platform

    def __str__(self) -> str:
        return f"{self.project}:{self.target}@{self.platform}"


Choice = Mapping[str, Mapping[str, tuple[Platform, ...]]]


def slots(chosen: Choice) -> list[Slot]:
    """Platform by platform: what is compiled for one of them is shared by all targets, and compiled once on a machine."""
    found = [
        Slot(project, target, platform)
        for project, targets in chosen.items()
        for target, platforms in targets.items()
        for platform in platforms
    ]
    order = {platform: number for number, platform in enumerate(dict.fromkeys(slot.platform for slot in found))}
    return sorted(found, key=lambda slot: order[slot.platform])


def split(every: Sequence[Slot], costs: Mapping[str, float], count: int) -> list[list[Slot]]:
    """Consecutive slots in `count` parts of about the same cost. What nobody measured costs as much as most others."""
    known = [costs[str(slot)] for slot in every if costs.get(str(slot), 0.0) > 0]
    usual = median(known) if known else 1.0
    weights = [costs.get(str(slot)) or usual for slot in every]
    whole = sum(weights)
    parts: list[list[Slot]] = [[] for _ in range(count)]
    before = 0.0
    for slot, weight in zip(every, weights, strict=True):
        parts[min(count - 1, int((before + weight / 2) / whole * count))].append(slot)
        before += weight
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
