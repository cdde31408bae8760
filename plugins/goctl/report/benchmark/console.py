"""A night on a console, and progress on the other stream."""

from __future__ import annotations

from typing import TextIO

from goctl.measures import Judgement, Night
from goctl.report import words as texts
from goctl.report.benchmark import words

_STYLES = {"FAILED": "bold red", "slower": "yellow", "faster": "green"}


def tell(out: TextIO, line: str) -> None:
    """A line of progress."""
    out.write(texts.printable(line, out.encoding) + "\n")
    out.flush()


def show(out: TextIO, night: Night, judgement: Judgement) -> None:
    """The tables and what they mean."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A log has no width to be broken at.
    console = Console(file=out, highlight=False, soft_wrap=True, width=None if out.isatty() else 200)

    def clean(text: str) -> Text:
        return Text(texts.printable(text, out.encoding))

    console.print(clean(words.head(night)))
    shown = (words.COLUMNS, words.rows(night, judgement)), (("state", *words.PHASE_COLUMNS), words.phase_rows(night))
    for columns, rows in shown:
        if not rows:
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number in (0, len(words.COLUMNS) - 1) else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(clean, row), style=_STYLES.get(row[-1], ""))
        console.print(table)
    for sentence in words.sentences(night, judgement):
        console.print(clean(sentence))
