"""The walk over a plan: what is known is skipped, what is ready is done, and each result at once makes the next step ready.

Programs are compiled by batches; as each is linked its images are assembled and its archives packed, and as each image is
whole its content goes to every registry, while the compiler is still at work. Indexes close a target. Names come last of
all: when every registry has everything of every target (publish.py).
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from goctl.contracts import Archive, Artifact, Binary, Engine, Image, Index, Outcome
from goctl.errors import BuildError, ExtensionError, GoctlError, joined
from goctl.events import StepStarted
from goctl.plan.baking import EMBEDDED
from goctl.plan.model import (
    AnyStep,
    ArchiveStep,
    ChecksumsStep,
    CompileStep,
    DeployStep,
    ImageStep,
    IndexStep,
    Plan,
    PushStep,
)
from goctl.release import afar
from goctl.release.batches import Batches, unable
from goctl.release.costs import Meter, Spent
from goctl.release.flights import Flights
from goctl.release.known import Known
from goctl.release.tell import tell_archive, tell_programs, tell_step
from goctl.values import Digest

if TYPE_CHECKING:
    from goctl.release.crew import Crew

#: Images and archives made at the same time. Each is compressed by all cores, and holds some memory.
ASSEMBLERS = 2


class Results(msgspec.Struct, frozen=True):
    """What a walk brought forth: artifacts and seconds by step id; `cached` holds the ids of steps that were known, `spent`
    what the others took.
    """

    artifacts: dict[str, Artifact]
    cached: frozenset[str]
    seconds: dict[str, float]
    spent: Spent


class Hooks(msgspec.Struct, frozen=True):
    """What a walk asks others: which source files were edited since the plan was made, and who takes a new image."""

    sources_changed: Callable[[], Sequence[str]]
    image_made: Callable[[ImageStep, Image], object]


class Walk:
    """One walk over one plan. All of its state belongs to the thread that calls it; workers only put into its queue."""

    def __init__(self, crew: Crew, plan: Plan, hooks: Hooks) -> None:
        self._crew = crew
        self._session = crew.first
        self._steps = plan.by_id()
        self._hooks = hooks
        self._known = Known(crew.first)
        self._artifacts: dict[str, Artifact] = {}
        self._cached: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._meter = Meter()
        self._errors: list[GoctlError] = []
        self._flights = Flights(crew.first)
        self._dependents: dict[str, list[AnyStep]] = {}
        self._fresh: list[tuple[CompileStep, Binary]] = []
        #: Programs that levels of the cache know, and that are not here: ids of their steps.
        self._afar: set[str] = set()
        self._ended: queue.SimpleQueue[Outcome | Future[None]] = queue.SimpleQueue()
        compiles = [step for step in self._steps.values() if isinstance(step, CompileStep)]
        self._batches = Batches(crew, compiles, self._known, self._flights, self._ended.put)
        #: Images that wait for the others of their engine, and ids of those that are made although they are known.
        self._waiting: list[ImageStep] = []
        self._again: set[str] = set()
        self._running: set[Future[None]] = set()
        self._compiling: set[Future[None]] = set()

    def run(self) -> Results:
        """Walks the steps that make something. Raises when every step that could end has ended."""
        steps = [step for step in self._steps.values() if not isinstance(step, PushStep | DeployStep)]
        with ThreadPoolExecutor(8, "compile") as compilers, ThreadPoolExecutor(ASSEMBLERS, "assemble") as self._assemblers:
            try:
                for step in steps:
                    for need in step.needs:
                        self._dependents.setdefault(need, []).append(step)
                self._compile([step for step in steps if isinstance(step, CompileStep)], compilers)
                if self._compiling:
                    self._announce(steps)
                for step in steps:
                    if not step.needs and not isinstance(step, CompileStep):
                        self._advance(step)
                self._drain()
            except BaseException:
                compilers.shutdown(wait=False, cancel_futures=True)
                self._assemblers.shutdown(wait=False, cancel_futures=True)
                self._flights.close()
                raise
        return self._results()

    def again(self, steps: Iterable[ImageStep]) -> Results:
        """Makes images once more whose content has gone from the blob store although their digests are known."""
        steps = list(steps)
        self._again = {step.id for step in steps}
        with ThreadPoolExecutor(8, "compile") as compilers, ThreadPoolExecutor(ASSEMBLERS, "assemble") as self._assemblers:
            self._make_programs({need for step in steps for need in step.needs if need in self._afar}, compilers)
            for step in steps:
                self._assemble(step)
            self._drain()
        return self._results()

    def _results(self) -> Results:
        if self._errors:
            raise self._errors[0] if len(self._errors) == 1 else joined(self._errors)
        own = {id: seconds for id, seconds in self._seconds.items() if isinstance(self._steps[id], ImageStep)}
        spent = self._meter.spent()
        return Results(self._artifacts, frozenset(self._cached), self._seconds, Spent(own | spent.own, spent.shared))

    def _drain(self) -> None:
        """Takes what workers hand in until none is left."""
        while self._running:
            ended = self._ended.get()
            if isinstance(ended, Future):
                self._running.discard(ended)
                ended.result()
                if ended in self._compiling:
                    self._compiling.discard(ended)
                    if not self._compiling:
                        self._learn_programs()
            else:
                self._session.check()
                self._take(ended)

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> Future[None]:
        future = pool.submit(work)
        self._running.add(future)
        future.add_done_callback(self._ended.put)
        return future

    def _compile(self, steps: list[CompileStep], pool: ThreadPoolExecutor) -> None:
        shared = self._session.stores.shared
        if shared is not None:
            afar.look_up(shared, steps)
        programs = {step.id: self._known.program(step) for step in steps}
        lacking = [step for step in steps if programs[step.id] is None]
        if shared is not None and lacking:
            here = {id: program.digest for id, program in programs.items() if program is not None}
            told = afar.spared(shared, self._known, lacking, here, self._steps.values())
            self._afar = set(told)
            programs |= {step.id: told.get(step.id) or self._known.program(step) for step in lacking}
        for step in steps:
            program = programs[step.id]
            if program is not None:
                self._known.count(step)
                self._finish(step, program, cached=True)
        self._start([step for step in steps if programs[step.id] is None], pool)

    def _make_programs(self, ids: set[str], pool: ThreadPoolExecutor) -> None:
        """Sees to it that programs which only levels knew of are here: brought, or else compiled.

        Raises BuildError where one comes out as another than a level said.
        """
        steps = [step for id in ids if isinstance(step := self._steps[id], CompileStep)]
        before = {step.id: self._artifacts[step.id].digest for step in steps}
        afar.bring(self._known, steps)
        self._afar -= ids
        self._start([step for step in steps if self._known.program(step) is None], pool)
        self._drain()
        wrong = [step for step in steps if step.id in self._artifacts and self._artifacts[step.id].digest != before[step.id]]
        for step in wrong:
            self._known.forget(step)
        if wrong:
            raise BuildError(
                f"{wrong[0].title}: what a level of the cache said of it is not what it is; that is forgotten now",
                hint='run it again; sign = "env:NAME" keeps others from writing there',
            )

    def _start(self, steps: Iterable[CompileStep], pool: ThreadPoolExecutor) -> None:
        for work in self._batches.of(steps):
            self._compiling.add(self._submit(pool, work))

    def _advance(self, step: AnyStep) -> None:
        """Does a step, or finds it known, as soon as all that it needs is there."""
        if step.id in self._artifacts or any(need not in self._artifacts for need in step.needs):
            return
        known = self._recall(step)
        if known is not None:
            self._finish(step, known, cached=True)
            self._hand_waiting()
        else:
            self._assemble(step)

    def _recall(self, step: AnyStep) -> Artifact | None:
        match step:
            case ImageStep():
                return self._known.image(self._key(step))
            case IndexStep():
                index = self._known.index(self._key(step))
                return index if index is not None and self._session.blobs.has(index.digest, index.descriptor.size) else None
            case ArchiveStep():
                return self._known.archive(step, self._key(step))
            case ChecksumsStep():
                return self._known.checksums(step, self._digests(step))
        return None

    def _digests(self, step: AnyStep) -> dict[str, Digest]:
        return {need: self._artifacts[need].digest for need in step.needs}

    def _key(self, step: AnyStep) -> Digest | None:
        return step.key(self._digests(step))

    def _assemble(self, step: AnyStep) -> None:
        """Hands a step to its engine, once its inputs are there; to one that takes all of a project's steps at once, when
        the last of them has become ready."""
        engine = self._crew.host(step).engine(step.engine)
        if step.stage not in engine.kinds:
            raise unable(step.engine, f"make {step.stage}s", engine.kinds)
        if not isinstance(step, ImageStep) or not getattr(engine, "takes_all", False):
            self._hand([step], engine, fetches=True)
            return
        self._waiting.append(step)
        self._hand_waiting()

    def _announce(self, steps: Iterable[AnyStep]) -> None:
        """Tells engines that can get ready meanwhile that there will be images to make."""
        for host, name in {(self._crew.host(step), step.engine) for step in steps if isinstance(step, ImageStep)}:
            if name != EMBEDDED and (expect := getattr(host.engine(name), "expect", None)) is not None:
                expect()

    def _hand_waiting(self) -> None:
        for slot in {(step.project, step.engine) for step in self._waiting}:
            ready = [step for step in self._waiting if (step.project, step.engine) == slot]
            images = (step for step in self._steps.values() if isinstance(step, ImageStep))
            lacking = (step for step in images if step.id not in self._artifacts or step.id in self._again)
            if all(step in ready for step in lacking if (step.project, step.engine) == slot):
                self._waiting = [step for step in self._waiting if step not in ready]
                self._hand(ready, self._crew.host(ready[0]).engine(slot[1]), fetches=False)

    def _hand(self, steps: Sequence[AnyStep], engine: Engine, *, fetches: bool) -> None:
        inputs = {need: self._artifacts[need] for step in steps for need in step.needs}
        host = self._crew.host(steps[0])

        def work() -> None:
            self._session.check()
            for step in steps:
                if isinstance(step, ImageStep | ArchiveStep):
                    self._session.emit(StepStarted(step.id, step.title, step.target, str(step.platform)))
                if fetches and isinstance(step, ImageStep) and step.base is not None:
                    host.bases.fetch(step.base)
            for outcome in self._believed(engine.run(steps, inputs)):
                self._ended.put(outcome)

        self._submit(self._assemblers, work)

    def _believed(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Outcomes, but for images whose programs were compiled with them while sources were edited: those failed."""
        edited: Sequence[str] | None = None
        for outcome in outcomes:
            step = self._steps[outcome.step]
            baking = step.baking if isinstance(step, ImageStep) else None
            if outcome.artifact is not None and baking is not None and baking.inside:
                # All that is compiled for images of one engine is compiled before the first of them is whole.
                edited = self._edited() if edited is None else edited
                yield Outcome(outcome.step, error=_unsure(edited)) if edited else outcome
            else:
                yield outcome

    def _take(self, ended: Outcome) -> None:
        step = self._steps[ended.step]
        self._seconds[step.id] = ended.seconds
        match step, ended.artifact:
            case CompileStep(), Binary() as binary if step.id in self._batches.taken:
                self._finish(step, binary, cached=True)
                return
            case CompileStep(), Binary() as binary:
                self._fresh.append((step, binary))
                self._meter.ended(step, ended.seconds)
            case ImageStep(), Image() as image:
                self._known.learn_image(self._key(step), image, step, ended.seconds)
                self._hooks.image_made(step, image)
            case IndexStep(), Index() as index:
                self._known.learn_index(self._key(step), index)
            case ArchiveStep(), Archive() as archive:
                self._known.learn_archive(self._key(step), archive, step, ended.seconds)
            case ChecksumsStep(), Archive() as file:
                self._known.learn_checksums(file)
            case _:
                self._errors.append(ended.error or _no_result(step))
                tell_step(self._session.emit, step, "failed", seconds=ended.seconds)
                return
        self._finish(step, ended.artifact)

    def _learn_programs(self) -> None:
        """Notes what was compiled, unless sources were edited meanwhile: then nobody knows what went into the programs."""
        fresh, self._fresh = self._fresh, []
        changed = self._edited() if fresh else ()
        if changed:
            self._errors.append(_unsure(changed))
            return
        for step, binary in fresh:
            self._known.learn_program(step, binary, self._seconds.get(step.id, 0.0) / len(fresh))
        self._flights.settle()

    def _edited(self) -> Sequence[str]:
        """The sources that were edited since the plan was made. Where none was, what was compiled may be believed."""
        changed = self._hooks.sources_changed()
        actions = self._session.stores.go_actions
        if actions is not None:
            (actions.drop if changed else actions.keep)()
        return changed

    def _finish(self, step: AnyStep, artifact: Artifact, *, cached: bool = False) -> None:
        self._artifacts[step.id] = artifact
        if cached:
            self._cached.add(step.id)
        outcome = "cached" if cached else "done"
        tell_step(self._session.emit, step, outcome, seconds=self._seconds.get(step.id, 0.0), size=artifact.size)
        if isinstance(step, CompileStep) and isinstance(artifact, Binary) and step.id not in self._afar:
            tell_programs(self._session.emit, step, artifact, cached=cached)
        elif isinstance(step, ArchiveStep | ChecksumsStep) and isinstance(artifact, Archive):
            tell_archive(self._session.emit, step, artifact, cached=cached)
        for dependent in self._dependents.get(step.id, ()):
            self._advance(dependent)


def _unsure(changed: Sequence[str]) -> BuildError:
    return BuildError(
        f"sources were edited while they were compiled: {', '.join(changed[:5])}",
        hint="run it again: what was compiled is not used",
    )


def _no_result(step: AnyStep) -> ExtensionError:
    return ExtensionError(f"the engine {step.engine!r} gave neither a result nor an error for {step.id}")
