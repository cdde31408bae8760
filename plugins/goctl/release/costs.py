"""What targets cost, as measured: the file that `--shard` splits by. A CI keeps it between runs (`.goctl/costs.json`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from goctl.plan.model import CompileStep, ImageStep, Plan
from goctl.plan.shard import Costs, Slot
from goctl.system.files import write_atomic
from goctl.values import Platform, from_json

NAME = "costs.json"
_FORMAT = 2


class _File(msgspec.Struct, frozen=True):
    """Seconds by `project:target@platform`, and since the second format what the targets of a platform share."""

    seconds: dict[str, float]
    shared: dict[str, float] = {}
    format: int = 1


def read(state: Path) -> Costs:
    """What was measured here, or on the machine that the file comes from; empty where there is none that can be read."""
    try:
        file = from_json((state / NAME).read_bytes(), _File)
    except (OSError, msgspec.MsgspecError):
        return Costs()
    return Costs(file.seconds, file.shared) if file.format <= _FORMAT else Costs()


def learn(state: Path, measured: Costs) -> None:
    """Takes new measurements into the file."""
    if measured.own:
        before = read(state)
        file = _File(_merged(before.own, measured.own), _merged(before.shared, measured.shared), _FORMAT)
        write_atomic(state / NAME, msgspec.json.format(msgspec.json.encode(file), indent=1), durable=False)


def _merged(before: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted({**before, **{name: round(seconds, 3) for name, seconds in measured.items()}}.items()))


def joined(parts: Iterable[Costs]) -> Costs:
    """What several machines measured, each of its part of one plan."""
    own: dict[str, float] = {}
    shared: dict[str, float] = {}
    for part in parts:
        own |= part.own
        # Each of them compiled all that is shared; the one that had the most targets of the platform saw the most of it.
        shared |= {platform: max(seconds, shared.get(platform, 0.0)) for platform, seconds in part.shared.items()}
    return Costs(own, shared)


def of_plan(plan: Plan, spent: Spent, known: Collection[str], project: str) -> Costs:
    """What each target cost on each platform, and what was shared; `project` names the targets of a plan that names none.

    A platform some of whose programs were `known` tells nothing of what is shared: Go has that in its cache.
    """
    own: dict[str, float] = {}
    partly = {str(step.platform) for step in plan.steps if isinstance(step, CompileStep) and step.id in known}
    for step in plan.steps:
        if step.id not in spent.own or not isinstance(step, CompileStep | ImageStep):
            continue
        targets = step.targets if isinstance(step, CompileStep) else (step.target,)
        for target in targets:
            named, _, name = target.rpartition(":")
            slot = str(Slot(named or project, name, step.platform))
            own[slot] = own.get(slot, 0.0) + spent.own[step.id]
    return Costs(own, {platform: seconds for platform, seconds in spent.shared.items() if platform not in partly})


class Spent(msgspec.Struct, frozen=True):
    """Seconds of a walk: `own` by step id, `shared` by platform."""

    own: dict[str, float] = {}
    shared: dict[str, float] = {}


class _Span(NamedTuple):
    start: float
    end: float


class Meter:
    """Times of programs, from go builds that end with them one after the other.

    The first program of a platform comes when all is compiled that its programs share: of the time until then as much is its
    own as others took, and the rest is shared. Builds that run side by side share the cores, and so do they their seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._starts: dict[tuple[str, str], float] = {}
        self._ends: dict[tuple[str, str], list[tuple[float, CompileStep]]] = {}

    def ended(self, step: CompileStep, seconds: float) -> None:
        """Takes in that a program is there, so long after its go build has started."""
        build, now = (step.unit, step.group), self._clock()
        self._starts.setdefault(build, now - seconds)
        self._ends.setdefault(build, []).append((now, step))

    def spent(self) -> Spent:
        """Seconds as they would be if nothing else had run beside each go build."""
        spans = [_Span(self._starts[build], ends[-1][0]) for build, ends in self._ends.items()]
        own: dict[str, float] = {}
        firsts: dict[Platform, list[str]] = {}
        platforms: dict[Platform, list[str]] = {}
        for build, ends in self._ends.items():
            firsts.setdefault(ends[0][1].platform, []).append(ends[0][1].id)
            for before, (end, step) in pairwise([(self._starts[build], ends[0][1]), *ends]):
                platforms.setdefault(step.platform, []).append(step.id)
                own[step.id] = max(_alone(_Span(before[0], end), spans), 0.001)
        shared = {}
        for platform, ids in platforms.items():
            dearest = max(firsts[platform], key=own.__getitem__)
            others = [own[id] for id in ids if id != dearest]
            usual = min(own[dearest], _middle(others)) if others else own[dearest]
            shared[str(platform)] = own[dearest] - usual
            own[dearest] = usual
        return Spent(own, shared)


def _middle(seconds: list[float]) -> float:
    from statistics import median  # two milliseconds, which a run with nothing to do has no use for

    return median(seconds)


def _alone(piece: _Span, spans: list[_Span]) -> float:
    """The length of a piece of one of these spans, each moment of it divided by those that were under way."""
    beside = [span for span in spans if span.start < piece.end and span.end > piece.start]
    edges = sorted({*piece, *(edge for span in beside for edge in span if piece.start < edge < piece.end)})
    return sum(
        (end - start) / sum(span.start <= start and end <= span.end for span in beside) for start, end in pairwise(edges)
    )
