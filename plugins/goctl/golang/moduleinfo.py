"""Questions about modules: why one is needed, and which are out of date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError
from goctl.events import Document, StepFinished, Table
from goctl.golang.command import check, go, modules_in_use, only_tell, shown
from goctl.golang.modfiles import requirements
from goctl.golang.refusal import refusal, unreachable
from goctl.values import without_userinfo

OUTDATED = ("module", "used", "newest", "direct", "note")


class Why(msgspec.Struct, frozen=True):
    """Why a package or module is needed: the chain of imports from the project's own, empty where nothing imports it."""

    package: str
    needed: bool
    chain: tuple[str, ...]


def why(host: Host, package: str, *, dry: bool) -> None:
    """Tells the shortest chain of imports from this project's packages, tests included, to a package or module."""
    folders = modules_in_use(host)
    if package.startswith("-") or not package.strip():
        raise ModuleError(f"{package!r} is no package", hint="name an import path, for example `golang.org/x/text/language`")
    if only_tell(host, f"go mod why {package}", dry=dry):
        return
    # A module's path need not be that of a package; then the question is which of its packages is imported.
    is_module = any(package in requirements(str(folder / "go.mod")) for folder in folders)
    found = _why(host, package, "-m") if is_module else _why(host, package)
    if found.needed:
        text = "\n".join("  " * depth + name for depth, name in enumerate(found.chain))
    else:
        text = f"nothing in {', '.join(shown(host, folder) for folder in folders)} needs {package}"
    host.emit(Document("why", text, msgspec.Raw(msgspec.json.encode(found))))


def _why(host: Host, package: str, *flags: str) -> Why:
    completed = go(host, "mod", "why", *flags, package)
    if completed.code and unreachable(completed.errors):
        raise ModuleError(
            f"to say why {package} is needed, go must see modules that are not here: {_last(completed.errors)}",
            hint="run `invoke mod.download` with a network once",
        )
    check(completed)
    # `# package`, then the chain, or one line in parentheses that says that there is none (cmd/go/internal/modcmd/why.go).
    chain = tuple(line for line in completed.text.splitlines() if line and not line.startswith(("#", "(")))
    return Why(package, needed=bool(chain), chain=chain)


def _last(text: str) -> str:
    return without_userinfo(
        next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing was printed")
    )


def outdated(host: Host, *, dry: bool) -> None:
    """A table of the modules that have a newer version, or are retracted or deprecated; direct ones first.

    Raises ModuleError where none can be looked up, as without a network.
    """
    modules_in_use(host)
    if only_tell(host, "go list -m -u all", dry=dry):
        return
    completed = go(host, "list", "-e", "-m", "-u", "-mod=readonly", "-json", "all")
    if completed.code:
        raise _unknown(completed.errors) if unreachable(completed.errors) else refusal(completed.errors)
    modules = [module for module in _documents(completed.text) if not module.get("Main")]
    failed = [module for module in modules if _error(module)]
    reachable = any("Update" in module or not _error(module) for module in modules if "Dir" not in module.get("Replace", {}))
    if failed and not reachable:
        words = "\n".join(dict.fromkeys(_error(module) for module in failed))
        raise _unknown(words) if unreachable(words) else refusal(words)
    rows = sorted((row for row in map(_row, modules) if row is not None), key=lambda row: (row[3] != "yes", row[0]))
    if rows:
        host.emit(Table("outdated modules", OUTDATED, tuple(rows)))
    host.emit(StepFinished("mod:outdated", "done", "modules", detail=f"{len(rows)} of {len(modules)} need a look"))


def _unknown(words: str) -> ModuleError:
    return ModuleError(
        f"the newest versions cannot be looked up without a network: {_last(words)}",
        hint="check the network, go.proxy and GOPROXY; what is used stands in go.mod",
    )


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON documents that go prints one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while (start := text.find("{", at)) >= 0:
        document, at = decoder.raw_decode(text, start)
        yield document


def _error(module: dict[str, Any]) -> str:
    return without_userinfo(module.get("Error", {}).get("Err", ""))


def _row(module: dict[str, Any]) -> tuple[str, ...] | None:
    """A module as a row of OUTDATED; None where there is nothing to tell."""
    notes = []
    if "Retracted" in module:
        notes.append("retracted: " + (" ".join(module["Retracted"]) or "no reason given"))
    if "Deprecated" in module:
        notes.append("deprecated: " + module["Deprecated"])
    if _error(module):
        notes.append("not looked up: " + _error(module))
    newest = module.get("Update", {}).get("Version", "")
    if not notes and not newest:
        return None
    replacement = module.get("Replace")
    if replacement is not None:
        notes.append("replaced by " + " ".join(filter(None, (replacement["Path"], replacement.get("Version", "")))))
    direct = "no" if module.get("Indirect") else "yes"
    return (module["Path"], module.get("Version", ""), newest, direct, "; ".join(" ".join(note.split()) for note in notes))
