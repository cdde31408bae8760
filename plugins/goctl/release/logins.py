"""`registry.login` and `registry.logout`: which registry is meant, and a password that comes in by standard input alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from goctl.errors import ConfigError
from goctl.events import Notice
from goctl.release.extensions import scheme
from goctl.values import DOCKER_HUB, is_host

if TYPE_CHECKING:
    from goctl.config.model import Registry
    from goctl.release.session import Session

#: Bytes of the longest password: service accounts' keys are JSON of some kilobytes.
LONGEST: Final = 64 * 1024


def login(session: Session, *, dry: bool, registry: str, username: str) -> None:
    """Reads a password, tries it at the registry, and keeps it where Docker would."""
    host, settings = _meant(session, registry)
    if not username:
        raise ConfigError("nobody was named to log in", hint=f"add --username NAME, and hand in the password: {_EXAMPLE}")
    if ":" in username or not username.isprintable():
        raise ConfigError("a user's name cannot hold a colon or a control character (RFC 7617)")
    if dry:
        session.emit(Notice(f"would log in to {host} as {username}", level="info"))
        return
    from goctl.registry.credentials import Secret
    from goctl.registry.login import log_in

    done = log_in(session, host, username, Secret(_password(host, username)), settings=settings)
    session.emit(Notice(f"logged in to {host} as {username}; the login is kept in {done.kept_in}", level="info"))
    if not done.was_asked_for:
        session.emit(Notice(f"{host} did not ask who comes: whether the password is right is not known"))
    if settings is not None and settings.credentials is not None:
        session.emit(Notice(f"goctl itself takes the login to {host} from variables, as goctl.toml says"))


def logout(session: Session, *, dry: bool, registry: str) -> None:
    """Forgets the login for a registry."""
    host, _ = _meant(session, registry)
    if dry:
        session.emit(Notice(f"would log out of {host}", level="info"))
        return
    from goctl.registry.login import log_out

    gone = log_out(host)
    text = f"logged out of {host}; removed from {', '.join(gone)}" if gone else f"there was no login for {host}"
    session.emit(Notice(text, level="info"))


_EXAMPLE: Final = "`invoke registry.login --username NAME < FILE`"


def _meant(session: Session, named: str) -> tuple[str, Registry | None]:
    """The host of a registry that is named by its table, or by its host; the only one there is, where none is named."""
    tables = {name: one for name, one in session.config.registries.items() if scheme(one.url)[0] == "registry"}
    if named in tables:
        return _host(tables[named].url), tables[named]
    if named:
        host, _, rest = named.partition("/")
        if not is_host(host) or rest.strip("/"):
            shown = "what stands there" if "@" in named else repr(named)  # before an @ there may be a password
            known = ", ".join(tables) or "none"
            raise ConfigError(f"--registry: {shown} is no registry", hint=f"name a host, or one of goctl.toml's: {known}")
        return _host(host), next((one for one in tables.values() if _host(one.url) == _host(host)), None)
    hosts = {_host(one.url): one for one in reversed(tables.values())}
    if len(hosts) != 1:
        raise ConfigError(
            "it is not clear which registry is meant", hint=f"add --registry NAME: {', '.join(tables) or 'a host'}"
        )
    return next(iter(hosts.items()))


def _host(url: str) -> str:
    host = url.partition("/")[0]
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def _password(host: str, username: str) -> str:
    """What standard input holds, without the line's end; from a terminal it is asked for, and not shown."""
    if sys.stdin is None:
        raise ConfigError("there is no standard input to read the password from", hint=_EXAMPLE)
    if sys.stdin.isatty():
        from getpass import getpass

        text = getpass(f"Password of {username} for {host}: ")
    else:
        try:
            text = sys.stdin.buffer.read(LONGEST + 1).decode()
        except UnicodeDecodeError:
            raise ConfigError("the password on standard input is not UTF-8") from None
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError("standard input holds no password", hint=_EXAMPLE)
    if len(text) > LONGEST or "\0" in text:
        raise ConfigError("what standard input holds is no password")
    return text
