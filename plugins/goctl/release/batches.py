"""Programs to compile, in batches: each engine's together, unit by unit, less those that other runs are making already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from goctl.contracts import Outcome
from goctl.errors import ExtensionError
from goctl.plan.model import CompileStep
from goctl.release import afar
from goctl.release.flights import Flights
from goctl.release.known import Known

if TYPE_CHECKING:
    from goctl.release.crew import Crew


class Batches:
    """Compile steps of one plan as work for threads. `put` is handed every outcome, from any of them."""

    def __init__(
        self, crew: Crew, plan: Sequence[CompileStep], known: Known, flights: Flights, put: Callable[[Outcome], None]
    ) -> None:
        self._crew = crew
        self._plan = plan
        self._known = known
        self._flights = flights
        self._put = put
        #: Programs that another run made while this one waited for it: ids of their steps.
        self.taken: set[str] = set()

    def of(self, steps: Iterable[CompileStep]) -> Iterator[Callable[[], None]]:
        """What compiles the steps, a call for each engine. Raises ExtensionError for an engine that compiles nothing."""
        batches: dict[str, dict[str, list[CompileStep]]] = {}
        for step in steps:
            batches.setdefault(step.engine, {}).setdefault(step.unit, []).append(step)
        for name, units in batches.items():
            yield self._work(name, units)

    def _work(self, name: str, units: Mapping[str, list[CompileStep]]) -> Callable[[], None]:
        for unit, batch in units.items():
            self._crew.prepare(unit, batch)
            engine = self._crew.host(batch[0]).engine(name)
            if "compile" not in engine.kinds:
                raise unable(name, "compile", engine.kinds)

        def work() -> None:
            # One unit after the other: each fills the cores by itself.
            for batch in units.values():
                left = self._alone(batch)
                for outcome in self._crew.host(batch[0]).engine(name).run(left, {}) if left else ():
                    self._put(outcome)

        return work

    def _alone(self, batch: list[CompileStep]) -> list[CompileStep]:
        """The steps of a batch that this run has to do, once nobody else is at the same: what others made is taken."""
        # By all of the unit's programs: what is known of them already differs from one machine to the next.
        flight = [step for step in self._plan if step.unit == batch[0].unit]
        if not self._flights.begin(flight, lambda: self._is_brought(batch)):
            return batch
        left = []
        for step in batch:
            program = self._known.program(step)
            if program is not None:
                self.taken.add(step.id)
                self._put(Outcome(step.id, program))
            else:
                left.append(step)
        return left

    def _is_brought(self, batch: list[CompileStep]) -> bool:
        """Whether others made all of a batch, and it is here: what is known of a program may arrive before it does."""
        if not all(self._known.arrived(step) for step in batch):
            return False
        afar.bring(self._known, batch)
        return all(self._known.program(step) is not None for step in batch)


def unable(engine: str, what: str, kinds: frozenset[str]) -> ExtensionError:
    """An engine that was named for steps which it does not do."""
    return ExtensionError(f"the engine {engine!r} cannot {what}", hint=f"it does these steps: {', '.join(sorted(kinds))}")
