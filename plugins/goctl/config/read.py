"""goctl.toml as a tree of plain values, within bounds. tomli raises four kinds of exceptions on bad input; here they end."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from goctl.errors import ConfigError, Location

MOST_BYTES = 1 << 20
MOST_DEPTH = 64
#: Dots in one key: tomli is slow on long dotted keys.
MOST_DOTS = 32

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
        raise ConfigError(f"it is {len(content)} bytes long; at most {MOST_BYTES} are read", location=Location(shown))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError("it is not UTF-8", location=Location(shown, line), hint="save it as UTF-8") from error
    text = text.replace("\r\n", "\n")
    _bound(text, shown)
    import tomli

    try:
        return tomli.loads(text), text
    except tomli.TOMLDecodeError as error:
        raise ConfigError(_words(error), location=_place(error, shown)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"it cannot be read: {error}", location=Location(shown)) from error


def _bytes(path: Path, shown: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path.name} in {path.parent}", hint=_similar(path) or _EXAMPLE) from error
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror or error}", location=Location(shown)) from error


def _similar(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else ""


def _bound(text: str, shown: str) -> None:
    """Refuses what would keep the parser busy: deep nesting and endless dotted keys. Counts brackets roughly, in strings too
    where they are unbalanced, which no sane file has."""
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*', "", line)
        if bare.count(".") > MOST_DOTS and re.match(r"\s*\[|[^=]*\.[^=]*=", bare):
            raise ConfigError(f"a key has more than {MOST_DOTS} parts", location=Location(shown, number))
        most = depth
        for char in bare:
            if char in "[{":
                depth += 1
                most = max(most, depth)
            elif char in "]}":
                depth = max(0, depth - 1)
        if most > MOST_DEPTH:
            raise ConfigError(f"it is nested more than {MOST_DEPTH} deep", location=Location(shown, number))


def _words(error: Exception) -> str:
    return re.sub(r" \(at .*\)$", "", str(error))


def _place(error: Exception, shown: str) -> Location:
    line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
    return Location(shown, int(line or 0), int(column or 0))
