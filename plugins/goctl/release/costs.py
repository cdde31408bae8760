"""What targets cost, as measured: the file that `--shard` splits by. A CI keeps it between runs (`.goctl/costs.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec

from goctl.plan.model import CompileStep, ImageStep, Plan
from goctl.plan.shard import Slot
from goctl.system.files import write_atomic

NAME = "costs.json"


class _File(msgspec.Struct, frozen=True):
    """Seconds by `project:target@platform`."""

    seconds: dict[str, float]


def read(state: Path) -> dict[str, float]:
    """What was measured here, or on the machine that the file comes from; empty where there is none."""
    try:
        return msgspec.json.decode((state / NAME).read_bytes(), type=_File).seconds
    except (OSError, msgspec.MsgspecError):
        return {}


def learn(state: Path, measured: Mapping[str, float]) -> None:
    """Takes new measurements into the file."""
    if measured:
        seconds = {**read(state), **{slot: round(cost, 3) for slot, cost in measured.items()}}
        write_atomic(state / NAME, json.dumps({"seconds": dict(sorted(seconds.items()))}, indent=1).encode(), durable=False)


def of_slots(plan: Plan, spent: Mapping[str, float], project: str) -> dict[str, float]:
    """What each target cost on each platform, from the seconds of its steps; `project` names those that a plan does not."""
    found: dict[str, float] = {}
    for step in plan.steps:
        if step.id not in spent or not isinstance(step, CompileStep | ImageStep):
            continue
        targets = step.targets if isinstance(step, CompileStep) else (step.target,)
        for target in targets:
            own, _, name = target.rpartition(":")
            slot = str(Slot(own or project, name, step.platform))
            found[slot] = found.get(slot, 0.0) + spent[step.id]
    return found


class Meter:
    """Own times of the programs of one go build, which ends with them one after the other.

    The first comes when all that they share is compiled: it counts as one of them, not as all of that.
    """

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], list[tuple[float, str]]] = {}

    def ended(self, step: CompileStep, seconds: float) -> None:
        """Takes in when a program was there, counted from the start of its go build."""
        self._ends.setdefault((step.unit, step.group), []).append((seconds, step.id))

    def spent(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for ends in self._ends.values():
            ends.sort()
            gaps = [after[0] - before[0] for before, after in pairwise(ends)]
            first = min(ends[0][0], median(gaps)) if gaps else ends[0][0]
            found |= {id: max(gap, 0.001) for (_, id), gap in zip(ends, (first, *gaps), strict=True)}
        return found
