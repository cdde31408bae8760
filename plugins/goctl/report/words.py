"""Events in words: the same for a console and for a log."""

from __future__ import annotations

import re
from collections.abc import Sequence

from goctl.events import BuiltArchive, BuiltBinary, Deployed, Failed, Notice, ReleasedImage, RunFinished, StepFinished
from goctl.values import ByteSize, Duration

#: What steers a terminal, or turns around the order that text is read in: sequences and control characters, 8-bit ones and
#: Unicode's overrides of direction too. Tab and line feed are kept.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

IMAGE_COLUMNS = ("target", "registry", "platforms", "size", "cached", "time", "digest", "tags")
PROGRAM_COLUMNS = ("target", "platform", "size", "cached", "program")
ARCHIVE_COLUMNS = ("target", "platform", "size", "cached", "archive")


def clean(text: str) -> str:
    """Text without what a terminal would obey: a child's output, names of files, what a server said."""
    return _CONTROL.sub("", text)


def printable(text: str, encoding: str | None) -> str:
    """Clean text, with escapes for what a stream's encoding lacks, and for bytes of file names that are no text."""
    encoding = encoding or "utf-8"
    return clean(text).encode(encoding, "backslashreplace").decode(encoding)


def step_line(event: StepFinished) -> str:
    parts = [event.title or event.step, event.outcome]
    if event.size:
        parts.append(str(ByteSize(event.size)))
    if event.seconds >= 0.005 and event.outcome != "cached":
        parts.append(str(Duration(event.seconds)))
    if event.detail:
        parts.append(event.detail)
    return ", ".join(parts)


def notice_lines(event: Notice) -> list[str]:
    prefix = "warning: " if event.level == "warning" else ""
    return [prefix + event.message, *([f"  {event.hint}"] if event.hint else [])]


def deployed_line(event: Deployed) -> str:
    what = f"release {event.release}" if event.release else "all"
    where = f"{event.deployment}: {what} in {event.context}/{event.namespace}"
    if event.outcome == "unchanged":
        return f"{where} is as it should be: {event.unchanged} objects looked up, {Duration(event.seconds)}"
    counts = {"created": event.created, "changed": event.changed, "as they were": event.unchanged}
    told = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    verb = "is applied" if event.outcome == "applied" else "runs"
    return f"{where} {verb}, {told}, {Duration(event.seconds)}"


def failure_lines(event: Failed) -> list[str]:
    lines = event.problems or tuple(event.message.splitlines())
    first = f"error: {lines[0]}" if lines else "error"
    rest = list(lines[1:])
    if event.problems and len(event.problems) > 1:
        first, rest = f"{len(event.problems)} problems:", [f"  {problem}" for problem in event.problems]
    return [first, *rest, *([f"hint: {event.hint}"] if event.hint else [])]


def finish_line(event: RunFinished) -> str:
    if event.outcome != "done":
        return f"{event.outcome} after {Duration(event.seconds)}"
    if event.steps_done == 0 and event.steps_cached:
        return f"nothing to do: {event.steps_cached} steps were known, {Duration(event.seconds)}"
    known = f", {event.steps_cached} were known" if event.steps_cached else ""
    return f"done: {event.steps_done} steps{known}, {Duration(event.seconds)}"


def image_row(event: ReleasedImage) -> tuple[str, ...]:
    return (
        event.target,
        event.registry,
        " ".join(event.platforms),
        str(ByteSize(event.size)),
        event.cached,
        str(Duration(event.seconds)),
        event.digest,
        " ".join(event.tags),
    )


def program_row(event: BuiltBinary) -> tuple[str, ...]:
    return (event.target, event.platform, str(ByteSize(event.size)), "yes" if event.cached else "no", event.path)


def archive_row(event: BuiltArchive) -> tuple[str, ...]:
    return (event.target, event.platform, str(ByteSize(event.size)), "yes" if event.cached else "no", event.path)


def archives_in_order(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows of archives by target and platform, the file of checksums last."""
    return sorted(rows, key=lambda row: (not row[0], row))


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of plain text, columns padded to the widest entry, two spaces between."""
    columns, *rows = [[clean(" ".join(cell.split("\n"))) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[number]) for row in (columns, *rows)) for number in range(len(columns))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (columns, *rows)
    ]
