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
#: So many actions in a row that were not there, and so many seconds waited for them, and no more are looked for.
_IN_VAIN: Final = 50
_IN_VAIN_SECONDS: Final = 1.0


class Patience:
    """`with patience:` is around each wait; `left` says how long it may be, `found` and `missed` how it ended."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._since = 0.0
        self._spent = 0.0
        self._row = 0
        self._before_row = 0.0

    def left(self) -> float:
        """Seconds that may still be waited; 0 when it is over."""
        with self._lock:
            spent = self._now()
            if self._row >= _IN_VAIN and spent - self._before_row >= _IN_VAIN_SECONDS:
                return 0.0
            return max(0.0, self._seconds - spent)

    def found(self) -> None:
        with self._lock:
            self._spent -= min(WORTH, self._now())
            self._row = 0
            self._before_row = self._now()

    def missed(self) -> None:
        with self._lock:
            self._row += 1

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
