"""Plain lines, for logs: what ended, what was said, and the closing tables."""

from __future__ import annotations

import threading
from typing import TextIO

from goctl.events import (
    BuiltArchive,
    BuiltBinary,
    Deployed,
    Document,
    Event,
    Failed,
    Notice,
    Output,
    ReleasedImage,
    RunFinished,
    StageStarted,
    StepFinished,
    Table,
)
from goctl.report import words


class Plain:
    """Writes lines, each whole and flushed. What a child says twice in a row is written once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._images: list[tuple[str, ...]] = []
        self._programs: list[tuple[str, ...]] = []
        self._archives: list[tuple[str, ...]] = []

    def emit(self, event: Event) -> None:
        with self._lock:
            match event:
                case ReleasedImage():
                    self._images.append(words.image_row(event))
                case BuiltBinary():
                    self._programs.append(words.program_row(event))
                case BuiltArchive():
                    self._archives.append(words.archive_row(event))
                case RunFinished():
                    self._write([*self.closing(), words.finish_line(event)])
                case _:
                    self._write(self.lines(event))

    def lines(self, event: Event) -> list[str]:
        """An event as lines; none for those that a log does not need."""
        match event:
            case StepFinished():
                return [words.step_line(event)]
            case Output():
                return [f"  {event.line}"]
            case Notice():
                return words.notice_lines(event)
            case StageStarted() if event.title:
                return [event.title]
            case Deployed():
                return [words.deployed_line(event)]
            case Failed():
                return words.failure_lines(event)
            case Table():
                return words.aligned(event.columns, event.rows)
            case Document():
                return event.text.splitlines()
        return []

    def closing(self) -> list[str]:
        """The tables of what was made and released."""
        lines: list[str] = []
        for columns, rows in (
            (words.PROGRAM_COLUMNS, sorted(self._programs)),
            (words.ARCHIVE_COLUMNS, words.archives_in_order(self._archives)),
            (words.IMAGE_COLUMNS, self._images),
        ):
            if rows:
                lines += ["", *words.aligned(columns, rows)]
        return [*lines, ""] if lines else []

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._out.write(words.printable("\n".join(lines) + "\n", self._out.encoding))
            self._out.flush()

    def close(self) -> None:
        """Nothing is held back."""
