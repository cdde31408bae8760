"""Workspaces: a goctl.toml above others, the files of its members, and what these take from it.

A member's paths are anchored: rewritten to count from the workspace's folder, so that everything after the loader has one
folder to count from, whichever file said it and wherever the command was started.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: What a member has from the workspace's file unless its own says otherwise. Targets, names and versions are its own.
INHERITED = ("go", "platforms", "image", "archive", "registries", "publish", "release", "engines")
#: Settings in these tables that are a project's own all the same.
OWN = {"go": ("directory", "generate"), "release": ("dist",)}
_LAYOUT = re.compile(r"(oci-layout|oci-archive|docker-archive):(.*)\Z", re.DOTALL)
FILE_NAME = "goctl.toml"


def peek(file: Path) -> dict[str, Any]:
    """A file's tree for those who only list names: empty where it is not there, broken or too long."""
    from goctl.config.read import read
    from goctl.errors import ConfigError

    try:
        return read(file, str(file))[0]
    except ConfigError:
        return {}


def is_workspace(tree: Mapping[str, Any]) -> bool:
    return isinstance(tree.get("workspace"), Mapping)


def member_files(root: Path, tree: Mapping[str, Any]) -> list[Path]:
    """The goctl.toml of each member, sorted by path; folders without one are no members."""
    table = tree.get("workspace")
    if not isinstance(table, Mapping):
        return []
    found = {file for pattern in _texts(table.get("members")) for file in _matches(root, pattern)}
    excluded = {file for pattern in _texts(table.get("exclude")) for file in _matches(root, pattern)}
    return sorted(found - excluded)


def matches(root: Path, pattern: str) -> bool:
    """Whether a pattern of members names any folder with a goctl.toml."""
    return next(_matches(root, pattern), None) is not None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    if not is_pattern(pattern):
        return
    for folder in root.glob(pattern.strip("/")):
        # Hidden folders hold other people's files (.git, .venv, editors'); a project in one is named without a wildcard.
        hidden = any(part.startswith(".") for part in folder.relative_to(root).parts)
        if (folder / FILE_NAME).is_file() and folder != root and not (hidden and "*" in pattern):
            yield folder / FILE_NAME


def is_pattern(pattern: str) -> bool:
    """Whether it is a glob of folders below the workspace's."""
    parts = pattern.replace("\\", "/").split("/")
    return bool(pattern) and not os.path.isabs(pattern) and ".." not in parts and ":" not in pattern and "\0" not in pattern


def top_file(file: Path) -> Path | None:
    """The workspace's file that names this file's folder as a member; None where there is none.

    It is looked for above, up to the folder that holds .git: what lies above a checkout belongs to somebody else.
    """
    if _is_checkout(file.parent):
        return None
    for folder in file.parent.parents:
        top = folder / FILE_NAME
        # A look at the text first: parsing every file above would cost more.
        if _speaks_of_a_workspace(top) and file in member_files(folder, peek(top)):
            return top
        if _is_checkout(folder):
            return None
    return None


def _is_checkout(folder: Path) -> bool:
    # A submodule's .git is a file: it may well be a member of what is above it.
    return (folder / ".git").is_dir()


def _speaks_of_a_workspace(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return b"workspace" in opened.read(1 << 18)
    except OSError:
        return False


def name_of(file: Path, tree: Mapping[str, Any]) -> str:
    """A project's name: as its file has it, else that of its folder."""
    project = tree.get("project")
    named = project.get("name") if isinstance(project, Mapping) else None
    return named if isinstance(named, str) and named else folder_name(file.parent)


def folder_name(folder: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("._-") or "project"


def inherited(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What of a workspace's tree its members have too."""
    found: dict[str, Any] = {}
    for name in INHERITED:
        value = tree.get(name)
        if isinstance(value, Mapping):
            found[name] = {key: one for key, one in value.items() if key not in OWN.get(name, ())}
    return found


def module_folder(top: Path, folder: str) -> str:
    """The folder of the go.mod that a member's packages belong to, from the workspace's: its own, or the nearest above."""
    parts = folder.split("/")
    for depth in range(len(parts), -1, -1):
        above = "/".join(parts[:depth])
        if (top / above / "go.mod").is_file():
            return above or "."
    return folder


class Anchor:
    """Rewrites the paths of one member's tree. `folder` is the member's, from the workspace's, with forward slashes."""

    def __init__(self, top: Path, folder: str) -> None:
        self.folder = folder
        self.module = module_folder(top, folder)

    def file(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """A whole file's tree, profiles included, with every path from the workspace's folder. What has the wrong type is
        left for the loader."""
        directory = _get(raw, "go", "directory")
        # Packages count from go.directory where it is given, else from the file.
        package = _same if isinstance(directory, str) else self._package
        tree = self._tree(raw, package)
        profiles = raw.get("profiles")
        if isinstance(profiles, Mapping):
            tree["profiles"] = {
                name: self._tree(overlay, package) if isinstance(overlay, Mapping) else overlay
                for name, overlay in profiles.items()
            }
        return tree

    def _tree(self, raw: Mapping[str, Any], package: Callable[[Any], Any]) -> dict[str, Any]:
        tree = dict(raw)
        go = {"directory": self._path, "toolchain": self._toolchain, "generate": _each(package)}
        for name, change in (
            ("go", go),
            ("project", {"version": self._version}),
            ("release", {"dist": self._path}),
            ("image", {"base": self._layout}),
            ("archive", {"files": _each(self._path)}),
        ):
            if name in tree:
                tree[name] = _over(tree[name], change)
        for name, change in (
            ("platforms", {"base": self._layout}),
            (
                "registries",
                {"url": self._layout, "ca": self._path, "client-certificate": self._path, "client-key": self._path},
            ),
            ("targets", {"packages": _each(package), "image": self._image, "archive": self._archive}),
        ):
            if isinstance(tree.get(name), Mapping):
                tree[name] = {key: _over(value, change) for key, value in tree[name].items()}
        return tree

    def _path(self, path: Any) -> Any:
        if not isinstance(path, str) or not path or os.path.isabs(path):
            return path
        return posixpath.normpath(posixpath.join(self.folder, path.replace("\\", "/") if os.name == "nt" else path))

    def _layout(self, text: Any) -> Any:
        match = _LAYOUT.match(text) if isinstance(text, str) else None
        return f"{match[1]}:{self._path(match[2])}" if match and match[2] else text

    def _version(self, text: Any) -> Any:
        if isinstance(text, str) and text.startswith("file:"):
            return f"file:{self._path(text.removeprefix('file:'))}"
        return text

    def _toolchain(self, text: Any) -> Any:
        # A name without a slash is `auto` or a constraint.
        return self._path(text) if isinstance(text, str) and "/" in text and not text.startswith("~") else text

    def _package(self, pattern: Any) -> Any:
        """A package by its path, from the folder of go.mod instead of the member's."""
        if not isinstance(pattern, str) or not (pattern in (".", "..") or pattern.startswith(("./", "../"))):
            return pattern
        return moved(pattern, self.folder, self.module)

    def _image(self, image: Any) -> Any:
        made = _over(image, {"base": self._layout})
        if isinstance(made, Mapping) and isinstance(made.get("assets"), Mapping):
            made = {**made, "assets": {self._path(source): path for source, path in made["assets"].items()}}
        return made

    def _archive(self, archive: Any) -> Any:
        return _over(archive, {"files": _each(self._path)})


def moved(pattern: str, folder: str, module: str) -> str:
    """A `./` pattern that counts from one folder, written so that it counts from another; both from the workspace's."""
    path = posixpath.relpath(posixpath.normpath(posixpath.join("/", folder, pattern)), posixpath.join("/", module))
    return "." if path == "." else path if path.startswith("..") else f"./{path}"


def _same(value: Any) -> Any:
    return value


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda values: [change(one) for one in values] if isinstance(values, list) else values


def _over(table: Any, changes: Mapping[str, Callable[[Any], Any]]) -> Any:
    """A table with some of its values changed, if they are there."""
    if not isinstance(table, Mapping):
        return table
    return {key: changes[key](value) if key in changes else value for key, value in table.items()}


def _get(tree: Mapping[str, Any], *path: str) -> Any:
    value: Any = tree
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
