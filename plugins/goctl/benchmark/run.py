"""A night: machines are made, rounds are measured until the gate can tell, the night is kept and judged."""

from __future__ import annotations

import contextlib
import datetime
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from goctl.benchmark import gate, rounds
from goctl.benchmark.machine import Machine, control, furnish, machine, remove
from goctl.benchmark.peers import OURS, Contender, engine, present
from goctl.benchmark.program import Program, find
from goctl.benchmark.rounds import Limits, Samples
from goctl.benchmark.states import STATES, State
from goctl.benchmark.storage import Results, this_machine
from goctl.config import benchmark as settings
from goctl.config.loader import Loaded, load
from goctl.errors import ConfigError, ToolchainError
from goctl.measures import CONTROL, Judgement, Night, Point, Sample
from goctl.plan.select import platforms_of
from goctl.system.process import run

Tell = Callable[[str], None]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for beyond the settings. `states` and `count` (of rounds) replace theirs; `accept` makes this night the
    baseline; `scaling` measures parts of the project too, `peers` others beside goctl, `buildkit` its BuildKit engine;
    `work` is the folder to work in (default: a temporary one).
    """

    file: Path
    states: tuple[str, ...] = ()
    count: int = 0
    accept: bool = False
    scaling: bool = False
    peers: bool = False
    buildkit: bool = False
    work: Path | None = None


class Outcome(msgspec.Struct, frozen=True):
    """A night, how it compares and with what, where it is kept, and those before it."""

    night: Night
    judgement: Judgement
    baselines: Mapping[str, Night]
    file: Path
    history: tuple[Night, ...]
    loaded: Loaded


def bench(request: Request, tell: Tell) -> Outcome:
    """Measures a night. `tell` hears of every step. Raises GoctlError where a release cannot be made."""
    loaded = load(request.file)
    asked = loaded.config.benchmark
    states = _states(request.states or asked.states)
    results = Results(loaded.file.parent / asked.results, this_machine())
    limits = {state.name: settings.limit(asked, state.name) for state in states}
    exactly = request.count or (0 if asked.rounds == "auto" else asked.rounds)
    contenders = [OURS, *([engine(loaded.config)] if request.buildkit else ())]
    contenders += present(loaded.config) if request.peers else ()
    with _folder(request.work) as work, contextlib.ExitStack() as stack:
        runs, machines = _machines(work, states, find(loaded), asked.select, contenders, stack, tell)
        baselines = {} if request.accept else results.baselines(runs)
        runs[CONTROL] = lambda _: control(work, machines[states[0].name].env)
        samples = rounds.measure(
            runs, Limits(exactly, asked.most_rounds), _decided(baselines, limits), lambda *seen: tell(_line(*seen))
        )
        scaling = _scaling(machines, tell) if request.scaling else ()
        night = _night(loaded, machines[states[0].name], samples, scaling)
    judgement = gate.judge(night, baselines, limits)
    history = tuple(results.nights())
    file = results.save(night)
    results.accept(night, [state for state in night.states if state not in baselines])
    return Outcome(night, judgement, baselines, file, history, loaded)


def _states(names: Sequence[str]) -> list[State]:
    for name in names:
        if name not in STATES:
            raise ConfigError(f"there is no state {name!r}", hint=f"there are {', '.join(STATES)}")
    return [STATES[name] for name in dict.fromkeys(names)]


@contextlib.contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        if any(work.iterdir()):
            raise ConfigError(f"{work} is not empty", hint="name a folder that is empty, or not there yet")
        yield work.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="goctl-bench-")).resolve()
    try:
        yield made
    finally:
        remove(made)


def _machines(
    work: Path,
    states: Sequence[State],
    program: Program,
    select: Sequence[str],
    contenders: Sequence[Contender],
    stack: contextlib.ExitStack,
    tell: Tell,
) -> tuple[dict[str, rounds.Run], dict[str, Machine]]:
    """What is measured, by name, and goctl's machines by state. Each contender has a machine of its own for each state.

    All caches come from one cold release, which is not counted: it shows that the project can be released.
    """
    runs: dict[str, rounds.Run] = {}
    machines: dict[str, Machine] = {}
    tell("first release, with nothing")
    with machine(work / "seed", STATES["cold"], program, select) as seed:
        seed.release()
        for state in states:
            for one in contenders:
                name = f"{state.name}/{one.name}" if one.name else state.name
                if not one.takes_part(state):
                    tell(f"{name} is left out: a builder's cache is not emptied")
                    continue
                tell(f"preparing {name}")
                made = stack.enter_context(machine(work / name.replace("/", "-"), state, program, select, one.images))
                furnish(made, seed, partial(one.run, made))
                runs[name] = partial(_once, made, one.run)
                if not one.name:
                    machines[name] = made
    remove(work / "seed")
    return runs, machines


def _once(machine: Machine, run: Callable[[Machine], Sample], number: int) -> Sample:
    """One round: the state is brought about, then measured."""
    machine.prepare(number + 1)
    return run(machine)


def _decided(baselines: Mapping[str, Night], limits: Mapping[str, float]) -> Callable[[str, Samples], bool]:
    """Whether the gate can tell of a state; without a baseline, whether it is known well enough to be one."""

    def decided(state: str, made: Samples) -> bool:
        after = [sample.seconds for sample in made[state]]
        if state not in baselines:
            return gate.is_precise(after)
        baseline = baselines[state]
        now = [sample.seconds for sample in made.get(CONTROL, ())]
        found = gate.compare(after, baseline.seconds(state), now, baseline.seconds(CONTROL))
        return gate.is_decided(found.ratio, limits.get(state, 0.0))

    return decided


def _scaling(machines: Mapping[str, Machine], tell: Tell, count: int = 5) -> tuple[Point, ...]:
    """Releases of a part of the targets, and of the platforms, with nothing to do: how either adds."""
    base = machines.get("nothing")
    if base is None:
        raise ConfigError("scaling is measured in the state nothing, which is left out", hint="add it to the states")
    config = base.config
    names = list(config.targets)
    platforms = list(dict.fromkeys(str(each) for target in config.targets.values() for each in platforms_of(config, target)))
    points = []
    for targets, on in _parts(len(names), len(platforms)):
        select = tuple(f"{name}@{each}" for name in names[:targets] for each in platforms[:on])
        here = [one for one in select if _exists(base, one)]
        part = _Selected(base, here)
        part.release()  # the first one writes down what it chose
        seconds = tuple(part.release().seconds for _ in range(count))
        tell(f"{targets} targets for {on} platforms: {sorted(seconds)[count // 2]:.3f} s")
        points.append(Point("nothing", targets, on, seconds))
    return tuple(points)


def _parts(targets: int, platforms: int) -> list[tuple[int, int]]:
    """Quarters, halves and the whole of the targets for all platforms, and of all targets for each number of platforms."""
    sizes = sorted({max(1, targets * share // 4) for share in (1, 2, 3, 4)})
    return [*((size, platforms) for size in sizes), *((targets, number) for number in range(1, platforms))]


def _exists(machine: Machine, selection: str) -> bool:
    name, _, platform = selection.partition("@")
    config = machine.config
    return platform in map(str, platforms_of(config, config.targets[name]))


class _Selected:
    """A machine of which only a part is released."""

    def __init__(self, base: Machine, select: Sequence[str]) -> None:
        self._base = base
        self._select = tuple(select)

    def release(self) -> Sample:
        before, self._base.select = self._base.select, self._select
        try:
            return self._base.release()
        finally:
            self._base.select = before


def _night(
    loaded: Loaded, machine: Machine, samples: dict[str, tuple[Sample, ...]], scaling: tuple[Point, ...] = ()
) -> Night:
    folder = loaded.file.parent
    commit = _said("git", folder, "rev-parse", "HEAD")
    return Night(
        project=loaded.config.project.name,
        commit=commit,
        date=datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat(),
        machine=this_machine(),
        samples=samples,
        dirty=bool(commit and _said("git", folder, "status", "--porcelain", "--untracked-files=no")),
        branch=_said("git", folder, "branch", "--show-current"),
        versions={
            "goctl": _own_version(),
            "go": _go_version(machine),
            "python": platform.python_version(),
        },
        scaling=scaling,
    )


def _own_version() -> str:
    try:
        return metadata.version("goctl-release")
    except metadata.PackageNotFoundError:
        return ""


def _go_version(machine: Machine) -> str:
    """The toolchain that is found for the release."""
    from goctl.golang.toolchain import locate

    module = machine.checkout / machine.program.module
    try:
        return locate(machine.config.go.toolchain, machine.checkout, machine.env, module).version
    except ToolchainError:
        return ""


def _said(program: str, folder: Path, *args: str) -> str:
    """What a command prints; empty where it fails or is not there."""
    try:
        done = run((program, *args), cwd=folder)
    except ToolchainError:
        return ""
    return done.text.strip() if done.code == 0 else ""


def line_of(state: str, sample: Sample) -> str:
    """A sample in a few words."""
    known = f", {sample.hits}/{sample.steps} known" if sample.steps else ""
    return f"{state}: {sample.seconds:.3f} s{known}"


def _line(number: int, state: str, sample: Sample) -> str:
    return f"{number + 1:>3}  {line_of(state, sample)}"
