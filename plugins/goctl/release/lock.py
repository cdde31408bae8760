"""goctl.lock: what base images and their ingredients were when they were last looked up, so that they stay so.

A TOML file beside goctl.toml, made to be committed. `bases` maps a reference as written to the digest of the index or
manifest it named; `static` holds the versions of the packages that the built-in base is made of.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from goctl.errors import ConfigError, ImageError, Location
from goctl.system.files import write_atomic
from goctl.values import Digest

NAME = "goctl.lock"
_HEADER = "# Written by goctl: commit it. `invoke base.update` looks everything up anew.\n"


class Lock(msgspec.Struct, frozen=True):
    """The content of goctl.lock."""

    bases: Mapping[str, Digest] = {}
    static: Mapping[str, str] = {}


class Locked:
    """The lock file of a project or a workspace for the length of a command line: what it holds now, and how it changes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.now = read(root)
        self.guard = threading.RLock()

    def change(self, made: Lock) -> None:
        """Writes another content, if it is another."""
        with self.guard:
            if made != self.now:
                write(self._root, made)
                self.now = made


def read(root: Path) -> Lock:
    """The lock file of a project; empty where there is none. Raises ConfigError when it is damaged."""
    path = root / NAME
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    import tomli

    try:
        raw = tomli.loads(text)
        if raw.get("schema") != 1:
            raise ValueError("it lacks `schema = 1`")
        bases = {str(name): Digest(digest) for name, digest in raw.get("bases", {}).items()}
        static = {str(name): str(value) for name, value in raw.get("static", {}).items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return Lock(bases, static)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"it cannot be read: {why}",
        location=Location(str(path)),
        hint="take it from version control, or delete it to look everything up anew",
    )


def write(root: Path, lock: Lock) -> None:
    """Writes the lock file when it would change."""
    lines = [_HEADER, "schema = 1\n"]
    for title, table in (("static", lock.static), ("bases", lock.bases)):
        if table:
            lines.append(f"\n[{title}]\n")
            lines += [f"{_quote(name)} = {_quote(value)}\n" for name, value in sorted(table.items())]
    content = "".join(lines).encode()
    path = root / NAME
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)


def _quote(text: str) -> str:
    # A JSON string without escaped slashes is a TOML basic string, but for DEL.
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def check_static(lock: Lock, installed: Mapping[str, str]) -> None:
    """Raises ImageError when the built-in base would be made from other versions than those locked."""
    moved = [
        f"{name} {lock.static[name]} (installed: {version})"
        for name, version in installed.items()
        if lock.static.get(name, version) != version
    ]
    if moved:
        wanted = " ".join(f"{name}=={version}" for name, version in sorted(lock.static.items()))
        raise ImageError(
            f"{NAME} says that the base `static` is made from {' and '.join(moved)}",
            hint=f"`pip install {wanted}`, or accept what is installed with `invoke base.update`",
        )
