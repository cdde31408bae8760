"""`mod.tidy`: go.mod and go.sum as the code needs them; with `check`, whether they are, without touching them."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path

from goctl.contracts import Host
from goctl.errors import ModuleError, UntidyError
from goctl.events import Notice, Output, StepFinished
from goctl.golang.command import check, go, modules_in_use, only_tell, shown, telling, workspace
from goctl.golang.modfiles import modules_below
from goctl.golang.refusal import refusal
from goctl.golang.versions import order

#: The first Go whose `go mod tidy` has -diff.
_FIRST_WITH_DIFF = "1.23"


def tidy(host: Host, *, check: bool, dry: bool, alone: bool = False) -> None:
    """`go mod tidy` in every module in use, or `alone` in the project's own; with `check`, raises UntidyError where it would
    change something.

    What would change is told as a unified diff.
    """
    folders = modules_in_use(host)
    if alone and host.module in folders:
        folders = [host.module]
    if only_tell(host, "go mod tidy" + (" -diff" if check else ""), dry=dry):
        return
    if not alone:
        _name_others(host, folders)
    if not check:
        for folder in folders:
            _tidy(host, folder)
        host.emit(StepFinished("mod:tidy", "done", "go mod tidy", detail=_names(host, folders)))
        return
    untidy = [folder for folder in folders if _told(host, _difference(host, folder))]
    if untidy:
        names = "go.mod or go.sum" if len(folders) == 1 else ", ".join(f"{shown(host, folder)}/go.mod" for folder in untidy)
        raise UntidyError(f"not tidy: {names}", hint="run `invoke mod.tidy`, and commit go.mod and go.sum")
    host.emit(StepFinished("mod:tidy", "done", "go.mod and go.sum are tidy", detail=_names(host, folders)))


def _names(host: Host, folders: list[Path]) -> str:
    return ", ".join(shown(host, folder) for folder in folders) if len(folders) > 1 else ""


def _tidy(host: Host, folder: Path) -> None:
    completed = go(host, "mod", "tidy", folder=folder, on_stderr=telling(host))
    if completed.code:
        raise _alone(host, refusal(completed.errors or completed.text))


def _alone(host: Host, error: ModuleError) -> ModuleError:
    """In a workspace, what a module cannot find may be its neighbour: tidy looks at each module alone."""
    if workspace(host) is None:
        return error
    hint = (
        "go mod tidy looks at a module alone: what another module of the workspace provides must be published, or replaced"
    )
    return ModuleError(error.message, hint=f"{error.hint}; {hint}" if error.hint else hint)


def _difference(host: Host, folder: Path) -> list[str]:
    """What `go mod tidy` would change, as lines of a diff."""
    if order(host.toolchain().version) < order(_FIRST_WITH_DIFF):
        return _compared(host, folder)
    completed = go(host, "mod", "tidy", "-diff", folder=folder)
    # It ends with 1 for a difference, which it prints, as for a failure.
    if completed.code and completed.text.strip():
        return completed.text.splitlines()
    if completed.code:
        raise _alone(host, refusal(completed.errors))
    return []


def _compared(host: Host, folder: Path) -> list[str]:
    """The same for a Go that has no -diff: tidies copies of the two files, and compares."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="goctl-tidy-") as scratch:
        for name in ("go.mod", "go.sum"):
            if (folder / name).exists():
                Path(scratch, name).write_bytes((folder / name).read_bytes())
        # With -modfile the files of the module are elsewhere, and the module is where it was: relative replacements hold.
        check(go(host, "mod", "tidy", f"-modfile={os.path.join(scratch, 'go.mod')}", folder=folder, env={"GOWORK": "off"}))
        for name in ("go.mod", "go.sum"):
            before, after = _lines(folder / name), _lines(Path(scratch, name))
            lines += difflib.unified_diff(before, after, f"current/{name}", f"tidy/{name}", lineterm="")
    return lines


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _told(host: Host, lines: list[str]) -> bool:
    for line in lines:
        host.emit(Output("go", line))
    return bool(lines)


def _name_others(host: Host, folders: list[Path]) -> None:
    """Modules below the project that nobody asked about are named, for a person may take them for seen to."""
    others = [shown(host, folder) for folder in modules_below(host.root) if folder not in folders]
    if others:
        message = f"left alone, for no go.work in use names them: {', '.join(others[:20])}"
        host.emit(Notice(message, hint="`go work use DIR`, or go.directory, takes them in", level="info"))
