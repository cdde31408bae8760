"""Which files and folders decide a listing: what must be looked at to know that nothing changed.

Files are those that were read. Folders tell of files that came, went or were renamed; of each folder only the names count
that can matter there:

    go    Go's source names: what stands in a package's folder
    tree  the same, and sub-folders: below a pattern like ./cmd/...
    all   every name: where an embed pattern may match
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from goctl.golang.listing import PROFILE, Package

_SOURCE_SUFFIXES = (
    ".go",
    ".c",
    ".cc",
    ".cpp",
    ".cxx",
    ".m",
    ".h",
    ".hh",
    ".hpp",
    ".hxx",
    ".f",
    ".F",
    ".for",
    ".f90",
    ".s",
    ".S",
    ".sx",
) + (".swig", ".swigcxx", ".syso")  # go/build, goodOSArchFile's callers: what a package's folder is searched for
#: Which kind watches more.
RANK = {"go": 0, "tree": 1, "all": 2}


def names_digest(folder: str, kind: str) -> str:
    """A digest of the names in a folder that matter there; empty where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _matters(entry, kind))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _matters(entry: os.DirEntry[str], kind: str) -> bool:
    name = entry.name
    if kind == "all":
        return True
    if name.startswith((".", "_")):
        return False
    if kind == "tree" and entry.is_dir():
        return name != "testdata"
    return (name.endswith(_SOURCE_SUFFIXES) and not name.endswith("_test.go")) or name in (PROFILE, "go.mod")


def folders(module: Path, patterns: Iterable[str], packages: Sequence[Package]) -> dict[str, str]:
    """The folders that decide a listing, and the kind of names that matter in each."""
    found: dict[str, str] = {}

    def add(folder: str, kind: str) -> None:
        if RANK[kind] >= RANK[found.get(folder, "go")]:
            found[folder] = kind

    for package in packages:
        add(package.dir, "go")
        for pattern in package.embed_patterns:
            for folder in embed_folders(package.dir, pattern):
                add(folder, "all")
    for pattern in patterns:
        if "..." in pattern and pattern.startswith("."):
            base = os.path.normpath(os.path.join(module, pattern.partition("...")[0]))
            for folder, names, _ in os.walk(base if os.path.isdir(base) else os.path.dirname(base)):
                names[:] = [name for name in names if not name.startswith((".", "_")) and name != "testdata"]
                add(folder, "tree")
    return found


def embed_folders(folder: str, pattern: str) -> list[str]:
    """The folders in which a new name could be matched by an embed pattern: those that a part of it with wildcards leads
    to, and all below one that the whole pattern matches."""
    parts = pattern.removeprefix("all:").split("/")
    found = []
    for depth in range(len(parts)):
        # What no wildcard leads to is there already, or go would have refused the pattern.
        if glob.has_magic("/".join(parts[: depth + 1])):
            found += [folder] if depth == 0 else _matching(folder, "/".join(parts[:depth]))
    for whole in _matching(folder, "/".join(parts)):
        found += [below for below, _, _ in os.walk(whole)]
    return found


def _matching(folder: str, pattern: str) -> list[str]:
    """Folders below a folder that a pattern matches."""
    paths = (os.path.join(folder, path) for path in glob.glob(pattern, root_dir=folder, include_hidden=True))
    return [path for path in paths if os.path.isdir(path)]


def module_files(module: Path, packages: Sequence[Package], work: str | None) -> tuple[list[str], list[str]]:
    """Files of modules that decide a listing: those that exist, and those whose coming would change it."""
    folder = str(module)
    wanted = {os.path.join(folder, name) for name in ("go.mod", "go.sum", os.path.join("vendor", "modules.txt"))}
    for package in packages:
        used = package.module and (package.module.replace or package.module)
        if used and used.go_mod:
            wanted.add(used.go_mod)
        if package.module and package.module.main and package.module.dir:
            wanted |= {os.path.join(package.module.dir, name) for name in ("go.mod", "go.sum")}
    if work == "off":
        pass
    elif work:
        wanted |= {work, f"{work}.sum"}
    else:
        # go looks for go.work in the folder and every one above it.
        for above in (module, *module.parents):
            wanted |= {os.path.join(above, "go.work"), os.path.join(above, "go.work.sum")}
            if os.path.exists(os.path.join(above, "go.work")):
                break
    there = sorted(path for path in wanted if os.path.exists(path))
    return there, sorted(wanted.difference(there))
