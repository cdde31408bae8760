"""Work under way: once for each key, on a bounded number of threads, and waited for without going deaf to Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """At most `width` pieces of work at a time. `check` is called while waiting, and may raise to end it."""

    def __init__(self, width: int, check: Callable[[], None]) -> None:
        self._check = check
        self._room = threading.BoundedSemaphore(width)
        self._guard = threading.Lock()
        self._flying: dict[Hashable, Future[T]] = {}

    def start(self, key: Hashable, work: Callable[[], T]) -> tuple[Future[T], bool]:
        """The result to come of the work for a key, and whether this call began it."""
        with self._guard:
            if key in self._flying:
                return self._flying[key], False
            future: Future[T] = Future()
            self._flying[key] = future
        # Daemons: a request that a dead network holds up must not keep an interrupted process from ending.
        threading.Thread(target=self._fly, args=(key, work, future), daemon=True, name="goctl-registry").start()
        return future, True

    def _fly(self, key: Hashable, work: Callable[[], T], future: Future[T]) -> None:
        try:
            while not self._room.acquire(timeout=0.1):
                self._check()
            try:
                result = work()
            finally:
                self._room.release()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self._land(key)
            future.set_exception(error)
        else:
            self._land(key)
            future.set_result(result)

    def _land(self, key: Hashable) -> None:
        with self._guard:
            del self._flying[key]

    def wait(self, futures: Iterable[Future[T]]) -> None:
        """Returns when all have ended well; raises the first error as soon as there is one."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.1, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            self._check()
