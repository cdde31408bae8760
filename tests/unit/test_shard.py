"""Splits of a plan: whole, disjoint, the same everywhere, even in cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goctl.errors import ConfigError
from goctl.plan.model import CompileStep
from goctl.plan.shard import Shard, Slot, choice, identity, slots, split
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


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_every_slot_is_in_one_part_and_no_part_is_much_too_large(weights: list[float], count: int) -> None:
    every = [Slot("p", f"t{number}", AMD) for number in range(len(weights))]
    measured = {str(slot): weight for slot, weight in zip(every, weights, strict=True)}
    parts = split(every, measured, count)
    assert [slot for part in parts for slot in part] == every
    assert parts == split(list(every), dict(reversed(measured.items())), count)
    known = [weight for weight in weights if weight > 0]
    usual = sorted(known)[len(known) // 2] if known else 1.0
    heaviest, whole = max([*known, usual]), sum(weight or usual for weight in weights)
    for part in parts:
        assert sum(measured[str(slot)] for slot in part) <= whole / count + heaviest + 1e-6


def test_costs_decide_where_the_cut_is() -> None:
    heavy = {str(slot): 1.0 for slot in EVERY} | {"shop:api@linux/amd64": 4.0}
    assert [len(part) for part in split(EVERY, heavy, 2)] == [1, 4]
    assert [len(part) for part in split(EVERY, {}, 2)] == [2, 3]
    assert [len(part) for part in split(EVERY, {}, 7)] == [1, 0, 1, 1, 1, 0, 1]


def test_machines_agree_only_on_the_same_split_of_the_same_plan() -> None:
    parts = split(EVERY, {}, 2)
    assert identity(parts, "tags") == identity(split(EVERY, {}, 2), "tags")
    assert len({identity(parts, "tags"), identity(parts, "others"), identity(split(EVERY, {}, 3), "tags")}) == 3


def compile_step(name: str, platform: str = "linux/amd64", unit: str = "u") -> CompileStep:
    return CompileStep(
        id=f"compile:{name}@{platform}", title=name, package=name, import_path=name, file_name=name,
        platform=Platform.parse(platform), flags=(), env=(), group=platform, unit=unit,
        targets=(f"shop:{name}",), outputs=(f"dist/{name}",), input=None, fields={},
    )  # fmt: skip


def test_a_program_costs_what_came_after_the_one_before_it() -> None:
    meter = costs.Meter()
    for name, seconds in (("a", 60.0), ("c", 63.0), ("b", 61.0)):
        meter.ended(compile_step(name), seconds)
    meter.ended(compile_step("a", "linux/arm64"), 9.0)
    spent = meter.spent()
    assert spent == {
        "compile:a@linux/amd64": 1.5,
        "compile:b@linux/amd64": 1.0,
        "compile:c@linux/amd64": 2.0,
        "compile:a@linux/arm64": 9.0,
    }


def test_costs_are_kept_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    assert costs.read(tmp_path) == {}
    costs.learn(tmp_path, {"shop:a@linux/amd64": 1.23456})
    costs.learn(tmp_path, {"shop:b@linux/amd64": 2.0})
    assert costs.read(tmp_path) == {"shop:a@linux/amd64": 1.235, "shop:b@linux/amd64": 2.0}
    (tmp_path / costs.NAME).write_text('{"seconds": {"a": "x"}}')
    assert costs.read(tmp_path) == {}
