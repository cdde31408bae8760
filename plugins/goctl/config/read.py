"""goctl.toml as a tree of plain values, within bounds. tomli raises four kinds of exceptions on bad input; here they end."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from goctl.config.lines import index
from goctl.errors import ConfigError, Location

#: The longest file: some 2000 targets with tables of their own, read and checked in less than a second.
MOST_BYTES = 1 << 18
MOST_DEPTH = 64
#: Parts of one dotted key: tomli's time grows with their square.
MOST_PARTS = 16

#: Strings and comments as wholes, and the marks that nest. A string without an end is one too: that is for tomli to say.
_TOKEN = re.compile(
    r'''"""(?>(?:[^"\\]+|\\.|"(?!""))*)(?:"{3,5})?|\'{3}(?>(?:[^\']+|\'(?!\'\'))*)(?:\'{3,5})?'''
    r"""|"(?>(?:[^"\\\n]+|\\[^\n])*)"?|\'[^\'\n]*+\'?|\#[^\n]*+|[\[\]{}.=,\n]""",
    re.DOTALL,
)
_LONG_NUMBER = re.compile(r"[0-9_]{19}|0[xob][0-9a-fA-F_]{16}")

_EXAMPLE = """a useful file is five lines:
    [project]
    name = "shop"
    [targets.api]
    packages = ["./cmd/api"]
    image = { base = "static" }"""


def read(path: Path, shown: str) -> tuple[dict[str, Any], str]:
    """The file's values and its text. Raises ConfigError with the line where tomli tells one."""
    content = _bytes(path, shown)
    if len(content) > MOST_BYTES:
        raise ConfigError(f"it is longer than {MOST_BYTES} bytes", location=Location(shown))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError("it is not UTF-8", location=Location(shown, line), hint="save it as UTF-8") from error
    text = text.replace("\r\n", "\n")
    _bound(text, shown)
    import tomli

    try:
        tree = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(_words(error), location=_place(error, shown)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"it cannot be read: {error}", location=Location(shown)) from error
    if _LONG_NUMBER.search(text):
        _refuse_long_numbers(tree, text, shown)
    return tree, text


def _bytes(path: Path, shown: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path.name} in {path.parent}", hint=_similar(path) or _EXAMPLE) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"it cannot be read: {getattr(error, 'strerror', None) or error}", location=Location(shown)
        ) from error


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else ""


def _bound(text: str, shown: str) -> None:
    """Refuses what would keep the parser busy: deep nesting and endless dotted keys. One pass, whatever the text holds."""
    depth = dots = 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth, dots = depth + 1, 0
        elif mark in "]}":
            depth = max(0, depth - 1)
        elif mark == ".":
            dots += 1
        elif mark in "=,\n":
            dots = 0
        if depth > MOST_DEPTH or dots >= MOST_PARTS:
            what = f"it is nested more than {MOST_DEPTH} deep"
            if dots >= MOST_PARTS:
                what = f"a key has more than {MOST_PARTS} parts"
            raise ConfigError(what, location=Location(shown, text.count("\n", 0, match.start()) + 1))


def _refuse_long_numbers(tree: dict[str, Any], text: str, shown: str) -> None:
    """TOML's whole numbers have 64 bits; longer ones cannot even be printed everywhere."""
    todo: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*path, key), one) for key, one in value.items()]
        elif isinstance(value, list):
            todo += [(path, one) for one in value]
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            line, column = index(text).get(path, (0, 0))
            raise ConfigError("a whole number has more than 64 bits", location=Location(shown, line, column))


def _words(error: Exception) -> str:
    return re.sub(r" \(at .*\)$", "", str(error))


def _place(error: Exception, shown: str) -> Location:
    line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
    return Location(shown, int(line or 0), int(column or 0))
