"""One command line, from what was asked for to what was released."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from goctl.config.model import STAGES
from goctl.contracts import Image
from goctl.errors import ConfigError
from goctl.events import Notice, RunFinished, RunStarted, StageStarted, StepFinished
from goctl.plan.baking import EMBEDDED
from goctl.plan.facts import Facts
from goctl.plan.joined import join
from goctl.plan.make import make
from goctl.plan.model import AnyStep, CompileStep, ImageStep, Plan
from goctl.plan.select import parse, select
from goctl.plan.shard import Shard, slots, split
from goctl.release import costs
from goctl.release.accounts import settling
from goctl.release.attested import refuse_attestations
from goctl.release.gather import Chosen, gather, wanted_by_unit
from goctl.release.offline import refuse_networks
from goctl.release.publish import Publisher
from goctl.release.walk import Hooks, Walk

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.deploys import Deploys

#: What a stage, asked for alone, runs before itself.
DEPENDS = {
    "mod": ("mod",),
    "generate": ("mod", "generate"),
    "build": ("mod", "generate", "build"),
    "image": ("mod", "generate", "build", "image"),
    "archive": ("mod", "generate", "build", "archive"),
    "bake": ("mod", "generate", "bake"),
    "push": ("mod", "generate", "build", "image", "push"),
    "deploy": ("mod", "generate", "build", "image", "push", "deploy"),
}
#: Tasks that take the stages of another: manifests need the digests of what is published.
_AS = {"apply": "deploy", "resolve": "push"}

#: Stages by project.
Stages = Mapping[str, tuple[str, ...]]
#: Those that a plan has steps of.
WALKED = frozenset({"build", "image", "archive", "push"})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: the task's name (a stage, or `release` for those that each project names), the selections, and
    with `since` only what is made differently from how that commit made it; `shard` is a part of the whole, like `1/4`.
    `deploy` is the `[deploy]` table that is meant, `files` are manifests in place of its own; conflicts are taken over, and
    what is no part of a release any more is removed, only where that is asked for.
    """

    task: str
    select: tuple[str, ...] = ()
    since: str = ""
    shard: str = ""
    deploy: str = ""
    files: tuple[str, ...] = ()
    force_conflicts: bool = False
    prune: bool = False


def stages_for(stages: Sequence[str]) -> tuple[str, ...]:
    """The given stages and those that they depend on, in order."""
    wanted = {depended for stage in stages for depended in DEPENDS[stage]}
    return tuple(stage for stage in STAGES if stage in wanted)


def stages_of(crew: Crew, task: str) -> Stages:
    """The stages of a task, by project."""
    return {
        project: stages_for(config.release.stages if task == "release" else (_AS.get(task, task),))
        for project, config in crew.configs.items()
    }


def asked_for(crew: Crew, made: Plan, stages: Stages) -> Plan:
    """The steps of a plan that these stages take. A program that two projects want is compiled if either does."""
    steps = tuple(step for step in made.steps if any(step.stage in stages[project] for project in _projects(crew, step)))
    return msgspec.structs.replace(made, steps=steps)


def _projects(crew: Crew, step: AnyStep) -> set[str]:
    """Those that want a step."""
    if crew.is_workspace and isinstance(step, CompileStep):
        return {target.partition(":")[0] for target in step.targets}
    return {step.project or crew.name}


def choose(crew: Crew, selections: Sequence[str]) -> dict[str, Chosen]:
    """The platforms of each chosen target of each project. Raises ConfigError where there is nothing to choose from."""
    if not any(config.targets for config in crew.configs.values()):
        raise ConfigError(
            "there is nothing to release: no [targets], and no main package below cmd/ or in the root",
            hint='add [targets.NAME] with packages = ["./cmd/NAME"]',
        )
    return dict(select(crew.configs, parse(selections)))


def narrowed(crew: Crew, chosen: Mapping[str, Chosen], since: str) -> Mapping[str, Chosen]:
    """Of a choice, what was asked for by `--since`."""
    if not since:
        return chosen
    from goctl.release import since as comparison

    found = comparison.since(crew, since, chosen)
    affected = found.chosen(chosen)
    if not affected:
        crew.first.emit(Notice(f"nothing is affected since {since} ({found.commit[:12]})", level="info"))
    return affected


def check_archives(crew: Crew, chosen: Mapping[str, Chosen], task: str) -> None:
    """Raises ConfigError where archives alone are asked for and no chosen target has any."""
    names = [(project, name) for project, own in chosen.items() for name in own]
    if task != "archive" or any(crew.configs[project].targets[name].archive for project, name in names):
        return
    whose = f"{', '.join(name for _, name in names)} {'has' if len(names) == 1 else 'have'}"
    raise ConfigError(
        f"there is nothing to pack: {whose} no archives",
        hint="write [archive] into goctl.toml for archives of every target, or archive = true into a target's table",
    )


def plan(crew: Crew, chosen: Mapping[str, Chosen]) -> Plan:
    """The whole plan. In a crew that only looks, nothing is touched."""
    return _joined(crew, _plans(crew, chosen))


class _Planned(NamedTuple):
    """A project's own plan, and what it was made from."""

    plan: Plan
    facts: Facts


def _plans(crew: Crew, chosen: Mapping[str, Chosen]) -> dict[str, _Planned]:
    facts = gather(crew, chosen)
    return {
        project: _Planned(make(crew.sessions[project].config, facts[project], own), facts[project])
        for project, own in chosen.items()
    }


def _joined(crew: Crew, plans: Mapping[str, _Planned]) -> Plan:
    own = [planned.plan for planned in plans.values()]
    return join(crew.name, own, crew.configs) if crew.is_workspace else own[0]


def release(crew: Crew, request: Request) -> None:
    """Runs the stages asked for, projects that need others after these."""
    started = time.perf_counter()
    stages = stages_of(crew, request.task)
    shard = Shard.parse(request.shard) if request.shard else None
    deploys = _deploys(crew, request, stages)
    everything = choose(crew, deploys.targets if deploys is not None else request.select)
    check_archives(crew, everything, request.task)
    pushing = {project: own for project, own in everything.items() if "push" in stages[project]}
    refuse_networks(crew, pushing)
    refuse_attestations(crew, pushing)
    counter = _Counter(crew.first.emit)
    crew.listen(counter)
    with _finishing(counter, started), crew.first.lock(), settling(crew.first), _sharing(crew):
        crew.first.tidy()
        if request.since:
            prepare(crew, everything, dict.fromkeys(everything, ("mod", "generate")))
        chosen = narrowed(crew, everything, request.since)
        if shard is not None:
            prepare(crew, chosen, stages)
            _release_part(crew, request, shard, chosen, stages)
            return
        # Only what is pushed can be needed by others.
        waves = crew.waves(chosen) if any("push" in each for each in stages.values()) else [list(chosen)]
        for wave in waves:
            own = {project: chosen[project] for project in wave}
            prepare(crew, own, stages)
            planned = {project: each for project, each in own.items() if {*WALKED, "bake"} & set(stages[project])}
            if planned:
                plans = _plans(crew, planned)
                made = asked_for(crew, _joined(crew, plans), stages)
                counter(RunStarted(request.task, made.project, len(made.steps)))
                _walk(crew, made, planned, deploys)
                _bake(crew, plans, stages)
            if deploys is not None:
                deploys.carry_out(wave)
        if counter.done:
            crew.first.prune()


def _release_part(crew: Crew, request: Request, shard: Shard, chosen: Mapping[str, Chosen], stages: Stages) -> None:
    """One shard: its part of the plan is made and sent, and what the merge must know is left in dist/."""
    from goctl.release import shards

    made = asked_for(crew, plan(crew, chosen), stages)
    parts = split(slots(chosen), costs.read(crew.first.state), shard.count)
    own = shards.own_steps(made, parts[shard.number - 1], crew.name)
    crew.first.emit(RunStarted(request.task, made.project, len(own.steps)))
    results = Walk(crew, own, Hooks(lambda: _edited(crew, chosen), _kept)).run()
    if any(made.of("push")):
        shards.publish(crew, made, own, results)
    shards.write(crew, shard, shards.split_of(made, parts), made, own, results)


def _edited(crew: Crew, chosen: Mapping[str, Chosen]) -> list[str]:
    """Sources that were written to since they were listed."""
    from goctl.golang.snapshot import changed_since_listing

    units = [crew.units[unit] for unit, wanted in wanted_by_unit(crew, chosen).items() if wanted]
    return [path for unit in units for path in changed_since_listing(unit)]


def _deploys(crew: Crew, request: Request, stages: Stages) -> Deploys | None:
    """What is deployed at the end, checked before anything is built; None where nothing is."""
    deploying = [project for project, own in stages.items() if "deploy" in own or request.task == "resolve"]
    named = [project for project in deploying if crew.configs[project].release.deploy]
    if not deploying or request.shard or (request.task == "release" and not request.deploy and not named):
        return None
    from goctl.release.deploys import Deploys

    return Deploys(crew, request, deploying)


def _walk(crew: Crew, made: Plan, chosen: Mapping[str, Chosen], deploys: Deploys | None = None) -> None:
    publisher = Publisher(crew, made) if any(made.of("push")) else None
    hooks = Hooks(lambda: _edited(crew, chosen), publisher.begin if publisher is not None else _kept)
    walk = Walk(crew, made, hooks)
    try:
        results = walk.run()
        if publisher is not None:
            pushes = publisher.finish(results, walk.again)
            if deploys is not None:
                deploys.add(made, pushes)
    finally:
        if publisher is not None:
            publisher.close()
    costs.learn(crew.first.state, costs.of_plan(made, results.spent, results.cached, crew.name))


def merge(crew: Crew, folders: Sequence[str]) -> None:
    """Joins what the shards of a release made."""
    from goctl.release import shards

    started = time.perf_counter()
    counter = _Counter(crew.first.emit)
    crew.listen(counter)
    with _finishing(counter, started), crew.first.lock():
        shards.merge(crew, folders)


def _bake(crew: Crew, plans: Mapping[str, _Planned], stages: Stages) -> None:
    """Bake files, after the programs that their images may be made of."""
    baking = {project: planned for project, planned in plans.items() if "bake" in stages[project]}
    if not baking:
        return
    from goctl.release.bake import write_stage

    for project, planned in baking.items():
        write_stage(crew.sessions[project], planned.plan, planned.facts)


def _kept(step: ImageStep, image: Image) -> None:
    """Without a push stage an image stays in the blob store."""


def prepare(crew: Crew, chosen: Mapping[str, Chosen], stages: Stages) -> None:
    """The stages before the plan: they bring about the files that the plan is made from.

    Where a level of the cache tells what go list would say, modules are seen to when something is compiled.
    """
    from goctl.golang import modules
    from goctl.golang.snapshot import adopt

    needing = [
        project
        for project in chosen
        if "mod" in stages[project] and any(t.engine == EMBEDDED for t in crew.configs[project].targets.values())
    ]
    wanted = wanted_by_unit(crew, chosen) if crew.first.stores.shared is not None else {}
    for unit in dict.fromkeys(crew.unit_name(project) for project in needing):
        if unit in wanted and not modules.is_set_up(crew.units[unit]) and adopt(crew.units[unit], wanted[unit]):
            crew.unprepared.add(unit)
        else:
            modules.setup(crew.units[unit], crew.first.stores.levels)
    for project in chosen:
        session = crew.sessions[project]
        patterns = session.config.go.generate
        if "generate" in stages[project] and patterns and "generate" in session.config.release.stages:
            session.emit(StageStarted("generate", "go generate"))
            modules.generate(session, patterns)


class _Counter:
    """Passes events on, and counts how steps ended."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self.done = 0
        self.cached = 0

    def __call__(self, event: object) -> None:
        # What BuildKit does within a step is not a step of the plan.
        if isinstance(event, StepFinished) and not event.step.startswith("buildkit:"):
            self.cached += event.outcome == "cached"
            self.done += event.outcome == "done"
        self._emit(event)


@contextlib.contextmanager
def _sharing(crew: Crew) -> Iterator[None]:
    """Finishes what is shared of the compiler's work, once all else is done."""
    well = False
    try:
        yield
        well = True
    finally:
        actions = crew.first.stores.go_actions
        if actions is not None:
            from goctl.release.compiled import finish

            crew.first.stores.go_actions = None
            finish(crew.first, actions, abandon=not well)


@contextlib.contextmanager
def _finishing(counter: _Counter, started: float) -> Iterator[None]:
    """Tells how the run ended, whichever way it does."""
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        counter(RunFinished(time.perf_counter() - started, outcome, counter.done, counter.cached))
