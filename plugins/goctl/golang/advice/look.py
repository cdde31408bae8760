"""Gathers a Situation: one `go env`, a few looks at folders, and what git knows of names. Writes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from goctl.config.model import Config
from goctl.errors import GoctlError, Interrupted
from goctl.golang import cgo
from goctl.golang.advice import machine
from goctl.golang.advice.shells import shell_of
from goctl.golang.advice.situation import Folder, MissingCompiler, Situation
from goctl.golang.arriving import hashes
from goctl.golang.environment import child_environment, effective, settings_file, settings_in
from goctl.golang.installed import Found, module_cache
from goctl.golang.modfiles import module_path, requirements, used_modules, work_file
from goctl.golang.switching import choice
from goctl.golang.toolchain import locate
from goctl.plan.make import listing_key
from goctl.plan.select import platforms_of
from goctl.system.process import run
from goctl.values import from_json

#: Names that are compared with each other: more would take longer than they are worth.
_MOST_NAMES = 50_000
_KEPT = ("GO", "CGO_", "CC", "CXX", "ONEDRIVE")


def look(config: Config, root: Path, module: Path) -> Situation:
    """The situation of a project. Never fails for what it finds: what cannot be told is left out."""
    environment = child_environment(config.go, config.go.env)
    found = _command(config, root, module, environment)
    system, wsl = machine.system(), machine.in_wsl(os.environ)
    values = _values(found, module if module.is_dir() else root, environment)
    names = _names(root)
    project = os.path.realpath(root)
    seen = _folders(environment, values, project, wsl=wsl)
    kept = settings_file(environment)
    made = Situation(
        system=system,
        wsl=wsl,
        shell=shell_of(system, os.environ),
        command=found.command if found else "go",
        go=found.command if found and found.source != "PATH" else "go",
        goroot=os.path.realpath(found.goroot) if found else "",
        version=found.version if found else "",
        windows_go=(shutil.which("go.exe") or "") if wsl and found is None else "",
        values=values,
        environment={name: value for name, value in os.environ.items() if name.upper().startswith(_KEPT)},
        written=settings_in(kept) if kept else {},
        shipped=settings_in(os.path.join(found.goroot, "go.env")) if found else {},
        configured=_configured(config),
        settings_file=kept,
        settings_file_exists=os.path.isfile(kept),
        project=project,
        module=os.path.realpath(module),
        folders=seen,
        choice=choice(found.version, found.goroot, module, environment) if found else None,
        own=_own(config),
        compilers=tuple(_compilers(config)),
        case_blind=next((machine.case_blind(str(file)) for file in _files(root, module) if file.is_file()), None),
        same_but_case=same_but_case(names),
    )
    made = _with_modules(_with_default_file(made), module, environment)
    return _with_windows(made, root, names) if system == "windows" else made


def _with_default_file(s: Situation) -> Situation:
    """Adds where `go env -w` would write if nobody had set GOENV."""
    default = settings_file({name: value for name, value in os.environ.items() if name != "GOENV"})
    return msgspec.structs.replace(s, default_file=default, default_file_exists=os.path.isfile(default))


def _command(config: Config, root: Path, module: Path, environment: Mapping[str, str]) -> Found | None:
    try:
        return locate(config.go.toolchain, root, environment, module)
    except GoctlError:
        return None


def _values(found: Found | None, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What `go env` says; nothing where it refuses, as it does for a GOPATH that is relative."""
    if found is None:
        return {}
    try:
        answer = run((found.command, "env", "-json"), cwd=folder, env=environment, timeout=60)
        return from_json(answer.stdout, dict[str, str]) if answer.code == 0 else {}
    except Interrupted:
        raise
    except (GoctlError, msgspec.MsgspecError):
        return {}


def _configured(config: Config) -> dict[str, str]:
    made = {"GOPROXY": ",".join(config.go.proxy), "GOPRIVATE": ",".join(config.go.private)}
    return {name: value for name, value in made.items() if value} | config.go.env


def _folders(environment: Mapping[str, str], values: Mapping[str, str], project: str, *, wsl: bool) -> dict[str, Folder]:
    """The project's folder, and Go's, as far as they are named by absolute paths."""
    named = {name: values.get(name, "") for name in ("GOCACHE", "GOTMPDIR")}
    named["GOMODCACHE"] = values.get("GOMODCACHE") or module_cache(environment)
    named = {name: effective(name, environment) or value for name, value in named.items()}
    named |= {"GOROOT": effective("GOROOT", environment), "project": project}
    return {name: machine.folder(path, wsl=wsl) for name, path in named.items() if os.path.isabs(path)}


def _with_modules(s: Situation, module: Path, environment: Mapping[str, str]) -> Situation:
    """Adds what go.mod and go.work say."""
    work = work_file(module, environment)
    used = {os.path.realpath(folder) for folder in used_modules(str(work))} if work else set()
    own = {module_path(os.path.join(folder, "go.mod")) for folder in used}
    asked = {path: version for path, version in requirements(str(module / "go.mod")).items() if path not in own}
    cache = s.folders.get("GOMODCACHE")
    files = hashes((module,), cache.path if cache else "")
    near = next((above / "go.work" for above in (module, *module.parents) if (above / "go.work").is_file()), None)
    places = (module, *((work.parent,) if work else ()))
    return msgspec.structs.replace(
        s,
        module_path=module_path(str(module / "go.mod")),
        requirements=asked,
        missing=tuple(name for name, file in files.items() if name.split()[0] in asked and not os.path.exists(file)),
        vendored=any((place / "vendor" / "modules.txt").is_file() for place in places),
        work=str(work or ""),
        work_near=str(near or ""),
        work_exists=work is None or work.is_file(),
        work_uses=work is None or os.path.realpath(module) in used,
    )


def _with_windows(s: Situation, root: Path, names: Iterable[str]) -> Situation:
    """Adds what only Windows has."""
    cache = s.folders.get("GOCACHE")
    git = _git(root, "config", "--get", "core.longpaths")
    return msgspec.structs.replace(
        s,
        long_paths=machine.long_paths(),
        git_long_paths=None if git is None else git.strip().lower() in (b"true", b"yes", b"on", b"1"),
        longest=max((os.path.join(s.project, os.path.normpath(name)) for name in names), key=len, default=s.project),
        excluded=machine.excluded(),
        scanner_off=machine.scanner_off(),
        opening=machine.opening(cache.path) if cache else None,
    )


def _files(root: Path, module: Path) -> tuple[Path, ...]:
    return module / "go.mod", root / "goctl.toml"


def _own(config: Config) -> dict[str, tuple[str, ...]]:
    return {
        "tags": tuple(name for name, target in config.targets.items() if target.build_tags),
        "ldflags": tuple(name for name, target in config.targets.items() if target.ldflags),
    }


def _compilers(config: Config) -> Iterator[MissingCompiler]:
    for name, target in config.targets.items():
        if not target.cgo or target.cgo == cgo.ZIG:
            continue
        for platform in platforms_of(config, target):
            key = listing_key(config, target, platform)
            tried = cgo.lacking(platform, child_environment(config.go, dict(key.env), platform))
            if tried:
                yield MissingCompiler(name, str(platform), tried)


def _git(root: Path, *words: str) -> bytes | None:
    """What git says; None without git."""
    command = shutil.which("git")
    if command is None or not root.is_dir():
        return None
    try:
        return run((command, *words), cwd=root, timeout=10).stdout
    except Interrupted:
        raise
    except GoctlError:
        return None


def _names(root: Path) -> list[str]:
    """Files of the project, as git has them written down; none outside of a checkout."""
    listed = _git(root, "ls-files", "-z") or b""
    return [name.decode("utf-8", "replace") for name in listed.split(b"\0")[:_MOST_NAMES] if name]


def same_but_case(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of files or folders that differ by case alone; of folders, not of what is in them."""
    seen: dict[str, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(len(parts)):
            path = "/".join(parts[: depth + 1])
            before = seen.setdefault(path.lower(), path)
            if before != path:
                pairs[before, path] = None
                break
    return tuple(pairs)
