"""Who we are to a registry: what `docker login` stored in Docker's config.json, and the helper programs it names.

The format is that of docker/cli, cli/config/configfile; the helpers' protocol that of docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from goctl.errors import GoctlError, Interrupted, RegistryError, ToolchainError
from goctl.events import Emit, Notice
from goctl.system.process import Completed, run
from goctl.values import DOCKER_HUB

#: The key that Docker Hub's credentials are stored under.
HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
HELPER_TIMEOUT: Final = 30.0
_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class Secret:
    """A text that shows itself to nobody who does not ask for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


_EMPTY: Final = Secret("")


class Credentials(msgspec.Struct, frozen=True):
    """A user name and password, or an identity token (exchanged for others), or a registry token (sent as it is)."""

    username: str = ""
    password: Secret = _EMPTY
    identity_token: Secret = _EMPTY
    registry_token: Secret = _EMPTY

    @property
    def basic(self) -> str:
        """The value of an Authorization header, for Basic authentication; empty without a password."""
        if not self.password:
            return ""
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def forms(self) -> list[str]:
        """Every spelling a secret of these may turn up in when somebody repeats it: plain, base64, quoted for a URL."""
        found = [self.basic.removeprefix("Basic ")] if self.basic else []
        for secret in (self.password, self.identity_token, self.registry_token):
            if secret:
                plain = secret.reveal()
                encoded = base64.b64encode(plain.encode()).decode("ascii")
                found += [plain, encoded, encoded.rstrip("="), quote(plain), quote(plain, safe=""), quote_plus(plain)]
        return found


class _Auth(msgspec.Struct, frozen=True, rename="lower"):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] | None = None
    creds_store: str = ""
    cred_helpers: dict[str, str] | None = None


class _Helped(msgspec.Struct, frozen=True, rename="pascal"):
    username: str = ""
    secret: str = ""


class DockerCredentials:
    """Docker's stored credentials. Each host is looked up once; safe to use from several threads."""

    def __init__(self, emit: Emit, *, environment: Mapping[str, str] | None = None) -> None:
        self._emit = emit
        self._environment = os.environ if environment is None else environment
        self._guard = threading.Lock()
        self._known: dict[str, Credentials | None] = {}
        self._file: _File | None = None

    @property
    def path(self) -> Path:
        """The config.json that is read: in DOCKER_CONFIG, else in `.docker` below the home folder."""
        folder = self._environment.get("DOCKER_CONFIG")
        # Unlike Path.home this does not fail where nobody has a home, as in a container under a number without a name.
        return Path(folder or os.path.expanduser("~/.docker")) / "config.json"

    def find(self, host: str) -> Credentials | None:
        """The credentials for a registry's host; None where there are none. Raises RegistryError for a damaged file."""
        with self._guard:
            if host not in self._known:
                if self._file is None:
                    self._file = self._read()
                self._known[host] = self._look_up(self._file, host)
            return self._known[host]

    def _read(self) -> _File:
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return _File()
        except OSError as error:
            raise RegistryError(f"{self.path} cannot be read: {error.strerror or error}") from None
        try:
            return msgspec.json.decode(content, type=_File) if content.strip() else _File()
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The decoder's words could quote the file, and the file holds passwords.
            raise RegistryError(
                f"{self.path} is not what Docker would have written there", hint="repair it, or log in again: docker login"
            ) from None

    def _look_up(self, file: _File, host: str) -> Credentials | None:
        key = HUB_KEY if host in _HUB_NAMES else host
        helpers = file.cred_helpers or {}
        names = (key, *sorted(_HUB_NAMES)) if key == HUB_KEY else (key,)
        helper = next((helpers[name] for name in names if name in helpers), file.creds_store)
        found = self._ask_helper(helper, key) if helper else None
        return found or self._stored(file.auths or {}, key, names)

    def _stored(self, auths: Mapping[str, _Auth], key: str, names: tuple[str, ...]) -> Credentials | None:
        entry = auths.get(key)
        if entry is None:
            entry = next((auth for name, auth in auths.items() if _host_of(name) in names), None)
        if entry is None:
            return None
        username, password = entry.username, entry.password
        if entry.auth:
            try:
                pair = base64.b64decode(entry.auth, validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                raise RegistryError(
                    f"{self.path}: the login for {key} is damaged", hint=f"log in again: docker login {_host_of(key)}"
                ) from None
            username, _, password = pair.partition(":")
            password = password.rstrip("\0")
        found = Credentials(username, Secret(password), Secret(entry.identitytoken), Secret(entry.registrytoken))
        return found if found.password or found.identity_token or found.registry_token else None

    def _ask_helper(self, name: str, key: str) -> Credentials | None:
        program = f"docker-credential-{name}"
        path = shutil.which(program, path=self._environment.get("PATH")) if _HELPER_NAME.match(name) else None
        completed = None if path is None else self._run(path, program, key)
        if completed is None:
            self._emit(
                Notice(
                    f"{program}, which {self.path} names, was not found or cannot be started",
                    hint="going on without a login; install it, or take it out of the file",
                )
            )
            return None
        if completed.code != 0:
            # What a helper prints when it fails is for people, but only this one sentence is specified.
            if "credentials not found" in completed.text.lower() + completed.errors.lower():
                return None
            raise RegistryError(f"{program} ended with {completed.code}", hint=f"try it: echo {key} | {program} get")
        try:
            answer = msgspec.json.decode(completed.stdout, type=_Helped)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RegistryError(f"{program} did not answer with credentials") from None
        if not answer.secret:
            return None
        if answer.username == "<token>":
            return Credentials(identity_token=Secret(answer.secret))
        return Credentials(answer.username, Secret(answer.secret))

    def _run(self, path: str, program: str, key: str) -> Completed | None:
        try:
            return run([path, "get"], input=key.encode(), env=self._environment, timeout=HELPER_TIMEOUT)
        except Interrupted:
            raise
        except ToolchainError:
            return None
        except GoctlError as error:
            raise RegistryError(f"{program} did not answer within {HELPER_TIMEOUT:g} s") from error


def _host_of(key: str) -> str:
    """The host in a key of `auths`, which may be a host or an address (docker/cli, ConvertToHostname)."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]
