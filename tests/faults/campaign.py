"""Counted trials of a fault. Each campaign is a row of a table: trials, failures, and what that says.

GOCTL_FAULTS=full makes the counts those that a claim needs; short (the default) those that a change can wait for.
GOCTL_FAULTS_TABLE names a file that the rows are added to, one JSON object a line. GOCTL_FAULTS_SEED repeats a run.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

SEED = int(os.environ.get("GOCTL_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


def count(*, full: int, short: int) -> int:
    return full if os.environ.get("GOCTL_FAULTS", "short") == "full" else short


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
    # Without a failure in N trials, a failure is rarer than 3/N with a confidence of 95 %.
    bound = "" if failures else f"3/{trials}"
    row = {"area": area, "fault": fault, "trials": trials, "failures": len(failures), "below": bound, "seed": SEED}
    row["seconds"] = round(time.monotonic() - started, 1)
    print(f"\n{area}: {fault}: {len(failures)} of {trials} failed{f', below {bound}' if bound else ''}")
    if table := os.environ.get("GOCTL_FAULTS_TABLE"):
        with Path(table).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    assert len(failures) <= math.ceil(allowed * trials), f"GOCTL_FAULTS_SEED={SEED}\n" + "\n".join(failures[:10])
