"""The `cache.` tasks: what levels hold and whether they pay, and what is brought, sent, thrown away or declared void."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from goctl.cache import tally
from goctl.cache.chain import Chain
from goctl.cache.policy import size
from goctl.cache.shared import SHARED, Result, result_key
from goctl.cache.shelved import ShelvedLevel
from goctl.config.cache import age
from goctl.contracts import Binary
from goctl.errors import ConfigError
from goctl.events import Notice, Table
from goctl.plan.model import ArchiveStep, CompileStep, ImageStep, Plan
from goctl.plan.why import differences
from goctl.release import afar, keeping, levels
from goctl.release.known import Known
from goctl.values import ByteSize, Digest, Duration, from_json

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.session import Session

#: What a step's own record is, by its stage.
KINDS = {"build": "compile", "image": "image", "archive": "archive"}


def _levels(session: Session) -> Chain:
    """The levels that goctl.toml names, each with its own mode. Raises ConfigError where there are none."""
    if not session.config.cache.used:
        raise ConfigError("there are no cache levels", hint='add [cache] with levels = ["disk"], or a table [cache.NAME]')
    return levels.chain(session)


def stats(crew: Crew, *, dry: bool) -> None:
    """Tells what each level holds, what it cost this project and what it saved, and for which targets."""
    del dry
    session = crew.first
    accounts = tally.read(session.state)
    rows, targets = [], []
    for member in _levels(session).members:
        name = member.level.name
        one = accounts.get(name, tally.Tally())
        held = keeping.held(session, member)
        rows.append(
            (name, levels.scheme(session.config.cache.level(name)))
            + ((str(len(held)), str(ByteSize(size(held)))) if held is not None else ("-", "-"))
            + (str(one.hits), str(one.misses), str(one.stored), str(ByteSize(one.read)), str(ByteSize(one.written)))
            + (str(Duration(one.cost)), str(Duration(one.saved)), _verdict(one))
        )
        targets += [(target, name, str(Duration(seconds))) for target, seconds in sorted(one.targets.items())]
    columns = ("level", "kind", "entries", "size", "hits", "misses", "stored", "read", "written", "cost", "saved", "verdict")
    session.emit(Table("cache", columns, tuple(rows)))
    if targets:
        session.emit(Table("saved by target", ("target", "level", "saved"), tuple(targets)))


def _verdict(one: tally.Tally) -> str:
    if one.runs < tally.FEWEST_RUNS:
        return "too early to tell"
    return "costs more than it saves" if one.is_loss else "pays"


def why(crew: Crew, *, select: tuple[str, ...], dry: bool) -> None:
    """Tells, for each step of the chosen targets, whether a level knows it, and else in what it differs from what the levels
    last knew of it."""
    del dry
    session = crew.first
    chain = _levels(session)
    made, known = _plan(crew, select), Known(session)
    digests: dict[str, Digest] = {}
    rows = []
    for step in made.steps:
        if not isinstance(step, CompileStep | ImageStep | ArchiveStep):
            continue
        key = step.key(digests)
        answer = chain.read("result", result_key(KINDS[step.stage], key)) if key is not None else None
        if answer is not None:
            rows.append((step.title, "known", answer[1]))
            if isinstance(step, CompileStep):
                digests |= _program(step, answer[0])
            continue
        reasons = _differing(chain, known, step)
        rows += [(step.title if n == 0 else "", "not known" if n == 0 else "", text) for n, text in enumerate(reasons)]
    session.emit(Table("why", ("step", "state", "where, or why not"), tuple(rows)))


def _program(step: CompileStep, content: bytes) -> dict[str, Digest]:
    """The digest of the program that a level tells of, by the step's id."""
    try:
        return {step.id: from_json(from_json(content, Result).value, Binary).digest}
    except ValueError:
        return {}


def _differing(chain: Chain, known: Known, step: CompileStep | ImageStep | ArchiveStep) -> list[str]:
    """In what a step differs from what was last known of it."""
    answer = chain.read("result", result_key("fields", known.slot(step)))
    before = _fields(answer[0]) if answer is not None else known.last_fields(step.id)
    if before is None:
        return ["no level has ever known it"]
    return differences(before, step.fields) or ["a program in it is another"]


def _fields(content: bytes) -> dict[str, str] | None:
    try:
        return from_json(from_json(content, Result).value, dict[str, str])
    except ValueError:
        return None


def _plan(crew: Crew, select: tuple[str, ...]) -> Plan:
    from goctl.release import run

    return run.plan(crew, run.choose(crew, select))


def _keyed(known: Known, made: Plan) -> Iterator[tuple[CompileStep | ImageStep | ArchiveStep, Digest | None]]:
    """The steps with a result of their own, each with its key as far as it can be told."""
    digests: dict[str, Digest] = {}
    for step in made.steps:
        if not isinstance(step, CompileStep | ImageStep | ArchiveStep):
            continue
        key = step.key(digests)
        if isinstance(step, CompileStep):
            program = known.told(step)
            if program is not None:
                digests[step.id] = program.digest
        yield step, key


def prune(crew: Crew, *, dry: bool) -> None:
    """Throws away what levels hold beyond their size and age, and what the project itself has too much of."""
    session = crew.first
    rows = []
    for member in _levels(session).members if session.config.cache.used else ():
        held = keeping.held(session, member)
        if held is None or not member.writes:
            rows.append(
                (member.level.name, "-", "read only here" if held is not None else "keeps within its size by itself")
            )
            continue
        gone = keeping.doomed_in(session, member, held)
        if not dry:
            gone = [one for one in gone if keeping.remove(member, one)]
        words = f"{len(gone)} of {len(held)} entries {'would go' if dry else 'went'}"
        rows.append((member.level.name, str(ByteSize(size(gone))), words))
    if not dry:
        with session.lock():
            session.prune()
    session.emit(Table("prune", ("level", "freed", "entries"), tuple(rows)))


def warm(crew: Crew, *, select: tuple[str, ...], dry: bool) -> None:
    """Brings what levels have of the chosen targets to this machine, and sends what they lack of what it has."""
    from goctl.golang import modules

    session = crew.first
    chain = _levels(session)
    if dry:
        names = ", ".join(member.level.name for member in chain.members)
        session.emit(Notice(f"would bring from, and send to: {names}", level="info"))
        return
    shared = session.stores.shared
    if shared is None:
        return
    with session.lock():
        made = _plan(crew, select)
        known = Known(session)
        afar.look_up(shared, [step for step in made.steps if isinstance(step, CompileStep)])
        lacking = [step for step in made.steps if isinstance(step, CompileStep) and known.program(step) is None]
        afar.bring(known, lacking)
        there = sent = 0
        for step, key in _keyed(known, made):
            if key is not None and known.offer(step, key):
                there += known.is_here(step, key)
                sent += 1
        files = sum(modules.offer(unit, chain) for unit in crew.units.values() if unit.module.is_dir())
        # Here and now, for the lock is held: nothing in the project's folders moves.
        session.stores.close()
    session.emit(
        Notice(
            f"{there} results are on this machine with all they hold; {sent} are known to the levels, and {files} files of "
            "modules",
            level="info",
        )
    )


def invalidate(crew: Crew, *, target: str, key: str, older: str, toolchain: str, dry: bool) -> None:
    """Declares results void: here, and in every level that may be written. Raises ConfigError where nothing is named."""
    if not (target or key or older or toolchain):
        raise ConfigError("say what is void", hint="name --target, --key, --older or --toolchain")
    session = crew.first
    chain = _levels(session)
    before = time.time() - _age(older) if older else None
    found: dict[tuple[str, str], str] = {}
    if key:
        digits = key.removeprefix("sha256:")
        found |= {("result", result_key(kind, f"sha256:{digits}")): kind for kind in KINDS.values()}
        found |= {("result", digits): "result", ("blob", digits): "blob", ("output", digits): "pack"}
    if target or before is not None or toolchain:
        found |= _matching(session, chain, target, before, toolchain)
    if target:
        with session.lock():
            plan, known = _plan(crew, (target,)), Known(session)
            for step, step_key in _keyed(known, plan):
                if step_key is not None:
                    found["result", result_key(KINDS[step.stage], step_key)] = KINDS[step.stage]
    rows = []
    for (space, name), kind in sorted(found.items()):
        where = ["would go"] if dry else chain.forget(space, name)
        rows.append((kind, name[:12], ", ".join(where) or "no level could be written"))
    if not dry:
        with session.lock():
            _forget_here(session, {name for space, name in found if space == "result"}, before)
    session.emit(Table("invalidated", ("what", "entry", "levels"), tuple(rows)))


def _age(text: str) -> float:
    try:
        return age(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _matching(
    session: Session, chain: Chain, target: str, before: float | None, toolchain: str
) -> dict[tuple[str, str], str]:
    """The results in levels that can be listed which all conditions hold for."""
    found: dict[tuple[str, str], str] = {}
    for member in chain.members:
        for one in keeping.held(session, member) or ():
            space, _, name = one.name.partition("/")
            if space != "result" or (space, name) in found or not isinstance(member.level, ShelvedLevel):
                continue
            header = member.level.header(space, name)
            if header is None or (before is not None and header.created >= before):
                continue
            result = _result(chain, name) if target or toolchain else None
            if target and (result is None or target.rpartition(":")[2] not in result.labels.target.split(",")):
                continue
            if toolchain and (result is None or result.labels.toolchain.removeprefix("go") != toolchain.removeprefix("go")):
                continue
            found[space, name] = result.kind if result is not None else "result"
    return found


def _result(chain: Chain, name: str) -> Result | None:
    answer = chain.read("result", name)
    try:
        return from_json(answer[0], Result) if answer is not None else None
    except ValueError:
        return None


def _forget_here(session: Session, names: set[str], before: float | None) -> None:
    """The project's own records of what is void."""
    from goctl.cache.shared import result_key_of
    from goctl.cache.store import Records

    records = Records(session.state / "records")
    for kind in SHARED:
        for name, _, written in records.each(kind):
            if result_key_of(kind, name) in names or (before is not None and written < before):
                records.forget_name(kind, name)


def export(crew: Crew, *, file: str, dry: bool) -> None:
    """Writes what the project knows to one file."""
    from goctl.release.carried import export as write

    write(crew, crew.first.root / file, dry=dry)


def take_in(crew: Crew, *, file: str, dry: bool) -> None:
    """Takes in what export() wrote."""
    from goctl.release.carried import take_in as read

    read(crew.first, crew.first.root / file, dry=dry)


TASKS: dict[str, Callable[..., None]] = {
    "cache.stats": stats,
    "cache.why": why,
    "cache.prune": prune,
    "cache.warm": warm,
    "cache.invalidate": invalidate,
    "cache.export": export,
    "cache.import": take_in,
}


def run(crew: Crew, name: str, /, *, dry: bool, **options: Any) -> None:
    TASKS[name](crew, dry=dry, **options)
