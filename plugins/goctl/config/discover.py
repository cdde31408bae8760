"""Targets of a project that declares none: every main package below cmd/, else the one in the root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from goctl.config.model import Target

_PACKAGE = re.compile(rb"^package\s+(\w+)", re.MULTILINE)
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
            name = _name(os.path.basename(folder))
            found[name if name not in found else _name(pattern.removeprefix("./cmd/").replace("/", "-"))] = Target(
                packages=(pattern,)
            )
    if not found and module.is_dir() and _is_main(module, [entry.name for entry in module.iterdir()]):
        found[_root_name(module)] = Target(packages=(".",))
    return dict(sorted(found.items()))


def _is_main(folder: Path, files: list[str]) -> bool:
    for name in files:
        if not name.endswith(".go") or name.endswith("_test.go") or name.startswith((".", "_")):
            continue
        try:
            with open(folder / name, "rb") as file:
                content = file.read(1 << 16)
        except OSError:
            continue
        match = _PACKAGE.search(content)
        if match and not _IGNORED.search(content[: match.start()]):
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
