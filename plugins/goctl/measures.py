"""What benchmarks measured, as values: one release, releases in one state, one night, and how it compares with the baseline.

Times are seconds, sizes bytes. `goctl.benchmark` makes them, `goctl.report.benchmark` shows them.
"""

from __future__ import annotations

import statistics
from typing import Final

import msgspec

#: What a release's time is divided into, in the order of time. `plan` begins with the process, `end` ends with it.
PHASES: Final = ("plan", "modules", "compile", "assemble", "push", "end")
#: A fixed piece of work that is done in each round: what it takes tells of the machine, and of nothing else.
CONTROL: Final = "machine"


class Phase(msgspec.Struct, frozen=True):
    """A part of one release. `memory` is the peak of goctl's own process until its end, `moved` what was downloaded or sent;
    `hits` of its `steps` were known already.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    moved: int = 0
    hits: int = 0
    steps: int = 0


class Sample(msgspec.Struct, frozen=True):
    """One release. `cpu` counts every process of it, go's own too; `memory` is the peak of goctl's own process."""

    seconds: float
    cpu: float = 0.0
    memory: int = 0
    phases: dict[str, Phase] = {}

    @property
    def moved(self) -> int:
        return sum(phase.moved for phase in self.phases.values())

    @property
    def hits(self) -> int:
        return sum(phase.hits for phase in self.phases.values())

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases.values())


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured. Figures of machines with different fingerprints are never compared."""

    fingerprint: str
    system: str
    architecture: str
    processor: str
    cores: int
    memory: int


class Point(msgspec.Struct, frozen=True):
    """How a state scales: what a release takes of so many targets for so many platforms, in each round."""

    state: str
    targets: int
    platforms: int
    seconds: tuple[float, ...]


class Night(msgspec.Struct, frozen=True):
    """One run of the benchmark: samples by state, and by contender where others were measured too (`nothing/ko`).

    `date` is ISO 8601. `versions` are those of goctl, go and python.
    """

    project: str
    commit: str
    date: str
    machine: Machine
    samples: dict[str, tuple[Sample, ...]]
    dirty: bool = False
    branch: str = ""
    versions: dict[str, str] = {}
    scaling: tuple[Point, ...] = ()

    def seconds(self, state: str) -> list[float]:
        return [sample.seconds for sample in self.samples.get(state, ())]

    @property
    def states(self) -> list[str]:
        """What was measured, without the machine itself."""
        return [state for state in self.samples if state != CONTROL]


class Verdict(msgspec.Struct, frozen=True):
    """One state beside the baseline: the ratio of medians with its interval, and the greatest that is allowed (0: any).

    `outcome` is new (there is no baseline), faster, same, slower (but allowed) or failed. `phase` is the one that became
    slower the most, from `before` to `after` seconds. `machine` is the ratio that was taken off, for the machine itself was
    that much slower (1: it was not). `since` is the baseline's date, `commits` a range for `git log`.
    """

    state: str
    outcome: str
    ratio: float = 1.0
    low: float = 1.0
    high: float = 1.0
    limit: float = 0.0
    phase: str = ""
    before: float = 0.0
    after: float = 0.0
    machine: float = 1.0
    since: str = ""
    commits: str = ""


class Judgement(msgspec.Struct, frozen=True):
    """All states beside their baselines; `changed` is what of the tools is another version than it was then."""

    verdicts: tuple[Verdict, ...]
    changed: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == "failed")


def median_phases(samples: tuple[Sample, ...]) -> dict[str, float]:
    """The median seconds of each phase."""
    return {
        phase: statistics.median(sample.phases[phase].seconds if phase in sample.phases else 0.0 for sample in samples)
        for phase in PHASES
        if samples
    }
