"""The page of what campaigns found: the newest full row of each, with what it bounds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.faults import reliability
from tests.faults.campaign import Row

FAULT = "mutated files"


def row(fault: str = FAULT, *, area: str = "config", trials: int = 100, failures: int = 0, full: bool = True) -> Row:
    return Row(
        area=area,
        fault=fault,
        trials=trials,
        failures=failures,
        seed=1,
        seconds=1.0,
        full=full,
        on="Linux",
        date="2026-01-01",
    )


def test_a_newer_row_takes_the_place_of_its_own_campaign_alone() -> None:
    other = row("SIGKILL of goctl itself", area="process")
    assert reliability.merged([row(trials=10), other], [row(trials=20)]) == [other, row(trials=20)]


def test_short_counts_claim_nothing() -> None:
    assert reliability.merged([row()], [row(trials=3, full=False)]) == [row()]


@pytest.mark.parametrize(("trials", "failures", "below"), [(300, 0, "1.00%"), (10_000, 0, "0.03%"), (1000, 5, "1.05%")])
def test_the_bound_is_that_of_the_trials(trials: int, failures: int, below: str) -> None:
    text = reliability.page([row(trials=trials, failures=failures)])
    assert f"| {trials} | {failures} | {below} | 1 |" in text


def test_every_campaign_promises_something_and_every_promise_has_a_campaign() -> None:
    called = set()
    for path in Path(reliability.__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "campaign":
                area, fault = (part.value for part in node.args[:2] if isinstance(part, ast.Constant))
                called.add((area, fault))
    assert called == set(reliability.PROMISES)


def test_the_page_shows_the_rows_that_are_kept() -> None:
    assert reliability.main(["--check"]) == 0
