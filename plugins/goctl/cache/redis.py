"""A shelf in Redis, or in what speaks its protocol. Redis itself throws away what is older than `max-age`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from goctl.contracts import Held, Sealed
from goctl.errors import ExtensionError, LevelError

if TYPE_CHECKING:
    from redis import Redis

_PREFIX: Final = "goctl:"
#: Redis holds values of 512 MB at most, and all of them in memory.
_MOST: Final = 256 * 2**20


class RedisShelf:
    """contracts.Shelf, Listing and Conditional. `max_age` is in seconds; 0 keeps entries until Redis needs the room."""

    def __init__(self, url: str, *, login: tuple[str, str] = ("", ""), timeout: int = 10, max_age: float = 0.0) -> None:
        self._url = url
        self._max_age = int(max_age) or None
        self._client = _connect(url, login, timeout)

    def read(self, name: str) -> Iterator[bytes] | None:
        content = self._do(lambda: self._client.get(_PREFIX + name))
        return iter((content,)) if content is not None else None

    def write(self, name: str, content: Sealed) -> None:
        if content.size > _MOST:
            return  # a miss for others, and no reason to leave the level alone
        with content.open() as file:
            value = file.read()
        self._do(lambda: self._client.set(_PREFIX + name, value, ex=self._max_age))

    def remove(self, name: str) -> None:
        self._do(lambda: self._client.delete(_PREFIX + name))

    def create(self, name: str, content: bytes) -> bool:
        """contracts.Conditional."""
        return bool(self._do(lambda: self._client.set(_PREFIX + name, content, nx=True, ex=self._max_age)))

    def held(self) -> Iterator[Held]:
        """What there is. Redis knows when a value was last used where it evicts by that (maxmemory-policy *-lru)."""
        now = time.time()
        for key in self._do(lambda: list(self._client.scan_iter(match=f"{_PREFIX}*", count=1000))):
            size = self._do(partial(self._client.strlen, key))
            idle = self._do(partial(self._idle, key))
            yield Held(key.decode().removeprefix(_PREFIX), int(size), now - float(idle or 0))

    def _idle(self, key: bytes) -> int | None:
        """Seconds since a value was last used; None where the server does not tell."""
        from redis import ResponseError

        try:
            return cast("int | None", self._client.object("idletime", key))
        except ResponseError:  # a server that evicts by how often values are used
            return None

    def _do(self, work: Callable[[], Any]) -> Any:
        import redis

        try:
            return work()
        except (redis.RedisError, OSError) as error:
            words = str(error).partition("\n")[0][:200]
            raise LevelError(f"{self._url}: {words or type(error).__name__}") from None


def _connect(url: str, login: tuple[str, str], timeout: int) -> Redis:
    try:
        import redis
    except ImportError as error:
        raise ExtensionError("redis: levels need the package redis", hint="pip install 'goctl-release[cache]'") from error
    user, password = login
    return redis.Redis.from_url(
        url,
        username=user or None,
        password=password or None,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 10),
        retry_on_timeout=False,
    )
