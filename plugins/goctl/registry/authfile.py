"""One file of logins, in the format that Docker's config.json and podman's auth.json share.

Docker's is described by docker/cli, cli/config/configfile; podman's by containers-auth.json(5): there a key may name a
part of a registry (`host/team/app`), and the longest that fits counts.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.errors import RegistryError, StorageError
from goctl.registry.credentials import Credentials, Secret
from goctl.system.files import write_atomic
from goctl.values import DOCKER_HUB, from_json

#: The key that Docker Hub's credentials are stored under.
HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
#: What Docker indents its file with.
_TAB: Final = "\t"


class _Auth(msgspec.Struct, frozen=True, rename="lower"):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] | None = None
    creds_store: str = ""
    cred_helpers: dict[str, str] | None = None


def key_of(host: str) -> str:
    """The key that a registry's login is stored under."""
    return HUB_KEY if host in _HUB_NAMES else host


def names_of(host: str) -> tuple[str, ...]:
    """The names of a registry: its own, and for Docker Hub all that it goes by."""
    return tuple(sorted(_HUB_NAMES)) if host in _HUB_NAMES else (host,)


class AuthFile:
    """The logins in a file, as they were when it was read. Raises RegistryError for one that cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = _parse(path, _read(path))

    def helper(self, host: str) -> str:
        """The name of the helper that keeps the logins of a host; empty where this file keeps them."""
        helpers = self._content.cred_helpers or {}
        found = next((helpers[name] for name in (key_of(host), *names_of(host)) if name in helpers), "")
        return found or self._content.creds_store

    def spellings(self, host: str) -> tuple[str, ...]:
        """The keys of this file that stand for a whole host, in the order in which they count."""
        found = [key for key in self._content.auths or {} if _part_of(key, host) == ""]
        return tuple(sorted(found, key=lambda key: key != key_of(host)))

    def login(self, host: str, repository: str) -> Credentials | None:
        """What is kept for a repository: that of the longest key that fits, empty entries left out."""
        fitting = []
        for key, auth in (self._content.auths or {}).items():
            part = _part_of(key, host)
            if part is not None and f"{repository}/".startswith(f"{part}/" if part else ""):
                fitting.append((-len(part), key != key_of(host), key, auth))
        for _length, _other, key, auth in sorted(fitting, key=lambda one: one[:3]):
            if found := self._credentials(key, auth):
                return found
        return None

    def _credentials(self, key: str, auth: _Auth) -> Credentials:
        username, password = auth.username, auth.password
        if auth.auth:
            try:
                pair = base64.b64decode(auth.auth, validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                raise RegistryError(
                    f"{self.path}: the login for {key} is damaged", hint="log in again: `invoke registry.login`"
                ) from None
            username, _, password = pair.partition(":")
            password = password.rstrip("\0")
        return Credentials(
            username, Secret(password), Secret(auth.identitytoken), Secret(auth.registrytoken), str(self.path)
        )


def put_login(path: Path, host: str, username: str, password: Secret) -> None:
    """Writes a login into a file, in place of what it has for that host. All else in the file stays as it is."""
    pair = f"{username}:{password.reveal()}".encode()
    _change(path, host, {"auth": base64.b64encode(pair).decode("ascii")})


def remove_logins(path: Path, host: str) -> bool:
    """Takes the logins for a whole host out of a file; whether there were any. All else in the file stays as it is."""
    return _change(path, host, None)


def _change(path: Path, host: str, login: dict[str, str] | None) -> bool:
    # Docker follows a link (dotfiles in a repository) and so keeps it: the file behind it is the one to write.
    path = Path(os.path.realpath(path))
    text = _read(path)
    _parse(path, text)
    content: dict[str, Any] = json.loads(text) if text.strip() else {}
    auths: dict[str, Any] = content.get("auths") or {}
    old = [key for key in auths if _part_of(key, host) == ""]
    if login is None and not old:
        return False
    for key in old:
        del auths[key]
    if login is not None:
        auths[key_of(host)] = login
    content["auths"] = auths
    indent = re.search(r"\{\r?\n([ \t]+)", text)
    # A file of one line stays one, an empty one gets Docker's own looks.
    style = indent[1] if indent else None if text.strip() and "\n" not in text.strip() else _TAB
    _write(path, json.dumps(content, indent=style, ensure_ascii=False) + ("\n" if text.endswith("\n") else ""))
    return True


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, text.encode(), private=True)
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StorageError(f"the login cannot be kept in {path}: {reason}") from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _damaged(path) from None


def _parse(path: Path, text: str) -> _Content:
    try:
        return from_json(text, _Content) if text.strip() else _Content()
    except (msgspec.DecodeError, RecursionError):
        # The decoder's words could quote the file, and the file holds passwords.
        raise _damaged(path) from None


def _damaged(path: Path) -> RegistryError:
    hint = "repair it, or move it away and log in again: `invoke registry.login`"
    return RegistryError(f"{path} is not what Docker would have written there", hint=hint)


def _part_of(key: str, host: str) -> str | None:
    """The part of a registry that a key stands for: empty for all of it, None where it is about another one."""
    with_scheme = "://" in key
    name, _, path = key.partition("://")[2].partition("/") if with_scheme else key.partition("/")
    if name not in names_of(host):
        return None
    path = path.strip("/")
    # Addresses of an API (docker/cli, ConvertToHostname) stand for the host.
    return "" if with_scheme or path in ("v1", "v2") else path


def files(environment: Mapping[str, str]) -> list[Path]:
    """Where logins may be, in the order they are asked: what REGISTRY_AUTH_FILE names, Docker's file, podman's two."""
    named = environment.get("REGISTRY_AUTH_FILE")
    # Unlike Path.home this does not fail where nobody has a home, as in a container under a number without a name.
    docker = environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    config = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    found = [Path(named)] if named else []
    found.append(Path(docker, "config.json"))
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        found.append(Path(runtime, "containers", "auth.json"))
    elif sys.platform == "linux":
        own = Path(f"/run/containers/{os.geteuid()}/auth.json")
        found += [own] if os.access(own, os.R_OK) else []
    found.append(Path(config, "containers", "auth.json"))
    return found
