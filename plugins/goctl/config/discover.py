"""Targets of a project that declares none: every main package below cmd/, else the one in the root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from goctl.config.model import Target

#: The package clause, after nothing but comments.
_PACKAGE = re.compile(rb"\A(?:\xef\xbb\xbf)?(?>(?:\s+|//[^\n]*|/\*.*?\*/)*)package\s+(\w+)", re.DOTALL)
_IGNORED = re.compile(rb"^//go:build\s+ignore\s*$", re.MULTILINE)


def discover(module: Path) -> dict[str, Target]:
    """Targets by name, sorted. Reads the package clauses of Go files; starts no compiler."""
    found: dict[str, Target] = {}
    for folder, names, files in os.walk(module / "cmd"):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith((".", "_"))
            and name not in ("testdata", "vendor")
            and not os.path.exists(os.path.join(folder, name, "go.mod"))
        )
        if _is_main(Path(folder), files):
            pattern = "./" + Path(folder).relative_to(module).as_posix()
            found[_free(pattern, found)] = Target(packages=(pattern,))
    if not found and module.is_dir() and _is_main(module, [entry.name for entry in module.iterdir()]):
        found[_root_name(module)] = Target(packages=(".",))
    return dict(sorted(found.items()))


def _free(pattern: str, taken: dict[str, Target]) -> str:
    """The folder's name; where that is taken, its path below cmd/, and a number at last."""
    path = _name(pattern.removeprefix("./cmd/").replace("/", "-"))
    names = [_name(pattern.rsplit("/", 1)[-1]), path, *(f"{path}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _is_main(folder: Path, files: list[str]) -> bool:
    for name in files:
        if not name.endswith(".go") or name.endswith("_test.go") or name.startswith((".", "_")):
            continue
        try:
            with open(folder / name, "rb") as file:
                content = file.read(1 << 16)
        except OSError:
            continue
        match = _PACKAGE.match(content)
        # The go command leaves files of a package "documentation" alone.
        if match and match[1] != b"documentation" and not _IGNORED.search(match[0]):
            return match[1] == b"main"
    return False


def _root_name(module: Path) -> str:
    """The name go build gives the program: the module path's last element, or the one before its major version."""
    try:
        text = (module / "go.mod").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^module\s+\"?([^\s\"]+)", text, re.MULTILINE)
    elements = match[1].split("/") if match else [module.resolve().name]
    if len(elements) > 1 and re.fullmatch(r"v[0-9]+", elements[-1]):
        elements.pop()
    return _name(elements[-1])


def _name(text: str) -> str:
    """A folder's name as a target's name."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("._-") or "main"
