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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from goctl.golang.listing import PROFILE, Package
from goctl.golang.modfiles import local_replacements, used_modules

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


def names_digest(folder: str, kind: str, ignored: str = "") -> str:
    """A digest of the names in a folder that matter there, and of whether each is a file, a folder or a link; empty where
    there is no such folder. `ignored` is the path of a folder that never matters."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(_typed(entry) for entry in entries if _matters(entry, kind) and entry.path != ignored)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _typed(entry: os.DirEntry[str]) -> str:
    """A name that tells what it stands for: go embeds files, looks into folders, and leaves links alone there."""
    return entry.name + ("@" if entry.is_symlink() else "/" if entry.is_dir() else "")


def _matters(entry: os.DirEntry[str], kind: str) -> bool:
    name = entry.name
    if kind == "all":
        return True
    if name.startswith((".", "_")):
        return False
    if kind == "tree" and entry.is_dir():
        return name != "testdata"
    return is_source(name) or name in (PROFILE, "go.mod")


def is_source(name: str) -> bool:
    """Whether go might compile a file of this name."""
    return name.endswith(_SOURCE_SUFFIXES) and not name.endswith("_test.go") and not name.startswith((".", "_"))


def folders(module: Path, patterns: Iterable[str], packages: Sequence[Package], ignored: str = "") -> dict[str, str]:
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
    mains = {p.module.path: p.module.dir for p in packages if p.module is not None and p.module.main and p.module.dir}
    for base in {base for pattern in patterns for base in _bases(str(module), pattern, mains)}:
        for folder, names, _ in os.walk(base):
            names[:] = [n for n in names if _is_searched(folder, n, ignored)]
            add(folder, "tree")
    return found


def _is_searched(folder: str, name: str, ignored: str) -> bool:
    return not name.startswith((".", "_")) and name not in ("testdata", "vendor") and os.path.join(folder, name) != ignored


def _bases(module: str, pattern: str, mains: dict[str, str]) -> Iterator[str]:
    """The folders below which a pattern may match a new package. A pattern without wildcards names one that is known."""
    if "..." not in pattern and pattern not in ("all", "work"):
        return
    start = pattern.partition("...")[0]
    if pattern.startswith(".") or os.path.isabs(pattern):
        yield _folder_of(os.path.join(module, start))
        return
    for path, folder in (mains or {"": module}).items():
        yield _folder_of(os.path.join(folder, start[len(path) + 1 :])) if start.startswith(f"{path}/") else folder


def _folder_of(start: str) -> str:
    base = os.path.normpath(start)
    return base if os.path.isdir(base) else os.path.dirname(base)


def embed_folders(folder: str, pattern: str) -> list[str]:
    """The folders in which a new name could be matched by an embed pattern: those that a part of it with wildcards leads
    to, and all below one that the whole pattern matches."""
    # Go's wildcards are not Python's ([^a], and a backslash that quotes): any name is taken for a match of a part with one.
    parts = ["*" if glob.has_magic(part) or "\\" in part else part for part in pattern.removeprefix("all:").split("/")]
    found = []
    for depth in range(len(parts)):
        # What no wildcard leads to is there already, or go would have refused the pattern.
        if "*" in parts[: depth + 1]:
            found += [folder] if depth == 0 else _matching(folder, "/".join(parts[:depth]))
    for whole in _matching(folder, "/".join(parts)):
        found += [below for below, _, _ in os.walk(whole)]
    return found


def _matching(folder: str, pattern: str) -> list[str]:
    """Folders below a folder that a pattern matches."""
    paths = (os.path.join(folder, path) for path in glob.glob(pattern, root_dir=folder, include_hidden=True))
    return [path for path in paths if os.path.isdir(path)]


def kept_out(watched: dict[str, str], packages: Sequence[Package]) -> Iterator[str]:
    """Sources that build constraints keep out, of packages and of folders below a pattern that are no package for it: an
    edit may bring them in."""
    for package in packages:
        yield from (os.path.join(package.dir, name) for name in package.ignored)
    known = {package.dir for package in packages}
    for folder, kind in watched.items():
        if kind == "tree" and folder not in known:
            with os.scandir(folder) as entries:
                yield from (entry.path for entry in entries if is_source(entry.name) and entry.is_file())


def module_files(module: Path, packages: Sequence[Package], works: Iterable[str]) -> tuple[list[str], list[str]]:
    """Files of modules that decide a listing: those that exist, and those whose coming would change it. `works` are the
    values of GOWORK that count."""
    wanted: set[str] = set()
    roots = {str(module)}
    for work in works:
        files = _work_files(module, work)
        wanted.update(files)
        for file in files:
            if os.path.isfile(file) and not file.endswith(".sum"):
                roots |= used_modules(file)
                wanted.update(os.path.join(folder, "go.mod") for folder in local_replacements(file))
                wanted.add(_vendored(os.path.dirname(file)))
    for package in packages:
        if package.module is None:
            continue
        used = package.module.replace or package.module
        if used.go_mod:
            wanted.add(used.go_mod)
        if package.module.main and used.dir:
            roots.add(used.dir)
        if used.dir:
            wanted.update(_between(used.dir, package.dir))
        for pattern in package.embed_patterns:
            wanted.update(_between(package.dir, os.path.join(package.dir, pattern.removeprefix("all:"))))
    for root in roots:
        mod = os.path.join(root, "go.mod")
        wanted |= {mod, os.path.join(root, "go.sum"), _vendored(root)}
        wanted.update(os.path.join(folder, "go.mod") for folder in local_replacements(mod))
    there = sorted(path for path in wanted if os.path.exists(path))
    return there, sorted(wanted.difference(there))


def _work_files(module: Path, work: str) -> list[str]:
    if work == "off":
        return []
    if work:
        return [work, f"{work}.sum"]
    # go looks for go.work in the folder and every one above it.
    found = []
    for above in (module, *module.parents):
        file = os.path.join(above, "go.work")
        found += [file, f"{file}.sum"]
        if os.path.isfile(file):
            break
    return found


def _vendored(root: str) -> str:
    """What tells whether go reads a vendor folder: the list in it, or that there is no such folder."""
    folder = os.path.join(root, "vendor")
    return os.path.join(folder, "modules.txt") if os.path.isdir(folder) else folder


def _between(root: str, folder: str) -> Iterator[str]:
    """The go.mod files that would cut a package off from its module, or what it embeds from the package. (A package's own
    folder is watched for one.)"""
    above = os.path.dirname(folder)
    while above.startswith(root + os.sep):
        yield os.path.join(above, "go.mod")
        above = os.path.dirname(above)
