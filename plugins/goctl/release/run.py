"""One command line, from what was asked for to what was released."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from goctl.config.model import STAGES
from goctl.contracts import Image
from goctl.errors import ConfigError
from goctl.events import RunFinished, RunStarted, StageStarted, StepFinished
from goctl.plan.make import make
from goctl.plan.model import ImageStep, Plan
from goctl.plan.select import parse, select
from goctl.release.gather import Chosen, gather, wanted_listings
from goctl.release.publish import Publisher
from goctl.release.walk import Hooks, Results, Walk

if TYPE_CHECKING:
    from goctl.release.session import Session

#: What a stage, asked for alone, runs before itself.
DEPENDS = {
    "mod": ("mod",),
    "generate": ("mod", "generate"),
    "build": ("mod", "generate", "build"),
    "image": ("mod", "generate", "build", "image"),
    "archive": ("mod", "generate", "build", "archive"),
    "push": ("mod", "generate", "build", "image", "push"),
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: the task's name, its stages, the selections, and whether to do it or only to tell."""

    task: str
    stages: tuple[str, ...]
    select: tuple[str, ...] = ()
    dry: bool = False


def stages_for(stages: Sequence[str]) -> tuple[str, ...]:
    """The given stages and those that they depend on, in order."""
    wanted = {depended for stage in stages for depended in DEPENDS[stage]}
    return tuple(stage for stage in STAGES if stage in wanted)


def choose(session: Session, selections: Sequence[str]) -> Chosen:
    """The platforms of each chosen target. Raises ConfigError where there is nothing to choose from."""
    if not session.config.targets:
        raise ConfigError(
            "there is nothing to release: no [targets], and no main package below cmd/ or in the root",
            hint='add [targets.NAME] with packages = ["./cmd/NAME"]',
        )
    return select(session.config, parse(selections))


def check_archives(session: Session, chosen: Chosen, stages: Sequence[str]) -> None:
    """Raises ConfigError where archives alone are asked for and no chosen target has any."""
    if tuple(stages) != ("archive",) or any(session.config.targets[name].archive for name in chosen):
        return
    raise ConfigError(
        f"there is nothing to pack: {', '.join(chosen)} {'has' if len(chosen) == 1 else 'have'} no archives",
        hint="write [archive] into goctl.toml for archives of every target, or archive = true into a target's table",
    )


def plan(session: Session, selections: Sequence[str]) -> Plan:
    """The whole plan, looked up without touching anything."""
    chosen = choose(session, selections)
    return make(session.config, gather(session, chosen), chosen)


def release(session: Session, request: Request) -> Results | None:
    """Runs the stages asked for. Returns what they brought forth; None when nothing was to be built."""
    started = time.perf_counter()
    stages = stages_for(request.stages)
    chosen = choose(session, request.select)
    check_archives(session, chosen, request.stages)
    counter = _Counter(session.emit)
    session.emit = counter
    with _finishing(session, counter, started), session.lock():
        session.tidy()
        _prepare(session, stages)
        if not {"build", "image", "archive", "push"} & set(stages):
            return None
        made = make(session.config, gather(session, chosen), chosen)
        session.emit(RunStarted(request.task, made.project, len(made.steps)))
        results = _walk(session, made, stages, chosen)
        if counter.done:
            session.prune()
        return results


def _walk(session: Session, made: Plan, stages: Sequence[str], chosen: Chosen) -> Results:
    publisher = Publisher(session, made) if "push" in stages else None

    def sources_changed() -> Sequence[str]:
        from goctl.golang.snapshot import changed_since_listing

        return changed_since_listing(session) if wanted_listings(session, chosen) else ()

    hooks = Hooks(sources_changed, publisher.begin if publisher is not None else _kept)
    walk = Walk(session, made, hooks)
    try:
        results = walk.run(*(stage for stage in stages if stage in ("build", "image", "archive")))
        if publisher is not None:
            publisher.finish(results, walk.again)
    finally:
        if publisher is not None:
            publisher.close()
    return results


def _kept(step: ImageStep, image: Image) -> None:
    """Without a push stage an image stays in the blob store."""


def _prepare(session: Session, stages: Sequence[str]) -> None:
    """The stages before the plan: they bring about the files that the plan is made from."""
    from goctl.golang import modules

    needs_go = any(target.engine == "embedded" for target in session.config.targets.values())
    if "mod" in stages and needs_go:
        modules.setup(session)
    if "generate" in stages and session.config.go.generate and "generate" in session.config.release.stages:
        session.emit(StageStarted("generate", "go generate"))
        modules.generate(session, session.config.go.generate)


class _Counter:
    """Passes events on, and counts how steps ended."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self.done = 0
        self.cached = 0

    def __call__(self, event: object) -> None:
        if isinstance(event, StepFinished):
            self.cached += event.outcome == "cached"
            self.done += event.outcome == "done"
        self._emit(event)


@contextlib.contextmanager
def _finishing(session: Session, counter: _Counter, started: float) -> Iterator[None]:
    """Tells how the run ended, whichever way it does."""
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        session.emit(RunFinished(time.perf_counter() - started, outcome, counter.done, counter.cached))
