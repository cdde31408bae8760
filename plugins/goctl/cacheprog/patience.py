"""How long a build waits for what may come from afar: bounded as a whole, whatever the level does.

What counts is the time in which at least one go command waits. An answer that helps gives some of it back, for it saved a
compilation; what is not there, or does not come, gives none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Self

#: Seconds of waiting that an action which was there is worth: a small package takes as long to be compiled.
WORTH: Final = 0.1


class Patience:
    """`with patience:` is around each wait; `left` says how long it may be, `found` that it was worth it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._since = 0.0
        self._spent = 0.0

    def left(self) -> float:
        """Seconds that may still be waited; 0 when it is over."""
        with self._lock:
            return max(0.0, self._seconds - self._now())

    def found(self) -> None:
        with self._lock:
            self._spent -= min(WORTH, self._now())

    def _now(self) -> float:
        return self._spent + (self._clock() - self._since if self._waiting else 0.0)

    def __enter__(self) -> Self:
        with self._lock:
            if not self._waiting:
                self._since = self._clock()
            self._waiting += 1
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self._spent += self._clock() - self._since
                self._since = 0.0
