"""`mod.init`: a go.mod named after the remote of the checkout, and a .gitignore that knows the folders goctl writes to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from goctl.contracts import Host
from goctl.errors import ModuleError, ToolchainError
from goctl.events import Notice, StepFinished
from goctl.golang.command import check, go, only_tell, shown, workspace
from goctl.golang.modfiles import used_modules
from goctl.system.files import write_atomic
from goctl.system.process import run

#: golang.org/x/mod/module, CheckImportPath: what an element of a path may be made of.
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def init(host: Host, *, dry: bool) -> None:
    """Writes a go.mod, named by project.module or after git's remote, and adds to .gitignore what is missing there."""
    if (host.module / "go.mod").exists():
        raise ModuleError(f"there is a go.mod in {host.module} already", hint="`invoke mod.tidy` keeps it in order")
    name = host.config.project.module or name_from_git(host.root, host.module)
    if not name:
        raise ModuleError(
            "the module's path is not known: git has no remote that names one",
            hint='set project.module in goctl.toml, for example "example.com/me/shop"',
        )
    if only_tell(host, f"go mod init {name}", dry=dry):
        return
    host.module.mkdir(parents=True, exist_ok=True)
    check(go(host, "mod", "init", name))
    # What `go mod init` writes is the Go's own choice (1.26 names the version before it): here, the one at hand, any patch.
    language = re.match(r"go(\d+\.\d+)", host.toolchain().version)
    if language is not None:
        check(go(host, "mod", "edit", f"-go={language[1]}"))
    added = extend_gitignore(host.root / ".gitignore", host.config.release.dist)
    detail = name + (f"; added to .gitignore: {' '.join(added)}" if added else "")
    host.emit(StepFinished("mod:init", "done", "go mod init", detail=detail))
    work = workspace(host)
    if work is not None and os.path.normpath(host.module) not in used_modules(str(work)):
        folder = shown(host, host.module)
        host.emit(Notice(f"{work} does not use this module", hint=f"`go work use ./{folder}`", level="info"))


def extend_gitignore(path: Path, dist: str) -> list[str]:
    """Adds lines for the folders that goctl writes to, where they are not ignored already; returns the added ones.

    What stands in the file stays as it is, to the byte. A link is followed.
    """
    path = path.resolve()
    before = path.read_bytes() if path.exists() else b""
    known = {line.strip().strip("/") for line in before.decode("utf-8", "replace").splitlines()}
    folder = os.path.normpath(dist).replace(os.sep, "/").strip("/")
    wanted = {folder: f"/{folder}/", ".goctl": ".goctl/"}
    if folder in (".", "..") or folder.startswith("../"):
        del wanted[folder]
    added = [line for name, line in wanted.items() if name not in known]
    if added:
        ending = b"\r\n" if b"\r\n" in before else b"\n"
        gap = ending if before and not before.endswith(b"\n") else b""
        write_atomic(path, before + gap + b"".join(line.encode() + ending for line in added))
    return added


def name_from_git(root: Path, module: Path) -> str:
    """The path a module would have in the checkout that `root` is in; empty where no remote tells."""
    remotes = _git(root, "remote").split()
    if not remotes:
        return ""
    remote = _git(root, "remote", "get-url", "origin" if "origin" in remotes else remotes[0])
    name = module_name(remote)
    # Where the project is a folder of a larger checkout, the module's path says so.
    below = _git(root, "rev-parse", "--show-prefix") + os.path.relpath(module, root).replace(os.sep, "/")
    below = os.path.normpath(below).replace(os.sep, "/")
    name = name if not name or below == "." else f"{name}/{below}"
    return name if _PATH.fullmatch(name) else ""


def _git(root: Path, *args: str) -> str:
    try:
        answer = run(("git", "--no-optional-locks", *args), cwd=root)
    except ToolchainError:
        return ""
    return answer.text.strip() if answer.code == 0 else ""


def module_name(remote: str) -> str:
    """`host/me/shop` of `https://host/me/shop.git`, `ssh://git@host:22/me/shop`, `git@host:me/shop.git`; else nothing.

    User, password and port are no part of it. Folders, Windows' drives and hosts without a dot name no module.
    """
    if "://" in remote:
        parts = urlsplit(remote)
        if parts.scheme.removeprefix("git+") not in ("https", "http", "ssh", "git"):
            return ""
        host, path = parts.hostname or "", parts.path
    else:
        # git's scp form: anything with a colon before the first slash (git-fetch(1), "GIT URLS").
        match = re.fullmatch(r"(?:[^/@]+@)?([^/:@]+):(?!\d+\Z)(.*)", remote)
        if match is None:
            return ""
        host, path = match[1].lower(), match[2]
    path = re.sub(r"\.git\Z", "", path.strip("/")).strip("/")
    return f"{host}/{path}" if _HOST.fullmatch(host) and _PATH.fullmatch(path) else ""
