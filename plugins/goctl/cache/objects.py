"""A shelf in an object store: S3, Google Cloud Storage or Azure, by obstore. Credentials come from the environment, in the
variables that each of them is known to have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from goctl.cache.envelope import PIECE
from goctl.contracts import Held, Sealed
from goctl.errors import ExtensionError, LevelError

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class ObjectShelf:
    """contracts.Shelf, Listing and Conditional. `url` is `s3://BUCKET/PREFIX` and its like."""

    def __init__(self, url: str, *, options: Mapping[str, str], timeout: int = 10) -> None:
        self._url = url
        self._store = _connect(url, options, timeout)

    def read(self, name: str) -> Iterator[bytes] | None:
        try:
            found = self._store.get(name)
        except FileNotFoundError:
            return None
        except _errors() as error:
            raise self._failure("read", error) from None
        return self._pieces(found)

    def _pieces(self, found: Any) -> Iterator[bytes]:
        try:
            for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except _errors() as error:
            raise self._failure("read", error) from None

    def write(self, name: str, content: Sealed) -> None:
        with content.open() as file:
            try:
                self._store.put(name, file)
            except _errors() as error:
                raise self._failure("write", error) from None

    def remove(self, name: str) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                self._store.delete(name)
        except _errors() as error:
            raise self._failure("delete", error) from None

    def create(self, name: str, content: bytes) -> bool:
        """contracts.Conditional: `If-None-Match: *`, or what the store has in its place."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except _errors() as error:
            raise self._failure("write", error) from None
        return True

    def held(self) -> Iterator[Held]:
        try:
            for batch in self._store.list():
                for one in batch:
                    yield Held(one["path"], one["size"], one["last_modified"].timestamp())
        except _errors() as error:
            raise self._failure("list", error) from None

    def _failure(self, verb: str, error: Exception) -> LevelError:
        # obstore's texts go on with whole requests, which may hold more than should be shown.
        words = str(error).strip().partition("\n")[0].partition("Debug source")[0].strip()
        return LevelError(f"cannot {verb} at {self._url}: {words[:200] or type(error).__name__}")


def _connect(url: str, options: Mapping[str, str], timeout: int) -> ObjectStore:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise ExtensionError(
            f"{url.partition(':')[0]}: levels need the package obstore", hint="pip install 'goctl-release[cache]'"
        ) from error
    client: Any = {"timeout": f"{6 * timeout}s", "connect_timeout": f"{timeout}s"}
    if any(value.startswith("http://") for value in options.values()):
        client["allow_http"] = True
    retry: Any = {"max_retries": 1}
    try:
        made: Any = from_url
        return cast("ObjectStore", made(url, client_options=client, retry_config=retry, **options))
    except (BaseError, OSError, ValueError, TypeError) as error:
        raise LevelError(f"{url} cannot be used: {str(error).partition(chr(10))[0][:200]}") from None


def _errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, OSError, ValueError)
