"""The gate, tried by simulation: how often it cries wolf, and how often it misses one. Noise is that of real rounds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from goctl.benchmark import gate, rounds
from goctl.benchmark.rounds import Limits, Samples
from goctl.benchmark.statistics import ratio_interval, stats, typical
from goctl.measures import CONTROL, Machine, Night, Phase, Sample

MACHINE = Machine("0" * 12, "Linux", "x86_64", "cpu", 2, 2**33)
LIMIT = 1.10
TRIALS = 200
#: What real rounds took, as shares of their median: `invoke --list` in two workspaces, interleaved, on a machine with two
#: cores that others used too.
NOISE = {
    "forty projects": (
        1.014, 1.016, 0.899, 1.0, 0.951, 0.804, 0.869, 0.885, 1.112, 0.944, 0.9, 0.989, 1.099, 0.836, 1.0, 1.03, 1.047,
        1.106, 1.031, 1.051, 1.217,
    ),
    "five projects": (
        0.844, 1.184, 1.211, 0.955, 1.007, 0.902, 0.894, 0.828, 0.958, 0.939, 1.131, 0.887, 0.766, 0.87, 1.151, 1.044, 1.067,
        1.0, 1.17, 1.202, 1.014,
    ),
}  # fmt: skip


Noise = Callable[[random.Random], float]


def seen(name: str) -> Noise:
    return lambda chance: chance.choice(NOISE[name])


def made_up(chance: random.Random) -> float:
    """Rounds with a deviation of 12 %."""
    return chance.lognormvariate(0, 0.12)


def measured(noise: Noise, scale: float, chance: random.Random, baseline: Night | None) -> Night:
    """A night of one state, with as many rounds as it takes."""

    def decided(state: str, made: Samples) -> bool:
        after = [sample.seconds for sample in made[state]]
        if baseline is None:
            return gate.is_precise(after)
        now = [sample.seconds for sample in made[CONTROL]]
        ratio = gate.compare(after, baseline.seconds(state), now, baseline.seconds(CONTROL)).ratio
        return gate.is_decided(ratio, LIMIT)

    runs: dict[str, rounds.Run] = {
        "state": lambda _: Sample(scale * noise(chance)),
        CONTROL: lambda _: Sample(0.3 * noise(chance)),
    }
    samples = rounds.measure(runs, Limits(), decided, lambda *_: None)
    return Night("shop", "c" * 40, "2026-01-01T00:00:00+00:00", MACHINE, samples)


def failed(noise: Noise, slower: float, seed: int) -> int:
    """How many of 200 nights fail that are so much slower than their baselines."""
    chance = random.Random(seed)
    count = 0
    for _ in range(TRIALS):
        baseline = measured(noise, 1.0, chance, None)
        night = measured(noise, slower, chance, baseline)
        count += gate.judge(night, {"state": baseline}, {"state": LIMIT}).verdicts[0].outcome == "failed"
    return count


NOISES = [pytest.param(seen(name), id=name) for name in NOISE] + [pytest.param(made_up, id="12 %")]


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_the_same_beside_the_same_seldom_alarms(noise: Noise) -> None:
    assert failed(noise, 1.0, seed=1) <= 0.05 * TRIALS


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_a_slowdown_of_15_percent_is_caught(noise: Noise) -> None:
    assert failed(noise, 1.15, seed=2) >= 0.95 * TRIALS


def night(seconds: Sequence[float], control: Sequence[float] = (), commit: str = "b" * 40, **versions: str) -> Night:
    samples = {"state": tuple(Sample(one, phases={"compile": Phase(one - 0.5), "push": Phase(0.5)}) for one in seconds)}
    if control:
        samples[CONTROL] = tuple(Sample(one) for one in control)
    return Night("shop", commit, "2026-01-01T00:00:00+00:00", MACHINE, samples, versions=versions)


SPREAD = [0.97, 0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.03, 1.01, 0.99, 1.0]


def test_the_phase_and_the_commits_of_a_slowdown_are_told() -> None:
    before = night(SPREAD, commit="a" * 40, go="1.26.1")
    after = night([one * 1.4 for one in SPREAD], go="1.27.0")
    (verdict,) = (judgement := gate.judge(after, {"state": before}, {"state": LIMIT})).verdicts
    assert (verdict.outcome, verdict.phase, verdict.commits) == ("failed", "compile", f"{'a' * 12}..{'b' * 12}")
    assert judgement.changed == ("go 1.26.1 -> 1.27.0",)


def test_what_is_allowed_is_told_and_fails_nothing() -> None:
    judgement = gate.judge(night([one * 1.08 for one in SPREAD]), {"state": night(SPREAD)}, {"state": LIMIT})
    assert [verdict.outcome for verdict in judgement.verdicts] == ["slower"]
    assert judgement.failed == ()


def test_a_state_without_a_limit_never_fails() -> None:
    judgement = gate.judge(night([one * 3 for one in SPREAD]), {"state": night(SPREAD)}, {"state": 0.0})
    assert [verdict.outcome for verdict in judgement.verdicts] == ["slower"]


def test_a_machine_that_is_slower_as_a_whole_is_no_slowdown() -> None:
    before = night(SPREAD, SPREAD)
    slow = [one * 1.3 for one in SPREAD]
    (verdict,) = gate.judge(night(slow, slow), {"state": before}, {"state": LIMIT}).verdicts
    assert (verdict.outcome, round(verdict.machine, 6)) == ("same", 1.3)
    (verdict,) = gate.judge(night([one * 1.3 for one in slow], slow), {"state": before}, {"state": LIMIT}).verdicts
    assert verdict.outcome == "failed"


def test_without_a_baseline_everything_is_new() -> None:
    assert [verdict.outcome for verdict in gate.judge(night(SPREAD), {}, {"state": LIMIT}).verdicts] == ["new"]


def test_rounds_are_interleaved_and_states_leave_when_they_are_decided() -> None:
    seen: list[tuple[int, str]] = []

    def run(name: str) -> rounds.Run:
        return lambda number: (seen.append((number, name)), Sample(1.0))[1]

    made = rounds.measure(
        {"a": run("a"), "b": run("b"), CONTROL: run(CONTROL)},
        Limits(most=11),
        lambda state, made: state == "a" or len(made[state]) >= 9,
        lambda *_: None,
    )
    assert [len(made[name]) for name in ("a", "b", CONTROL)] == [7, 9, 9]
    # Each round begins with another one, so that nobody always comes after the same.
    assert [name for number, name in seen if number == 1] == ["b", CONTROL, "a"]


def test_a_number_of_rounds_is_that_number() -> None:
    made = rounds.measure({"a": lambda _: Sample(1.0)}, Limits(exactly=4), lambda *_: True, lambda *_: None)
    assert len(made["a"]) == 4


def test_what_a_round_typically_takes_is_little_moved_by_few() -> None:
    assert typical([1.0]).value == 1
    # The means of pairs are 1, 2, 2, 4, 4 and 4, in what logarithms call a mean.
    assert typical([1.0, 4.0, 4.0]).value == pytest.approx(8**0.5)
    assert ratio_interval([2.0, 4.0], [1.0, 2.0]).value == pytest.approx(2)
    held_up = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 9.0, 60.0]
    assert typical(held_up).value == pytest.approx(1, abs=0.03)


def test_intervals_hold_the_figure_and_narrow_with_rounds() -> None:
    chance = random.Random(4)
    few, many = ([chance.gauss(1, 0.05) for _ in range(count)] for count in (7, 41))
    for values in (few, many):
        found = typical(values)
        assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert typical(many).width < typical(few).width
    ratio = ratio_interval([2 * one for one in many], many)
    assert ratio.value == pytest.approx(2)
    assert ratio.low < 2 < ratio.high


@pytest.mark.parametrize(("after", "before"), [(7, 15), (9, 60), (41, 25)])
def test_intervals_hold_the_truth_as_often_as_they_say(after: int, before: int) -> None:
    chance = random.Random(5)
    ratios = typicals = 0
    for _ in range(500):
        now, then = ([chance.lognormvariate(0, 0.12) for _ in range(count)] for count in (after, before))
        ratio, one = ratio_interval(now, then, 0.95), typical(now, 0.95)
        ratios += ratio.low <= 1 <= ratio.high
        typicals += one.low <= 1 <= one.high
    assert 460 <= ratios <= 490
    assert 460 <= typicals <= 494


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 40, 41])
def test_figures_are_those_of_pytest_benchmark(count: int) -> None:
    from pytest_benchmark.stats import Stats

    chance = random.Random(count)
    values = [chance.lognormvariate(0, 0.5) for _ in range(count)]
    theirs = Stats()
    for value in values:
        theirs.update(value)
    ours = stats(values)
    for field in Stats.fields:
        expected = getattr(theirs, field)
        assert ours[field] == (expected if isinstance(expected, str) else pytest.approx(expected)), field
