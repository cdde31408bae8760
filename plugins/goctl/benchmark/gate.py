"""The gate: whether a state is slower than its baseline for real, and whether more rounds could tell.

A state fails when its slowdown is certain (the interval of the ratio lies above 1) and larger than what is allowed (the
ratio itself lies above the limit). It is decided early where the whole interval lies on one side of the limit; intervals
are those of 99 %, for they are looked at again and again. A machine that is slower as a whole is no slowdown of a release:
where the control, a fixed piece of work in each round, says so for certain, its ratio is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from goctl.benchmark.statistics import Interval, ratio_interval, typical
from goctl.measures import CONTROL, Judgement, Night, Sample, Verdict, median_phases

SURE = 0.99
#: A baseline is measured until half the 95 % interval of what it takes is at most so large a share of it, and in so many
#: rounds at least: with fewer, one round that was held up makes every comparison vague.
PRECISE = 0.025
LEAST = 15
#: A phase that takes less of a release than this is not blamed for anything.
_LEAST_SECONDS = 0.002


class Compared(msgspec.Struct, frozen=True):
    """The ratio to the baseline, without what the machine itself explains, and that part."""

    ratio: Interval
    machine: float = 1.0


def compare(
    after: Sequence[float], before: Sequence[float], control: Sequence[float] = (), control_before: Sequence[float] = ()
) -> Compared:
    """How much longer a state takes than in the baseline."""
    ratio = ratio_interval(after, before, SURE)
    if not control or not control_before:
        return Compared(ratio)
    machine = ratio_interval(control, control_before, SURE)
    if machine.low <= 1 <= machine.high:
        return Compared(ratio)
    off = machine.value
    return Compared(Interval(ratio.value / off, ratio.low / off, ratio.high / off), off)


def is_decided(ratio: Interval, limit: float) -> bool:
    """Whether further rounds would hardly change the verdict."""
    return not limit or ratio.low > limit or ratio.high < limit


def is_precise(seconds: Sequence[float]) -> bool:
    """Whether a baseline is known well enough to be compared with."""
    return len(seconds) >= LEAST and typical(seconds).width <= PRECISE


def outcome_of(ratio: Interval, limit: float) -> str:
    """faster, same, slower (for real, but allowed) or failed."""
    if ratio.high < 1:
        return "faster"
    if ratio.low <= 1:
        return "same"
    return "failed" if limit and ratio.value > limit else "slower"


def judge(night: Night, baselines: Mapping[str, Night], limits: Mapping[str, float]) -> Judgement:
    """Every state of a night beside its baseline."""
    verdicts = tuple(_verdict(night, baselines.get(state), state, limits.get(state, 0.0)) for state in night.states)
    changed = dict.fromkeys(
        change for state in night.states if state in baselines for change in changes(night, baselines[state])
    )
    return Judgement(verdicts, tuple(changed))


def changes(night: Night, baseline: Night) -> tuple[str, ...]:
    """What of the tools is another version than in the baseline."""
    names = [*baseline.versions, *(name for name in night.versions if name not in baseline.versions)]
    pairs = [(name, baseline.versions.get(name, "none"), night.versions.get(name, "none")) for name in names]
    return tuple(f"{name} {before} -> {after}" for name, before, after in pairs if before != after)


def _verdict(night: Night, baseline: Night | None, state: str, limit: float) -> Verdict:
    before = baseline.samples.get(state, ()) if baseline is not None else ()
    if baseline is None or not before:
        return Verdict(state, "new", limit=limit)
    found = compare(night.seconds(state), baseline.seconds(state), night.seconds(CONTROL), baseline.seconds(CONTROL))
    phase, earlier, later = _blamed(night.samples[state], before, found.machine)
    ratio = found.ratio
    return Verdict(
        state,
        outcome_of(ratio, limit),
        ratio.value,
        ratio.low,
        ratio.high,
        limit,
        phase=phase,
        before=earlier,
        after=later,
        machine=found.machine,
        since=baseline.date,
        commits=f"{baseline.commit[:12]}..{night.commit[:12]}" if baseline.commit and night.commit else "",
    )


def _blamed(after: tuple[Sample, ...], before: tuple[Sample, ...], machine: float) -> tuple[str, float, float]:
    """The phase whose time grew the most, with its median seconds before and after; no name where none did."""
    old, new = median_phases(before), median_phases(after)
    grown = {phase: new[phase] / machine - old.get(phase, 0.0) for phase in new}
    if not grown:
        return "", 0.0, 0.0
    phase = max(grown, key=lambda name: grown[name])
    if grown[phase] < _LEAST_SECONDS:
        return "", 0.0, 0.0
    return phase, old.get(phase, 0.0), new[phase]
