"""Single flight: of all who want the same thing that nobody has made yet, one makes it, and the others wait for the result.

On one machine by a lock that the system gives back when its holder dies; between machines by an entry that can be created
only once, is renewed while its holder lives, and ends by itself a little later. A lease is no more than a courtesy: who
waited long enough makes the thing too, and both come to the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from goctl.cache.shelved import LEASE
from goctl.contracts import SealedBytes, Shelf
from goctl.errors import LevelError
from goctl.system.files import Lock

#: Seconds after which a lease that nobody renewed is nobody's.
LENGTH: Final = 30.0
#: Seconds that anybody waits for others at most.
LONGEST: Final = 1800.0
_POLL: Final = 0.5


class CreatingShelf(Shelf, Protocol):
    """A shelf that can also create (contracts.Conditional)."""

    def create(self, name: str, content: bytes) -> bool: ...


class Terms(msgspec.Struct, frozen=True):
    """What a lease between machines says: who holds it, and until when (seconds since the epoch, by the holder's clock)."""

    holder: str
    until: float


class Waited(Exception):
    """Somebody else made it meanwhile."""


def _pause(started: float, done: Callable[[], bool], check: Callable[[], None]) -> None:
    check()
    if done():
        raise Waited
    if time.monotonic() - started > LONGEST:
        raise LevelError("another machine is at it for too long")


class FolderLeases:
    """Leases of one machine's processes, in a folder."""

    def __init__(self, folder: Path, check: Callable[[], None]) -> None:
        self._folder = folder / LEASE
        self._check = check

    @contextlib.contextmanager
    def turn(self, key: str, done: Callable[[], bool]) -> Iterator[None]:
        """Waits until nobody else is at it. Raises Waited as soon as what is wanted is there."""
        started = time.monotonic()
        with Lock(self._folder / key[:2] / key, waiting=lambda: _pause(started, done, self._check)):
            # Whoever had it before may have made it between the last look and now.
            if done():
                raise Waited
            yield


class ShelfLeases:
    """Leases between machines, on a shelf that can create a name only once."""

    def __init__(
        self,
        shelf: CreatingShelf,
        check: Callable[[], None],
        *,
        length: float = LENGTH,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shelf = shelf
        self._check = check
        self._length = length
        self._now = now
        self._holder = f"{os.getpid()}-{os.urandom(6).hex()}"

    @contextlib.contextmanager
    def turn(self, key: str, done: Callable[[], bool]) -> Iterator[None]:
        """As FolderLeases.turn. Raises LevelError where the shelf fails."""
        name = f"{LEASE}/{key}"
        started = time.monotonic()
        while not self._shelf.create(name, self._terms()):
            if self._is_over(name):
                self._shelf.remove(name)
                continue
            _pause(started, done, self._check)
            time.sleep(_POLL)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(name, ended), name="lease", daemon=True)
        renewing.start()
        try:
            if done():
                raise Waited
            yield
        finally:
            ended.set()
            renewing.join(_POLL)
            with contextlib.suppress(LevelError):
                self._shelf.remove(name)

    def _terms(self) -> bytes:
        return msgspec.json.encode(Terms(self._holder, self._now() + self._length))

    def _is_over(self, name: str) -> bool:
        """Whether the lease that is there is nobody's: it ended, or cannot be read."""
        pieces = self._shelf.read(name)
        if pieces is None:
            return False
        try:
            return msgspec.json.decode(b"".join(pieces), type=Terms).until < self._now()
        except ValueError:
            return True

    def _renew(self, name: str, ended: threading.Event) -> None:
        while not ended.wait(self._length / 3):
            try:
                self._shelf.write(name, SealedBytes(self._terms()))
            except LevelError:
                return  # it ends by itself, and somebody else may then be at it too
