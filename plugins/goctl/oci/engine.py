"""Docker's engine, on this machine or where DOCKER_HOST and contexts say, through the package docker."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from goctl.errors import ExtensionError, GoctlError, RegistryError

#: Seconds for an answer: an engine that unpacks a large image says nothing meanwhile.
_TIMEOUT = 600


def connect(what: str, timeout: int = _TIMEOUT) -> Any:
    """A client of the engine. Raises ExtensionError where the package is not installed; `what` needs it. What else it raises
    where the engine does not answer, `asking` turns into errors."""
    try:
        from docker import APIClient
        from docker.utils import kwargs_from_env
    except ImportError:
        raise ExtensionError(f"{what} needs the package docker", hint="pip install goctl-release[docker]") from None
    where = kwargs_from_env()
    if "base_url" not in where and (context := _context()):
        where["base_url"] = context
    return APIClient(version="auto", timeout=timeout, **where)


@contextlib.contextmanager
def asking(doing: str, error: type[GoctlError] = RegistryError) -> Iterator[None]:
    """Turns what the package raises into an error that says what the engine could not do, and why."""
    try:
        yield
    except GoctlError:
        raise
    except Exception as raised:
        if not _is_dockers(raised):
            raise
        said = str(getattr(raised, "explanation", None) or _cause(raised))
        raise error(f"Docker's engine could not {doing}: {said}", hint="check that it runs: `docker version`") from None


def is_missing(error: Exception) -> bool:
    """Whether the engine said that there is no such thing."""
    from docker.errors import NotFound

    return isinstance(error, NotFound)


def _context() -> str:
    """Where the chosen context of the docker command leads, as Docker Desktop and others set it."""
    from docker.context import ContextAPI

    if os.environ.get("DOCKER_HOST"):
        return ""
    try:
        context = ContextAPI.get_current_context()
    except Exception:  # noqa: BLE001 - a context that cannot be read is the default's affair
        return ""
    return str(context.Host or "") if context is not None and context.name != "default" else ""


def _is_dockers(error: Exception) -> bool:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return isinstance(error, DockerException | RequestException)


def _cause(error: BaseException) -> str:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return str(getattr(error, "strerror", None) or error)
