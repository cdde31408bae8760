"""Splits of a plan: whole, disjoint, the same everywhere, even in cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goctl.errors import ConfigError
from goctl.plan.model import CompileStep, Plan
from goctl.plan.shard import Costs, Shard, Slot, choice, identity, slots, split
from goctl.release import costs
from goctl.values import Platform

AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
EVERY = slots({"shop": {"api": (AMD, ARM), "web": (AMD, ARM)}, "auth": {"auth": (ARM,)}})


@pytest.mark.parametrize("text", ["1/1", "1/4", " 4 / 4 "])
def test_a_part_is_written_as_a_fraction(text: str) -> None:
    assert str(Shard.parse(text)) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", "1/99999", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no part of a whole"):
        Shard.parse(text)


def test_slots_stand_platform_by_platform() -> None:
    assert [str(slot) for slot in EVERY] == [
        "shop:api@linux/amd64",
        "shop:web@linux/amd64",
        "shop:api@linux/arm64",
        "shop:web@linux/arm64",
        "auth:auth@linux/arm64",
    ]
    assert choice(EVERY[2:]) == {"shop": {"api": (ARM,), "web": (ARM,)}, "auth": {"auth": (ARM,)}}


PLATFORMS = [
    Platform.parse(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64", "darwin/arm64")
]
SECONDS = st.integers(1, 400_000).map(lambda milliseconds: milliseconds / 1000)


@st.composite
def measured(draw: st.DrawFn) -> tuple[list[Slot], Costs]:
    """Slots of up to five platforms, and what each of them and each platform costs."""
    platforms = PLATFORMS[: draw(st.integers(1, len(PLATFORMS)))]
    every = [Slot("p", f"t{number}", one) for one in platforms for number in range(draw(st.integers(1, 15)))]
    own = {str(slot): draw(SECONDS) for slot in every}
    return every, Costs(own, {str(platform): draw(SECONDS) for platform in platforms})


def takes(part: list[Slot], costs: Costs) -> float:
    """What a machine takes for a part, by the model."""
    shared = sum(costs.shared[str(platform)] for platform in {slot.platform for slot in part})
    return shared + sum(costs.own[str(slot)] for slot in part)


def consecutive(every: list[Slot], costs: Costs, count: int) -> list[list[Slot]]:
    """Slots as they stand, in parts that have about the same cost of their own."""
    parts: list[list[Slot]] = [[] for _ in range(count)]
    whole, before = sum(costs.own.values()), 0.0
    for slot in every:
        parts[min(count - 1, int((before + costs.own[str(slot)] / 2) / whole * count))].append(slot)
        before += costs.own[str(slot)]
    return parts


@given(measured(), st.integers(1, 12))
def test_the_slowest_part_is_near_the_least_that_is_possible(given: tuple[list[Slot], Costs], count: int) -> None:
    every, costs = given
    parts = split(every, costs, count)
    assert len(parts) == count
    assert sorted(map(str, every)) == sorted(str(slot) for part in parts for slot in part)
    assert parts == split(list(every), Costs(dict(reversed(costs.own.items())), dict(reversed(costs.shared.items()))), count)
    slowest = max(takes(part, costs) for part in parts)
    assert slowest <= max(takes(part, costs) for part in consecutive(every, costs, count)) + 1e-6
    # Nobody can do with less than an even share, nor than the dearest slot alone.
    least = max(takes(every, costs) / count, max(takes([slot], costs) for slot in every))
    assert slowest <= takes(every, costs) / count + max(costs.shared.values()) + least + 1e-6


@given(measured())
def test_with_as_many_parts_as_platforms_of_one_cost_none_is_compiled_for_twice(given: tuple[list[Slot], Costs]) -> None:
    every, _ = given
    platforms = list(dict.fromkeys(slot.platform for slot in every))
    alike = [Slot("p", f"t{number}", platform) for platform in platforms for number in range(10)]
    costs = Costs({str(slot): 0.1 for slot in alike}, {str(platform): 7.0 for platform in platforms})
    for part in split(alike, costs, len(platforms)):
        assert len({slot.platform for slot in part}) == 1


def test_costs_decide_where_the_cut_is() -> None:
    heavy = Costs({str(slot): 1.0 for slot in EVERY} | {"shop:api@linux/amd64": 4.0})
    assert [len(part) for part in split(EVERY, heavy, 2)] == [1, 4]
    assert [len(part) for part in split(EVERY, Costs(), 2)] == [3, 2]
    assert [len(part) for part in split(EVERY, Costs(), 7)] == [1, 1, 1, 1, 1, 0, 0]
    assert split([], Costs(), 3) == [[], [], []]


def test_a_platform_is_not_cut_where_that_costs_more_than_it_saves() -> None:
    # By their own costs alone a cut after three slots is the even one: then both machines compile for arm64.
    shared = Costs({str(slot): 1.0 for slot in EVERY}, {"linux/amd64": 9.0, "linux/arm64": 9.0})
    assert [{str(slot.platform) for slot in part} for part in split(EVERY, shared, 2)] == [{"linux/amd64"}, {"linux/arm64"}]


def test_what_was_never_measured_costs_as_much_as_most() -> None:
    measured = Costs({"shop:api@linux/amd64": 3.0, "gone:old@linux/amd64": 500.0}, {"linux/amd64": 1e300})
    assert split(EVERY, measured, 2) == split(EVERY, Costs({str(slot): 3.0 for slot in EVERY}, {"linux/amd64": 1e6}), 2)


def test_many_targets_are_split_in_a_moment() -> None:
    every = [Slot("p", f"t{number}", platform) for platform in PLATFORMS[:3] for number in range(200)]
    costs = Costs({str(slot): 0.5 + number % 7 for number, slot in enumerate(every)}, {str(p): 9.0 for p in PLATFORMS})
    started = time.process_time()
    split(every, costs, 16)
    assert time.process_time() - started < 0.5  # some milliseconds, but for slow machines


def test_machines_agree_only_on_the_same_split_of_the_same_plan() -> None:
    parts = split(EVERY, Costs(), 2)
    assert identity(parts, "tags") == identity(split(EVERY, Costs(), 2), "tags")
    assert len({identity(parts, "tags"), identity(parts, "others"), identity(split(EVERY, Costs(), 3), "tags")}) == 3


def compile_step(name: str, platform: str = "linux/amd64", unit: str = "u") -> CompileStep:
    return CompileStep(
        id=f"compile:{name}@{platform}", title=name, package=name, import_path=name, file_name=name,
        platform=Platform.parse(platform), flags=(), env=(), group=platform, unit=unit,
        targets=(f"shop:{name}",), outputs=(f"dist/{name}",), input=None, fields={},
    )  # fmt: skip


class Clock:
    """A clock that stands where it was set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def metered(*ends: tuple[float, float, CompileStep]) -> costs.Spent:
    """What a meter makes of programs: when each was there, and since when its go build ran."""
    clock = Clock()
    meter = costs.Meter(clock)
    for now, start, step in ends:
        clock.now = now
        meter.ended(step, now - start)
    return meter.spent()


def test_a_program_costs_what_came_after_the_one_before_it() -> None:
    alone = metered(
        *((100.0 + end, 100.0, compile_step(name)) for name, end in (("a", 60.0), ("b", 61.0), ("c", 63.0))),
        (209.0, 200.0, compile_step("a", "linux/arm64")),
    )
    assert alone.own == {
        "compile:a@linux/amd64": 1.5,
        "compile:b@linux/amd64": 1.0,
        "compile:c@linux/amd64": 2.0,
        "compile:a@linux/arm64": 9.0,
    }
    assert alone.shared == {"linux/amd64": 58.5, "linux/arm64": 0.0}


def test_builds_side_by_side_share_their_seconds() -> None:
    arm = "linux/arm64"
    beside = metered(
        (10.0, 0.0, compile_step("a")),
        (10.0, 0.0, compile_step("a", arm)),
        (12.0, 0.0, compile_step("b", arm)),
        (14.0, 0.0, compile_step("b")),
        (16.0, 0.0, compile_step("c")),
    )
    # Two builds until the second 12, one from then on.
    assert beside.own == {
        "compile:a@linux/amd64": 2.5,
        "compile:b@linux/amd64": 3.0,
        "compile:c@linux/amd64": 2.0,
        "compile:a@linux/arm64": 1.0,
        "compile:b@linux/arm64": 1.0,
    }
    assert beside.shared == {"linux/amd64": 2.5, "linux/arm64": 4.0}


def test_of_several_modules_the_first_one_compiles_what_all_share() -> None:
    modules = metered(*((start + took, start, compile_step(unit, unit=unit)) for unit, start, took in MODULES))
    assert modules.own == {"compile:a@linux/amd64": 2.0, "compile:b@linux/amd64": 2.0, "compile:c@linux/amd64": 2.0}
    assert modules.shared == {"linux/amd64": 28.0}


MODULES = (("a", 0.0, 30.0), ("b", 30.0, 2.0), ("c", 32.0, 2.0))


def test_a_platform_of_which_something_was_known_tells_nothing_of_what_is_shared() -> None:
    plan = Plan(project="shop", version=None, steps=(compile_step("a"), compile_step("b"), compile_step("a", "linux/arm64")))
    spent = costs.Spent(
        {"compile:a@linux/amd64": 1.0, "compile:a@linux/arm64": 2.0}, {"linux/amd64": 0.2, "linux/arm64": 5.0}
    )
    measured = costs.of_plan(plan, spent, {"compile:b@linux/amd64"}, "shop")
    assert measured == Costs({"shop:a@linux/amd64": 1.0, "shop:a@linux/arm64": 2.0}, {"linux/arm64": 5.0})


def test_costs_are_kept_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    assert costs.read(tmp_path) == Costs()
    costs.learn(tmp_path, Costs({"shop:a@linux/amd64": 1.23456}, {"linux/amd64": 7.0, "linux/arm64": 8.0}))
    costs.learn(tmp_path, Costs({"shop:b@linux/amd64": 2.0}, {"linux/amd64": 6.0}))
    kept = Costs({"shop:a@linux/amd64": 1.235, "shop:b@linux/amd64": 2.0}, {"linux/amd64": 6.0, "linux/arm64": 8.0})
    assert costs.read(tmp_path) == kept
    (tmp_path / costs.NAME).write_text('{"format": 3, "seconds": {"a": 1.0}}')
    assert costs.read(tmp_path) == Costs()
    (tmp_path / costs.NAME).write_text('{"seconds": {"a": "x"}}')
    assert costs.read(tmp_path) == Costs()


def test_a_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    (tmp_path / costs.NAME).write_text('{"seconds": {"shop:a@linux/amd64": 1.5}}')
    assert costs.read(tmp_path) == Costs({"shop:a@linux/amd64": 1.5})


def test_machines_that_did_parts_of_a_platform_agree_on_the_dearest() -> None:
    parts = [Costs({"a": 1.0}, {"linux/amd64": 5.0}), Costs({"b": 2.0}, {"linux/amd64": 7.0}), Costs()]
    assert costs.joined(parts) == Costs({"a": 1.0, "b": 2.0}, {"linux/amd64": 7.0})
