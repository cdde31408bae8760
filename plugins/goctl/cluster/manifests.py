"""Manifests: documents of Kubernetes from files, folders, kustomize or standard input, each knowing where it stands."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goctl.cluster.yamls import documents
from goctl.errors import ConfigError, Location, Problem
from goctl.system.files import storage_errors
from goctl.system.process import run

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: The source that stands for standard input.
STDIN = "-"
#: Seconds kustomize has: it may have to fetch bases.
KUSTOMIZE_TIMEOUT = 120.0


class Key(msgspec.Struct, frozen=True, order=True):
    """Which object of a cluster is meant; `namespace` is empty for those of the whole cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def slot(self) -> tuple[str, str, str, str]:
        """What tells objects apart: an object has many versions of one API group, and is one."""
        return (self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name)


class Manifest(msgspec.Struct, frozen=True):
    """One object as somebody wrote it: JSON's values, the file, and the line it begins in."""

    content: dict[str, Any]
    source: str
    line: int = 0

    @property
    def api_version(self) -> str:
        return str(self.content["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        return str(self.content["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.content["metadata"].get("namespace") or "")

    @property
    def key(self) -> Key:
        return Key(self.api_version, self.kind, self.namespace, self.name)

    @property
    def location(self) -> Location:
        return Location(self.source, self.line)

    def with_content(self, content: dict[str, Any]) -> Manifest:
        """Another content in the same place."""
        return Manifest(content, self.source, self.line)


def load(sources: Sequence[str], root: Path, *, stdin: Iterable[str] = ()) -> list[Manifest]:
    """The documents of files, folders and patterns below `root`, in the order given, those of one source by name.

    A folder with a kustomization is what kustomize makes of it; another is its files, without folders in it. `stdin` is read
    for the source `-`. Raises ConfigError with every problem that was found.
    """
    found: list[Manifest] = []
    problems: list[Problem] = []
    for source, text in _texts(sources, root, stdin):
        try:
            for content, line in documents(text, source):
                found += _objects(content, source, line, problems)
        except ConfigError as error:
            problems += error.problems
    seen: dict[tuple[str, str, str, str], Manifest] = {}
    for one in found:
        other = seen.setdefault(one.key.slot, one)
        if other is not one:
            problems.append(
                Problem(f"{one.key} stands in {other.location} already", one.location, hint="remove one of them")
            )
    if problems:
        raise ConfigError(problems)
    return found


def _texts(sources: Sequence[str], root: Path, stdin: Iterable[str]) -> Iterator[tuple[str, str]]:
    read: set[Path] = set()
    for source in sources:
        if source == STDIN:
            yield "<stdin>", "".join(stdin)
            continue
        for path in _paths(source, root):
            if path in read:
                continue
            read.add(path)
            shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
            if path.is_dir():
                yield shown, _kustomized(path)
                continue
            try:
                with storage_errors(shown):
                    yield shown, path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                raise ConfigError("this is no UTF-8", location=Location(shown)) from None


def _paths(source: str, root: Path) -> list[Path]:
    """What a source names: files, and folders for kustomize."""
    if any(mark in source for mark in "*?["):
        path = Path(source)
        base, pattern = (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (root, source)
        paths = sorted(base.glob(pattern))
    else:
        paths = [root / source]
    found: list[Path] = []
    for path in paths:
        if any((path / name).is_file() for name in KUSTOMIZATIONS):
            found.append(path)
        elif path.is_dir():
            found += sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
        elif path.name in KUSTOMIZATIONS:
            found.append(path.parent)
        elif path.is_file():
            found.append(path)
    if not found:
        raise ConfigError(
            f"{source!r} names no manifests", hint="files end in .yaml, .yml or .json; paths count from goctl.toml"
        )
    return found


def _kustomized(folder: Path) -> str:
    """What kustomize makes of a folder: its own command, or the one in kubectl."""
    if program := shutil.which("kustomize"):
        command = [program, "build", str(folder)]
    elif program := shutil.which("kubectl"):
        command = [program, "kustomize", str(folder)]
    else:
        raise ConfigError(
            f"{folder} holds a kustomization, and there is neither kustomize nor kubectl to make manifests of it",
            hint="go install sigs.k8s.io/kustomize/kustomize/v5@latest, or name plain files in manifests",
        )
    return run(command, error=ConfigError, timeout=KUSTOMIZE_TIMEOUT).text


def _objects(content: Any, source: str, line: int, problems: list[Problem]) -> Iterator[Manifest]:
    """The objects of a document: itself, or the items of a list."""
    where = Location(source, line)
    if not isinstance(content, dict):
        problems.append(Problem("this document is no object", where, expected="apiVersion, kind and metadata"))
        return
    if content.get("kind") == "List" and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _objects(item, source, line, problems)
        return
    metadata = content.get("metadata")
    lacking = [key for key in ("apiVersion", "kind") if not isinstance(content.get(key), str) or not content[key]]
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        lacking.append("metadata.name")
    if lacking:
        hint = "an object that is applied needs a name of its own" if "generateName" in (metadata or {}) else ""
        problems.append(Problem(f"this document has no {', '.join(lacking)}", where, hint=hint))
        return
    yield Manifest(content, source, line)
