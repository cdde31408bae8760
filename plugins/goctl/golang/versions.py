"""Versions of Go: their order, and the constraints that goctl.toml puts on them."""

from __future__ import annotations

import re

from goctl.errors import ConfigError

_VERSION = re.compile(r"(?:go)?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:(beta|rc)(\d+))?")
_PART = re.compile(r"(>=|<=|==|!=|>|<|~=|\^)?\s*(?:go)?(\d+(?:\.\d+)*)(?:\.[*xX])?((?:rc|beta)\d+)?")
#: Since this language version a first release is `1.21.0`; before it, `1.20` was a release (go.dev/doc/toolchain#version).
_FIRST_WITH_PATCH = (1, 21)

Order = tuple[int, int, int, int, int]


def order(version: str) -> Order:
    """What versions are sorted by, as `cmd/go/internal/gover.Compare` sorts them: `1.26` before `1.26rc1` before `1.26.0`.

    A suffix that a distribution appends counts for nothing; a text that is no version is older than all.
    """
    match = _VERSION.match(version.strip())
    if match is None:
        return (-1, 0, 0, 0, 0)
    major, minor, patch = int(match[1]), int(match[2] or 0), match[3]
    if match[4]:
        return (major, minor, -1, 1 if match[4] == "beta" else 2, int(match[5]))
    if patch is None and (major, minor) >= _FIRST_WITH_PATCH:
        return (major, minor, -1, 0, 0)
    return (major, minor, int(patch or 0), 0, 0)


def is_constraint(setting: str) -> bool:
    """Whether `go.toolchain` is a constraint, and neither `auto` nor a path."""
    return re.match(r"[<>=!^]|~=|\d|go\d", setting) is not None


def meets(version: str, constraint: str) -> bool:
    """Whether a version of Go meets `1.26` (any patch of it), `1.26.x`, `==1.26.*`, or several parts as `>=1.22,<1.24`.

    What a part leaves out is free: `1.24rc1` is a `1.24`, so it meets `>=1.24` and not `<1.24`. Raises ConfigError for what
    is no constraint.
    """
    return all(_meets(order(version), part.strip()) for part in constraint.split(","))


def _meets(have: Order, part: str) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        raise ConfigError(
            f"go.toolchain: {part!r} is no constraint", hint='write for example ">=1.25,<1.27", "1.26.x" or "1.26"'
        )
    operator, numbers, pre = match[1] or "==", match[2].split("."), match[3]
    wanted: tuple[int, ...] = order(match[2] + pre) if pre else tuple(int(number) for number in numbers)
    head = have[: len(wanted)]
    if operator in ("~=", "^"):
        # As in Python's: the last part given may grow. `^` is what other languages write for the same major version.
        fixed = wanted[: max(1, len(numbers) - 1)] if operator == "~=" else wanted[:1]
        return head >= wanted and have[: len(fixed)] == fixed
    return {
        "==": head == wanted,
        "!=": head != wanted,
        ">=": head >= wanted,
        "<=": head <= wanted,
        ">": head > wanted,
        "<": head < wanted,
    }[operator]
