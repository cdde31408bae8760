"""Live progress on a terminal: a bar or a spinner for each step that is under way, lines above for what ended.

rich is imported when the first event needs it, so that a run with nothing to do stays quick.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TextIO

from goctl.events import (
    BuiltArchive,
    BuiltBinary,
    Deployed,
    Event,
    Failed,
    Notice,
    Output,
    ReleasedImage,
    RunFinished,
    StageStarted,
    StepFinished,
    StepProgress,
    StepStarted,
    Table,
)
from goctl.report import words
from goctl.values import ByteSize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Live:
    """The listener for a person at a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.RLock()
        self._console: Console | None = None
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._images: list[tuple[str, ...]] = []
        self._programs: list[tuple[str, ...]] = []
        self._archives: list[tuple[str, ...]] = []

    def emit(self, event: Event) -> None:
        with self._lock:
            match event:
                case StepStarted():
                    self._start(event)
                case StepProgress():
                    self._advance(event)
                case StepFinished():
                    self._finish(event)
                case ReleasedImage():
                    self._images.append(words.image_row(event))
                case BuiltBinary():
                    self._programs.append(words.program_row(event))
                case BuiltArchive():
                    self._archives.append(words.archive_row(event))
                case RunFinished():
                    self.close()
                    self._closing_tables()
                    self._print(words.finish_line(event), "bold green" if event.outcome == "done" else "bold red")
                case _:
                    self._say(event)

    def _say(self, event: Event) -> None:
        match event:
            case Output():
                self._print("  " + event.line, "dim")
            case Notice():
                for line in words.notice_lines(event):
                    self._print(line, "yellow" if event.level == "warning" else "")
            case Deployed():
                self._print(words.deployed_line(event), "bold")
            case Failed():
                self.close()
                for line in words.failure_lines(event):
                    self._print(line, "bold red" if line.startswith("error") else "cyan" if line.startswith("hint") else "")
            case StageStarted() if event.title:
                self._print(event.title, "bold")
            case Table():
                self._table(event.columns, event.rows, event.title)
            case _:
                text = getattr(event, "text", "")
                if text:
                    self._print(text, "")

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self._out, highlight=False, soft_wrap=True)
        return self._console

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text

        # Text, not markup: a file name may hold brackets.
        self._rich().print(Text(self._clean(text), style=style))

    def _clean(self, text: str) -> str:
        return words.printable(text, self._out.encoding)

    def _bars(self) -> Progress:
        if self._progress is None:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[amount]}", markup=False),
                TimeElapsedColumn(),
                console=self._rich(),
                transient=True,
                refresh_per_second=8,
            )
            self._progress.start()
        return self._progress

    def _start(self, event: StepStarted) -> None:
        if event.step not in self._tasks:
            self._tasks[event.step] = self._bars().add_task(self._clean(event.title), total=None, amount="")

    def _advance(self, event: StepProgress) -> None:
        task = self._tasks.get(event.step)
        if task is None or self._progress is None:
            return
        done, total = (ByteSize(event.done), ByteSize(event.total)) if event.unit == "bytes" else (event.done, event.total)
        amount = f"{done} of {total}" if event.total else str(done)
        unit = "" if event.unit == "bytes" else f" {event.unit}"
        self._progress.update(task, completed=event.done, total=event.total or None, amount=self._clean(amount + unit))

    def _finish(self, event: StepFinished) -> None:
        task = self._tasks.pop(event.step, None)
        if task is not None and self._progress is not None:
            self._progress.remove_task(task)
        if event.outcome != "cached":
            style = {"failed": "red", "skipped": "dim"}.get(event.outcome, "")
            self._print(words.step_line(event), style)

    def _closing_tables(self) -> None:
        if self._programs:
            self._table(words.PROGRAM_COLUMNS, sorted(self._programs), "")
        if self._archives:
            self._table(words.ARCHIVE_COLUMNS, words.archives_in_order(self._archives), "")
        if self._images:
            self._image_table()

    def _image_table(self) -> None:
        widths = (max(map(len, column)) for column in zip(words.IMAGE_COLUMNS, *self._images, strict=True))
        if sum(widths) + 3 * len(words.IMAGE_COLUMNS) <= self._rich().width:
            self._table(words.IMAGE_COLUMNS, self._images, "")
            return
        # A digest broken into pieces cannot be copied: in a narrow window each has a line of its own.
        at = words.IMAGE_COLUMNS.index("digest")
        rows = [(*row[:at], *row[at + 1 :]) for row in self._images]
        listed = [
            tuple(cell.replace(" ", "\n") if number in (2, 6) else cell for number, cell in enumerate(row)) for row in rows
        ]
        self._table((*words.IMAGE_COLUMNS[:at], *words.IMAGE_COLUMNS[at + 1 :]), listed, "")
        for row in self._images:
            self._print(f" {row[0]} in {row[1]}", "")
            self._print(f" {row[at]}", "")

    def _table(
        self, columns: tuple[str, ...], rows: list[tuple[str, ...]] | tuple[tuple[str, ...], ...], title: str
    ) -> None:
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=box.SIMPLE_HEAD, title=Text(self._clean(title)) if title else None, title_justify="left", pad_edge=False
        )
        for column in columns:
            table.add_column(self._clean(column), overflow="fold")
        for row in rows:
            table.add_row(*(Text(self._clean(cell)) for cell in row))
        self._rich().print(table)

    def close(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._tasks.clear()
