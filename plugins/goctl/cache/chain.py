"""All levels of one run, nearest first: reads fill what is nearer, writes go to all in the background.

A level that fails is left alone for the rest of the run, after one warning. Nothing here makes a run fail.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar, runtime_checkable

from goctl.cache.envelope import Header
from goctl.cache.shelved import TOMB
from goctl.cache.tally import Tally
from goctl.contracts import CacheLevel
from goctl.errors import LevelError

T = TypeVar("T")
#: Content: the file that it is in, or itself.
C = TypeVar("C", Path, bytes)

#: The most bytes of an entry that is read into memory where nobody says otherwise.
_SMALL: Final = 16 << 20
#: Requests to levels under way at once, for reading and for writing.
READERS: Final = 16
_WRITERS: Final = 4
#: Seconds that a run waits at its end for what is still being written.
PATIENCE: Final = 60.0
#: Seconds between two looks at whether a run gave up.
_LOOK: Final = 0.2


@runtime_checkable
class Telling(Protocol):
    """A level that can say what it knows of an entry, without its content."""

    def header(self, space: str, key: str) -> Header | None: ...


class Member:
    """A level in its place. `near` says that it is on this machine's disks, where asking costs next to nothing."""

    def __init__(self, level: CacheLevel, *, reads: bool = True, writes: bool = True, near: bool = False) -> None:
        self.level = level
        self.reads = reads
        self.writes = writes
        self.near = near
        self.tally = Tally()


class Chain:
    """The levels of a run. Safe to use from several threads.

    `warn` is told, once for each level, what is wrong with it.
    """

    def __init__(self, members: Sequence[Member], *, warn: Callable[[str], None]) -> None:
        self.members = tuple(members)
        self._warn = warn
        self._guard = threading.Lock()
        self._flying: dict[tuple[str, str], threading.Lock] = {}
        self._pending: set[Future[None]] = set()
        self._writers: ThreadPoolExecutor | None = None
        #: Set when the run gives up what is still on its way; levels look at it while they read and write.
        self.ended = threading.Event()

    @property
    def reads(self) -> bool:
        return any(member.reads for member in self.members)

    @property
    def writes(self) -> bool:
        return any(member.writes for member in self.members)

    def afar(self) -> Chain:
        """The levels that are not near, as a chain of their own: for what this machine keeps by other means."""
        return Chain([member for member in self.members if not member.near], warn=self._warn)

    def fetch(self, space: str, key: str, into: Path) -> str:
        """Brings an entry from the nearest level that has it, verified, and fills those that are nearer; its name, or none.

        Threads that want the same entry wait for the first of them.
        """
        found = self._find(space, key, lambda level, after: into if level.fetch(space, key, into, after=after) else None)
        return found[1] if found is not None else ""

    def read(self, space: str, key: str, most: int = _SMALL) -> tuple[bytes, str] | None:
        """As fetch, into memory: an entry of at most so many bytes, and the level that had it."""
        return self._find(space, key, lambda level, after: level.read(space, key, most, after=after))

    def store(self, space: str, key: str, source: Path | bytes) -> None:
        """Keeps content in all levels that accept it, in the background. A file has to stay where it is until close()."""
        for member in self.members:
            if member.writes:
                self._later(member, partial(self._put, member, space, key, source))

    def store_now(self, space: str, key: str, source: Path | bytes) -> None:
        """Keeps content in all levels that accept it, before it returns."""
        for member in self.members:
            if member.writes:
                self._try(member, partial(self._put, member, space, key, source))

    def forget(self, space: str, key: str) -> list[str]:
        """Removes an entry from all levels that may be written, and leaves a tombstone: what was stored before now is a miss
        in farther levels too, and a reader that is still at it fills nothing. The levels that did so."""
        # To the last digit: what a reader began within the same millisecond is older all the same.
        now = repr(time.time()).encode()
        writable = [member for member in self.members if member.writes]
        return [one.level.name for one in writable if self._try(one, partial(self._bury, one, space, key, now))]

    def offer(self, space: str, key: str, source: Path | bytes) -> None:
        """As store, but only to levels that have no such entry."""
        for member in self.members:
            if member.writes:
                self._later(member, partial(self._put_lacking, member, space, key, source))

    def saved(self, name: str, seconds: float, target: str = "") -> None:
        """Notes that a level spared the run this much work, for this target."""
        for member in self.members:
            if member.level.name == name:
                with self._guard:
                    member.tally.saved += seconds
                    member.tally.targets[target] = member.tally.targets.get(target, 0.0) + seconds

    def close(self, *, abandon: bool = False) -> bool:
        """Waits for what is being written, or gives it up; whether all of it was written. A level never holds half of it."""
        if self._writers is None:
            return True
        left = self._pending if abandon else wait(set(self._pending), PATIENCE).not_done
        if left:
            self.ended.set()
        self._writers.shutdown(wait=False, cancel_futures=True)
        return not left

    def afterwards(self, work: Callable[[], None]) -> None:
        """Does something, in a thread of its own, when all that is on its way now has arrived, or was given up."""
        with self._guard:
            pending = set(self._pending)

        def wait_and_work() -> None:
            while wait(pending, _LOOK).not_done and not self.ended.is_set():
                pass
            work()

        threading.Thread(target=wait_and_work, name="afterwards", daemon=True).start()

    def tallies(self) -> dict[str, Tally]:
        """What each level that was used did in this run."""
        return {member.level.name: member.tally for member in self.members if member.tally}

    def _find(self, space: str, key: str, ask: Callable[[CacheLevel, float], C | None]) -> tuple[C, str] | None:
        """Content from the nearest level that has it, and that level's name. `ask` is handed a level, and the time after
        which an entry must have been stored."""
        with self._turn(space, key):
            started = time.time()
            for number, member in enumerate(self.members):
                nearer = self.members[:number]
                found = self._try(member, partial(self._ask, member, nearer, space, key, ask)) if member.reads else None
                if found is not None:
                    self._fill(nearer, started, space, key, found)
                    return found, member.level.name
        return None

    def _ask(
        self, member: Member, nearer: Sequence[Member], space: str, key: str, ask: Callable[[CacheLevel, float], C | None]
    ) -> C | None:
        started = time.perf_counter()
        try:
            found = ask(member.level, self._buried(nearer, space, key))
        finally:
            spent = time.perf_counter() - started
            with self._guard:
                member.tally.reading += spent
        with self._guard:
            member.tally.hits += found is not None
            member.tally.misses += found is None
            member.tally.read += _size(found) if found is not None else 0
        return found

    def _buried(self, nearer: Sequence[Member], space: str, key: str) -> float:
        """When an entry was last invalidated, as far as levels on this machine know."""
        latest = 0.0
        for member in nearer:
            if member.near and member.reads:
                with contextlib.suppress(LevelError, ValueError):
                    told = member.level.read(TOMB, f"{space}-{key}", _SMALL)
                    latest = max(latest, float(told) if told is not None else 0.0)
        return latest

    def _fill(self, nearer: Sequence[Member], started: float, space: str, key: str, source: Path | bytes) -> None:
        # What was invalidated while it was on its way is old.
        if self._buried(nearer, space, key) >= started:
            return
        for member in nearer:
            if member.writes:
                # At once, for a file is the caller's from now on.
                self._try(member, partial(self._put, member, space, key, source), writing=True)

    def _put(self, member: Member, space: str, key: str, source: Path | bytes) -> bool:
        started = time.perf_counter()
        try:
            size = _size(source)
            member.level.store(space, key, source)
        except FileNotFoundError:
            return False
        finally:
            spent = time.perf_counter() - started
            with self._guard:
                member.tally.writing += spent
        with self._guard:
            member.tally.stored += 1
            member.tally.written += size
        return True

    def _put_lacking(self, member: Member, space: str, key: str, source: Path | bytes) -> bool:
        if isinstance(member.level, Telling) and member.level.header(space, key) is not None:
            return True
        return self._put(member, space, key, source)

    def _bury(self, member: Member, space: str, key: str, now: bytes) -> bool:
        self._put(member, TOMB, f"{space}-{key}", now)
        member.level.forget(space, key)
        return True

    def _try(self, member: Member, work: Callable[[], T], *, writing: bool = False) -> T | None:
        """Does something with a level; where it fails, the level is left alone. One that is full can still be read."""
        try:
            return work()
        except LevelError as error:
            with self._guard:
                told, member.tally.failures = bool(member.tally.failures), member.tally.failures + 1
                member.reads = member.reads and writing
                member.writes = False
            if not told and not self.ended.is_set():
                self._warn(f"the cache level {member.level.name} is left alone: {error.message}")
            return None

    def _later(self, member: Member, work: Callable[[], bool]) -> None:
        def one() -> None:
            if member.writes and not self.ended.is_set():
                self._try(member, work, writing=True)

        with self._guard:
            if self._writers is None:
                self._writers = ThreadPoolExecutor(_WRITERS, "level")
            self._pending.add(self._writers.submit(one))

    @contextlib.contextmanager
    def _turn(self, space: str, key: str) -> Iterator[None]:
        with self._guard:
            turn = self._flying.setdefault((space, key), threading.Lock())
        with turn:
            yield


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
