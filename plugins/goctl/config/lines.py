"""Where in a TOML file each key stands, for messages. Best effort: what is not found has no line, and nothing is raised.

tomli has checked the syntax before, so that a light scan is enough: table headers, keys, inline tables, and skipping over
strings and arrays that span lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Path = tuple[str, ...]

_KEY = re.compile(r"""[ \t]*("(?>(?:[^"\\\n]+|\\.)*)"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_SKIP = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|\#[^\n]*', re.DOTALL)


def index(text: str) -> dict[Path, tuple[int, int]]:
    """Line and column, both from 1, of each key and table, by the parts of its dotted path."""
    found: dict[Path, tuple[int, int]] = {}
    line, start = 1, 0
    for path, position in _Scanner(text).found():
        # Positions only grow, so that lines are counted once.
        line += text.count("\n", start, position)
        start = position
        if path not in found:
            found[path] = (line, position - text.rfind("\n", 0, position))
    return found


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def found(self) -> Iterator[tuple[Path, int]]:
        table: Path = ()
        while self._at < len(self._text):
            self._space()
            if self._at >= len(self._text):
                return
            start = self._at
            if self._text[self._at] == "[":
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                table = self._dotted()
                yield table, start
                self._line_end()
                continue
            path = self._dotted()
            if not path:
                self._line_end()
                continue
            for depth in range(1, len(path) + 1):
                yield (*table, *path[:depth]), start
            yield from self._value((*table, *path))
            self._line_end()

    def _dotted(self) -> Path:
        parts = []
        while match := _KEY.match(self._text, self._at):
            parts.append(_plain(match[1]))
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return tuple(parts)

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        """Reads over `= value`, yielding the keys of inline tables in it."""
        if not self._text.startswith("=", self._at):
            return
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        if self._text.startswith("{", self._at):
            yield from self._inline(path)
        else:
            self._skip("\n")

    def _inline(self, path: Path) -> Iterator[tuple[Path, int]]:
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != "}":
            self._space()
            start = self._at
            parts = self._dotted()
            if not parts:
                self._at += 1
                continue
            yield (*path, *parts), start
            self._at = self._text.find("=", self._at) + 1 or len(self._text)
            self._space()
            if self._text.startswith("{", self._at):
                yield from self._inline((*path, *parts))
            else:
                self._skip(",}")
            if self._text.startswith(",", self._at):
                self._at += 1
        self._at += 1

    def _skip(self, ends: str) -> None:
        """To the first of `ends` that is outside of strings and brackets."""
        depth = 0
        while self._at < len(self._text):
            match = _SKIP.match(self._text, self._at)
            if match:
                self._at = match.end()
                continue
            char = self._text[self._at]
            if depth <= 0 and char in ends:
                return
            depth += (char in "[{") - (char in "]}")
            self._at += 1

    def _space(self) -> None:
        """Over blank lines and comments."""
        while self._at < len(self._text):
            if self._text[self._at] in " \t\r\n\ufeff":
                self._at += 1
            elif self._text[self._at] == "#":
                self._line_end()
            else:
                return

    def _line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1


def _plain(key: str) -> str:
    """A key without its quotes and escapes, which are nearly JSON's."""
    if key[0] == '"' and "\\" in key:
        try:
            return str(json.loads(key))
        except ValueError:
            return key
    return key[1:-1] if key[0] in "\"'" else key
