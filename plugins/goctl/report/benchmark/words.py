"""What all reports of a night say, in the same words."""

from __future__ import annotations

import statistics

from goctl.measures import CONTROL, Judgement, Night, Verdict, median_phases
from goctl.values import ByteSize

COLUMNS = ("state", "median", "min .. max", "cpu", "memory", "moved", "known", "rounds", "baseline", "verdict")
PHASE_COLUMNS = ("plan", "modules", "compile", "assemble", "push", "end")


def seconds(value: float) -> str:
    """Seconds with three digits that count: 0.043 s, 1.24 s, 83.1 s."""
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def percent(ratio: float) -> str:
    """A ratio as a change: +12.3 %."""
    return f"{(ratio - 1) * 100:+.1f} %"


def rows(night: Night, judgement: Judgement) -> list[tuple[str, ...]]:
    """A row of COLUMNS for each state; the control last."""
    verdicts = {verdict.state: verdict for verdict in judgement.verdicts}
    made: list[tuple[str, ...]] = []
    for state in [*night.states, *([CONTROL] if CONTROL in night.samples else [])]:
        samples = night.samples[state]
        taken = [sample.seconds for sample in samples]
        last = samples[-1]
        verdict = verdicts.get(state)
        made.append(
            (
                state,
                seconds(statistics.median(taken)),
                f"{seconds(min(taken))} .. {seconds(max(taken))}",
                seconds(statistics.median(sample.cpu for sample in samples)),
                str(ByteSize(max(sample.memory for sample in samples))) if last.memory else "",
                str(ByteSize(last.moved)) if last.moved else "",
                f"{last.hits}/{last.steps}" if last.steps else "",
                str(len(samples)),
                _beside(verdict) if verdict is not None else "",
                _said(verdict) if verdict is not None else "",
            )
        )
    return made


def phase_rows(night: Night) -> list[tuple[str, ...]]:
    """The median seconds of each phase, for each state that has any."""
    return [
        (state, *(seconds(median_phases(samples)[phase]) for phase in PHASE_COLUMNS))
        for state, samples in night.samples.items()
        if any(sample.phases for sample in samples)
    ]


def _beside(verdict: Verdict) -> str:
    if verdict.outcome == "new":
        return ""
    return f"{percent(verdict.ratio)} ({percent(verdict.low)} .. {percent(verdict.high)})"


def _said(verdict: Verdict) -> str:
    return "FAILED" if verdict.outcome == "failed" else verdict.outcome


def sentences(night: Night, judgement: Judgement) -> list[str]:
    """What a person should know: what failed, in which phase, since which commits; what else changed."""
    said = []
    for verdict in judgement.verdicts:
        if verdict.outcome in ("failed", "slower"):
            word = f"may be {percent(verdict.limit)}" if verdict.limit else "never fails"
            text = f"{verdict.state} is {percent(verdict.ratio)} slower ({word})"
            if verdict.phase:
                text += f"; most of it in {verdict.phase}: {seconds(verdict.before)} -> {seconds(verdict.after)}"
            said.append(f"{text}; {since(verdict)}")
    said += _beside_others(night)
    machine = next((verdict.machine for verdict in judgement.verdicts if verdict.machine != 1), 1.0)
    if machine != 1:
        said.append(f"the machine itself takes {percent(machine)} for the same work: that is taken off")
    if judgement.changed:
        said.append(f"changed since the baseline: {', '.join(judgement.changed)}")
    new = [verdict.state for verdict in judgement.verdicts if verdict.outcome == "new"]
    if new:
        said.append(f"this night is from now on the baseline of {', '.join(new)} on such a machine")
    if night.dirty:
        said.append("the checkout had changes that are not committed")
    return said


def _beside_others(night: Night) -> list[str]:
    """How goctl compares with others that were measured in the same rounds."""
    said = []
    for state in night.states:
        own, slash, other = state.partition("/")
        if slash and night.samples.get(own):
            ratio = statistics.median(night.seconds(own)) / statistics.median(night.seconds(state))
            said.append(f"{own}: {ratio:.2f} x what {other} takes")
    return said


def since(verdict: Verdict) -> str:
    """The commits that came in between."""
    if not verdict.commits:
        return f"since {verdict.since}"
    first, _, last = verdict.commits.partition("..")
    return f"the commit is the same: {first}" if first == last else f"commits {verdict.commits}"


def head(night: Night) -> str:
    """One line on what was measured where."""
    machine = night.machine
    tools = ", ".join(f"{name} {version}" for name, version in night.versions.items() if version)
    return (
        f"{night.project} at {night.commit[:12] or 'no commit'}, {tools}; {machine.processor or machine.architecture}, "
        f"{machine.cores} cores, {machine.system} ({machine.fingerprint})"
    )
