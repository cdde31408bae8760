"""Bringing actions from a level into go's own cache: what the last builds asked for at once, and others as go asks for them.

A build waits for an answer as long as its patience lasts, and then compiles. What arrives later is kept for the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from typing import Final

from goctl.cacheprog import records
from goctl.cacheprog.errands import SOON, URGENT, Errand, Errands
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.patience import Patience
from goctl.cacheprog.records import Known, Record
from goctl.cacheprog.remote import Remote

#: Seconds that all waiting for a level may cost a run, beyond what came of it.
PATIENCE: Final = 5.0


class Fetcher:
    """What is fetched into one GOCACHE. `failed` is told of an error of the level, and of a level that does not answer."""

    def __init__(
        self, remote: Remote, folder: Folder, errands: Errands, failed: Callable[[str], None], patience: float = PATIENCE
    ) -> None:
        self._remote = remote
        self._folder = folder
        self._errands = errands
        self._failed = failed
        self._patience = Patience(patience)
        self._lock = threading.Lock()
        self._lists: dict[str, Errand] = {}
        self._known: dict[str, Known] = {}
        self._fetches: dict[bytes, Errand] = {}
        self._held: dict[bytes, bytes] = {}
        self._over = False
        self.brought = 0

    @property
    def is_waiting_worth(self) -> bool:
        """Whether it still makes sense to ask for what is not here."""
        return not self._over and self._patience.left() > 0

    def expect(self, name: str, nearer: Known) -> None:
        """Begins to fetch what builds of this kind ask for, by the list that is here and by the level's."""
        with self._lock:
            if name in self._lists:
                return
            self._lists[name] = self._errands.put(lambda: self._expect(name, nearer), URGENT)

    def _expect(self, name: str, nearer: Known) -> bool:
        try:
            farther = self._remote.known(name)
        except Exception as error:  # noqa: BLE001 - a level is no reason for a build to fail
            self._give_up(str(error))
            farther = Known()
        with self._lock:
            self._known[name] = farther
            self._held |= {action: record.entry.output for action, record in records.merged(farther).items()}
        for action, record in records.merged(nearer, farther).items():
            with self._lock:
                if action not in self._fetches and not self._folder.has(action):
                    self._fetches[action] = self._errands.put(self._bringing(action, record), SOON)
        return True

    def is_held(self, action: bytes, entry: Entry) -> bool:
        """Whether the level is known to have the very same."""
        with self._lock:
            return self._held.get(action) == entry.output

    def known(self, name: str) -> Known:
        """The level's list, as far as it came."""
        with self._lock:
            return self._known.get(name, Known())

    def ask(self, name: str, action: bytes) -> bool:
        """Waits for an action; whether it came into the folder."""
        with self._patience as patience:
            listed = self._lists.get(name)
            if listed is not None and not self._wait(listed):
                return False
            with self._lock:
                errand = self._fetches.get(action)
                if errand is None:
                    errand = self._fetches[action] = self._errands.put(self._bringing(action, None), URGENT)
                elif not errand.done.done():
                    self._errands.hurry(errand, URGENT)
            if self._wait(errand):
                patience.found()
                return True
            patience.missed()
            return False

    def _wait(self, errand: Errand) -> bool:
        try:
            return errand.done.result(self._patience.left())
        except Late:
            if not self.is_waiting_worth:
                self._give_up("it does not answer in time")
        except CancelledError:
            pass
        return False

    def _bringing(self, action: bytes, record: Record | None) -> Callable[[], bool]:
        def bring() -> bool:
            if self._over:
                return False
            try:
                there = self._remote.fetch(action) if record is None else self._remote.bring(action, record)
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(str(error))
                return False
            if there:
                with self._lock:
                    self.brought += 1
            return there

        return bring

    def _give_up(self, why: str) -> None:
        """Asks the level for nothing more."""
        self._over = True
        self._failed(why)
