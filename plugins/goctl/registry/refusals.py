"""What a registry refused, and why it could not be reached, as errors with something to do about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from goctl.errors import RegistryError
from goctl.system.http import Response
from goctl.system.patience import TEMPORARY
from goctl.system.transport import TransportError
from goctl.values import from_json


class _Entry(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""
    detail: object = None


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[_Entry, ...] = ()
    details: str = ""


_LONGEST: Final = 300
_CHALLENGED: Final = re.compile(r'\berror="([^"]+)"')


def refusal(doing: str, host: str, response: Response, mask: Callable[[str], str]) -> RegistryError:
    """The error for an answer that is not what was asked for. `doing` says what was tried ("push shop/api").

    `mask` takes secrets out of a text: some servers repeat what they were sent.
    """
    said = _said(response.content)
    if not any(said) and (match := _CHALLENGED.search(response.headers.get("WWW-Authenticate") or "")):
        said = (match[1], "")  # an answer to HEAD has no body (RFC 6750, section 3)
    code, message = (_one_line(mask(text)) for text in said)
    text = f"{host} refused to {doing}: {response.status}"
    if code or message:
        text += f" {' '.join(part for part in (code, message) if part)}"
    return RegistryError(
        text,
        status=response.status,
        code=code,
        detail=message,
        temporary=response.status in TEMPORARY,
        hint=_hint(response.status, host),
    )


def _said(content: bytes) -> tuple[str, str]:
    """Code and message of an error body (distribution-spec, "Error Codes")."""
    try:
        errors = from_json(content, _Errors)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", ""
    if not errors.errors:
        return "", errors.details
    first = errors.errors[0]
    return first.code, first.message


def _one_line(text: str) -> str:
    # A registry's words end up on a terminal: no control characters.
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + "..."


def _hint(status: int, host: str) -> str:
    log_in = f"`invoke registry.login --registry {host} --username NAME`"
    match status:
        case 401:
            return f"log in: {log_in}"
        case 403:
            return f"this login may not do that; log in as one who may: {log_in}"
        case 404:
            return "check the name; some registries want a repository to be made before it is pushed to"
        case 413:
            return "a proxy before the registry limits the size of uploads: raise its limit (nginx: client_max_body_size)"
        case 429:
            return "the registry limits how often it may be asked: wait, or log in for a higher limit"
    return ""


_REACHING: Final[dict[str, Callable[[str], str]]] = {
    "refused": lambda host: f"check that {host} runs and may be reached from here",
    "name": lambda _: "check the spelling and the network; a proxy is taken from HTTPS_PROXY",
    "certificate": lambda _: 'name the certificate of its authority: `ca = "file.pem"` in its [registries] table',
    "identity": lambda _: "check `client-certificate` and `client-key` in its [registries] table",
    "tls": lambda _: "if it speaks plain http, set `plain-http = true` in its [registries] table",
    "timeout": lambda host: f"check that {host} may be reached from here",
    "proxy": lambda _: "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    "patience": lambda _: "the registry limits how often it may be asked: wait, or log in for a higher limit",
}


def unreachable(doing: str, host: str, error: TransportError) -> RegistryError:
    """The error for a request that got no usable answer."""
    hint = _REACHING.get(error.reason)
    return RegistryError(
        f"cannot {doing} at {host}: {error}",
        temporary=error.temporary,
        stalled=error.reason == "timeout",
        hint=hint(host) if hint is not None else "",
    )
