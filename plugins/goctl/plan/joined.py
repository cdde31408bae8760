"""One plan from those of several projects, and the order that they are released in."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from goctl.config.model import Config
from goctl.errors import ConfigError
from goctl.plan.baking import EMBEDDED
from goctl.plan.model import AnyStep, CompileStep, Plan, Program, PushStep, Skipped


def order(configs: Mapping[str, Config]) -> list[list[str]]:
    """Projects by name in waves: each needs only those of waves before it. Raises ConfigError for a cycle, told in full."""
    graph = {name: tuple(need for need in config.project.needs if need in configs) for name, config in configs.items()}
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        # Its members stand in the order "is needed by".
        cycle = " needs ".join(reversed(error.args[1]))
        raise ConfigError(f"project.needs goes around in a circle: {cycle}", hint="take one of them out") from None
    waves = []
    while sorter.is_active():
        ready = set(sorter.get_ready())
        waves.append([name for name in configs if name in ready])
        sorter.done(*ready)
    return waves


def join(name: str, plans: Sequence[Plan], configs: Mapping[str, Config] = MappingProxyType({})) -> Plan:
    """One plan over several projects. What two of them would compile alike is one step, with the files of both.

    Targets are told as `project:target`, and steps say which project they are of. Raises ConfigError where two targets would
    be pushed under one name; `configs` tells which registries of several projects are the same.
    """
    joiner = _Joiner()
    for plan in plans:
        joiner.add(plan)
    joiner.check(configs)
    return Plan(
        project=name,
        version=None if len(plans) != 1 else plans[0].version,
        steps=(*joiner.compiles.values(), *joiner.others),
        skipped=tuple(joiner.skipped),
        unknown=tuple(dict.fromkeys(words for plan in plans for words in plan.unknown)),
    )


class _Joiner:
    """Collects the steps of several plans; `_names` has the new id of each step of the plan that is being added."""

    def __init__(self) -> None:
        self.compiles: dict[tuple[str, ...], CompileStep] = {}
        self.others: list[AnyStep] = []
        self.skipped: list[Skipped] = []
        self._ids: set[str] = set()
        self._names: dict[str, str] = {}

    def add(self, plan: Plan) -> None:
        self._names = {}
        for step in plan.steps:
            if isinstance(step, CompileStep):
                self._compile(plan.project, step)
            else:
                self.others.append(self._renamed(plan.project, step))
        self.skipped += [Skipped(f"{plan.project}: {skipped.what}", skipped.why) for skipped in plan.skipped]

    def _compile(self, project: str, step: CompileStep) -> None:
        targets = tuple(f"{project}:{target}" for target in step.targets)
        # Another engine's programs are its own affair: it is never asked to make one for two projects.
        slot = (step.unit, step.import_path, step.group, step.engine, "" if step.engine == EMBEDDED else project)
        known = self.compiles.get(slot)
        if known is None:
            id = step.id if step.id not in self._ids else f"{step.id}#{project}"
            self._ids.add(id)
            self.compiles[slot] = msgspec.structs.replace(step, id=id, project=project, targets=targets)
            self._names[step.id] = id
            return
        self._names[step.id] = known.id
        self.compiles[slot] = msgspec.structs.replace(
            known, targets=(*known.targets, *targets), outputs=(*known.outputs, *step.outputs)
        )

    def _renamed(self, project: str, step: AnyStep) -> AnyStep:
        """A step that is one project's alone, with the names that it and its inputs have in the joined plan."""
        kind, _, rest = step.id.partition(":")
        self._names[step.id] = id = f"{kind}:{project}:{rest}"
        needs = tuple(self._names[need] for need in step.needs)
        changes: dict[str, object] = {"id": id, "project": project, "needs": needs}
        target = getattr(step, "target", "")
        if target:
            changes["target"] = f"{project}:{target}"
            changes["title"] = step.title.replace(target, f"{project}:{target}", 1)
        programs: Iterable[Program] | None = getattr(step, "programs", None)
        if programs is not None:
            changes["programs"] = tuple(
                # Programs that are compiled inside an image are no steps.
                msgspec.structs.replace(program, step=self._names.get(program.step, program.step))
                for program in programs
            )
        return msgspec.structs.replace(step, **changes)

    def check(self, configs: Mapping[str, Config]) -> None:
        """Refuses two targets that would take each other's tags away."""
        taken: dict[tuple[str, str], PushStep] = {}
        for step in self.others:
            if not isinstance(step, PushStep):
                continue
            registries = configs[step.project].registries if step.project in configs else {}
            address = registries[step.registry].url if step.registry in registries else step.registry
            for tag in step.tags:
                other = taken.setdefault((f"{address.rstrip('/')}/{step.repository}", tag), step)
                if other.target != step.target:
                    raise ConfigError(
                        f"{other.target} and {step.target} would both be {step.repository}:{tag} in {step.registry}",
                        hint="give one of them another image.repository",
                    )
