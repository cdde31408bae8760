"""Archives: names, folders and patterns that no archive could be made from."""

from __future__ import annotations

import re

from goctl.config.checks import check_template, sample
from goctl.config.convert import Problems
from goctl.config.model import ArchiveDefaults, Config
from goctl.config.template import OF_PLATFORM, file_name_problem

Where = tuple[str, ...]

HIGHEST_LEVEL = {"tar.gz": 12, "tar.zst": 19, "zip": 12}


def check(config: Config, problems: Problems) -> None:
    """Adds a problem for everything in [archive] and the targets' own that cannot be carried out. Reads no file."""
    _archive(config.archive, ("archive",), problems)
    _file_name(config.archive.checksums, ("archive", "checksums"), problems, refuse=("target", *OF_PLATFORM))
    for name, target in config.targets.items():
        if isinstance(target.archive, ArchiveDefaults):
            _archive(target.archive, ("targets", name, "archive"), problems)


def _archive(archive: ArchiveDefaults, where: Where, problems: Problems) -> None:
    _file_name(archive.name, (*where, "name"), problems)
    if archive.folder:
        _file_name(archive.folder, (*where, "folder"), problems)
    most = HIGHEST_LEVEL[archive.format]
    if archive.compression_level > most:
        problems.add((*where, "compression-level"), f"{archive.compression_level} is too high", expected=f"1 to {most}")
    for pattern in archive.files:
        problem = _pattern_problem(pattern)
        if problem:
            problems.add((*where, "files"), f"{pattern!r} {problem}", expected="a path or pattern below goctl.toml's folder")


def _file_name(text: str, where: Where, problems: Problems, refuse: tuple[str, ...] = ()) -> None:
    check_template(text, where, problems, refuse=refuse)
    problem = file_name_problem(sample(text))
    if problem:
        problems.add(where, f"{text!r} {problem}", expected="the name of a file")


def _pattern_problem(pattern: str) -> str:
    parts = pattern.split("/")
    if not pattern or re.search(r"[\x00-\x1f\x7f]", pattern):
        return "is no path"
    if "\\" in pattern:
        return "holds a backslash: paths have slashes on every system"
    if pattern.startswith("/") or re.match(r"[A-Za-z]:", pattern) or ".." in parts:
        return "leaves the project's folder"
    if "." in parts or "" in parts[:-1]:
        return "has a part that says nothing"
    if any("**" in part and part != "**" for part in parts):
        return "has a ** with something beside it: it stands for whole folders"
    return ""
