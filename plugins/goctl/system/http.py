"""The one door to HTTP: pooled connections, retries with patience, redirects that leak nothing.

urllib3 carries the requests; what to repeat and where to follow is decided here. A failure that is not an answer is a
TransportError, and whoever asked turns it into an error that a person can use.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from goctl.system.addresses import leads_inward
from goctl.system.patience import TEMPORARY, Patience, TooLong
from goctl.system.proxies import proxy_for
from goctl.system.tls import BadCertificate, Trust, context
from goctl.system.transport import TransportError, explained

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_REDIRECTS: Final = 5
#: Seconds that a server may be silent for. After half of them the request is made anew: a network that forgot a connection
#: says nothing, and a second one may be answered at once.
SILENCE: Final = 60.0
#: Seconds for a connection to come about.
CONNECT_TIMEOUT: Final = 10.0
#: Bytes of an answer that are read into memory: the largest manifest a registry need accept is 4 MiB.
MAX_CONTENT: Final = 16 * 2**20
BLOCK: Final = 256 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...

    def close(self) -> None: ...


class Parts(Protocol):
    """Pieces of files (goctl.system.sending.FilePart), in order."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> None: ...


#: What is sent. A callable is called for every attempt and returns the content from its start.
Body = bytes | Callable[[], Readable | BinaryIO | Parts] | None


class Response:
    """An answer. `url` is where it came from, after redirects; `content` holds the body unless it is streamed.

    `hops` are the origins it was redirected to, in order.
    """

    def __init__(self, raw: BaseHTTPResponse, url: str) -> None:
        self._raw = raw
        self.url = url
        self.status: int = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self.content = b""
        self.hops: tuple[str, ...] = ()

    def load(self, limit: int = MAX_CONTENT) -> None:
        """Reads the body into `content`. Raises TransportError."""
        parts, total = [], 0
        for part in self.chunks():
            total += len(part)
            if total > limit:
                self.close()
                raise TransportError("size", f"the answer is larger than {limit} bytes")
            parts.append(part)
        self.content = b"".join(parts)

    def chunks(self, size: int = BLOCK) -> Iterator[bytes]:
        """The body, piece by piece. Raises TransportError when the connection breaks before its end."""
        import urllib3

        whole = False
        try:
            while data := self._raw.read(size):
                yield data
            whole = True
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise explained(error) from None
        finally:
            # A connection with the rest of a body on it must not serve another request.
            if whole:
                self._raw.release_conn()
            else:
                self._raw.close()

    def close(self) -> None:
        """Gives up the rest of the body, and with it the connection."""
        self._raw.close()


class Http:
    """A client. Connections are made when needed and shared by threads.

    `trust` says whom to believe and who we are, `silence` the seconds a server may say nothing for.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        trust: Trust | None = None,
        agent: str = "goctl",
        silence: float = SILENCE,
    ) -> None:
        self.patience = patience or Patience()
        self.timeout = silence / 2
        self._trust = trust or Trust()
        self._agent = agent
        self._guard = threading.Lock()
        self._met: set[str] = set()
        self._pools: dict[tuple[str, str | None, bool], PoolManager] = {}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        stream: bool = False,
        retries: int | None = None,
        timeout: float | None = None,
        follow: bool = True,
    ) -> Response:
        """Sends a request until there is an answer that is not temporary, or patience ends; the last answer then.

        `retries` replaces the patience's own number. A body that is a callable needs a `Content-Length` header. Raises
        TransportError, and whatever the patience's `check` raises. `timeout` is in seconds, by default half of `silence`.
        Without `follow`, a redirect is the answer.
        """
        left = self.patience.retries if retries is None else retries
        timeout = self.timeout if timeout is None else timeout
        failed = 0
        while True:
            try:
                response = self._follow(method, url, dict(headers or {}), body, timeout, MAX_REDIRECTS if follow else 0)
                if response.status not in TEMPORARY or not left:
                    if not stream:
                        response.load()
                    return response
                response.close()
            except TransportError as error:
                if not left or not error.temporary:
                    raise
                left = min(left, self.retries_after(error.reason, url))
            left -= 1
            self.patience.back_off(failed)
            failed += 1

    def retries_after(self, reason: str, url: str) -> int:
        """How often it makes sense to repeat a request that failed so, at most."""
        if reason == "timeout":
            return 1  # who was silent once is asked once more, not for minutes on end
        if reason in ("refused", "name") and origin(url) not in self._met:
            return 3  # one that never was there is more likely to be no registry than to be about to come back
        return self.patience.retries

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Body, timeout: float, redirects: int
    ) -> Response:
        hops: tuple[str, ...] = ()
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._once(method, url, headers, body, timeout)
            except TransportError as error:
                if hops:
                    error.args = (f"{error} (redirected to {split(url).hostname})",)
                raise
            response.hops = hops
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or not redirects:
                return response
            # Anything but 307 and 308 would turn an upload into a GET, which then looks like a success.
            if method not in ("GET", "HEAD") and response.status not in (307, 308):
                return response
            response.close()
            target = urljoin(url, location)
            headers = _headers_after(method, url, target, headers)
            url = target
            hops += (origin(url),)
        raise TransportError("redirect", f"more than {MAX_REDIRECTS} redirects")

    def _once(self, method: str, url: str, headers: dict[str, str], body: Body, timeout: float) -> Response:
        import urllib3

        place = origin(url)
        try:
            self.patience.admit(place)
        except TooLong as error:
            raise TransportError("patience", f"the server {error}") from None
        self.patience.check()
        content: Any = body() if callable(body) else body
        try:
            raw = self._pool(url).urlopen(
                method,
                url,
                body=content,
                headers={"User-Agent": self._agent, **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise explained(error) from None
        finally:
            if callable(body):
                content.close()
        self._met.add(place)
        if raw.status in TEMPORARY:
            self.patience.note(place, raw.headers)
        return Response(raw, url)

    def _pool(self, url: str) -> PoolManager:
        parts = split(url)
        proxy = proxy_for(parts.scheme, parts.hostname or "", _port(parts))
        with self._guard:
            identity = self._trust.identity
            identify = identity is not None and origin(f"https://{identity.host}") == origin(url)
            key = (parts.scheme, proxy, identify)
            if key not in self._pools:
                self._pools[key] = self._make_pool(*key)
            return self._pools[key]

    def _make_pool(self, scheme: str, proxy: str | None, identify: bool) -> PoolManager:
        import urllib3

        settings: dict[str, Any] = {"maxsize": 8, "blocksize": BLOCK}
        # Loading the system's certificates takes tens of milliseconds, which plain http need not pay.
        if scheme == "https":
            try:
                settings["ssl_context"] = context(self._trust, identify=identify)
            except BadCertificate as error:
                raise TransportError(error.which, str(error)) from None
        if proxy is None:
            return _able_to_send_files(urllib3.PoolManager(**settings))
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https"):
            raise TransportError("proxy", f"a {parts.scheme} proxy cannot be used; http and https ones can")
        if parts.username is not None:
            from urllib.parse import unquote

            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            settings["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
        return _able_to_send_files(urllib3.ProxyManager(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", **settings))


def _able_to_send_files(manager: PoolManager) -> PoolManager:
    from goctl.system.sending import POOLS

    manager.pool_classes_by_scheme = POOLS
    return manager


def split(url: str) -> SplitResult:
    """The parts of an http or https URL; TransportError for anything else."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and _port(parts):
            return parts
    raise TransportError("redirect", "the server sends us to something that is no http or https address")


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def origin(url: str) -> str:
    """`scheme://host:port` of a URL: what credentials are bound to."""
    parts = split(url)
    return f"{parts.scheme}://{parts.hostname}:{_port(parts)}"


def _headers_after(method: str, url: str, target: str, headers: dict[str, str]) -> dict[str, str]:
    """What of the headers may follow a redirect. Raises TransportError where nothing may."""
    before, after = split(url), split(target)
    if leads_inward(before.hostname or "", after.hostname or ""):
        raise TransportError("redirect", f"{before.hostname} redirects to {after.hostname}, an address that is not public")
    if before.scheme == "https" and after.scheme == "http" and method not in ("GET", "HEAD"):
        raise TransportError("redirect", f"{before.hostname} redirects an upload to plain http")
    if origin(url) == origin(target):
        return headers
    return {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
