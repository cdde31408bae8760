"""A shelf behind plain HTTP: GET, PUT and DELETE, as WebDAV servers, nginx and bazel-remote speak them."""

from __future__ import annotations

import base64
import hashlib
import posixpath
from collections.abc import Callable, Iterator
from typing import Final

from goctl.contracts import Sealed
from goctl.errors import LevelError
from goctl.system.http import Http, Response
from goctl.system.patience import Patience, TooLong
from goctl.system.transport import TransportError

#: bazel-remote takes names of 64 digits below this folder, and nothing else (with --disable_http_ac_validation).
_ACTIONS: Final = "/ac"
_ABSENT: Final = frozenset({404, 410})


class WebShelf:
    """contracts.Shelf. `url` is the folder's; `login` are user and password, or a token alone as the password."""

    def __init__(
        self, url: str, *, login: tuple[str, str] = ("", ""), timeout: int = 10, check: Callable[[], None] = lambda: None
    ) -> None:
        self._url = url.rstrip("/")
        self._http = Http(_Hurry(1, check=check), silence=timeout)
        self._headers = _authorization(*login)

    def read(self, name: str) -> Iterator[bytes] | None:
        response = self._ask("GET", name, stream=True)
        if response.status in _ABSENT:
            response.close()
            return None
        if response.status != 200:
            response.close()
            raise LevelError(f"{self._host()} answers {response.status} to a GET")
        return self._pieces(response)

    def _pieces(self, response: Response) -> Iterator[bytes]:
        try:
            yield from response.chunks()
        except TransportError as error:
            raise LevelError(f"{self._host()}: {error}") from None

    def write(self, name: str, content: Sealed) -> None:
        response = self._put(name, content)
        if response.status == 409:
            # A WebDAV server that makes no folders by itself (RFC 4918, 9.7.1).
            folder = self._url_of(posixpath.dirname(name))
            if folder != self._url:
                self._send("MKCOL", folder)
                response = self._put(name, content)
        if response.status not in (200, 201, 202, 204):
            raise LevelError(f"{self._host()} answers {response.status} to a PUT")

    def _put(self, name: str, content: Sealed) -> Response:
        headers = {"Content-Length": str(content.size), "Content-Type": "application/octet-stream"}
        return self._send("PUT", self._url_of(name), headers, content)

    def remove(self, name: str) -> None:
        response = self._ask("DELETE", name)
        if response.status not in (200, 202, 204, *_ABSENT):
            raise LevelError(f"{self._host()} answers {response.status} to a DELETE")

    def _ask(self, method: str, name: str, *, stream: bool = False) -> Response:
        return self._send(method, self._url_of(name), stream=stream)

    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        content: Sealed | None = None,
        *,
        stream: bool = False,
    ) -> Response:
        try:
            return self._http.request(
                method,
                url,
                headers={**self._headers, **(headers or {})},
                body=content.open if content is not None else None,
                stream=stream,
                retries=1 if method == "GET" else 0,
            )
        except TransportError as error:
            raise LevelError(f"{self._host()}: {error}") from None

    def _url_of(self, name: str) -> str:
        if self._url.endswith(_ACTIONS):
            return f"{self._url}/{hashlib.sha256(name.encode()).hexdigest()}"
        return f"{self._url}/{name}" if name else self._url

    def _host(self) -> str:
        return self._url.partition("://")[2].partition("/")[0]


class _Hurry(Patience):
    """Waits for no server that asks for it: a cache that has to be waited for is none."""

    def admit(self, place: str) -> None:
        """Raises TooLong where the place asked to be left alone for a while."""
        with self._guard:
            left = self._closed_until.get(place, 0.0) - self._clock()
        if left > 0:
            raise TooLong(left)


def _authorization(user: str, password: str) -> dict[str, str]:
    if not password:
        return {}
    if not user:
        return {"Authorization": f"Bearer {password}"}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")}
