"""Reading objects of Kubernetes without falling over what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dig(value: Any, *path: str) -> Any:
    """What stands at a path of keys; None where something on the way is missing."""
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def number(value: Any, *path: str) -> int:
    """A number at a path; 0 where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, int) else 0


def each(value: Any, *path: str) -> Iterator[dict[str, Any]]:
    """The objects of a list at a path."""
    found = dig(value, *path)
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            yield one


def condition(value: Any, type: str) -> dict[str, Any]:
    """The status condition of a type; empty where there is none."""
    return next((one for one in each(value, "status", "conditions") if one.get("type") == type), {})


def name_of(value: Any) -> str:
    return str(dig(value, "metadata", "name") or "")
