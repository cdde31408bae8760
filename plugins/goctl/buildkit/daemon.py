"""daemon.json, the settings of Docker's engine: where it is, and how mirrors and plain registries are added to it.

docs.docker.com/reference/cli/dockerd, "Daemon configuration file". Only two of its lists are added to; whatever else is in
the file stays, and so does the order of what was there.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.buildkit.docker_judge import is_older
from goctl.buildkit.docker_look import Engine
from goctl.config.model import Registry
from goctl.errors import BuilderError
from goctl.values import DOCKER_HUB

MIRRORS: Final = "registry-mirrors"
INSECURE: Final = "insecure-registries"
#: The first engine that takes mirrors with a path (moby/moby#46594).
_PATHS: Final = "25.0"
#: Who the engine is, where it is not Docker's or Docker Desktop's, and where its settings are.
_OTHERS: Final = {
    "orbstack": "OrbStack keeps them in ~/.orbstack/config/docker.json",
    "colima": "Colima keeps them in its own colima.yaml, under `docker:`",
    "rancher desktop": "Rancher Desktop keeps them in its provisioning scripts",
    "podman": "podman keeps them in registries.conf",
}


class Additions(msgspec.Struct, frozen=True):
    """What daemon.json is to hold. `left_out` are, in words, settings of goctl.toml that it has no place for."""

    mirrors: tuple[str, ...]
    insecure: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class Home(msgspec.Struct, frozen=True):
    """Where a person's and the system's files are. `windows` is a person's folder of Windows, seen from WSL."""

    system: str
    home: Path
    environment: Mapping[str, str]
    wsl: bool = False
    windows: Path | None = None


def additions(registries: Mapping[str, Registry], engine_version: str) -> Additions:
    """What the declared registries come to: mirrors of Docker Hub, the only ones that the engine knows, and whoever
    speaks plain http."""
    hosts = {registry.url.partition("/")[0]: registry for registry in registries.values() if _is_server(registry.url)}
    plain = [host for host, registry in hosts.items() if registry.plain_http]
    mirrors: list[str] = []
    left_out: list[str] = []
    for host, registry in hosts.items():
        for mirror in registry.mirrors:
            server, _, path = mirror.rstrip("/").partition("/")
            if host not in (DOCKER_HUB, "index.docker.io", "registry-1.docker.io"):
                left_out.append(f"{mirror}: the engine knows mirrors of Docker Hub alone, and not of {host}")
            elif path and (not engine_version or is_older(engine_version, _PATHS)):
                left_out.append(f"{mirror}: engines before {_PATHS} take no mirror with a path")
            else:
                mirrors.append(f"{'http' if server in plain else 'https'}://{server}" + (f"/{path}" if path else ""))
    return Additions(tuple(dict.fromkeys(mirrors)), tuple(plain), tuple(left_out))


def _is_server(url: str) -> bool:
    _, colon, rest = url.partition("/")[0].partition(":")
    return not colon or rest.isdigit()


def place(engine: Engine | None, home: Home) -> Path:
    """The daemon.json that the engine reads. Without an answer of the engine, the one that is usual on this system.

    Raises BuilderError for an engine that reads none, or one that is out of reach.
    """
    name = engine.operating_system.casefold() if engine is not None else ""
    for other, words in _OTHERS.items():
        if other in name:
            raise BuilderError(f"this engine reads no daemon.json: {words}", hint="add the lists there by hand")
    if (engine is not None and engine.is_desktop) or (engine is None and home.system in ("darwin", "win32")):
        if home.wsl and home.windows is None:
            raise BuilderError(
                "Docker Desktop's daemon.json is a file of Windows, and Windows does not tell where",
                hint="name it with --file",
            )
        return (home.windows or home.home) / ".docker" / "daemon.json"
    if home.system == "win32":
        return Path(home.environment.get("ProgramData") or r"C:\ProgramData", "docker", "config", "daemon.json")
    if home.system == "darwin":
        raise BuilderError("it is not known where this engine keeps its settings", hint="name the file with --file")
    if engine is not None and engine.is_rootless:
        return Path(home.environment.get("XDG_CONFIG_HOME") or home.home / ".config", "docker", "daemon.json")
    return Path("/etc/docker/daemon.json")


def merged(content: bytes, wanted: Additions, where: str) -> bytes:
    """The file with what it lacks; the same bytes where it lacks nothing. An empty file is an object without members.

    Raises BuilderError for what is no object, or holds something else in the place of a list.
    """
    mark = b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b""
    try:
        text = content.removeprefix(mark).decode()
        tree: Any = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _unfit(where, f"is no JSON: {error}") from None
    if not isinstance(tree, dict):
        raise _unfit(where, "holds no object")
    changed = False
    for key, values in ((MIRRORS, wanted.mirrors), (INSECURE, wanted.insecure)):
        have = tree.get(key) if tree.get(key) is not None else []
        if not isinstance(have, list) or not all(isinstance(one, str) for one in have):
            raise _unfit(where, f"holds something else than a list of texts as {key}")
        known = {_same(one) for one in have}
        lacking = [one for one in values if _same(one) not in known]
        if lacking:
            tree[key] = [*have, *lacking]
            changed = True
    if not changed:
        return content
    return mark + _written(tree, text).encode()


def _same(value: str) -> str:
    return value.rstrip("/").casefold()


def _written(tree: Any, before: str) -> str:
    """JSON in the looks of what was there: its indentation, its ends of lines."""
    indent = re.search(r"\{\r?\n([ \t]+)", before)
    text = json.dumps(tree, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"
    return text.replace("\n", "\r\n") if "\r\n" in before else text


def difference(before: bytes, after: bytes, name: str) -> str:
    """What changes, line by line, as `diff -u` shows it."""
    old, new = (part.decode("utf-8", "replace").splitlines() for part in (before, after))
    return "\n".join(difflib.unified_diff(old, new, name, name, lineterm=""))


def _unfit(where: str, why: str) -> BuilderError:
    return BuilderError(f"{where} {why}", hint="nothing was changed: mend the file, or move it away")
