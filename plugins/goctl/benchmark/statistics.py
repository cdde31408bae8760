"""The statistics: pytest-benchmark's figures, what a round typically takes, and the ratio of two such, with intervals.

Figures are compared by Hodges and Lehmann's estimators, of logarithms, for what slows down takes a share more: of one sample
the median over the means of all its pairs, of two the median over all pairs of one with the other. A few rounds that were
held up hardly move them, as with a median, and they waver a fifth less: that is worth a third of the rounds. Their
intervals are those of Wilcoxon's tests: pairs are counted, and nothing is assumed of the noise but that both samples have
the same. Nothing is drawn either, so that the same figures always give the same interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

#: A time that no clock tells from none.
_NOTHING = 1e-9


class Interval(msgspec.Struct, frozen=True):
    """A figure, and where it is likely to be."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Half the interval, as a share of the figure."""
        return (self.high - self.low) / 2 / self.value if self.value else math.inf


def typical(values: Sequence[float], share: float = 0.95) -> Interval:
    """What a value typically is, and the interval of that (Wilcoxon's signed ranks)."""
    logs = _logs(values)
    count = len(logs)
    means = [(one + other) / 2 for at, one in enumerate(logs) for other in logs[: at + 1]]
    return _interval(means, math.sqrt(count * (count + 1) * (2 * count + 1) / 24), share)


def ratio_interval(after: Sequence[float], before: Sequence[float], share: float = 0.95) -> Interval:
    """The typical ratio of one to the other, and its interval (Mann and Whitney's test). The samples are independent."""
    later, earlier = _logs(after), _logs(before)
    pairs = [one - other for one in later for other in reversed(earlier)]
    deviation = math.sqrt(len(pairs) * (len(later) + len(earlier) + 1) / 12)
    return _interval(pairs, deviation, share)


def _logs(values: Sequence[float]) -> list[float]:
    # In order, so that pairs are made of runs that are in order, and are sorted in no time.
    return sorted(math.log(max(value, _NOTHING)) for value in values)


def _interval(pairs: list[float], deviation: float, share: float) -> Interval:
    """The median over pairs, in logarithms, and the pairs that the interval ends at. `deviation` is that of the number of
    pairs below the true figure. A few values know no such interval: theirs is all of the pairs.
    """
    pairs.sort()
    sure = statistics.NormalDist().inv_cdf((1 + share) / 2)
    outside = max(0, int(len(pairs) / 2 - sure * deviation) - 1)
    return Interval(math.exp(statistics.median(pairs)), math.exp(pairs[outside]), math.exp(pairs[-1 - outside]))


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
