"""The environment of a child go: the person's own, without what would make their machine part of the result."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from goctl.config.model import Go
from goctl.contracts import Host
from goctl.plan.goenv import VARIANT_VARIABLES, go_environment
from goctl.values import Platform

#: What goctl alone decides; and switches for those who debug the compiler or the linker, which change what comes out without
#: being settings of `go env` (cmd/go/internal/work/exec.go, buildActionID and printLinkerConfig).
SCRUBBED = frozenset(
    {"GOOS", "GOARCH", "CGO_ENABLED", "GOBIN", *(name for name, _ in VARIANT_VARIABLES.values())}
    | {"GO_EXTLINK_ENABLED", "GOCLOBBERDEADHASH", "GOCOMPILEDEBUG", "GOSSAFUNC", "GOSSADIR"}
)

#: No module, and no toolchain, is asked for anywhere: GONOPROXY would let private ones past the proxy that is off.
_OFFLINE: Final = {"GOPROXY": "off", "GONOPROXY": "none"}
#: Where a database of checksums is looked for instead: GOPROXY=off has go ask it directly (modfetch/sumdb.go, initBase), and
#: GOSUMDB=off would let go.sum grow by what nobody vouches for.
NOBODY: Final = "file:///offline"


def environment_of(host: Host, extra: Mapping[str, str], platform: Platform | None = None) -> dict[str, str]:
    """The environment of a go command of this run, which asks nothing of any network where the run may not."""
    made = child_environment(host.config.go, extra, platform)
    if not host.offline:
        return made
    database = effective("GOSUMDB", made).partition(" ")[0]
    if database != "off":
        made["GOSUMDB"] = f"{database if '+' in database else 'sum.golang.org'} {NOBODY}"
    return made | _OFFLINE


def child_environment(go: Go, extra: Mapping[str, str], platform: Platform | None = None) -> dict[str, str]:
    """os.environ for a go command, with `[go]`'s settings, those in `extra`, and the platform's variables."""
    made = {name: value for name, value in os.environ.items() if name not in SCRUBBED}
    if go.proxy:
        made["GOPROXY"] = ",".join(go.proxy)
    if go.private:
        made["GOPRIVATE"] = ",".join(go.private)
    made |= extra
    if platform is not None:
        made |= go_environment(platform)
    return made


def settings_file(environment: Mapping[str, str]) -> str:
    """The file that `go env -w` writes (cmd/go/internal/cfg, EnvFile); empty where there is none."""
    named = environment.get("GOENV", "")
    if named:
        return "" if named == "off" else named
    home = environment.get("HOME", "")
    if sys.platform == "win32":
        folder = environment.get("AppData") or environment.get("APPDATA", "")
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Application Support") if home else ""
    else:
        folder = environment.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    return os.path.join(folder, "go", "env") if folder else ""


def effective(name: str, environment: Mapping[str, str]) -> str:
    """A setting as the go command sees it: from the environment, else from what `go env -w` wrote; empty where unset."""
    return environment.get(name) or _written(name, settings_file(environment))


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """GOCACHE as the go command finds it (cmd/go/internal/cache, DefaultDir); None where it is off, or cannot be."""
    named = effective("GOCACHE", environment)
    if named:
        return Path(named) if os.path.isabs(named) else None
    home = environment.get("HOME", "")
    if sys.platform == "win32":
        above = environment.get("LocalAppData") or environment.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        above = os.path.join(home, "Library", "Caches") if home else ""
    else:
        above = environment.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else "")
    return Path(above, "go-build") if os.path.isabs(above) else None


def from_goroot(name: str, goroot: str) -> str:
    """A setting's value in GOROOT/go.env, where a distribution of Go keeps its own defaults; empty where it is not there."""
    return _written(name, os.path.join(goroot, "go.env"))


def settings_in(file: str) -> dict[str, str]:
    """The settings that a file of `go env -w`, or GOROOT/go.env, holds; none where it cannot be read."""
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            pairs = [line.rstrip("\r\n").partition("=") for line in lines if "=" in line and not line.startswith("#")]
    except (OSError, ValueError):
        return {}
    return {name: value for name, _, value in pairs}


def _written(name: str, file: str) -> str:
    return settings_in(file).get(name, "")
