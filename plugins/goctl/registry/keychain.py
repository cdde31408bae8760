"""Where a login is looked for: variables that goctl.toml names, then the files of Docker and podman, and their helpers."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from goctl.config.model import Login
from goctl.errors import RegistryError
from goctl.events import Emit, Notice
from goctl.registry.authfile import AuthFile, files, key_of
from goctl.registry.credentials import Credentials, Secret
from goctl.registry.helpers import Helper, MissingHelper

#: What stands before the name of a variable in goctl.toml.
ENV = "env:"


class Keychain:
    """All logins that can be found from here. What was found is remembered; safe to use from several threads.

    `login` is what goctl.toml says for the host that this is made for; with it nothing else is asked.
    """

    def __init__(self, emit: Emit, *, login: Login | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._emit = emit
        self._login = login
        self._environment = os.environ if environment is None else environment
        self._guard = threading.Lock()
        self._files: list[AuthFile] | None = None
        self._found: dict[tuple[str, str], Credentials | None] = {}
        self._kept: dict[tuple[str, str], Credentials | None] = {}

    def find(self, host: str, repository: str = "", *, anew: bool = False) -> Credentials | None:
        """The credentials for a repository of a host (registry.credentials.Find)."""
        if self._login is not None:
            return _from_variables(host, self._login, self._environment)
        with self._guard:
            if anew:
                # Helpers give out tokens that end before a long run does.
                self._files = None
                self._found.clear()
                self._kept.clear()
            if (host, repository) not in self._found:
                self._found[host, repository] = self._look_up(host, repository)
            return self._found[host, repository]

    def _look_up(self, host: str, repository: str) -> Credentials | None:
        if self._files is None:
            self._files = [AuthFile(path) for path in files(self._environment)]
        for file in self._files:
            name = file.helper(host)
            found = self._ask(name, file, host) if name else None
            if found := found or file.login(host, repository):
                return found
        return None

    def _ask(self, name: str, file: AuthFile, host: str) -> Credentials | None:
        helper = Helper(name, self._environment)
        # A store has it under the key it was stored with; Docker notes other spellings in its file, with nothing behind.
        for key in dict.fromkeys((key_of(host), *file.spellings(host))):
            if (name, key) not in self._kept:
                try:
                    self._kept[name, key] = helper.get(key)
                except MissingHelper as error:
                    self._kept[name, key] = None
                    self._tell_missing(error, file.path)
            if found := self._kept[name, key]:
                return found
        return None

    def _tell_missing(self, error: MissingHelper, path: Path) -> None:
        hint = f"going on without a login; install it, or take it out of {path}"
        self._emit(Notice(str(error), hint=hint))


def _from_variables(host: str, login: Login, environment: Mapping[str, str]) -> Credentials:
    """The login in the variables that goctl.toml names. Raises RegistryError where one is not set."""

    def value(named: str) -> str:
        name = named.removeprefix(ENV)
        found = environment.get(name, "")
        if named and not found:
            raise RegistryError(
                f"the variable {name}, which goctl.toml names for the login to {host}, is not set",
                hint="set it, or take `credentials` out of the registry's table",
            )
        return found

    secrets = (Secret(value(login.password)), Secret(value(login.identity_token)))
    return Credentials(value(login.username), *secrets, source="variables that goctl.toml names")
