"""Who compiles: of all runs on all machines that want the same programs, one, while the others wait for what comes out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from goctl.contracts import Conditional
from goctl.errors import LevelError
from goctl.plan import keys
from goctl.plan.model import CompileStep

if TYPE_CHECKING:
    from goctl.release.session import Session


class Flights:
    """The leases that a run holds. They end when what was made under them is in the levels."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._levels = session.stores.levels
        self._held = contextlib.ExitStack()
        self._guard = threading.Lock()
        self._holds = False

    def begin(self, steps: Sequence[CompileStep], done: Callable[[], bool]) -> bool:
        """Waits for others that are at these steps; whether they made what is wanted: `done` is asked now and then."""
        inputs = sorted(str(step.input) for step in steps if step.input is not None)
        if self._levels is None or not self._levels.writes or len(inputs) != len(steps):
            return False
        from goctl.cache.lease import Waited

        key = keys.combine("flight", *inputs).hex
        # Who holds a lease already waits for nobody: two such could wait for each other.
        with self._guard:
            if self._holds:
                return False
            self._holds = True
        try:
            self._enter(key, done)
        except Waited:
            self._release()
            return True
        except LevelError:
            return False
        return False

    def _enter(self, key: str, done: Callable[[], bool]) -> None:
        from goctl.cache.folder import FolderShelf
        from goctl.cache.lease import FolderLeases, ShelfLeases
        from goctl.cache.shelved import ShelvedLevel

        members = [m for m in (self._levels.members if self._levels is not None else ()) if m.writes and m.reads]
        levels = [(member, member.level) for member in members if isinstance(member.level, ShelvedLevel)]
        for member, level in levels:
            if member.near and isinstance(level.shelf, FolderShelf):
                self._held.enter_context(FolderLeases(level.shelf.folder, self._session.check).turn(key, done))
        for member, level in levels:
            if not member.near and isinstance(level.shelf, Conditional):
                self._held.enter_context(ShelfLeases(level.shelf, self._session.check).turn(key, done))
                return

    def settle(self) -> None:
        """Ends the leases once what was made so far is in the levels; waits for nothing here."""
        with self._guard:
            if self._holds and self._levels is not None:
                self._levels.afterwards(self._release)

    def close(self) -> None:
        """Ends them now."""
        self._release()

    def _release(self) -> None:
        with self._guard:
            self._holds = False
            self._held.close()
