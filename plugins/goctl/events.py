"""What happens in a run, as values. Steps emit them; only `report/` turns them into something a person or a program reads.

Each is tagged with its kind, so that the JSON reporter writes one object a line: `{"event": "step-finished", ...}`.
Sizes are bytes, times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="event", rename="kebab"):
    """The root of all events."""


class RunStarted(Event, frozen=True, tag="run-started"):
    task: str
    project: str
    steps: int


class StageStarted(Event, frozen=True, tag="stage-started"):
    stage: str
    title: str


class StepStarted(Event, frozen=True, tag="step-started"):
    """`target` and `platform` are empty where a step serves none in particular."""

    step: str
    title: str
    target: str = ""
    platform: str = ""


class StepProgress(Event, frozen=True, tag="step-progress"):
    """How far a step is: `done` of `total` in `unit` ("bytes", "packages", "modules"); a total of 0 is not known."""

    step: str
    done: int
    total: int = 0
    unit: str = "bytes"


class StepFinished(Event, frozen=True, tag="step-finished"):
    """`outcome` is done, cached, skipped or failed; `detail` says in a few words what came out or why."""

    step: str
    outcome: str
    title: str = ""
    target: str = ""
    platform: str = ""
    seconds: float = 0.0
    size: int = 0
    detail: str = ""


class Output(Event, frozen=True, tag="output"):
    """A line that a child process printed and a person should see."""

    source: str
    line: str


class Notice(Event, frozen=True, tag="notice"):
    """Something worth knowing that stops nothing. `level` is info or warning."""

    message: str
    hint: str = ""
    level: str = "warning"


class ReleasedImage(Event, frozen=True, tag="released-image"):
    """A row of the closing table: one target, in one registry. `size` is what is stored, compressed."""

    target: str
    registry: str
    reference: str
    digest: str
    platforms: tuple[str, ...]
    tags: tuple[str, ...]
    size: int
    cached: str
    seconds: float


class BuiltBinary(Event, frozen=True, tag="built-binary"):
    """One program for one platform, and the file below dist/ that holds it."""

    target: str
    platform: str
    path: str
    digest: str
    size: int
    cached: bool


class BuiltArchive(Event, frozen=True, tag="built-archive"):
    """One file below dist/archives. That of the checksums has neither target nor platform."""

    target: str
    platform: str
    path: str
    digest: str
    size: int
    cached: bool


class Deployed(Event, frozen=True, tag="deployed"):
    """What is in a cluster now: `outcome` is deployed, applied or unchanged, `release` its number there (0: none); `images`
    are name@digest by target. The other numbers are those of objects."""

    deployment: str
    context: str
    namespace: str
    release: int
    outcome: str
    images: dict[str, str]
    created: int
    changed: int
    unchanged: int
    seconds: float


class Failed(Event, frozen=True, tag="failed"):
    """The run ends in an error: its class, exit code, message, hint and, one each, its problems."""

    kind: str
    exit_code: int
    message: str
    hint: str = ""
    problems: tuple[str, ...] = ()


class RunFinished(Event, frozen=True, tag="run-finished"):
    seconds: float
    outcome: str
    steps_done: int = 0
    steps_cached: int = 0


class Table(Event, frozen=True, tag="table"):
    """Answers to a question (plan, config, doctor): `rows` hold one text per name in `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Document(Event, frozen=True, tag="document"):
    """An answer with a structure of its own: `text` for people, `data` (JSON) for programs."""

    title: str
    text: str
    data: msgspec.Raw


Emit = Callable[[Event], None]
