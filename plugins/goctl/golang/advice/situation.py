"""What advice is given about, as one value: Go's answer, the environment, the folders, the system. Nothing here looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath

import msgspec

from goctl.golang.advice import shells
from goctl.golang.advice.finding import Lines
from goctl.golang.environment import SCRUBBED
from goctl.golang.switching import Choice
from goctl.values import is_secretive, without_userinfo

#: Where a setting comes from.
TOML, ENVIRONMENT, WRITTEN, GOROOT, DEFAULT = "goctl.toml", "environment", "go env -w", "GOROOT/go.env", "default"
#: Kinds of disks: `windows` is a drive of Windows seen from WSL, `wsl` a Linux disk seen from Windows, `memory` a tmpfs.
LOCAL, NETWORK, WINDOWS, WSL, MEMORY = "local", "network", "windows", "wsl", "memory"

_TOML_NAMES = {"GOPROXY": "go.proxy", "GOPRIVATE": "go.private"}
#: A linker's -X with a name that tells of a secret, and what Go's own variables may hold of credentials.
_ASSIGNED = re.compile(r"([\w./-]*(?:pass|token|secret|key|credential|auth)[\w.-]*=)[^\s'\",]+", re.IGNORECASE)


class Folder(msgspec.Struct, frozen=True):
    """A folder, links followed. `free` is bytes, -1 where nobody knows; what is not there yet is judged by what is above."""

    path: str
    exists: bool = True
    writable: bool = True
    kind: str = LOCAL
    free: int = -1


class MissingCompiler(msgspec.Struct, frozen=True):
    """A target with `cgo = "host"` whose platform has no C compiler; `tried` are the commands that were looked for."""

    target: str
    platform: str
    tried: tuple[str, ...]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that findings are made from. Paths are as the system writes them.

    `system` is windows, darwin or linux; `values` is what `go env` answered, empty where it refused; `written` is what
    `go env -w` keeps in `settings_file`, `shipped` what GOROOT/go.env says, `configured` what goctl.toml sets. `goroot` and
    `version` are the command's own; `go` is what to type for it. `missing` lists required modules (`path version`) that
    are not in the module cache. `work` is the go.work in use, `work_near` the one that lies at the module or above. `own`
    are the targets with build tags (`tags`) and linker flags (`ldflags`) of their own. `opening` is seconds to open a file
    of the cache. `None` stands for what could not be told.
    """

    system: str = "linux"
    wsl: bool = False
    shell: str = shells.POSIX
    command: str = "go"
    go: str = "go"
    goroot: str = ""
    version: str = ""
    windows_go: str = ""
    values: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    written: Mapping[str, str] = {}
    shipped: Mapping[str, str] = {}
    configured: Mapping[str, str] = {}
    settings_file: str = ""
    default_file: str = ""
    settings_file_exists: bool = True
    default_file_exists: bool = False
    project: str = ""
    module: str = ""
    folders: Mapping[str, Folder] = {}
    module_path: str = ""
    requirements: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()
    vendored: bool = False
    choice: Choice | None = None
    work: str = ""
    work_near: str = ""
    work_exists: bool = True
    work_uses: bool = True
    own: Mapping[str, tuple[str, ...]] = {}
    compilers: tuple[MissingCompiler, ...] = ()
    case_blind: bool | None = None
    same_but_case: tuple[tuple[str, str], ...] = ()
    long_paths: bool | None = None
    git_long_paths: bool | None = None
    longest: str = ""
    excluded: tuple[str, ...] = ()
    scanner_off: bool = False
    opening: float | None = None

    def set(self, name: str) -> str:
        """What somebody set a setting to; empty where it is Go's default."""
        if name in self.configured:
            return self.configured[name]
        if name not in SCRUBBED and self.environment.get(name):
            return self.environment[name]
        return self.written.get(name, "")

    def value(self, name: str) -> str:
        """A setting as it counts, by the go command's word where nobody set it."""
        return self.set(name) or self.values.get(name, "") or self.shipped.get(name, "")

    def origin(self, name: str) -> str:
        """Where a setting comes from: one of TOML, ENVIRONMENT, WRITTEN, GOROOT, DEFAULT."""
        if name in self.configured:
            return TOML
        if self.environment.get(name):
            return ENVIRONMENT
        if self.written.get(name):
            return WRITTEN
        return GOROOT if self.shipped.get(name) else DEFAULT

    def path(self, text: str) -> PurePath:
        """A path as this system compares it: on Windows without regard to case."""
        return PureWindowsPath(text) if self.system == "windows" else PurePosixPath(text)

    def folder(self, name: str) -> Folder | None:
        """What is known of the folder of that name: `project`, or a setting's."""
        return self.folders.get(name)

    def to(self, name: str, value: str) -> tuple[str, Lines]:
        """Words and lines that give a setting another value, where it was set; an empty one takes it back."""
        words, lines = self._to(name, hidden(name, value))
        return (f"{words}, with what *** stands for here" if "***" in hidden(name, value) else words), lines

    def _to(self, name: str, shown: str) -> tuple[str, Lines]:
        origin = self.origin(name)
        if origin == TOML:
            setting = _TOML_NAMES.get(name, f"{name} in go.env")
            return (f"set {setting} in goctl.toml to {shown}" if shown else f"take {setting} out of goctl.toml"), Lines()
        if origin == ENVIRONMENT:
            file = "" if self.system == "windows" else ", and where it is set: a start-up file of the shell, or CI"
            if shown:
                return f"set {name} in the environment{file}", shells.set_variable(name, shown, self.system)
            return f"take {name} out of the environment{file}", shells.unset_variable(name, self.system)
        if not self.settings_file:
            return f"set {name} in the environment", shells.set_variable(name, shown, self.system)
        if shown:
            return f"let go keep another {name}", shells.command(self.go, "env", "-w", f"{name}={shown}")
        return f"take {name} from what go keeps", shells.command(self.go, "env", "-u", name)


def hidden(name: str, value: str) -> str:
    """A setting as it may be shown: without what may be a password."""
    if name == "GOPROXY":
        return "".join(_hidden_proxy(part) for part in re.split(r"([,|])", value))
    if is_secretive(name) and value not in ("", "off", "netrc"):
        return "***"
    return _ASSIGNED.sub(r"\1***", without_userinfo(value))


def _hidden_proxy(entry: str) -> str:
    """A proxy without its userinfo, however the address is misspelt: a port that is no number may be half a password."""
    match = re.match(r"\s*([A-Za-z][\w+.-]*:/*)?(.*)", entry, re.DOTALL)
    scheme, rest = (match[1] or "", match[2]) if match else ("", entry)
    if "@" in rest:
        return f"{scheme}***@{rest.rpartition('@')[2]}"
    _, colon, port = rest.partition("/")[0].partition(":")
    if scheme.startswith("http") and colon and not port.isdigit() and not rest.startswith("["):
        return f"{scheme}***"
    return entry
