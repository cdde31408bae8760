"""Which targets two plans make differently, and why: the plan of now beside that of another commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from goctl.plan.model import AnyStep, CompileStep, ImageStep, IndexStep, Plan, PushStep
from goctl.plan.why import differences

#: Why a program's sources are others, in sentences; empty where that cannot be told.
Sources = Callable[[CompileStep, str], list[str]]


class Affected(msgspec.Struct, frozen=True, rename="kebab"):
    """A target that is made differently, on which of its platforms, and why."""

    target: str
    platforms: tuple[str, ...]
    reasons: tuple[str, ...]


def affected(now: Plan, then: Plan, sources: Sources) -> list[Affected]:
    """The targets of a plan that another plan does not hold, or holds with other inputs."""
    before = _marks(then)
    found = []
    for target, marks in _marks(now).items():
        if target not in before:
            found.append(Affected(target, _platforms(marks), ("it is new",)))
            continue
        reasons, platforms = _compare(marks, before[target], sources)
        if reasons:
            # What is said of the whole target is so on all of its platforms.
            found.append(Affected(target, _platforms(marks) if "" in platforms else tuple(platforms), tuple(reasons)))
    return found


def _platforms(marks: _Marks) -> tuple[str, ...]:
    return tuple(dict.fromkeys(platform for platform, _ in marks if platform))


#: What a target is made from, by platform (empty: all of them) and by the name of the step.
_Marks = dict[tuple[str, str], tuple[AnyStep, Mapping[str, str]]]


def _marks(plan: Plan) -> dict[str, _Marks]:
    found: dict[str, _Marks] = {}
    for step in plan.steps:
        platform = str(getattr(step, "platform", ""))
        match step:
            case CompileStep():
                for target in step.targets:
                    found.setdefault(target, {})[platform, step.import_path] = (step, step.fields)
            case IndexStep():
                found.setdefault(step.target, {})["", "index"] = (step, {"annotations": str(step.recipe)})
            case PushStep():
                fields = {"repository": step.repository, "tags": " ".join(step.tags)}
                found.setdefault(step.target, {})["", f"push to {step.registry}"] = (step, fields)
            case _:
                fields = getattr(step, "fields", {})
                found.setdefault(step.target, {})[platform, step.stage] = (step, fields)
    return {target: marks for target, marks in found.items() if target}


def _compare(now: _Marks, then: _Marks, sources: Sources) -> tuple[dict[str, None], dict[str, None]]:
    """Sentences, and the platforms they are said for; an empty one for all."""
    reasons: dict[str, None] = {}
    platforms: dict[str, None] = {}
    for slot, (step, fields) in now.items():
        platform, name = slot
        if slot not in then:
            said = [f"{name} is new" + (f" on {platform}" if platform else "")]
        else:
            said = _sentences(step, then[slot][1], fields, sources)
        if said:
            reasons.update(dict.fromkeys(said))
            platforms[platform] = None
    gone = [
        f"{name} is gone" + (f" on {platform}" if platform else "") for platform, name in then if (platform, name) not in now
    ]
    if gone:
        reasons.update(dict.fromkeys(gone))
        platforms[""] = None
    return reasons, platforms


def _sentences(step: AnyStep, before: Mapping[str, str], now: Mapping[str, str], sources: Sources) -> list[str]:
    said = differences(before, now)
    if isinstance(step, CompileStep) and before.get("source") != now.get("source"):
        said = [sentence for sentence in said if not sentence.startswith("source ")]
        said = (sources(step, before.get("source", "")) or [f"the sources of {step.import_path} changed"]) + said
    if isinstance(step, ImageStep) and step.base is None:
        # Neither was looked up, for a question has no effects; the lock is compared apart.
        said = [sentence for sentence in said if not sentence.startswith("base changed")]
    return said
