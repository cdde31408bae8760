"""go.mod and what hangs on it: init, tidy, download, verify, vendor, and `go generate`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from goctl.contracts import Host
from goctl.errors import ModuleError, ToolchainError
from goctl.events import Notice, Output, StepFinished, StepProgress, StepStarted
from goctl.golang.environment import child_environment
from goctl.golang.refusal import refusal
from goctl.system.process import Completed, OnLine, run

_INDEX = "go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt"
_GITIGNORE = b"/dist/\n.goctl/\n"


def setup(host: Host) -> None:
    """The mod stage: every module that go.mod asks for is there. Costs two small reads when that is known already.

    Vendored modules need nothing. Raises ModuleError without a go.mod.
    """
    mod = host.module / "go.mod"
    if not mod.is_file():
        raise ModuleError(
            f"there is no go.mod in {host.module}",
            hint="run `invoke mod.init`, or set go.directory to the folder that has one",
        )
    key = _state(host)
    if host.memo.get("modules", key) is not None:
        return
    if not _is_vendored(host):
        download(host, dry=False)
    host.memo.put("modules", key, b"1")


def _state(host: Host) -> str:
    """A digest of all that says which modules are needed, and of where they are kept."""
    hasher = hashlib.sha256()
    for name in _INDEX:
        try:
            hasher.update((host.module / name).read_bytes())
        except OSError:
            hasher.update(b"\0none")
        hasher.update(b"\0")
    for name in ("GOMODCACHE", "GOPATH", "GOWORK", "GOFLAGS", "HOME", "USERPROFILE"):
        hasher.update(f"{name}={os.environ.get(name, '')}\0".encode())
    return hasher.hexdigest()


def _is_vendored(host: Host) -> bool:
    return (host.module / "vendor" / "modules.txt").is_file() and "-mod=mod" not in host.toolchain().flags


def download(host: Host, *, dry: bool) -> None:
    """Downloads what go.mod asks for; tells each module as it comes. Needs no network for what is there."""
    if _only_tell(host, "go mod download", dry=dry):
        return
    step = "mod:download"
    host.emit(StepStarted(step, "download modules"))
    count = 0

    def heard(line: str) -> None:
        nonlocal count
        if line.startswith("go: downloading "):
            count += 1
            host.emit(StepProgress(step, count, unit="modules"))
            host.emit(Output("go", line))

    completed = _go(host, "mod", "download", on_stderr=heard)
    _check(completed)
    detail = f"{count} downloaded" if count else "all there"
    host.emit(StepFinished(step, "done", "modules", detail=detail))


def tidy(host: Host, *, check: bool, dry: bool) -> None:
    """`go mod tidy`; with `check`, fails where it would change something and changes nothing."""
    if _only_tell(host, "go mod tidy" + (" -diff" if check else ""), dry=dry):
        return
    if not check:
        _check(_go(host, "mod", "tidy", on_stderr=_telling(host)))
        host.emit(StepFinished("mod:tidy", "done", "go mod tidy"))
        return
    # go mod tidy -diff (Go 1.23) prints what it would change, and exits with 1.
    completed = _go(host, "mod", "tidy", "-diff")
    if completed.code and completed.text.strip():
        for line in completed.text.splitlines():
            host.emit(Output("go", line))
        raise ModuleError("go.mod or go.sum is not tidy", hint="run `invoke mod.tidy`, and commit both files")
    _check(completed)
    host.emit(StepFinished("mod:tidy", "done", "go.mod and go.sum are tidy"))


def verify(host: Host, *, dry: bool) -> None:
    """`go mod verify`: what was downloaded is still what go.sum says."""
    if _only_tell(host, "go mod verify", dry=dry):
        return
    completed = _go(host, "mod", "verify")
    if completed.code:
        lines = (completed.text + completed.errors).strip()
        raise ModuleError(
            f"modules are not what go.sum says:\n{lines}", hint="`go clean -modcache`, then `invoke mod.download`"
        )
    host.emit(StepFinished("mod:verify", "done", "go mod verify", detail=completed.text.strip()))


def vendor(host: Host, *, dry: bool) -> None:
    """`go mod vendor`, or `go work vendor` in a workspace."""
    words = ("work", "vendor") if (host.module / "go.work").is_file() else ("mod", "vendor")
    if _only_tell(host, "go " + " ".join(words), dry=dry):
        return
    _check(_go(host, *words, on_stderr=_telling(host)))
    host.emit(StepFinished("mod:vendor", "done", "go " + " ".join(words)))


def init(host: Host, *, dry: bool) -> None:
    """Writes a go.mod, named by project.module or after git's remote, and a .gitignore where there is none."""
    if (host.module / "go.mod").exists():
        raise ModuleError(f"there is a go.mod in {host.module} already", hint="`invoke mod.tidy` keeps it in order")
    name = host.config.project.module or _name_from_git(host)
    if not name:
        raise ModuleError(
            "the module's path is not known", hint='set project.module in goctl.toml, for example "example.com/me/shop"'
        )
    if _only_tell(host, f"go mod init {name}", dry=dry):
        return
    host.module.mkdir(parents=True, exist_ok=True)
    _check(_go(host, "mod", "init", name))
    ignore = host.root / ".gitignore"
    if not ignore.exists():
        ignore.write_bytes(_GITIGNORE)
    host.emit(StepFinished("mod:init", "done", "go mod init", detail=name))


def _name_from_git(host: Host) -> str:
    try:
        remote = run(("git", "remote", "get-url", "origin"), cwd=host.root)
    except ToolchainError:
        return ""
    if remote.code:
        return ""
    name = module_name(remote.text.strip())
    below = os.path.relpath(host.module, host.root).replace(os.sep, "/")
    return name if not name or below == "." else f"{name}/{below}"


def module_name(remote: str) -> str:
    """`git@host:me/shop.git`, `https://host/me/shop`, `ssh://git@host:22/me/shop` as `host/me/shop`; else nothing."""
    match = re.fullmatch(
        r"(?:[a-z+]+://)?(?:[^@/]+@)?([A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(?::\d+)?[:/]+(.+?)(?:\.git)?/?", remote
    )
    return f"{match[1]}/{match[2]}" if match else ""


def generate(host: Host, patterns: Sequence[str]) -> None:
    """`go generate` for these packages, its output told line by line."""
    step = "generate"
    host.emit(StepStarted(step, "go generate " + " ".join(patterns)))
    completed = _go(host, "generate", *patterns, on_stdout=_telling(host), on_stderr=_telling(host))
    if completed.code:
        raise ModuleError(f"go generate ended with {completed.code}:\n{completed.errors.strip()[-2000:]}")
    host.emit(StepFinished(step, "done", "go generate"))


def _only_tell(host: Host, words: str, *, dry: bool) -> bool:
    if dry:
        host.emit(Notice(f"would run `{words}` in {host.module}", level="info"))
    return dry


def _telling(host: Host) -> OnLine:
    return lambda line: host.emit(Output("go", line))


def _go(host: Host, *args: str, on_stdout: OnLine | None = None, on_stderr: OnLine | None = None) -> Completed:
    env = child_environment(host.config.go, host.config.go.env)
    command = (host.toolchain().command, *args)
    return run(command, cwd=host.module, env=env, on_stdout=on_stdout, on_stderr=on_stderr)


def _check(completed: Completed) -> None:
    if completed.code:
        raise refusal(completed.errors or completed.text)
