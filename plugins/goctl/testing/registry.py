"""A distribution-API registry in this process, for tests: it does what a registry does, and fails as it is told to.

    with Registry() as registry:
        registry.fault(method="PUT", path="*/blobs/*", status=503, retry_after="1")
        push_to(f"{registry.address}/shop")
        assert [request.method for request in registry.requests] == [...]

It follows the OCI distribution-spec: pull (with ranges), push (whole, in pieces, mounted), tags, referrers, deletes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import random
import secrets
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self

import msgspec

from goctl.testing.holdings import Holdings

if TYPE_CHECKING:
    import ssl


class Request(msgspec.Struct, frozen=True):
    """A request that ended. `path` is without the query; `status` is 0 where no answer was sent.

    `begun` and `at` are when its headers had come and when it ended (time.monotonic), `received` the bytes of its body.
    """

    method: str
    path: str
    query: str
    status: int
    authorization: str = ""
    at: float = 0.0
    begun: float = 0.0
    received: int = 0
    content_range: str = ""


class Fault(msgspec.Struct):
    """What happens to requests whose method and path (without query) match the patterns; `times` counts down to 0.

    Each of them meets it with the probability `chance`, and where it sends at least `least` bytes; only those count.

    `delay` waits that many seconds: `at` the start, amid the request's body, amid the answer's headers, or amid its body.
    `cut` ends the connection after so many bytes of a request's body (who sends fewer does not meet it), or for a GET after
    so many of the answer's. `lose_response` does what is asked for and then ends the connection. `expire` makes every
    token that was issued before invalid. Otherwise, with a `status`, that is the answer, with `headers` and `content`.
    With content and without a status, the content replaces that of the real answer; `corrupt` turns a bit of its byte at
    that position.
    """

    method: str = "*"
    path: str = "*"
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = {}
    content: bytes | None = None
    delay: float = 0.0
    cut: int | None = None
    lose_response: bool = False
    corrupt: int | None = None
    at: Literal["start", "request", "headers", "body"] = "start"
    chance: float = 1.0
    least: int = 0
    expire: bool = False


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    registry: Registry
    tls: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's own thread: who does not speak TLS holds nobody else up."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secure:
            self._open.add(secure)
            try:
                super().finish_request(secure, client_address)
            finally:
                self._open.discard(secure)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients, or faults, broke are no news; faults of this server's own are."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Registry:
    """A registry on 127.0.0.1, running from `with` to its end.

    `folder` keeps contents in files instead of memory. `auth` asks for a login: `basic`, or `token` with a token service at
    /token of the same server, which takes the password, or `identity_token` in a refresh_token grant. `token_uses` is how
    many requests a token is good for (0: all). `realm` is what challenges name instead of that service. `keeps_partial`
    says whether an upload keeps what came of a request that broke. Without `strict`, manifests may name what is not there.
    `seed` is what faults with a chance draw from. Without `referrers` it does not know that API; `page` is how many tags it
    lists at once (0: as many as are asked for). With `tls`, a server's context, it speaks https alone.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        auth: Literal["", "basic", "token"] = "",
        username: str = "user",
        password: str = "password",  # noqa: S107 - a fake's
        identity_token: str = "",
        token_uses: int = 0,
        realm: str = "",
        port: int = 0,
        keeps_partial: bool = True,
        strict: bool = True,
        seed: int = 1,
        referrers: bool = True,
        page: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        from goctl.testing.protocol import Handler

        self.holdings = Holdings(folder)
        self.uploads: dict[str, IO[bytes]] = {}
        self.auth = auth
        self.username = username
        self.password = password
        self.identity_token = identity_token
        self.realm = realm
        self.keeps_partial = keeps_partial
        self.strict = strict
        self.referrers = referrers
        self.page = page
        self._chance = random.Random(seed)
        self._token_uses = token_uses
        self._tokens: dict[str, tuple[int, frozenset[str]]] = {}
        self._faults: list[Fault] = []
        self._requests: list[Request] = []
        self._guard = threading.Lock()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.registry, self._server.tls = self, tls
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order they ended."""
        with self._guard:
            return list(self._requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.drop_connections()
        self._server.server_close()
        self._thread.join()

    def forget_requests(self) -> None:
        """Empties `requests`."""
        with self._guard:
            self._requests.clear()

    def record(self, request: Request) -> None:
        with self._guard:
            self._requests.append(request)

    def fault(
        self,
        *,
        method: str = "*",
        path: str = "*",
        times: int = 1,
        status: int = 0,
        retry_after: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        delay: float = 0.0,
        cut: int | None = None,
        lose_response: bool = False,
        corrupt: int | None = None,
        redirect: str = "",
        at: Literal["start", "request", "headers", "body"] = "start",
        chance: float = 1.0,
        least: int = 0,
        expire: bool = False,
    ) -> Fault:
        """Declares what goes wrong (see Fault); faults are looked through in the order they were declared.

        `redirect` is a URL that the request is sent on to: 307, where no other `status` is given.
        """
        told = dict(headers or {}) | ({"Retry-After": retry_after} if retry_after else {})
        if redirect:
            told, status = told | {"Location": redirect}, status or 307
        fault = Fault(
            method, path, times, status, told, content, delay, cut, lose_response, corrupt, at, chance, least, expire
        )
        with self._guard:
            self._faults.append(fault)
        return fault

    def take_fault(self, method: str, path: str, length: int | None = None) -> Fault | None:
        """The fault that this request meets, counted down. `length` is that of its body, where it is announced."""
        with self._guard:
            for fault in self._faults:
                matches = fnmatch.fnmatchcase(method, fault.method) and fnmatch.fnmatchcase(path, fault.path)
                if length is not None and length < max(fault.least, fault.cut or 0):
                    matches = False
                if fault.times > 0 and matches and self._chance.random() < fault.chance:
                    fault.times -= 1
                    return fault
        return None

    def issue_token(self, scopes: frozenset[str]) -> str:
        """A token for some scopes (`repository:NAME:ACTIONS`)."""
        token = secrets.token_urlsafe(24)
        with self._guard:
            self._tokens[token] = (self._token_uses or 2**60, scopes)
        return token

    def use_token(self, token: str, needed: str) -> bool:
        """Whether a token is good for a request that needs `repository:NAME:ACTION` (empty: for nothing in particular)."""
        with self._guard:
            left, scopes = self._tokens.get(token, (0, frozenset()))
            self._tokens[token] = (left - 1, scopes)
        name, _, action = needed.rpartition(":")
        granted = {
            action for scope in scopes if scope.rpartition(":")[0] == name for action in scope.rpartition(":")[2].split(",")
        }
        return left > 0 and (not needed or action in granted)

    def forget_faults(self) -> None:
        """What was declared and did not happen yet will not."""
        with self._guard:
            self._faults.clear()

    def expire_tokens(self) -> None:
        """Makes every token issued so far invalid."""
        with self._guard:
            self._tokens.clear()

    def tags(self, repository: str) -> dict[str, str]:
        """The digests that a repository's tags name."""
        with self.holdings.guard:
            return dict(self.holdings.repository(repository).tags)
