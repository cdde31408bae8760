"""Registries: addresses, logins, certificates and mirrors that could not be used as they stand."""

from __future__ import annotations

import os
import re
from pathlib import Path

from goctl.config.convert import Problems
from goctl.config.model import Registry
from goctl.config.names import Where, check_inside, check_name
from goctl.values import is_host, is_repository

_SCHEME = re.compile(r"([a-z][a-z0-9+-]*):(.*)\Z", re.DOTALL)
_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z")


def check_registry(name: str, registry: Registry, root: Path, folder: Path, problems: Problems) -> None:
    """Adds a problem for everything in a `[registries]` table that cannot be. Reads nothing."""
    where: Where = ("registries", name, "url")
    check_name(name, where[:2], problems)
    _login(registry, where[:2], problems)
    _certificates(registry, where[:2], root, problems)
    for mirror in registry.mirrors:
        _mirror(mirror, (*where[:2], "mirrors"), problems)
    url = registry.url
    if "@" in url:
        # Whatever stands before it may be a password: the text is not repeated.
        problems.add(
            where, "it holds a user name or password", hint="`invoke registry.login` keeps credentials; take them out"
        )
        return
    if url.startswith(("http://", "https://")):
        hint = "write host/path" + (", and plain-http = true" if url.startswith("http:") else "")
        problems.add(where, f"{url!r} begins with a scheme of the web", hint=hint)
        return
    match = _SCHEME.match(url)
    if match and not re.match(r"\d+(/|\Z)", match[2]):
        if match[1] in ("oci-layout", "oci-archive", "docker-archive"):
            check_inside(match[2], where, root, problems, beside=folder)
        elif not match[2] and match[1] != "docker-daemon":
            problems.add(where, f"{url!r} has no address", expected="SCHEME:ADDRESS")
        return
    host, _, path = url.partition("/")
    if not is_host(host) or (path and not is_repository(path.rstrip("/"))):
        problems.add(where, f"{url!r} is no registry", expected="host[:port]/path in lower case, or oci-layout:DIR")


def _login(registry: Registry, where: Where, problems: Problems) -> None:
    """Names of variables, never values: what stands in the place of one is not repeated, for it may be a password."""
    login = registry.credentials
    if login is None:
        return
    where = (*where, "credentials")
    for key in ("username", "password", "identity_token"):
        value = getattr(login, key)
        if value and not _VARIABLE.match(value):
            problems.add(
                (*where, key.replace("_", "-")),
                "names no variable",
                expected='"env:NAME"',
                hint="goctl.toml holds no secrets: put the value into a variable of the environment",
            )
    if bool(login.password) == bool(login.identity_token):
        problems.add(where, "needs a password or an identity-token, and not both")
    if login.password and not login.username:
        problems.add(where, "has a password and no username", expected='username = "env:NAME"')


def _certificates(registry: Registry, where: Where, root: Path, problems: Problems) -> None:
    paths = {"ca": registry.ca, "client-certificate": registry.client_certificate, "client-key": registry.client_key}
    for key, path in paths.items():
        if path and not os.path.isabs(path):
            check_inside(path, (*where, key), root, problems)
    if registry.client_key and not registry.client_certificate:
        problems.add((*where, "client-key"), "is the key of no certificate", hint="add client-certificate")
    if registry.plain_http and registry.client_certificate:
        problems.add((*where, "client-certificate"), "cannot be shown over plain http", hint="take plain-http out")


def _mirror(mirror: str, where: Where, problems: Problems) -> None:
    if "@" in mirror:
        # Whatever stands before it may be a password: the text is not repeated.
        problems.add(where, "one of them holds a user name or password", hint="`invoke registry.login` keeps credentials")
        return
    host, _, path = mirror.partition("/")
    if not is_host(host) or (path and not is_repository(path.rstrip("/"))):
        problems.add(where, f"{mirror!r} is no registry", expected="host[:port]/path in lower case")
