"""Threads that run errands to a cache level, the urgent ones first. They keep nobody: a process ends while they hang."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

Work = Callable[[], bool]

URGENT, SOON, LATER = 0, 1, 2


class Errand:
    """Something to be done once. `done` is whether it brought what it should."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._taken = threading.Lock()
        self.done: Future[bool] = Future()

    def run(self) -> None:
        """Does it, unless somebody has begun to. What the work raises is no result."""
        if not self._taken.acquire(blocking=False):
            return
        try:
            self.done.set_result(self._work())
        except Exception as error:  # noqa: BLE001 - whoever waits for it decides what it means
            self.done.set_exception(error)


class Errands:
    """A number of threads, started when there is work."""

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._name = name
        self._queue: queue.PriorityQueue[tuple[int, int, Errand | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._left = 0
        self._empty = threading.Condition(self._lock)
        self._closed = False

    def put(self, work: Work, urgency: int) -> Errand:
        errand = Errand(work)
        self.hurry(errand, urgency)
        return errand

    def hurry(self, errand: Errand, urgency: int) -> None:
        """Queues an errand, once more where it stands behind others already."""
        with self._lock:
            if self._closed:
                errand.done.cancel()
                return
            self._left += 1
            if len(self._threads) < min(self._width, self._left):
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put((urgency, next(self._order), errand))

    def drain(self, seconds: float, ended: Callable[[], bool] = lambda: False) -> int:
        """Waits for what is queued, unless the run is `ended`, and then takes no more; the number that is given up."""
        deadline = time.monotonic() + seconds
        with self._empty:
            while self._left and not ended() and (left := deadline - time.monotonic()) > 0:
                self._empty.wait(min(left, 0.1))
            self._closed = True
            abandoned = self._left
        for _ in self._threads:
            self._queue.put((-1, next(self._order), None))
        return abandoned

    def _work(self) -> None:
        while True:
            errand = self._queue.get()[2]
            if errand is None:
                return
            errand.run()
            with self._empty:
                self._left -= 1
                if not self._left:
                    self._empty.notify_all()
