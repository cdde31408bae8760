"""A registry's server: where it is asked, and whether one on this machine speaks TLS, which its first answer tells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from goctl.system.addresses import is_loopback
from goctl.system.http import Body, Http, Response
from goctl.system.patience import TEMPORARY
from goctl.system.transport import TransportError
from goctl.values import DOCKER_HUB

#: Docker Hub answers at another name than the one images carry.
_HUB_SERVER: Final = "registry-1.docker.io"
#: What Go's net/http says to http on a port that speaks TLS; others word it alike.
_WRONG_SCHEME: Final = b"HTTPS"


class Sending(msgspec.Struct, frozen=True):
    """A request, but for its address and who asks."""

    method: str
    headers: Mapping[str, str]
    body: Body
    stream: bool
    retries: int | None
    timeout: float | None


class Server:
    """Where requests to a registry go. Safe to use from several threads. Raises TransportError."""

    def __init__(self, host: str, http: Http, *, plain_http: bool) -> None:
        self._http = http
        server = _HUB_SERVER if host == DOCKER_HUB else host
        # A registry on this machine rarely has a certificate; one that does says so at once.
        self._may_be_tls = not plain_http and is_loopback(urlsplit(f"//{server}").hostname or "")
        self._settling = threading.Lock()
        #: `SCHEME://HOST[:PORT]`.
        self.address = f"{'http' if plain_http or self._may_be_tls else 'https'}://{server}"

    def send(self, path: str, sending: Sending, more: Mapping[str, str]) -> Response:
        """The answer to a request for a path, or a whole URL. The first one tells whether a loopback registry speaks TLS."""

        def once(retries: int | None) -> Response:
            url = path if "://" in path else self.address + path
            return self._http.request(
                sending.method,
                url,
                headers={**sending.headers, **more},
                body=sending.body,
                stream=sending.stream,
                retries=retries,
                timeout=sending.timeout,
            )

        if self._may_be_tls:
            with self._settling:  # the others wait for the first, and then know
                if self._is_unsettled():
                    return self._first(sending.method, once, sending.stream, sending.retries)
        return once(sending.retries)

    def _is_unsettled(self) -> bool:
        return self._may_be_tls

    def _first(self, method: str, send: Callable[[int], Response], stream: bool, retries: int | None) -> Response:
        plain: Response | TransportError
        try:
            plain = send(0)
            if plain.status == 400 and stream:
                plain.load()
        except TransportError as error:
            plain = error
        if _is_wrong_scheme(method, plain):
            before = self.address
            self.address = "https" + before.removeprefix("http")
            try:
                response = send(0)
                self._may_be_tls = False
                return response
            except TransportError as error:
                self.address = before
                if error.reason in ("certificate", "identity"):  # it does speak TLS, and this is what keeps us from it
                    raise
        return self._settle(plain, send, retries)

    def _settle(self, plain: Response | TransportError, again: Callable[[int], Response], retries: int | None) -> Response:
        """What plain http came to: a first attempt that failed for a while is followed by the others."""
        left = self._http.patience.retries if retries is None else retries
        if isinstance(plain, TransportError):
            if not plain.temporary or not left:
                raise plain
            left = min(left, self._http.retries_after(plain.reason, self.address))
        else:
            self._may_be_tls = False
            if plain.status not in TEMPORARY or not left:
                return plain
            plain.close()
        self._http.patience.back_off(0)
        return again(left - 1)


def _is_wrong_scheme(method: str, plain: Response | TransportError) -> bool:
    """Whether this is how a port that speaks TLS takes plain http."""
    if isinstance(plain, TransportError):
        return plain.reason == "reset"
    # An answer to HEAD has no body to read: there only https itself can tell.
    return plain.status == 400 and (method == "HEAD" or _WRONG_SCHEME in plain.content.upper())
