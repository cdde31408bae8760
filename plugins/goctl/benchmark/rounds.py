"""Rounds: every state once in each, in an order that rotates, so that what drifts meets all alike; as many as it takes.

pytest-benchmark's pedantic mode runs the rounds of one benchmark back to back: a machine that slows down meanwhile makes the
last of them slow. Hence a runner of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from goctl.measures import CONTROL, Sample

#: Rounds before states are looked at for the first time. Looks are always at odd numbers: their median is a value that was
#: measured.
FIRST = 7

Run = Callable[[int], Sample]
Samples = Mapping[str, Sequence[Sample]]


class Limits(msgspec.Struct, frozen=True):
    """How many rounds: exactly `exactly`, or with 0 until a state is decided, and at most `most`."""

    exactly: int = 0
    most: int = 101


def measure(
    runs: Mapping[str, Run],
    limits: Limits,
    decided: Callable[[str, Samples], bool],
    tell: Callable[[int, str, Sample], None],
) -> dict[str, tuple[Sample, ...]]:
    """Samples of each contender. A run is given the number of its round, from 0.

    The control is measured in every round; the others take part until they are decided.
    """
    made: dict[str, list[Sample]] = {name: [] for name in runs}
    taking_part = list(runs)
    most = limits.exactly or limits.most
    look = FIRST
    for number in range(most):
        for name in _rotated(taking_part, number):
            sample = runs[name](number)
            made[name].append(sample)
            tell(number, name, sample)
        done = number + 1
        if not limits.exactly and done == look:
            # Another round tells the less, the more there are already.
            look += 2 * max(1, done // 10)
            taking_part = [name for name in taking_part if name == CONTROL or not decided(name, made)]
        if set(taking_part) <= {CONTROL}:
            break
    return {name: tuple(samples) for name, samples in made.items()}


def _rotated(names: Sequence[str], number: int) -> list[str]:
    at = number % len(names)
    return [*names[at:], *names[:at]]
