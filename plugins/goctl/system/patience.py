"""How long to wait before a request is sent again: backoff with jitter, and what `Retry-After` asks for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

#: Statuses after which the same request may succeed a little later; those above 511, and 499, are proxies' own.
TEMPORARY: Final = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524})
#: Seconds that the first repetition waits at most; doubled each time, up to LONGEST_BACKOFF.
FIRST_BACKOFF: Final = 0.25
LONGEST_BACKOFF: Final = 15.0
#: Seconds a server may make us wait. Who asks for more gets no early request but an end to the run, which says so.
LONGEST_WAIT: Final = 60.0
_SLICE: Final = 0.1
#: A chance of its own: who seeds or watches the common one, in a test or a program around us, is not to be disturbed.
_CHANCE: Final = random.Random()


class TooLong(Exception):
    """A server asked for more patience than there is. `seconds` is what it asked for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"asks to wait {seconds:.0f} s")
        self.seconds = seconds


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date (RFC 9110, 10.2.3); None where it says nothing sane.

    A date is compared with the answer's own `Date` where there is one: the clocks of two machines differ. `now` is the
    time in seconds since the epoch.
    """
    text = (headers.get("Retry-After") or "").strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), 1e9)
    until = _date(text)
    if until is None:
        return None
    sent = _date(headers.get("Date") or "")
    return max(0.0, until - (now if sent is None else sent))


def _date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class Patience:
    """Waiting between attempts, shared by the requests of one client.

    `retries` is how often a request is repeated. A time that a server asked for binds every thread that talks to it.
    `check` is called about ten times a second while waiting, and may raise to end it.
    """

    def __init__(
        self,
        retries: int = 5,
        *,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.retries = retries
        self.check = check
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._guard = threading.Lock()
        self._closed_until: dict[str, float] = {}

    def note(self, place: str, headers: Mapping[str, str]) -> bool:
        """Takes down what an answer's `Retry-After` asks for; whether it asked for anything."""
        asked = retry_after(headers, self._wall())
        if asked is None:
            return False
        with self._guard:
            self._closed_until[place] = max(self._closed_until.get(place, 0.0), self._clock() + asked)
        return True

    def admit(self, place: str) -> None:
        """Returns when the place may be asked. Raises TooLong at once when that would take too long."""
        while (left := self._closed_until.get(place, 0.0) - self._clock()) > 0:
            if left > LONGEST_WAIT:
                raise TooLong(left)
            # Those who waited for the same moment do not all come at once.
            self.pause(left + _CHANCE.uniform(0.0, 0.1 * left))

    def back_off(self, attempt: int) -> None:
        """Waits after the failed attempt of this number, counted from 0: any time up to a bound that doubles."""
        self.pause(_CHANCE.uniform(0.0, min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**attempt)))

    def pause(self, seconds: float) -> None:
        until = self._clock() + seconds
        self.check()
        while (left := until - self._clock()) > 0:
            self._sleep(min(left, _SLICE))
            self.check()
