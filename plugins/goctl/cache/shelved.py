"""A level on a shelf: entries in envelopes, verified when they are read, and no older than they may be."""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from goctl.cache.envelope import Foreign, Header, seal, unseal
from goctl.cache.policy import is_due
from goctl.contracts import Roomy, Shelf
from goctl.errors import LevelError

T = TypeVar("T")

SPACES: Final = ("result", "blob", "action", "output", "module", "base")
#: Where leases and tombstones lie, which are no entries.
LEASE: Final = "lease"
TOMB: Final = "tomb"
#: Bytes in a second below which a level is slow.
_SLOW: Final = 64 * 1024
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z")


class ShelvedLevel:
    """contracts.CacheLevel on any shelf.

    `secret` signs (empty: nobody does), `max_age` is in seconds (0: any age), `reserve` the bytes to leave free. `timeout`
    is in seconds: a level that sends next to nothing in that time is slow. `check` is called while content is read or
    written, and may raise. Where it `writes`, entries that are no good are removed, and those that are read shortly before
    their end are written anew.
    """

    def __init__(
        self,
        name: str,
        shelf: Shelf,
        *,
        secret: bytes = b"",
        max_age: float = 0.0,
        reserve: int = 0,
        timeout: float = 0.0,
        check: Callable[[], None] = lambda: None,
        writes: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.shelf = shelf
        self._secret = secret
        self._max_age = max_age
        self._reserve = reserve
        self._timeout = timeout
        self._check = check
        self.writes = writes
        self._now = now

    def fetch(self, space: str, key: str, into: Path, *, after: float = 0.0) -> bool:
        """contracts.CacheLevel.fetch. What is damaged, foreign or too old is removed."""
        found = self._taken(space, key, after, partial(_write, into))
        if found is not None:
            self._refresh(found[0], into)
        return found is not None

    def read(self, space: str, key: str, most: int, *, after: float = 0.0) -> bytes | None:
        """contracts.CacheLevel.read, as fetch."""
        found = self._taken(space, key, after, b"".join, most)
        if found is None:
            return None
        self._refresh(*found)
        return found[1]

    def _taken(
        self, space: str, key: str, after: float, take: Callable[[Iterator[bytes]], T], most: int = sys.maxsize
    ) -> tuple[Header, T] | None:
        """The header of an entry, and what became of its content; None where there is none that is any good."""
        name = place(space, key)
        pieces = self.shelf.read(name)
        if pieces is None:
            return None
        try:
            header, content = unseal(pieces, space, key, self._secret)
            if header.created < after or self._is_stale(header):
                raise Foreign
            return (header, take(self._brisk(content))) if header.size <= most else None
        except Foreign:
            self._drop(name)
            return None
        finally:
            _close(pieces)

    def _refresh(self, header: Header, source: Path | bytes) -> None:
        if self.writes and is_due(header.created, self._now(), self._max_age, random.random()):
            self.store(header.space, header.key, source)

    def store(self, space: str, key: str, source: Path | bytes) -> None:
        name = place(space, key)
        try:
            content = seal(space, key, source, self._secret, self._check)
        except Foreign:
            return  # it was edited since it was made: nothing that others may have
        if self._reserve and isinstance(self.shelf, Roomy) and self.shelf.free() - content.size < self._reserve:
            raise LevelError(f"{self.name}: less space would be left than [cache.{self.name}] reserve asks for")
        self.shelf.write(name, content)

    def forget(self, space: str, key: str) -> None:
        self.shelf.remove(place(space, key))

    def header(self, space: str, key: str) -> Header | None:
        """What an entry says of itself, without its content; None where there is none of ours."""
        pieces = self.shelf.read(place(space, key))
        if pieces is None:
            return None
        try:
            return unseal(pieces, space, key, self._secret)[0]
        except Foreign:
            return None
        finally:
            _close(pieces)

    def _brisk(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """The content, as long as it comes at a pace that is of use."""
        started, size = time.monotonic(), 0
        for piece in content:
            self._check()
            size += len(piece)
            spent = time.monotonic() - started
            if self._timeout and spent > self._timeout and size < _SLOW * spent:
                raise LevelError(f"{self.name} is slow: {size} bytes in {spent:.0f} s")
            yield piece

    def _is_stale(self, header: Header) -> bool:
        return bool(self._max_age) and self._now() - header.created > self._max_age

    def _drop(self, name: str) -> None:
        if self.writes:
            with contextlib.suppress(LevelError):
                self.shelf.remove(name)


def place(space: str, key: str) -> str:
    """The name of an entry on a shelf. Raises LevelError for a key that could be a path to elsewhere."""
    if not _KEY.match(key):
        raise LevelError(f"{key!r} cannot be the name of an entry")
    return f"{space}/{key}"


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


def _write(into: Path, content: Iterator[bytes]) -> None:
    """Writes a new file: whole and right, or not at all."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new.", dir=into.parent)
    except OSError as error:
        raise LevelError(f"cannot write {into}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in content:
                file.write(piece)
        os.replace(name, into)
    except OSError as error:
        _unlink(name)
        raise LevelError(f"cannot write {into}: {error.strerror or error}") from error
    except BaseException:
        _unlink(name)
        raise


def _unlink(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
