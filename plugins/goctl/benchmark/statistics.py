"""The statistics: pytest-benchmark's figures, the exact bootstrap of a median, and of the ratio of two.

A bootstrap draws values again and again, with replacement, and looks at the medians. For the median all of its outcomes are
known: it is one of the values, the k-th smallest with a probability that the binomial distribution gives. So nothing is
drawn here: intervals are those of infinitely many draws, the same in every run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

#: A probability that is left out: all of them together change no interval's ends.
_NEVER = 1e-7


class Interval(msgspec.Struct, frozen=True):
    """A figure, and where it is likely to be."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Half the interval, as a share of the figure."""
        return (self.high - self.low) / 2 / self.value if self.value else math.inf


def median_interval(values: Sequence[float], share: float = 0.95) -> Interval:
    """The median, and its bootstrap interval."""
    outcomes = _medians(values)
    return Interval(statistics.median(values), *_quantiles(outcomes, share))


def ratio_interval(after: Sequence[float], before: Sequence[float], share: float = 0.95) -> Interval:
    """The ratio of two medians, and its bootstrap interval. The samples are independent of each other."""
    below = _medians(before)
    outcomes = sorted((value / other, weight * chance) for value, weight in _medians(after) for other, chance in below)
    return Interval(statistics.median(after) / statistics.median(before), *_quantiles(outcomes, share))


def _medians(values: Sequence[float]) -> list[tuple[float, float]]:
    """The medians that resamples can have, in order, each with its probability; without those that nobody would ever see."""
    return [pair for pair in zip(sorted(values), weights(len(values)), strict=True) if pair[1] > _NEVER]


@cache
def weights(count: int) -> tuple[float, ...]:
    """The probability of each of so many ordered values to be the median of a resample.

    The median of an even number lies between two values: each of both counts half.
    """
    if count % 2:
        return _weights_of(count, count // 2 + 1)
    lower, upper = _weights_of(count, count // 2), _weights_of(count, count // 2 + 1)
    return tuple((a + b) / 2 for a, b in zip(lower, upper, strict=True))


def _weights_of(count: int, rank: int) -> tuple[float, ...]:
    """The probability of each ordered value to be the one of this rank (from 1) in a resample."""
    # At least `rank` of `count` draws are among the lowest `at` values: a binomial tail.
    tails = [_tail(count, at / count, rank) for at in range(count + 1)]
    return tuple(tails[at + 1] - tails[at] for at in range(count))


def _tail(count: int, chance: float, least: int) -> float:
    return math.fsum(
        math.comb(count, number) * chance**number * (1 - chance) ** (count - number) for number in range(least, count + 1)
    )


def _quantiles(outcomes: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """The values that so large a share of the probability lies between."""
    outside = (1 - share) / 2
    low = high = outcomes[-1][0]
    total, found = 0.0, False
    for value, weight in outcomes:
        total += weight
        if not found and total > outside:
            low, found = value, True
        if total >= 1 - outside:
            high = value
            break
    return low, high


def stats(values: Sequence[float]) -> dict[str, Any]:
    """The figures that pytest-benchmark keeps of a benchmark, by its names and its definitions."""
    ordered = sorted(values)
    q1, q3 = _quartiles(ordered)
    mean, deviation = statistics.fmean(ordered), statistics.stdev(ordered) if len(ordered) > 1 else 0.0
    fence = 1.5 * (q3 - q1)
    far = sum(value < q1 - fence or value > q3 + fence for value in ordered)
    odd = sum(abs(value - mean) > deviation for value in ordered)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(ordered),
        "median": statistics.median(ordered),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": far,
        "stddev_outliers": odd,
        "outliers": f"{odd};{far}",
        "ld15iqr": next(value for value in ordered if value >= q1 - fence),
        "hd15iqr": next(value for value in reversed(ordered) if value <= q3 + fence),
        "ops": len(ordered) / sum(ordered) if sum(ordered) else 0.0,
        "total": sum(ordered),
        "data": list(values),
        "iterations": 1,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Both quartiles, of odd numbers by the third of the methods that Wikipedia's "Quartile" tells."""
    count, near = len(ordered), len(ordered) // 4
    if count == 1:
        return ordered[0], ordered[0]
    if count % 2 == 0:
        return statistics.median(ordered[: count // 2]), statistics.median(ordered[count // 2 :])
    if count % 4 == 1:
        return 0.25 * ordered[near - 1] + 0.75 * ordered[near], 0.75 * ordered[-near - 1] + 0.25 * ordered[-near]
    return 0.75 * ordered[near] + 0.25 * ordered[near + 1], 0.25 * ordered[-near - 2] + 0.75 * ordered[-near - 1]
