"""Single flight: of all who want the same thing that nobody has made yet, one makes it, and the others wait for the result.

On one machine by a lock that the system gives back when its holder dies; between machines by an entry that can be created
only once, is renewed while its holder lives, and ends by itself a little later. A lease is no more than a courtesy: who
waited long enough makes the thing too, and both come to the same.
"""

from __future__ import annotations

import contextlib
import hashlib
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
from goctl.values import from_json

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

    @contextlib.contextmanager
    def turn(self, key: str, done: Callable[[], bool]) -> Iterator[None]:
        """As FolderLeases.turn. Raises LevelError where the shelf fails."""
        holder = f"{os.getpid()}-{os.urandom(6).hex()}"
        started = time.monotonic()
        while not (names := self._taken(key, holder)):
            _pause(started, done, self._check)
            time.sleep(_POLL)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(names[-1], holder, ended), name="lease", daemon=True)
        renewing.start()
        try:
            if done():
                raise Waited
            yield
        finally:
            ended.set()
            renewing.join(_POLL)
            with contextlib.suppress(LevelError):
                for name in names:
                    self._shelf.remove(name)

    def _taken(self, key: str, holder: str) -> list[str]:
        """The name of the lease that is ours now, last of all, behind those that ended; nothing where somebody has it.

        A lease that ended is not removed to make room: of many who see its end one would remove what another has just
        created. The next one has a name that follows from it, which again only one can create.
        """
        names = [f"{LEASE}/{key}"]
        while not self._shelf.create(names[-1], self._terms(holder)):
            pieces = self._shelf.read(names[-1])
            if pieces is None:
                return []  # given back just now
            content = b"".join(pieces)
            terms = _read(content)
            if terms.holder == holder:
                break  # it was created, and the answer lost
            if terms.until >= self._now():
                return []
            names.append(f"{LEASE}/{key}.{hashlib.sha256(names[-1].encode() + content).hexdigest()[:16]}")
        return names

    def _terms(self, holder: str) -> bytes:
        return msgspec.json.encode(Terms(holder, self._now() + self._length))

    def _renew(self, name: str, holder: str, ended: threading.Event) -> None:
        while not ended.wait(self._length / 3):
            try:
                self._shelf.write(name, SealedBytes(self._terms(holder)))
            except LevelError:
                return  # it ends by itself, and somebody else may then be at it too


def _read(content: bytes) -> Terms:
    """What a lease says; one that cannot be read has ended."""
    try:
        return from_json(content, Terms)
    except ValueError:
        return Terms("", 0.0)
