"""Questions that are answered without doing anything: plan, explain, config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goctl.events import Document, Table
from goctl.plan.model import AnyStep, ArchiveStep, ChecksumsStep, CompileStep, ImageStep, IndexStep, Plan, PushStep
from goctl.plan.why import differences
from goctl.release import run
from goctl.release.known import Known
from goctl.values import Digest, is_secretive, to_json, without_userinfo

if TYPE_CHECKING:
    from goctl.release.session import Session


class _Line(msgspec.Struct, frozen=True, rename="kebab"):
    """A step as the plan shows it. `state` is known, to do, or unknown; `why` says more."""

    step: AnyStep
    key: Digest | None
    state: str
    why: str


def plan(session: Session, selections: Sequence[str], stages: Sequence[str]) -> None:
    """Tells the whole plan: steps, keys, inputs, and what will be skipped and why. Touches nothing."""
    run.check_archives(session, run.choose(session, selections), stages)
    made = run.plan(session, selections)
    wanted = run.stages_for(stages)
    lines = [line for line in _judge(session, made) if line.step.stage in wanted]
    data = {
        "project": made.project,
        "version": made.version,
        "stages": list(wanted),
        "steps": [_as_data(line) for line in lines],
        "skipped": made.skipped,
        "unknown": made.unknown,
    }
    session.emit(Document("plan", _as_text(made, lines, wanted), msgspec.Raw(to_json(data))))


def _judge(session: Session, made: Plan) -> list[_Line]:
    """Each step with its key as far as it can be told, and whether it is known."""
    known = Known(session)
    digests: dict[str, Digest] = {}
    lines = []
    for step in made.steps:
        key = step.key(digests)
        artifact = _recall(known, step, key, digests)
        if artifact is not None:
            digests[step.id] = artifact
        lines.append(_Line(step, key, *_state(step, key, artifact is not None)))
    return lines


def _recall(known: Known, step: AnyStep, key: Digest | None, digests: Mapping[str, Digest]) -> Digest | None:
    match step:
        case CompileStep():
            program = known.program(step)
            return program.digest if program is not None else None
        case ImageStep():
            image = known.image(key)
            return image.digest if image is not None else None
        case IndexStep():
            index = known.index(key)
            return index.digest if index is not None else None
        case ArchiveStep():
            archive = known.archive(step, key)
            return archive.digest if archive is not None else None
        case ChecksumsStep():
            file = known.checksums(step, digests)
            return file.digest if file is not None else None
    return None


def _state(step: AnyStep, key: Digest | None, is_known: bool) -> tuple[str, str]:
    if isinstance(step, PushStep):
        return "to check", "the registry is asked whether its tags name this already"
    if is_known:
        return "known", "nothing it depends on has changed"
    if isinstance(step, CompileStep):
        return ("to do", "not compiled yet") if key is not None else ("to do", "its inputs cannot be told beforehand")
    if key is not None:
        return "to do", "not packed yet" if isinstance(step, ArchiveStep) else "not assembled yet"
    if isinstance(step, ImageStep) and step.recipe is None:
        return "to do", "its base is not pinned yet, or not made on this machine"
    return "to do", "after what it is made from"


def _as_data(line: _Line) -> dict[str, Any]:
    step = msgspec.to_builtins(line.step, enc_hook=str)
    if isinstance(line.step, CompileStep):
        step["env"] = [(name, "***" if is_secretive(name) else without_userinfo(value)) for name, value in line.step.env]
    return {**step, "key": line.key, "state": line.state, "why": line.why}


def _as_text(made: Plan, lines: Sequence[_Line], stages: Sequence[str]) -> str:
    version = f" {made.version}" if made.version else ""
    text = [f"{made.project}{version}: {', '.join(stages)}", ""]
    for line in lines:
        text.append(f"{line.step.title}")
        text.append(f"  {line.state}: {line.why}")
        if line.key is not None:
            text.append(f"  key {line.key}")
        text += [f"  {name}: {value}" for name, value in _inputs(line.step)]
    if made.skipped:
        text += ["", "skipped"] + [f"  {skipped.what}: {skipped.why}" for skipped in made.skipped]
    text += [f"unknown: {words}" for words in made.unknown]
    return "\n".join(text)


def _inputs(step: AnyStep) -> list[tuple[str, str]]:
    match step:
        case CompileStep() | ImageStep() | ArchiveStep():
            return [(name, value) for name, value in step.fields.items() if value]
        case IndexStep():
            return [("images", ", ".join(step.needs))]
        case ChecksumsStep():
            return [("file", step.path), ("archives", ", ".join((*step.names, *step.others)))]
        case PushStep():
            return [("repository", step.repository), ("tags", ", ".join(step.tags))]


def explain(session: Session, selections: Sequence[str]) -> None:
    """Tells, for each step of the chosen targets, what changed since it last ended well."""
    made = run.plan(session, selections)
    known = Known(session)
    rows = []
    for line in _judge(session, made):
        if not isinstance(line.step, CompileStep | ImageStep | ArchiveStep):
            continue
        reasons = ["up to date"] if line.state == "known" else _reasons(session, known, line.step)
        rows += [(line.step.title if number == 0 else "", reason) for number, reason in enumerate(reasons)]
    session.emit(Table("explain", ("step", "why"), tuple(rows)))
    for words in made.unknown:
        session.emit(Table("unknown", ("unknown",), ((words,),)))


def _reasons(session: Session, known: Known, step: CompileStep | ImageStep | ArchiveStep) -> list[str]:
    before = known.last_fields(step.id)
    if before is None:
        return ["it was never done here"]
    now = step.fields
    if isinstance(step, ImageStep) and step.base is None:
        # Not looked up, for a question has no effects: that says nothing about whether it changed.
        before, now = ({name: value for name, value in fields.items() if name != "base"} for fields in (before, now))
    reasons = differences(before, now)
    if isinstance(step, CompileStep) and before.get("source") != step.fields.get("source"):
        reasons = [reason for reason in reasons if not reason.startswith("source")]
        reasons = _source_reasons(session, step, before.get("source", "")) + reasons
    if reasons:
        return reasons
    if isinstance(step, ImageStep):
        if step.base is None:
            return ["its base is not pinned yet, or not made on this machine"]
        return ["a program in it is compiled anew"]
    if isinstance(step, ArchiveStep):
        return ["a program in it is compiled anew, or the archive was removed or edited"]
    return ["what it made was removed or edited below dist/"]


def _source_reasons(session: Session, step: CompileStep, before: str) -> list[str]:
    from goctl.golang.explain import source_changes

    return source_changes(session, step, before) or ["its sources changed"]


def config(session: Session) -> None:
    """Tells every setting, its value, and where it came from."""
    from goctl.config.show import settings

    rows = tuple((setting.path, setting.value, setting.origin) for setting in settings(session.loaded))
    session.emit(Table("config", ("setting", "value", "from"), rows))
