"""One measured release: a child process, the events it tells, and the phases they divide its time into."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goctl.errors import GoctlError
from goctl.measures import Phase, Sample
from goctl.system.process import run

#: The phase that the end of a step belongs to, by the first word of the step's id.
_PHASE_OF = {
    "mod": "modules",
    "compile": "compile",
    "image": "assemble",
    "index": "assemble",
    "archive": "assemble",
    "checksums": "assemble",
    "push": "push",
}
#: Phases in the order in which they end, after the plan was made. Steps overlap: an image is assembled while the compiler
#: is at work. What is left of a phase when the one before it has ended is what it adds to a release.
_AFTER_PLAN = ("compile", "assemble", "push")


class Mark(msgspec.Struct, frozen=True):
    """An event as it arrived: when, and what the process had used until then."""

    at: float
    cpu: float
    memory: int
    kind: str
    phase: str = ""
    outcome: str = ""


class Watch:
    """Takes a release's lines of JSON as they come."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.marks: list[Mark] = []
        self.failure = ""
        self.usage = Usage()

    def line(self, text: str) -> None:
        """Takes one line; what is no event counts for nothing."""
        at = time.perf_counter() - self.started
        try:
            event: dict[str, Any] = msgspec.json.decode(text)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            return
        if kind == "failed":
            self.failure = "\n".join(event.get("problems") or [event.get("message", "")])
        if kind in ("step-started", "step-finished", "run-started", "run-finished"):
            phase = _PHASE_OF.get(event.get("step", "").partition(":")[0], "")
            self.marks.append(Mark(at, *self.usage.look(), kind, phase, event.get("outcome", "")))


class Usage:
    """What a process used: seconds of CPU, with all that it waited for, and its peak of memory."""

    def __init__(self) -> None:
        self._process: Any = None
        self._last = (0.0, 0)

    def follow(self, pid: int) -> None:
        """Says which process it is."""
        import psutil

        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(pid)

    def look(self) -> tuple[float, int]:
        """(seconds of CPU, bytes); what was known last where the process is gone."""
        import psutil

        if self._process is None:
            return self._last
        with contextlib.suppress(psutil.Error, ValueError):
            times = self._process.cpu_times()
            own = times.user + times.system
            waited_for = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            self._last = (own + waited_for, max(self._last[1], self._peak()))
        return self._last

    def _peak(self) -> int:
        if sys.platform == "linux":
            # proc_pid_status(5): the "high water mark", which the kernel keeps, so that nothing is missed.
            text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
            found = re.search(r"^VmHWM:\s*(\d+) kB", text, re.MULTILINE)
            return int(found[1]) * 1024 if found else 0
        else:  # noqa: RET505 - mypy takes what follows a check of the system for unreachable
            memory = self._process.memory_info()
            return int(getattr(memory, "peak_wset", memory.rss))


def release(cwd: Path, env: Mapping[str, str], select: Sequence[str] = ()) -> Sample:
    """Releases the project whose tasks.py is in a folder. Raises GoctlError with what it said where it fails."""
    words = [sys.executable, "-m", "invoke", "release", "--json"]
    words += [word for one in select for word in ("--select", one)]
    before = _children_cpu()
    watch = Watch()
    done = run(words, cwd=cwd, env=env, on_start=watch.usage.follow, on_stdout=watch.line)
    seconds = time.perf_counter() - watch.started
    if done.code:
        said = watch.failure or (done.errors or done.text)[-2000:]
        raise GoctlError(f"the release that was measured ended with {done.code}: {said}", hint="does `invoke release` work?")
    return sample(watch.marks, seconds, _children_cpu() - before)


def command(words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Sample:
    """Any other command, in one piece. Raises GoctlError where it fails."""
    before = _children_cpu()
    started = time.perf_counter()
    run(words, cwd=cwd, env=env, error=GoctlError)
    return Sample(time.perf_counter() - started, max(0.0, _children_cpu() - before))


if sys.platform == "win32":

    def _children_cpu() -> float:
        """Windows does not tell what children that ended have used."""
        return 0.0

else:
    import resource

    def _children_cpu() -> float:
        """Seconds of CPU of all children that have ended, with theirs."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


def sample(marks: Sequence[Mark], seconds: float, cpu: float) -> Sample:
    """A release from its marks. Phases add up to the whole: each lasts from the end of the one before it."""
    found: dict[str, Phase] = {}
    last = Mark(0.0, 0.0, 0, "")
    for phase, mark in _ends(marks):
        found[phase] = _longer(found.get(phase, Phase()), last, mark)
        last = mark
    known = max(cpu, last.cpu)
    memory = max((mark.memory for mark in marks), default=0)
    rest = Mark(max(seconds, last.at), known, memory, "")
    found["end"] = _longer(found.get("end", Phase()), last, rest)
    for mark in marks:
        if mark.kind == "step-finished" and mark.phase:
            ended = found.setdefault(mark.phase, Phase())
            hits = ended.hits + (mark.outcome == "cached")
            found[mark.phase] = msgspec.structs.replace(ended, hits=hits, steps=ended.steps + 1)
    return Sample(seconds, known, memory, found)


def _ends(marks: Sequence[Mark]) -> list[tuple[str, Mark]]:
    """The end of each phase, in the order of time. A workspace makes several plans, one after the other."""
    ends: list[tuple[str, Mark]] = []
    wave: dict[str, Mark] = {}

    def close() -> None:
        at = ends[-1][1].at if ends else 0.0
        for phase in _AFTER_PLAN:
            # What ended while an earlier phase was still at work adds nothing.
            if phase in wave and wave[phase].at >= at:
                ends.append((phase, wave[phase]))
                at = wave[phase].at
        wave.clear()

    for mark in marks:
        if mark.phase == "modules":
            close()
            ends.append(("plan" if mark.kind == "step-started" else "modules", mark))
        elif mark.kind == "run-started":
            close()
            ends.append(("plan", mark))
        elif mark.kind == "step-finished" and mark.phase:
            wave[mark.phase] = mark
        elif mark.kind == "run-finished":
            close()
            ends.append(("end", mark))
    return ends


def _longer(phase: Phase, since: Mark, until: Mark) -> Phase:
    return msgspec.structs.replace(
        phase,
        seconds=phase.seconds + max(0.0, until.at - since.at),
        cpu=phase.cpu + max(0.0, until.cpu - since.cpu),
        memory=max(phase.memory, until.memory),
    )
