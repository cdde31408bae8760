"""Bringing actions from a level into go's own cache: what the last builds asked for at once, and others as go asks for them.

A build waits for an answer as long as its patience lasts, and then compiles. What arrives later is kept for the next one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from typing import Final, TypeVar

from goctl.cacheprog import records
from goctl.cacheprog.errands import SOON, URGENT, Errand, Errands
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.patience import Patience
from goctl.cacheprog.records import Known, Record
from goctl.cacheprog.remote import Remote

#: Seconds that all waiting for a level may cost a run, beyond what came of it.
PATIENCE: Final = 5.0

_T = TypeVar("_T")
_U = TypeVar("_U")


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
        self._told: dict[str, frozenset[bytes]] = {}
        self._fetches: dict[bytes, Errand] = {}
        self._held: dict[bytes, Record] = {}
        self._over = False
        self.brought = 0

    @property
    def is_waiting_worth(self) -> bool:
        """Whether it still makes sense to ask for what is not here."""
        return not self._over and self._patience.left() > 0

    def expect(self, names: Iterable[str], kind: str = "") -> None:
        """Begins to fetch what the last builds asked for, by the level's lists of these names; what only older ones did
        comes when go asks. Where the level lacks a list, that of the kind, if there is one, tells what else it has."""
        with self._lock:
            for name in names:
                if name not in self._lists:
                    self._lists[name] = self._errands.put(functools.partial(self._expect, name, kind), URGENT)

    def _expect(self, name: str, kind: str) -> bool:
        found = self._read(name)
        if kind and not found:
            self.known(kind)
        with self._lock:
            last = self._known[name].last()
        self._begin(last)
        return True

    def _begin(self, actions: Iterable[bytes]) -> None:
        """Begins to fetch those that the level has and the folder has not."""
        with self._lock:
            held = {action: record for action in actions if (record := self._held.get(action)) is not None}
        packs: dict[str, list[tuple[bytes, Record]]] = {}
        for action, record in held.items():
            if not self._folder.has(action):
                packs.setdefault(record.pack, []).append((action, record))
        for pack, wanted in packs.items():
            with self._lock:
                own = [(action, record) for action, record in wanted if action not in self._fetches]
                if own:
                    errand = self._errands.put(self._bringing(pack, own), SOON)
                    self._fetches |= dict.fromkeys((action for action, _ in own), errand)

    def _read(self, name: str) -> dict[bytes, Record]:
        """Reads the list of a name: what it holds; nothing of a level that fails."""
        there = self._answer(functools.partial(self._remote.known, name), Known())
        found = records.merged(there)
        with self._lock:
            self._known[name] = there
            self._told[name] = frozenset(found)
            self._held = found | self._held
        return found

    def _look(self, name: str) -> bool:
        return bool(self.known(name).asked)

    def held(self, action: bytes, entry: Entry) -> Record | None:
        """The record of what the level is known to have, if it is the very same."""
        with self._lock:
            record = self._held.get(action)
        return record if record is not None and record.entry[:2] == entry[:2] else None

    def there(self) -> dict[bytes, Record]:
        """All that the level is known to have."""
        with self._lock:
            return dict(self._held)

    def hold(self, sent: Mapping[bytes, Record]) -> None:
        """Notes what the level has from now on."""
        with self._lock:
            self._held |= sent

    def told(self, name: str, actions: Iterable[bytes]) -> None:
        """Notes what a list tells of from now on."""
        self._told[name] = self._told.get(name, frozenset()).union(actions)

    def known(self, name: str) -> Known:
        """The level's list of a name, read once."""
        if name not in self._known:
            self._read(name)
        return self._known[name]

    def lists(self, names: Iterable[str], action: bytes) -> bool:
        """Whether one of these lists has come and tells of an action."""
        return any(action in self._told.get(name, ()) for name in names)

    def may_have(self, names: Iterable[str], action: bytes) -> bool:
        """Whether the level may have an action: a list tells of it, or one of these is still to come. Waits for nothing."""
        with self._lock:
            return action in self._held or not all(name in self._known for name in names)

    def ask(self, names: Iterable[str], action: bytes) -> bool:
        """Waits for an action, behind the lists of these names that may tell of it; whether it may be in the folder.

        A list that nobody expected is asked for now, if those before it do not tell of the action.
        """
        with self._patience as patience:
            for name in names:
                listed = self._listing(name, action)
                if listed is not None and not self._wait(listed):
                    return False
            with self._lock:
                errand = self._fetches.get(action)
                if errand is None:
                    if action not in self._held:
                        return False
                    together = self._together(action)
                    errand = self._errands.put(functools.partial(self._find, together), URGENT)
                    self._fetches |= dict.fromkeys(together, errand)
                elif not errand.done.done():
                    self._errands.hurry(errand, URGENT)
            if self._wait(errand):
                patience.found()
                return True
            return False

    def look(self, names: Iterable[str]) -> None:
        """Begins to read the level's lists of these names, and fetches nothing."""
        with self._lock:
            for name in names:
                if name not in self._lists:
                    self._lists[name] = self._errands.put(functools.partial(self._look, name), URGENT)

    def last(self, names: Iterable[str]) -> list[bytes]:
        """What the last builds asked for by the level's lists of these names, once they are here."""
        names = list(names)
        self.look(names)
        with self._patience:
            for name in names:
                self._wait(self._lists[name])
        with self._lock:
            return [action for name in names if name in self._known for action in self._known[name].last()]

    def bring(self, actions: Sequence[bytes]) -> bool:
        """Fetches actions, and waits for them as long as that is worth it: for who cannot ask. Whether any is here."""
        self._begin(actions)
        with self._patience as patience:
            for action in actions:
                if action in self._fetches and self._wait(self._fetches[action]):
                    patience.found()
        return self.brought > 0

    def _listing(self, name: str, action: bytes) -> Errand | None:
        """The errand of a list: begun now where nobody expected it, unless another list tells of the action."""
        with self._lock:
            if name not in self._lists and action not in self._held:
                self._lists[name] = self._errands.put(functools.partial(self._look, name), URGENT)
            return self._lists.get(name)

    def _wait(self, errand: Errand) -> bool:
        try:
            return errand.done.result(self._patience.left())
        except Late:
            if not self.is_waiting_worth:
                self._give_up("it does not answer in time")
        except CancelledError:
            pass
        return False

    def _together(self, action: bytes) -> list[bytes]:
        """An action that nobody fetches yet, and before it comes alone by a pack of many: those that lie there with it."""
        record = self._held[action]
        if record.packed is None:
            return [action]
        beside = (one for one, other in self._held.items() if other.pack == record.pack and one not in self._fetches)
        return [action, *(one for one in beside if one != action)]

    def _find(self, actions: Sequence[bytes]) -> bool:
        """Brings actions of one pack that no list of the last builds told of."""
        with self._lock:
            wanted = {action: record for action in actions if (record := self._held.get(action)) is not None}
        lacking = [(action, record) for action, record in wanted.items() if not self._folder.has(action)]
        return not lacking or self._bringing(lacking[0][1].pack, lacking)()

    def _bringing(self, pack: str, wanted: Sequence[tuple[bytes, Record]]) -> Callable[[], bool]:
        def bring() -> bool:
            brought = None if self._over else self._answer(functools.partial(self._remote.bring, pack, wanted), None)
            if brought is None:
                return False
            with self._lock:
                self.brought += brought
                if brought < len(wanted):
                    # Promised, and not there: it is sent again.
                    for action, _ in wanted:
                        self._held.pop(action, None)
            return brought > 0

        return bring

    def _answer(self, question: Callable[[], _T], otherwise: _U) -> _T | _U:
        """What the level answers. One that fails is no reason for a build to fail: it is asked for nothing more."""
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._give_up(str(error))
            return otherwise

    def _give_up(self, why: str) -> None:
        """Asks the level for nothing more."""
        self._over = True
        self._failed(why)
