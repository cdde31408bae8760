"""A night as Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Sequence

from goctl.measures import Judgement, Night
from goctl.report.benchmark import words
from goctl.report.words import clean


def markdown(night: Night, judgement: Judgement) -> str:
    """The document."""
    failed = ", ".join(verdict.state for verdict in judgement.failed)
    title = f"Releases became slower: {failed}" if failed else "Releases take what they took"
    parts = [f"### {_text(title)}", *(f"- {_text(one)}" for one in words.sentences(night, judgement)), ""]
    parts += [*_table(words.COLUMNS, words.rows(night, judgement)), ""]
    parts += ["<details><summary>Where the time goes</summary>", ""]
    parts += [*_table(("state", *words.PHASE_COLUMNS), words.phase_rows(night)), "", "</details>", ""]
    parts += [_text(words.head(night)), ""]
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    made = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return ["| " + " | ".join(cell if cell.startswith("---") else _text(cell) for cell in row) + " |" for row in made]


def _text(text: str) -> str:
    """Text that Markdown takes for nothing else: names of projects and branches may hold anything."""
    plain = " ".join(clean(text).split())
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#~!&@" else letter for letter in plain)
