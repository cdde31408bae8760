"""Counted trials of a fault. Each campaign is a row of a table: trials, failures, and what that says.

GOCTL_FAULTS=full makes the counts those that a claim needs; short (the default) those that a change can wait for.
GOCTL_FAULTS_TABLE names a file that the rows are added to, one JSON object a line: docs/reliability.md is made from them
(see reliability.py). GOCTL_FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import math
import os
import platform
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from goctl.values import to_json

SEED = int(os.environ.get("GOCTL_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


FULL = os.environ.get("GOCTL_FAULTS", "short") == "full"


def count(*, full: int, short: int) -> int:
    return full if FULL else short


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign found: trials and failures, by seed; `full` where they were as many as a claim needs."""

    area: str
    fault: str
    trials: int
    failures: int
    seed: int
    seconds: float
    full: bool
    on: str
    date: str

    @property
    def bound(self) -> str:
        """What the share of failures is below with a confidence of 95 %: 3/N where none was seen in N trials."""
        return "" if self.failures else f"3/{self.trials}"


def campaign(area: str, fault: str, trials: int, trial: Callable[[random.Random], str], *, allowed: float = 0.0) -> None:
    """Runs a trial that many times. It gets random numbers of its own, and says what went wrong, or nothing.

    `allowed` is the share of trials that may fail where success is a matter of chance.
    """
    started = time.monotonic()
    failures = []
    for number in range(trials):
        words = trial(random.Random(f"{SEED} {area} {fault} {number}"))
        if words:
            failures.append(f"trial {number}: {words}")
    row = Row(
        area=area,
        fault=fault,
        trials=trials,
        failures=len(failures),
        seed=SEED,
        seconds=round(time.monotonic() - started, 1),
        full=FULL,
        on=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        date=datetime.now(UTC).date().isoformat(),
    )
    print(f"\n{area}: {fault}: {len(failures)} of {trials} failed{'' if failures else f', below {row.bound}'}")
    if table := os.environ.get("GOCTL_FAULTS_TABLE"):
        with Path(table).open("ab") as file:
            file.write(to_json(row) + b"\n")
    assert len(failures) <= math.ceil(allowed * trials), f"GOCTL_FAULTS_SEED={SEED}\n" + "\n".join(failures[:10])
