"""Logging in and out: tried at the registry first, then kept where Docker's configuration says that logins are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host
from goctl.errors import RegistryError
from goctl.registry.authfile import AuthFile, files, key_of, names_of, put_login, remove_logins
from goctl.registry.client import connect
from goctl.registry.credentials import Credentials, Secret
from goctl.registry.helpers import Helper


class LoggedIn(msgspec.Struct, frozen=True):
    """How it went: where the login is kept, in words, and whether the registry wanted to see it at all."""

    kept_in: str
    was_asked_for: bool


def log_in(
    host: Host,
    registry: str,
    username: str,
    password: Secret,
    *,
    settings: Registry | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoggedIn:
    """Tries a login at a registry and keeps it. Raises RegistryError for one that is refused, which is not kept."""
    credentials = Credentials(username, password)
    client = connect(host, registry, settings, find=_Given(credentials))
    client.ping("log in")
    return LoggedIn(_keep(registry, credentials, environment), was_asked_for=bool(client.authorizer.scheme))


class _Given(msgspec.Struct, frozen=True):
    """A registry.credentials.Find that knows one answer."""

    credentials: Credentials

    def __call__(self, host: str, repository: str = "", *, anew: bool = False) -> Credentials:
        return self.credentials


def _keep(registry: str, credentials: Credentials, environment: Mapping[str, str] | None) -> str:
    # The file that is asked first: elsewhere an older login in it would be found before this one.
    file = AuthFile(files(os.environ if environment is None else environment)[0])
    name = file.helper(registry)
    if not name:
        put_login(file.path, registry, credentials.username, credentials.password)
        return str(file.path)
    helper = Helper(name, environment)
    helper.store(key_of(registry), credentials.username, credentials.password)
    if file.login(registry, "") is not None:
        remove_logins(file.path, registry)  # what it keeps in plain text is out of date now
    return helper.program


def log_out(registry: str, *, environment: Mapping[str, str] | None = None) -> list[str]:
    """Forgets the login for a registry wherever it is kept; the places it was in. Raises the first error, at the end."""
    environment = os.environ if environment is None else environment
    gone: list[str] = []
    errors: list[RegistryError] = []
    for path in files(environment):
        file = AuthFile(path)
        name = file.helper(registry)
        try:
            if name and _erase(Helper(name, environment), registry):
                gone.append(Helper(name).program)
        except RegistryError as error:
            errors.append(error)
        held = file.login(registry, "") is not None
        if remove_logins(path, registry) and held:
            gone.append(str(path))
    if errors:
        raise errors[0]
    return list(dict.fromkeys(gone))


def _erase(helper: Helper, registry: str) -> bool:
    """Takes every spelling of a registry out of a store. Helpers of clouds, which make logins up, list none to erase."""
    names = names_of(registry)
    keys = [key for key in helper.stored() if _host_of(key) in names]
    for key in keys:
        helper.erase(key)
    return bool(keys)


def _host_of(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]
