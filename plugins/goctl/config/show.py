"""Every setting with its value and where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from goctl.config.convert import dotted, known_fields
from goctl.config.loader import Loaded
from goctl.config.model import Config
from goctl.values import is_secretive, without_userinfo


class Setting(NamedTuple):
    """One row of `invoke config`; all text."""

    path: str
    value: str
    origin: str


def settings(loaded: Loaded) -> list[Setting]:
    """All settings, in the order of the schema."""
    rows = []
    for path, value in _leaves(loaded.config, ()):
        if path[:1] == ("profiles",):
            continue
        rows.append(Setting(dotted(path), _shown(path, value), str(loaded.origin(*path))))
    return rows


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, msgspec.Struct):
        fields = known_fields(type(value)) if not isinstance(value, Config) else known_fields(Config)
        for key, field in fields.items():
            # The tables of single platforms stand beside `default`, those of levels beside `levels`.
            below = path if (*path, key) in (("platforms", "settings"), ("cache", "tables")) else (*path, key)
            yield from _leaves(getattr(value, field.name), below)
    elif isinstance(value, dict) and (any(isinstance(one, msgspec.Struct | dict) for one in value.values())):
        for key, one in value.items():
            yield from _leaves(one, (*path, key))
    else:
        yield path, value


def _shown(path: tuple[str, ...], value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        inside = {key: "***" if _secretive(path) and is_secretive(key) else one for key, one in value.items()}
        return ", ".join(f"{key} = {without_userinfo(str(one))}" for key, one in inside.items()) or "-"
    if _secretive(path) and is_secretive(path[-1]):
        return "***"
    if isinstance(value, tuple | list):
        return without_userinfo(", ".join(map(str, value))) or "-"
    return ("true" if value else "false") if isinstance(value, bool) else without_userinfo(str(value))


def _secretive(path: tuple[str, ...]) -> bool:
    """Whether others decide what stands there: an extension's settings, a compiler's or a container's environment."""
    return "options" in path or path[:1] == ("engines",) or "env" in path
