"""Work under way: once for each key, on a bounded number of threads, and waited for without going deaf to Ctrl-C."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """At most `width` pieces of work at a time, in the order they were begun.

    `check` is called while waiting, and may raise to end it; work that is under way calls it for itself.
    """

    def __init__(self, width: int, check: Callable[[], None]) -> None:
        self._check = check
        self._width = width
        self._guard = threading.Lock()
        self._threads = 0
        self._waiting: deque[tuple[Hashable, Callable[[], T], Future[T]]] = deque()
        self._flying: dict[Hashable, Future[T]] = {}

    def start(self, key: Hashable, work: Callable[[], T]) -> tuple[Future[T], bool]:
        """The result to come of the work for a key, and whether this call began it."""
        with self._guard:
            if key in self._flying:
                return self._flying[key], False
            future: Future[T] = Future()
            self._flying[key] = future
            self._waiting.append((key, work, future))
            if self._threads < self._width:
                self._threads += 1
                # Daemons: a request that a dead network holds up must not keep an interrupted process from ending.
                threading.Thread(target=self._fly, daemon=True, name="goctl-registry").start()
        return future, True

    def _fly(self) -> None:
        while True:
            with self._guard:
                if not self._waiting:
                    self._threads -= 1
                    return
                key, work, future = self._waiting.popleft()
            try:
                self._check()
                result = work()
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
