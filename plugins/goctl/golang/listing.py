"""The package graph of one platform, from `go list -deps`, which prints imports before importers.

Packages of the standard library are covered by the toolchain's version, those of the module cache by version and checksum;
only what a person can edit (the main modules, directories put in by replace, vendor/) is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError
from goctl.golang.cgo import environment
from goctl.golang.graph import Graph, Node, encode_graph, listing
from goctl.golang.refusal import refusal
from goctl.golang.toolchain import check_flags
from goctl.plan.facts import Listing, ListingKey
from goctl.plan.goflags import split_flags
from goctl.system.process import run
from goctl.values import Platform

_SOURCES = "GoFiles CgoFiles CFiles CXXFiles MFiles HFiles FFiles SFiles SwigFiles SwigCXXFiles SysoFiles".split()
_FIELDS = ",".join(
    ["Dir", "ImportPath", "Name", "Standard", "DepOnly", "Match", "Module", "EmbedPatterns", "EmbedFiles", "Imports"]
    + ["ImportMap", "DefaultGODEBUG", "Error", "IgnoredGoFiles", "IgnoredOtherFiles", "CgoPkgConfig", *_SOURCES]
)
PROFILE = "default.pgo"


class Module(msgspec.Struct, rename="pascal"):
    path: str = ""
    version: str = ""
    main: bool = False
    dir: str = ""
    go_mod: str = ""
    go_version: str = ""
    sum: str = ""
    replace: Module | None = None


class PackageError(msgspec.Struct, rename="pascal"):
    pos: str = ""
    err: str = ""
    import_stack: list[str] | None = None


class Package(msgspec.Struct, rename="pascal"):
    """What is asked of go list; see `go help list`."""

    dir: str = ""
    import_path: str = ""
    name: str = ""
    standard: bool = False
    dep_only: bool = False
    match: list[str] = []
    module: Module | None = None
    go_files: list[str] = []
    cgo_files: list[str] = []
    c_files: list[str] = []
    cxx_files: list[str] = msgspec.field(name="CXXFiles", default_factory=list)
    m_files: list[str] = []
    h_files: list[str] = []
    f_files: list[str] = []
    s_files: list[str] = []
    swig_files: list[str] = []
    swig_cxx_files: list[str] = msgspec.field(name="SwigCXXFiles", default_factory=list)
    syso_files: list[str] = []
    embed_patterns: list[str] = []
    embed_files: list[str] = []
    ignored_go_files: list[str] = []
    ignored_other_files: list[str] = []
    imports: list[str] = []
    import_map: dict[str, str] = {}
    cgo_pkg_config: list[str] = msgspec.field(name="CgoPkgConfig", default_factory=list)
    default_godebug: str = msgspec.field(name="DefaultGODEBUG", default="")
    error: PackageError | None = None

    @property
    def files(self) -> list[str]:
        """Names below `dir` of all that is compiled or embedded."""
        sources = self.go_files + self.cgo_files + self.c_files + self.cxx_files + self.m_files + self.h_files + self.f_files
        return [*sources, *self.s_files, *self.swig_files, *self.swig_cxx_files, *self.syso_files, *self.embed_files]

    @property
    def is_program(self) -> bool:
        """Whether go build makes a program of it: a package of tests alone has nothing to build."""
        return self.name == "main" and bool(self.go_files or self.cgo_files)

    @property
    def ignored(self) -> list[str]:
        """Names of sources that a build constraint or the name keeps out: an edit may bring them in."""
        return [name for name in (*self.ignored_go_files, *self.ignored_other_files) if not name.endswith("_test.go")]

    @property
    def is_local(self) -> bool:
        """Whether a person can edit it: not from the module cache, whose content the go command keeps as go.sum has it."""
        module = self.module
        if module is None or module.main:
            return True
        if module.replace is not None:
            # A replacement by a directory has no version.
            return not module.replace.version
        # Packages in vendor/ have a module without a folder of its own.
        return not module.dir


class Listed(msgspec.Struct, frozen=True):
    """One platform's packages: those a person can edit, the listing, and its graph in encoded form."""

    listing: Listing
    local: list[Package]
    graph: bytes


_decode = msgspec.json.Decoder(Package).decode


def list_packages(
    host: Host, key: ListingKey, patterns: Sequence[str], hash_file: Callable[[str, bool], str], sums: Mapping[str, str]
) -> Listed:
    """Lists and digests. `hash_file` gives the sha256 of a file by path, and is told whether it is there only to be
    embedded; `sums` the checksums of go.sum by `path version`.

    Raises ModuleError in go's own words, with what to do.
    """
    toolchain = host.toolchain()
    check_flags(split_flags(dict(key.env).get("GOFLAGS", "")))
    tags = [f"-tags={','.join(key.tags)}"] if key.tags else []
    reader = _Reader()
    completed = run(
        (toolchain.command, "list", "-e", "-deps", f"-json={_FIELDS}", "-pgo=off", "-buildvcs=false")
        + (*tags, *key.flags, "--", *patterns),
        cwd=host.module,
        env=environment(host, key),
        take_stdout=reader.take,
    )
    if completed.code != 0:
        raise refusal(completed.errors, key.platform)
    packages = reader.packages
    problems = [package for package in packages if package.error is not None]
    if problems:
        if not key.cgo:
            refuse_cgo(problems, key.platform)
        raise refusal("\n".join(_words(package) for package in problems), key.platform)
    return _digest(packages, patterns, hash_file, sums, key)


_IMPORTS_C = re.compile(rb'^\s*(?:import\s+)?"C"\s*(?://.*)?$', re.MULTILINE)


def refuse_cgo(problems: Sequence[Package], platform: Platform) -> None:
    """Raises ModuleError where a package has no files left because all of them need cgo."""
    for package in problems:
        error = package.error
        if error is None or not any(_imports_c(os.path.join(package.dir, name)) for name in package.ignored_go_files):
            continue
        chain = " imports ".join(dict.fromkeys((*(error.import_stack or ()), package.import_path)))
        raise ModuleError(
            f"{package.import_path} needs cgo, which is off for {platform}: {chain}",
            hint='set cgo = "zig" (any platform; pip install ziglang) or "host" for the target, or do without the package',
        )


def _imports_c(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _IMPORTS_C.search(file.read(1 << 16)) is not None
    except OSError:
        return False


class _Reader:
    """Takes go list's output line by line and keeps the packages outside the standard library: of a large program it prints
    tens of megabytes."""

    def __init__(self) -> None:
        self.packages: list[Package] = []
        self._lines: list[bytes] = []

    def take(self, line: bytes) -> None:
        self._lines.append(line)
        # Each object ends with a brace in the first column.
        if line.startswith(b"}"):
            package = _decode(b"".join(self._lines))
            self._lines.clear()
            if not package.standard or package.error is not None:
                self.packages.append(package)


def _words(package: Package) -> str:
    error = package.error
    if error is None:
        return ""
    place = f"{error.pos}: " if error.pos else ""
    text = error.err.strip()
    return text if place and text.startswith(place) else place + text


def _digest(
    packages: list[Package],
    patterns: Sequence[str],
    hash_file: Callable[[str, bool], str],
    sums: Mapping[str, str],
    key: ListingKey,
) -> Listed:
    graph: Graph = {}
    mains: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for package in packages:
        if package.import_path == "command-line-arguments":
            raise ModuleError(
                f"{' '.join(patterns)}: files are no package", hint="name the folder of the package: ./cmd/api"
            )
        imports = sorted({package.import_map.get(path, path) for path in package.imports})
        graph[package.import_path] = Node(
            package.dir if package.is_local else "",
            package.name,
            _file_hashes(package, hash_file) if package.is_local else {},
            [path for path in imports if path in graph],
            _module_text(package, sums),
            [package.default_godebug, *package.embed_patterns],
        )
        if package.is_program and not package.dep_only:
            for pattern in package.match:
                mains.setdefault(pattern, []).append(package.import_path)
    empty = [pattern for pattern in patterns if not mains[pattern]]
    if empty:
        raise ModuleError(
            f"no main package for {key.platform}: {', '.join(empty)}",
            hint="a program is a package that says `package main`; check `packages` of the target, and build constraints",
        )
    content = encode_graph(graph)
    made = listing(graph, mains, content)
    libraries = tuple(dict.fromkeys(name for package in packages for name in package.cgo_pkg_config))
    return Listed(
        msgspec.structs.replace(made, libraries=libraries), [package for package in packages if package.is_local], content
    )


def _file_hashes(package: Package, hash_file: Callable[[str, bool], str]) -> dict[str, str]:
    names = package.files
    if package.name == "main" and os.path.exists(os.path.join(package.dir, PROFILE)):
        names = [*names, PROFILE]
    embedded = frozenset(package.embed_files)
    return {name: hash_file(os.path.join(package.dir, name), name in embedded) for name in names}


def _module_text(package: Package, sums: Mapping[str, str]) -> str:
    """What of a package's module enters a program: go records path, version, checksum and replacement of every module in it
    (runtime/debug.BuildInfo), the language version decides how it is compiled."""
    module = package.module
    if module is None:
        return ""
    used = module.replace or module
    words = [module.path, module.version]
    if module.replace is not None:
        words += ["=>", used.path, used.version]
    if package.is_local:
        words += ["go", module.go_version or used.go_version]
    words.append(used.sum or sums.get(f"{used.path} {used.version}", ""))
    return " ".join(word for word in words if word)


def read_sums(folder: Path) -> dict[str, str]:
    """The checksums of go.sum and go.work.sum, by `path version`."""
    sums: dict[str, str] = {}
    for name in ("go.sum", "go.work.sum"):
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and not words[1].endswith("/go.mod"):
                sums[f"{words[0]} {words[1]}"] = words[2]
    return sums
