"""Plain values to typed tables, every problem collected: msgspec converts each field by itself, for it stops at the first
error of what it is given, and knows no lines."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import FieldInfo

from goctl.errors import Location, Problem
from goctl.values import to_json

Path = tuple[str, ...]

_WRONG: Any = object()
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


#: How many problems are told at once; a file with more has one reason for most of them.
MOST_PROBLEMS = 100

_MOST_REPEATED = 5 * MOST_PROBLEMS


class EnoughProblems(Exception):
    """Ends the search: more problems would help nobody, and a file made for it could have 100,000."""


class Problems:
    """What is wrong, each with the path of the setting it is about. Raises EnoughProblems when there are too many."""

    def __init__(self) -> None:
        self.found: dict[tuple[Path, str], tuple[str, str]] = {}
        self._added = 0

    def add(self, path: Path, message: str, *, expected: str = "", hint: str = "") -> None:
        if path[:1] == ("targets",) and (path[2:], message) in self.found:
            return  # inherited from [image] or [archive], where it is said already
        self.found.setdefault((path, message), (expected, hint))
        self._added += 1
        if len(self.found) >= MOST_PROBLEMS or self._added >= _MOST_REPEATED:
            raise EnoughProblems

    def located(self, place: typing.Callable[[Path], Location]) -> list[Problem]:
        """All of them, in the order of the file."""
        problems = [
            Problem(_clipped(f"{dotted(path)}: {message}" if path else message), place(path), expected, _clipped(hint))
            for (path, message), (expected, hint) in self.found.items()
        ]
        return sorted(problems, key=lambda problem: (problem.location or Location(""), problem.message))


def dotted(path: Iterable[str]) -> str:
    """A path as goctl.toml would write it."""
    return ".".join(part if _BARE.match(part) else to_json(part).decode() for part in path)


def _clipped(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:300]}...{text[-80:]}"


def table(kind: type[msgspec.Struct], raw: Any, path: Path, problems: Problems) -> Any:
    """A table of goctl.toml. What is wrong in it is left out, so that the rest can be checked; None where that would say
    things that are not so."""
    if not isinstance(raw, Mapping):
        problems.add(path, f"{_shown(raw)} is no table", expected="a table")
        return None
    fields = known_fields(kind)
    values: dict[str, Any] = {}
    wrong = set()
    for key, value in raw.items():
        if key not in fields:
            problems.add((*path, key), "unknown setting", expected="", hint=suggestion(key, fields))
            continue
        made = _field(fields[key], _shape(kind, key), value, (*path, key), problems)
        if made is _WRONG:
            wrong.add(key)
        else:
            values[fields[key].name] = made
    required = _required(kind)
    lacking = [key for key in required if key not in raw]
    for key in lacking:
        problems.add((*path, key), "is missing", expected=words(fields[key].type), hint=f"add `{key}`")
    return None if lacking or "stamp" in wrong or not wrong.isdisjoint(required) else kind(**values)


def tables(kind: type[msgspec.Struct], raw: Any, path: Path, problems: Problems) -> dict[str, Any]:
    """A table of tables, by name. Those that are wrong are left out."""
    if not isinstance(raw, Mapping):
        problems.add(path, f"{_shown(raw)} is no table", expected="a table of tables")
        return {}
    found = {name: table(kind, value, (*path, name), problems) for name, value in raw.items()}
    return {name: value for name, value in found.items() if value is not None}


@cache
def known_fields(kind: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    """The fields of a table by the names they have in the file."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


@cache
def _required(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(key for key, field in known_fields(kind).items() if field.required)


class _Shape(NamedTuple):
    """What a field may hold that is converted piece by piece: a list of tables, a table, a table of texts."""

    listed: type[msgspec.Struct] | None
    inner: type[msgspec.Struct] | None
    of_texts: bool


@cache
def _shape(kind: type[msgspec.Struct], key: str) -> _Shape:
    of = known_fields(kind)[key].type
    return _Shape(_struct_listed(of), _struct_in(of), typing.get_args(_parts(of)[0])[1:] == (str,))


def _field(field: FieldInfo, shape: _Shape, value: Any, path: Path, problems: Problems) -> Any:
    if shape.listed is not None and isinstance(value, list):
        each = [table(shape.listed, one, (*path, str(number)), problems) for number, one in enumerate(value)]
        return _WRONG if None in each else tuple(each)
    if shape.inner is not None and isinstance(value, Mapping):
        made = table(shape.inner, value, path, problems)
        return _WRONG if made is None else made
    if shape.of_texts and isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(one, str):
                problems.add((*path, key), f"{_shown(one)} will not do", expected="text")
        return {key: one for key, one in value.items() if isinstance(one, str)}
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError:
        # Who writes a password where a variable's name belongs must not read it in a log.
        shown = "what stands there" if "credentials" in path else _shown(value)
        problems.add(path, f"{shown} will not do", expected=words(field.type), hint=_choice(field.type, value))
        return _WRONG


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for part in _parts(kind):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _struct_listed(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a list is of."""
    (part, *_) = _parts(kind)
    return _struct_in(typing.get_args(part)[0]) if typing.get_origin(part) is tuple else None


def _parts(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is typing.Annotated:
        return _parts(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(part for each in typing.get_args(kind) for part in _parts(each))
    return (kind,)


def words(kind: Any) -> str:
    """A type as a person would say it."""
    if typing.get_origin(kind) is typing.Annotated:
        inner, *metas = typing.get_args(kind)
        bounds = next((f" from {m.ge} to {m.le}" for m in metas if isinstance(m, msgspec.Meta) and m.le is not None), "")
        return words(inner) + bounds
    parts = [part for part in _parts(kind) if part is not type(None)]
    return " or ".join(dict.fromkeys(_word(part) for part in parts))


def _word(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(value) for value in arguments)
    if origin is tuple:
        inner = words(arguments[0])
        if inner == "a table":
            return "a list of tables"
        return (
            f"a list of {inner}".replace("one of", "these:")
            if inner.startswith("one of")
            else f"a list of {inner}s".replace(" or ", "s or ")
        )
    if origin is dict:
        inner = "" if arguments[1] is Any else words(arguments[1])
        return (
            f"a table of {inner.replace('a table', 'tables', 1) if 'a table' in inner else inner + 's'}"
            if inner
            else "a table"
        )
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "a table"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(kind, str(kind))


def suggestion(key: str, known: Iterable[str]) -> str:
    """What was probably meant, or what there is."""
    names = list(known)[:200]
    close = difflib.get_close_matches(key[:60].replace("_", "-"), names, n=1, cutoff=0.6)
    more = ", ..." if len(names) > 12 else ""
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names[:12])}{more}"


def _choice(kind: Any, value: Any) -> str:
    choices = [
        str(one) for part in _parts(kind) if typing.get_origin(part) is typing.Literal for one in typing.get_args(part)
    ]
    if typing.get_origin(_parts(kind)[0]) is tuple:
        choices = [str(one) for one in typing.get_args(typing.get_args(_parts(kind)[0])[0])]
        value = next((one for one in value if one not in choices), "") if isinstance(value, list) else value
    close = difflib.get_close_matches(str(value), choices, n=1) if choices else []
    return f"did you mean {close[0]!r}?" if close else ""


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else _plain(value)
    return repr(text[:60]) if isinstance(value, str) else text[:60]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return str(value)
    try:
        return to_json(value).decode()
    except (TypeError, NotImplementedError, ValueError, RecursionError):
        return str(value)
