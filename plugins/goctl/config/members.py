"""Workspaces: a goctl.toml above others, the files of its members, and what these take from it.

A member's paths are anchored: rewritten to count from the workspace's folder, so that everything after the loader has one
folder to count from, whichever file said it and wherever the command was started.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

#: What a member has from the workspace's file unless its own says otherwise. Targets, names and versions are its own.
INHERITED = (
    *("go", "platforms", "image", "archive", "registries", "publish", "release"),
    *("buildkit", "cache", "deploy", "engines"),
)
#: Settings in these tables that are a project's own all the same.
OWN = {"go": ("directory", "generate"), "release": ("dist",)}
_LAYOUT = re.compile(r"(oci-layout|oci-archive|docker-archive):(.*)\Z", re.DOTALL)
FILE_NAME = "goctl.toml"
#: Folders that `**` does not look into: what others wrote, and much of it.
_NO_PROJECTS = frozenset({"node_modules", "vendor", "testdata"})
_WILD = re.compile(r"[*?\[]")


def peek(file: Path) -> dict[str, Any]:
    """A file's tree for those who only list names: empty where it is not there, broken or too long."""
    from goctl.config.read import read
    from goctl.errors import ConfigError

    try:
        return read(file, str(file))[0]
    except ConfigError:
        return {}


def is_workspace(tree: Mapping[str, Any]) -> bool:
    """Whether a file names members."""
    return bool(_texts(_get(tree, "workspace", "members")))


def member_files(root: Path, tree: Mapping[str, Any]) -> list[Path]:
    """The goctl.toml of each member, sorted by folder; folders without one are no members."""
    table = tree.get("workspace")
    if not isinstance(table, Mapping):
        return []
    found = {file for pattern in _texts(table.get("members")) for file in _matches(root, pattern)}
    excluded = {file for pattern in _texts(table.get("exclude")) for file in _matches(root, pattern)}
    return _without_links(root, found - excluded)


def _without_links(root: Path, files: set[Path]) -> list[Path]:
    """Files each once: a link to a member (`current -> v2`) is no other member."""
    top = os.path.realpath(root)
    links: dict[str, Path] = {}
    members: dict[str, Path] = {}
    for file in sorted(files):
        real = os.path.realpath(file)
        is_own = os.path.normcase(real) == os.path.normcase(os.path.join(top, file.relative_to(root)))
        (members if is_own else links).setdefault(real, file)
    return sorted((links | members).values(), key=lambda file: file.parent)


def matches(root: Path, pattern: str) -> bool:
    """Whether a pattern of members names any folder with a goctl.toml."""
    return next(_matches(root, pattern), None) is not None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    if is_pattern(pattern):
        for folder in _folders(root, _parts(pattern)):
            if folder != root and (folder / FILE_NAME).is_file():
                yield folder / FILE_NAME


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.replace("\\", "/").split("/") if part not in ("", ".")]


def _folders(folder: Path, parts: list[str]) -> Iterator[Path]:
    """The folders that a pattern names. Links are followed, but not by `**`."""
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _folders(folder, rest)
        for below in _below(folder):
            if below.name not in _NO_PROJECTS and not below.is_symlink():
                yield from _folders(Path(below.path), parts)
    elif _WILD.search(first):
        for below in _below(folder):
            if fnmatchcase(below.name, first):
                yield from _folders(Path(below.path), rest)
    else:
        yield from _folders(folder / first, rest)


def _below(folder: Path) -> list[os.DirEntry[str]]:
    # Hidden folders hold other people's files (.git, .venv, editors'); a project in one is named without a wildcard.
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def is_pattern(pattern: str) -> bool:
    """Whether it is a glob of folders below the workspace's."""
    parts = _parts(pattern)
    return (
        bool(parts)
        and not pattern.startswith(("/", "\\"))
        and not any(part == ".." or ("**" in part and part != "**") for part in parts)
        and ":" not in pattern
        and "\0" not in pattern
    )


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
    git = folder / ".git"
    if git.is_dir():
        return True
    # A submodule's .git is a file: it may well be a member of what is above it. A further work tree's is one too
    # (gitrepository-layout), and that is a checkout of its own wherever it lies.
    try:
        return b"/worktrees/" in git.read_bytes()[:4096].replace(b"\\", b"/")
    except OSError:
        return False


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
        #: Paths that are keys of tables, as the file has them, by what they became.
        self.written: dict[str, str] = {}

    def file(self, raw: Mapping[str, Any], profile: str) -> dict[str, Any]:
        """A whole file's tree, profiles included, with every path from the workspace's folder. What has the wrong type is
        left for the loader."""
        directory = _get(raw, "profiles", profile, "go", "directory") or _get(raw, "go", "directory")
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
            ("buildkit", {"include": _each(self._path)}),
        ):
            if name in tree:
                tree[name] = _over(tree[name], change)
        tables: tuple[tuple[str, dict[str, Callable[[Any], Any]]], ...] = (
            ("platforms", {"base": self._layout}),
            (
                "registries",
                {"url": self._layout, "ca": self._path, "client-certificate": self._path, "client-key": self._path},
            ),
            ("cache", {"url": self._version}),
            ("deploy", {"cluster": self._cluster, "manifests": _each(self._path)}),
            ("targets", {"packages": _each(package), "image": self._image, "archive": self._archive}),
        )
        for name, change in tables:
            if isinstance(tree.get(name), Mapping):
                tree[name] = {key: _over(value, change) for key, value in tree[name].items()}
        return tree

    def _path(self, path: Any) -> Any:
        if not isinstance(path, str) or not path or path.startswith(("/", "\\")) or path[1:2] == ":":
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
        slash = isinstance(text, str) and ("/" in text or (os.name == "nt" and "\\" in text))
        return self._path(text) if slash and not text.startswith("~") else text

    def _package(self, pattern: Any) -> Any:
        """A package by its path, from the folder of go.mod instead of the member's."""
        return moved(pattern, self.folder, self.module) if isinstance(pattern, str) and is_relative(pattern) else pattern

    def _image(self, image: Any) -> Any:
        made = _over(image, {"base": self._layout})
        if isinstance(made, Mapping) and isinstance(made.get("assets"), Mapping):
            sources = {source: self._path(source) for source in made["assets"]}
            self.written.update({path: source for source, path in sources.items()})
            made = {**made, "assets": {sources[source]: path for source, path in made["assets"].items()}}
        if isinstance(made, Mapping) and isinstance(made.get("dockerfile"), Mapping):
            dockerfile = _over(made["dockerfile"], {"path": self._path})
            if isinstance(dockerfile.get("secrets"), Mapping):
                dockerfile["secrets"] = {name: self._version(text) for name, text in dockerfile["secrets"].items()}
            made = {**made, "dockerfile": dockerfile}
        return made

    def _cluster(self, cluster: Any) -> Any:
        return _over(cluster, {"mounts": self._mounts})

    def _mounts(self, mounts: Any) -> Any:
        return {self._path(source): target for source, target in mounts.items()} if isinstance(mounts, Mapping) else mounts

    def _archive(self, archive: Any) -> Any:
        return _over(archive, {"files": _each(self._path)})


def moved(pattern: str, folder: str, module: str) -> str:
    """A `./` pattern that counts from one folder, written so that it counts from another; both from the workspace's."""
    path = posixpath.relpath(posixpath.normpath(posixpath.join("/", folder, pattern)), posixpath.join("/", module))
    return path if path in (".", "..") or path.startswith("../") else f"./{path}"


def is_relative(pattern: str) -> bool:
    """Whether a pattern of packages is a path; others are import paths, `...` included."""
    return pattern in (".", "..") or pattern.startswith(("./", "../"))


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
