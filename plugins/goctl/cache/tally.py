"""What each level of the cache cost and saved: the account that says whether it pays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from goctl.system.files import write_atomic
from goctl.values import from_json, to_json

NAME: Final = "levels.json"
#: Runs that used a level before anything is said of it: the first ones fill it.
FEWEST_RUNS: Final = 5


class Tally(msgspec.Struct, rename="kebab"):
    """One level's account. Times are seconds: `reading` and `writing` are what it cost, `saved` what others would have taken
    to make anew what it knew, `targets` how much of that for each. Sizes are bytes."""

    runs: int = 0
    hits: int = 0
    misses: int = 0
    stored: int = 0
    failures: int = 0
    read: int = 0
    written: int = 0
    reading: float = 0.0
    writing: float = 0.0
    saved: float = 0.0
    targets: dict[str, float] = {}

    @property
    def cost(self) -> float:
        return self.reading + self.writing

    @property
    def is_loss(self) -> bool:
        """Whether it is known to cost more than it saves."""
        return self.runs >= FEWEST_RUNS and self.cost > self.saved

    def __bool__(self) -> bool:
        return bool(self.hits or self.misses or self.stored or self.failures)

    def add(self, other: Tally) -> None:
        for target, seconds in other.targets.items():
            self.targets[target] = self.targets.get(target, 0.0) + seconds
        for name in set(self.__struct_fields__) - {"targets"}:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def read(state: Path) -> dict[str, Tally]:
    """The accounts of a project by level; none where nothing can be read."""
    try:
        return from_json((state / NAME).read_bytes(), dict[str, Tally])
    except (OSError, ValueError):
        return {}


def learn(state: Path, more: Mapping[str, Tally]) -> dict[str, Tally]:
    """Adds what a run found out, and writes it down. The accounts as they are now."""
    known = read(state)
    for name, tally in more.items():
        known.setdefault(name, Tally()).add(tally)
    write_atomic(state / NAME, to_json(known), durable=False)
    return known
