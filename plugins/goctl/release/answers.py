"""Questions that are answered without doing anything: plan, explain, config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goctl.config.model import STAGES
from goctl.events import Document, StageStarted, Table
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
from goctl.plan.why import differences
from goctl.release import run
from goctl.release.known import Known
from goctl.values import Digest, is_secretive, to_json, without_userinfo

if TYPE_CHECKING:
    from goctl.release.crew import Crew


class _Line(msgspec.Struct, frozen=True, rename="kebab"):
    """A step as the plan shows it. `state` is known, to do, or unknown; `why` says more."""

    step: AnyStep
    key: Digest | None
    state: str
    why: str


def affected(crew: Crew, selections: Sequence[str], since: str) -> None:
    """Tells which targets are made differently from how a commit made them, on which platforms, and why."""
    from goctl.release import since as comparison

    chosen = run.choose(crew, selections)
    found = comparison.since(crew, since, chosen)
    rows = [
        {"project": project, **msgspec.to_builtins(one), "select": f"{project}:{one.target}"}
        for project, targets in found.projects.items()
        for one in targets
    ]
    every = sum(len(own) for own in chosen.values())
    lines = [f"{len(rows)} of {every} targets are affected since {since} ({found.commit[:12]})"]
    for row in rows:
        lines.append(f"{row['select']} on {', '.join(row['platforms'])}")
        lines += [f"  {reason}" for reason in row["reasons"]]
    # The form that a matrix of jobs is read from: one entry for each job.
    data = {"since": since, "commit": found.commit, "include": rows}
    crew.first.emit(Document("affected", "\n".join(lines), msgspec.Raw(to_json(data))))


def plan(crew: Crew, selections: Sequence[str], task: str, since: str = "") -> None:
    """Tells the whole plan of a task: steps, keys, inputs, and what will be skipped and why. Touches nothing."""
    stages = run.stages_of(crew, task)
    everything = run.choose(crew, selections)
    run.check_archives(crew, everything, task)
    chosen = run.narrowed(crew, everything, since)
    if not chosen:
        return
    wanted = tuple(stage for stage in STAGES if any(stage in stages[project] for project in chosen))
    made = run.asked_for(crew, run.plan(crew, chosen), stages)
    lines = _judge(crew, made)
    data = {
        "project": made.project,
        "version": made.version,
        "stages": list(wanted),
        "steps": [_as_data(line) for line in lines],
        "skipped": made.skipped,
        "unknown": made.unknown,
    }
    crew.first.emit(Document("plan", _as_text(made, lines, wanted), msgspec.Raw(to_json(data))))


def _judge(crew: Crew, made: Plan) -> list[_Line]:
    """Each step with its key as far as it can be told, and whether it is known."""
    known = Known(crew.first)
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
    if isinstance(step, DeployStep):
        return "to check", "the cluster is asked for every object"
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
        step["env"] = _shown(line.step.env)
    elif isinstance(line.step, ImageStep) and line.step.baking is not None:
        step["baking"]["args"] = _shown(line.step.baking.args)
        for shown, inside in zip(step["baking"]["inside"], line.step.baking.inside, strict=True):
            shown["env"] = _shown(inside.env)
    return {**step, "key": line.key, "state": line.state, "why": line.why}


def _shown(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Variables as anybody may see them."""
    return [(name, "***" if is_secretive(name) else without_userinfo(value)) for name, value in pairs]


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
        case DeployStep():
            return [("namespace", step.namespace or "the context's"), ("manifests", ", ".join(step.manifests) or "made")]


def explain(crew: Crew, selections: Sequence[str]) -> None:
    """Tells, for each step of the chosen targets, what changed since it last ended well."""
    made = run.plan(crew, run.choose(crew, selections))
    known = Known(crew.first)
    rows = []
    for line in _judge(crew, made):
        if not isinstance(line.step, CompileStep | ImageStep | ArchiveStep):
            continue
        reasons = ["up to date"] if line.state == "known" else _reasons(crew, known, line.step)
        rows += [(line.step.title if number == 0 else "", reason) for number, reason in enumerate(reasons)]
    crew.first.emit(Table("explain", ("step", "why"), tuple(rows)))
    for words in made.unknown:
        crew.first.emit(Table("unknown", ("unknown",), ((words,),)))


def _reasons(crew: Crew, known: Known, step: CompileStep | ImageStep | ArchiveStep) -> list[str]:
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
        reasons = _source_reasons(crew, step, before.get("source", "")) + reasons
    if reasons:
        return reasons
    if isinstance(step, ImageStep):
        if step.base is None:
            return ["its base is not pinned yet, or not made on this machine"]
        return ["a program in it is compiled anew"]
    if isinstance(step, ArchiveStep):
        return ["a program in it is compiled anew, or the archive was removed or edited"]
    return ["what it made was removed or edited below dist/"]


def _source_reasons(crew: Crew, step: CompileStep, before: str) -> list[str]:
    from goctl.golang.explain import source_changes

    return source_changes(crew.host(step), step, before) or ["its sources changed"]


def config(crew: Crew) -> None:
    """Tells every setting of each project, its value, and where it came from."""
    from goctl.config.show import settings

    for session in crew.files:
        if len(crew.files) > 1:
            session.emit(StageStarted("config", f"{session.config.project.name}: config"))
        rows = tuple((setting.path, setting.value, setting.origin) for setting in settings(session.loaded))
        session.emit(Table("config", ("setting", "value", "from"), rows))
