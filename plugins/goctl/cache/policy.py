"""What becomes of entries: pure decisions over what a level holds. Nothing here looks at a clock or a disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from goctl.contracts import Held

#: Seconds in which nothing that was used is thrown away: a run may be about to read it.
GRACE: Final = 3600.0
#: The part of its greatest age that an entry has left when it is refreshed ahead of its end.
EARLY: Final = 0.2


def doomed(
    held: Iterable[Held], now: float, *, max_size: int = 0, max_age: float = 0.0, wanted: int = 0, grace: float = GRACE
) -> list[Held]:
    """The entries to throw away, the longest unused first: those unused for `max_age` seconds, then as many as it takes to
    hold at most `max_size` bytes (0: any number) and to free `wanted` bytes. Never what was used within `grace` seconds.
    """
    entries = sorted(held, key=lambda one: (one.used, one.name))
    total = sum(one.size for one in entries)
    freed = 0
    found = []
    for one in entries:
        if now - one.used < grace:
            break  # and all that follow were used later still
        is_old = bool(max_age) and now - one.used > max_age
        if is_old or (max_size and total - freed > max_size) or freed < wanted:
            found.append(one)
            freed += one.size
    return found


def is_due(created: float, now: float, max_age: float, luck: float) -> bool:
    """Whether an entry that is still good is to be written anew, so that it does not end for all readers at once.

    `luck` is a number from 0 to 1 that each reader draws: the nearer the end, the more of them do it (Vattani, Chierichetti
    and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", in its linear form).
    """
    if not max_age:
        return False
    left = 1 - (now - created) / max_age
    return 0 < left < EARLY and luck > left / EARLY


def size(held: Sequence[Held]) -> int:
    """Bytes."""
    return sum(one.size for one in held)
