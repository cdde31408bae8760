"""BuildKit's progress, read as data: `--progress rawjson` line by line into events (buildkit, client/graph.go, SolveStatus).

A vertex is a step of the build. It may begin and end more than once, and targets that share one tell of it under the names
of both. What it prints is shown only where it fails: a build that went well has said nothing that people need.
"""

from __future__ import annotations

import base64
import collections
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from goctl.buildkit.dockerfile import COLLECT_LATE
from goctl.events import Emit, Notice, Output, StepFinished, StepProgress, StepStarted
from goctl.values import Platform, from_json

#: Lines that are kept of what a step prints, and characters of the longest.
KEPT: Final = 60
LONGEST: Final = 2000
#: Characters of a step's title.
_TITLE: Final = 120
#: The words by which BuildKit ends steps that somebody else's fault made needless.
_CANCELED: Final = ("context canceled", "canceled: ")
_NAME = re.compile(r"\[([^\]]*)\]\s*(.*)\Z", re.DOTALL)


class Vertex(msgspec.Struct, frozen=True):
    digest: str = ""
    name: str = ""
    inputs: tuple[str, ...] | None = None
    started: str | None = None
    completed: str | None = None
    cached: bool = False
    error: str = ""


class Status(msgspec.Struct, frozen=True):
    """How far a part of a step is: bytes of a layer that is fetched, of a context that is sent."""

    id: str = ""
    vertex: str = ""
    current: int = 0
    total: int = 0


class Log(msgspec.Struct, frozen=True):
    vertex: str = ""
    stream: int = 1
    data: str = ""


class _Line(msgspec.Struct, frozen=True):
    line: int = 0


class _Range(msgspec.Struct, frozen=True):
    start: _Line = _Line()


class _Source(msgspec.Struct, frozen=True):
    filename: str = ""


class Warned(msgspec.Struct, frozen=True):
    """What BuildKit has against a line of a Dockerfile; `short` is base64."""

    short: str = ""
    url: str = ""
    source: _Source | None = msgspec.field(default=None, name="sourceInfo")
    range: tuple[_Range, ...] | None = None


class Message(msgspec.Struct, frozen=True):
    """One line of the stream."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[Status, ...] = ()
    logs: tuple[Log, ...] = ()
    warnings: tuple[Warned, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A step's name in its parts; target and platform are empty where it belongs to none."""

    title: str
    target: str = ""
    platform: str = ""
    is_internal: bool = False


def named(name: str, targets: Collection[str]) -> Named:
    """The parts of names like `[api linux/amd64->arm64 build 2/3] RUN go build`. The target stands there only when several
    are built; where it is one, that is it."""
    alone = next(iter(targets)) if len(targets) == 1 else ""
    match = _NAME.match(name)
    if match is None:
        return Named(name, alone)
    words, title = match[1].split(), match[2]
    target = words.pop(0) if words and words[0] in targets else alone
    platform = _platform(words[0]) if words else ""
    if platform:
        words.pop(0)
    internal = words[:1] == ["internal"] or title.startswith("resolving provenance")
    stage = words[0] if words and not internal and "/" not in words[0] else ""
    return Named(_short(f"{stage}: {title}" if stage else title), target, platform, internal)


def _short(title: str) -> str:
    """A title for one line: what is run, and not what is mounted meanwhile, nor what was set before."""
    plain = " ".join(word for word in title.replace(COLLECT_LATE, "").split() if not word.startswith("--mount="))
    return plain if len(plain) <= _TITLE else f"{plain[: _TITLE - 1]}…"


def _platform(word: str) -> str:
    """The platform that a step is for: `linux/amd64->arm64` is run on amd64, for linux/arm64."""
    ran, arrow, made = word.partition("->")
    try:
        if not arrow:
            return str(Platform.parse(ran))
        system = ran.partition("/")[0]
        return str(Platform.parse(made if made.startswith(("windows/", "linux/", "darwin/")) else f"{system}/{made}"))
    except ValueError:
        return ""


class _Step:
    """A vertex under way."""

    def __init__(self, named: Named) -> None:
        self.named = named
        self.running = False
        self.told = False
        self.vertex = Vertex()
        self.lines: collections.deque[str] = collections.deque(maxlen=KEPT)
        self.rest: dict[int, str] = {}
        self.amounts: dict[str, tuple[int, int]] = {}


class Progress:
    """Takes the lines of one bake. `failed` holds, by what is baked, what went wrong, in BuildKit's words; `said` the lines
    that are no JSON: an excerpt of the Dockerfile, and the error that ended it all.

    `targets` are the names that are baked, each with the target it is, or is a part of. `secrets` are shown to nobody,
    should a step print one.
    """

    def __init__(self, targets: Mapping[str, str], emit: Emit, *, secrets: Sequence[str] = ()) -> None:
        self.failed: dict[str, str] = {}
        self.said: list[str] = []
        self._targets = targets
        self._emit = emit
        self._secrets = sorted((one for one in secrets if len(one) > 3), key=len, reverse=True)
        self._steps: dict[str, _Step] = {}
        self._warned: set[str] = set()

    def line(self, text: str) -> None:
        """A line of the stream."""
        if not text.startswith("{"):
            if text.strip():
                self.said.append(self._hidden(text))
                del self.said[:-KEPT]
            return
        try:
            message = from_json(text, Message)
        except (msgspec.DecodeError, RecursionError):
            return  # a piece of a line that is too long, or something newer than this
        for vertex in message.vertexes:
            self._vertex(vertex)
        for status in message.statuses:
            self._status(status)
        for log in message.logs:
            self._log(log)
        for warning in message.warnings:
            self._warning(warning)

    def close(self) -> None:
        """The stream has ended: what is under way still will not."""
        for step in self._steps.values():
            if step.running:
                done = step.vertex.completed is not None
                self._finish(step, "done" if done else "skipped")

    def _vertex(self, vertex: Vertex) -> None:
        step = self._steps.setdefault(vertex.digest, _Step(named(vertex.name, self._targets)))
        if vertex.error:
            self._fail(step, vertex)
            return
        if vertex.started and not vertex.completed:
            self._begin(step, vertex)
        elif vertex.completed:
            step.vertex = vertex
            # Bases are looked up, which is an end, and fetched later; images are exported, and sent later.
            if vertex.cached or not _has_two_parts(step):
                self._begin(step, vertex)
                self._finish(step, "cached" if vertex.cached else "done")
        if vertex.started or vertex.cached:
            for one in vertex.inputs or ():
                base = self._steps.get(one)
                if base is not None and base.running and base.vertex.completed:
                    self._finish(base, "done")

    def _begin(self, step: _Step, vertex: Vertex) -> None:
        step.vertex = vertex
        if step.running or step.told or step.named.is_internal:
            return
        step.running = True
        one = step.named
        self._emit(StepStarted(_id(vertex), one.title, self._targets.get(one.target, ""), one.platform))

    def _finish(self, step: _Step, outcome: str, detail: str = "") -> None:
        if step.told or not step.running:
            return
        step.running, step.told = False, True
        one = step.named
        target, seconds = self._targets.get(one.target, ""), _seconds(step.vertex)
        self._emit(StepFinished(_id(step.vertex), outcome, one.title, target, one.platform, seconds=seconds, detail=detail))

    def _fail(self, step: _Step, vertex: Vertex) -> None:
        error = self._hidden(vertex.error)
        step.told = False
        self._begin(step, vertex)
        step.vertex, step.running = vertex, True
        if any(words in error for words in _CANCELED):
            self._finish(step, "skipped")
            return
        for line in (*step.lines, *filter(None, step.rest.values())):
            self._emit(Output(step.named.title[:LONGEST], line))
        step.lines.clear()
        step.rest.clear()
        self._finish(step, "failed", error[:LONGEST])
        if step.named.target:
            self.failed.setdefault(step.named.target, error)

    def _status(self, status: Status) -> None:
        step = self._steps.get(status.vertex)
        if step is None or not step.running:
            return
        step.amounts[status.id] = (status.current, status.total)
        # Parts that do not know how much there is count for what they did.
        done, total = (sum(part) for part in zip(*step.amounts.values(), strict=True))
        if done:
            self._emit(StepProgress(_id(step.vertex), done, max(total, 0) if total >= done else 0))

    def _log(self, log: Log) -> None:
        step = self._steps.get(log.vertex)
        if step is None:
            return
        *whole, rest = (step.rest.get(log.stream, "") + _text(log.data)).split("\n")
        step.lines.extend(self._hidden(line.rstrip("\r"))[:LONGEST] for line in whole)
        step.rest[log.stream] = self._hidden(rest)[-LONGEST:]

    def _warning(self, warning: Warned) -> None:
        file = warning.source.filename if warning.source is not None else ""
        line = warning.range[0].start.line if warning.range else 0
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        text = where + self._hidden(_text(warning.short))
        if text not in self._warned:
            self._warned.add(text)
            self._emit(Notice(text, hint=warning.url))

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _has_two_parts(step: _Step) -> bool:
    """Whether the end of a step may not be its last one: it is told when somebody builds on it, or when all is over."""
    return step.named.title.startswith("exporting ") or "FROM " in step.named.title[:60]


def _id(vertex: Vertex) -> str:
    return f"buildkit:{vertex.digest}"


def _text(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except ValueError:
        return ""


def _seconds(vertex: Vertex) -> float:
    """Seconds between two moments of one day; Go writes nine digits of a second, Python 3.11 reads any number of them."""
    import datetime

    if not vertex.started or not vertex.completed:
        return 0.0
    try:
        begin, end = (datetime.datetime.fromisoformat(one) for one in (vertex.started, vertex.completed))
    except ValueError:
        return 0.0
    return max(0.0, (end - begin).total_seconds())
