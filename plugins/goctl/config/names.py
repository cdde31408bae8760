"""Names and paths that goctl.toml may hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

from goctl.config.convert import Problems

Where = tuple[str, ...]

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")


def check_name(name: str, where: Where, problems: Problems) -> None:
    """Names that can be a part of a file name, a variable or a reference."""
    if not _NAME.match(name) or ".." in name:
        problems.add(where, f"{name!r} is no name", expected="lower-case letters, digits, and . _ - between them")


def check_inside(path: str, where: Where, root: Path, problems: Problems, *, beside: Path | None = None) -> None:
    """A path that stays in the project, by its text; links are looked at when it is used. With `beside`, the project's
    folder, it must not hold that."""
    flat = path.replace("\\", "/")
    full = os.path.normpath(os.path.join(root, flat))
    if not path or CONTROL.search(path):
        problems.add(where, f"{path!r} is no path", expected="a path below goctl.toml's folder")
    elif os.path.isabs(flat) or re.match(r"[A-Za-z]:", flat) or not holds(os.path.normpath(root), full):
        problems.add(where, f"{path!r} leaves the project's folder", expected="a path below goctl.toml's folder")
    elif beside is not None and holds(full, os.path.normpath(beside)):
        problems.add(where, f"{path!r} is the project's folder itself", expected="a folder of its own below it")


def holds(folder: str, path: str) -> bool:
    """Whether a normal path is a folder, or lies below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
