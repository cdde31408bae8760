"""contracts.CompileCache: whether a go build is worth the server's while is decided here, and what came of it is kept.

Nothing goes to a level while a build is at work: it needs the cores, and may fail, or its sources may be edited meanwhile.
`keep` says that all went well, and `close` waits for a while until everything is there.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from goctl.cacheprog import records
from goctl.cacheprog.carried import Carried, Elsewhere
from goctl.cacheprog.errands import LATER, Errand, Errands
from goctl.cacheprog.fetching import PATIENCE, Fetcher
from goctl.cacheprog.folder import Folder
from goctl.cacheprog.indexes import Installation
from goctl.cacheprog.records import Record, Warmth
from goctl.cacheprog.remote import Remote
from goctl.cacheprog.server import Server
from goctl.cacheprog.serving import Parcel, Place, Serving
from goctl.contracts import ActionLevel, Memo
from goctl.events import Emit, Notice

#: Threads that fetch, which unpack most of the time: more than cores only get into the compiler's way; and that send.
_FETCHERS: Final = max(2, min(8, os.cpu_count() or 2))
_SENDERS: Final = 4
#: Seconds that a release waits at its end until what it made has reached the level.
LINGER: Final = 15.0
#: Seconds of it for the lists of what has, where not everything has.
_LISTING: Final = 3.0
#: Runs after which a list of what many programs share forgets what none of them asked for.
_RUNS_OF_ALL: Final = 64
_KIND: Final = "go-actions"

_B = TypeVar("_B", Serving, Carried)


class Counts(msgspec.Struct, frozen=True):
    """What a run had from its level, and gave to it: actions; and bytes that were sent."""

    brought: int
    sent: int
    bytes: int


class CompileActions:
    """All that one release needs. Nothing is started before the first build that it serves."""

    def __init__(
        self,
        level: ActionLevel,
        memo: Memo,
        emit: Emit,
        *,
        patience: float = PATIENCE,
        linger: float = LINGER,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.level = level
        self._memo = memo
        self._emit = emit
        self._patience = patience
        self._linger = linger
        self._ended = ended
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._fetching = Errands(_FETCHERS, "go-cache-fetch")
        self._sending = Errands(_SENDERS, "go-cache-send")
        self._places: dict[Path, Place] = {}
        self._builds: list[Serving] = []
        self._carried: list[Carried] = []
        self._gathering: list[Errand] = []
        self._folders = contextlib.ExitStack()
        #: Of builds that ended well, those whose lists are still to be written.
        self._unlisted: dict[tuple[Place, str], list[Serving]] = {}
        self._number = 0
        self._failure = ""
        self._unsent = 0
        self._sent = 0
        self._bytes = 0

    def begin(self, folder: Path, goroot: str, kind: str, programs: Mapping[str, str]) -> Serving | None:
        """contracts.CompileCache."""
        with self._lock:
            place = self._places.get(folder) or self._place(Folder(folder))
        serving = Serving(place, Installation(goroot), kind, programs)
        warmth = self._warmth(serving)
        if warmth.inputs == serving.inputs and warmth.actions and all(map(place.folder.has, warmth.actions)):
            return None
        with self._lock:
            # In the order in which go asks: it loads all packages before it compiles one.
            place.fetcher.expect((serving.installation.list,))
            place.fetcher.expect(serving.lists.values(), kind)
            self._number += 1
            command = self._started().command(self._number, serving)
            if command is None:
                self._warn("a path of this machine cannot be written into GOCACHEPROG")
                return None
            serving.environment = {"GOCACHEPROG": command}
            self._builds.append(serving)
        return serving

    def carry(
        self, folder: AbstractContextManager[Path], where: str, kinds: Mapping[str, Mapping[str, str]], elsewhere: Elsewhere
    ) -> Carried:
        """For go builds in a GOCACHE that no server reaches, as a builder has one: what is carried there, in a folder that
        stays until `close`. `where` is a name for that GOCACHE; `kinds` are the programs of each kind, as in begin."""
        with self._lock:
            place = self._place(Folder(self._folders.enter_context(folder)))
            builds = {kind: Serving(place, Installation(""), kind, programs, where) for kind, programs in kinds.items()}
            carried = Carried(place, {build: self._warmth(build) for build in builds.values()}, elsewhere)
            self._carried.append(carried)
        return carried

    def _warmth(self, build: Serving) -> Warmth:
        return records.warmth(self._memo.get(_KIND, build.name))

    def _started(self) -> Server:
        if self._server is None:
            self._server = Server()
        return self._server

    def _place(self, folder: Folder) -> Place:
        remote = Remote(self.level, folder)
        made = Place(folder, remote, Fetcher(remote, folder, self._fetching, self._warn, self._patience))
        self._places[folder.path] = made
        return made

    def keep(self) -> None:
        """Every build that ended well may be believed: begins to send what is new."""
        with self._lock:
            builds, self._builds = _parted(self._builds)
            carried, self._carried = _parted(self._carried)
        self._deliver(builds)
        self._gathering += [self._sending.put(functools.partial(self._gather, one), LATER) for one in carried]

    def _gather(self, carried: Carried) -> bool:
        """Has what is new in a GOCACHE elsewhere brought here, and sends it."""
        builds = carried.gather(everything=self.level.writes)
        for build, warmth in carried.noted().items():
            self._memo.put(_KIND, build.name, warmth.encoded())
        if not carried.is_lost:
            self._deliver(builds)
        return True

    def _deliver(self, builds: Sequence[Serving]) -> None:
        kinds: dict[tuple[Place, str], list[Serving]] = {}
        for build in builds:
            kinds.setdefault((build.place, build.kind), []).append(build)
        for (place, kind), own in kinds.items():
            parcels = [parcel for build in own for parcel in build.parcels()] if self.level.writes else []
            self._unsent += sum(map(len, parcels))
            self._unlisted.setdefault((place, kind), []).extend(own)
            sent = [self._sending.put(functools.partial(self._send, place, parcel), LATER) for parcel in parcels]
            self._sending.put(functools.partial(self._learn, place, kind, own, sent), LATER)

    def drop(self) -> None:
        """What was built is nobody's result: nothing of it is sent, or remembered."""
        with self._lock:
            self._builds = []
            self._carried = []

    def _send(self, place: Place, parcel: Parcel) -> bool:
        def send() -> None:
            held, size = place.remote.send(parcel)
            place.fetcher.hold(held)
            with self._lock:
                self._unsent -= len(parcel)
                self._sent += len(held)
                self._bytes += size

        return self._tried(send)

    def _learn(self, place: Place, kind: str, builds: Sequence[Serving], sent: Sequence[Errand]) -> bool:
        """Notes what builds of one kind asked for, once the level has all of it: there, and here, so that the next build is
        not served if it asks for the same."""
        if not all(errand.done.result() for errand in sent) or not self._list(place, kind, builds, is_new=bool(sent)):
            return False
        for build in builds:
            self._memo.put(_KIND, build.name, Warmth(build.inputs, tuple(build.held()), time.time()).encoded())
        return True

    def _list(self, place: Place, kind: str, builds: Sequence[Serving], *, is_new: bool) -> bool:
        """Writes the level's lists: of each program that was built; of each installation's indexes; and where something
        `is_new`, of all of that kind, in which a program finds what is new to it and others have."""
        together: dict[bytes, Record] = {}
        for build in builds:
            held = build.held()
            for program, actions in build.shares().items():
                own = {action: held[action] for action in actions if action in held}
                if not self._tried(functools.partial(self._keep, place, build.lists[program], own)):
                    return False
            indexes = {action: record for action, record in held.items() if action in build.indexes}
            if not self._tried(functools.partial(self._keep_indexes, place, build.installation.list, indexes)):
                return False
            together |= {action: record for action, record in held.items() if action not in indexes}
        if is_new and not self._tried(functools.partial(self._keep_all, place, kind, together)):
            return False
        self._unlisted.pop((place, kind), None)
        return True

    def _keep(self, place: Place, name: str, found: Mapping[bytes, Record]) -> None:
        known = place.fetcher.known(name)
        if self.level.writes and found.keys() != set(known.last()):
            place.remote.keep(name, known.after(found))

    def _keep_indexes(self, place: Place, name: str, found: Mapping[bytes, Record]) -> None:
        if self.level.writes and not all(place.fetcher.lists((name,), action) for action in found):
            self._keep_all(place, name, found)
            place.fetcher.told(name, found)

    def _keep_all(self, place: Place, name: str, found: Mapping[bytes, Record]) -> None:
        # Read again, for everybody writes this list: little of theirs is lost, and of that only who has it in no other one.
        place.remote.keep(name, place.remote.known(name).after(found, _RUNS_OF_ALL))

    def _list_rest(self) -> None:
        for (place, kind), builds in list(self._unlisted.items()):
            self._list(place, kind, builds, is_new=True)

    def _tried(self, work: Callable[[], None]) -> bool:
        if self._failure:
            return False
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a level is no reason for a release to fail
            self._warn(str(error))
            return False
        return True

    def _warn(self, what: str) -> None:
        """Says once what is wrong with the level; nothing is sent to it then."""
        with self._lock:
            told, self._failure = self._failure, self._failure or what or "it failed"
        if not told:
            self._emit(Notice(f"the cache level {self.level.name} is left alone in this run: {what}"))

    def close(self, *, abandon: bool = False) -> Counts:
        """Ends the server, and waits for what is being sent as long as `linger` allows; not at all with `abandon`."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()
        self._fetching.drain(0)
        self._sending.drain(0 if self._failure or abandon else self._linger, self._ended)
        if self._unlisted and not self._failure and not abandon and not self._ended():
            # What did arrive is to be found.
            listing = threading.Thread(target=self._list_rest, name="go-cache-list", daemon=True)
            listing.start()
            listing.join(_LISTING)
            lost = self._unsent + (self._sent if self._unlisted else 0)
            if lost and not self._failure:
                self._emit(Notice(f"{lost} of go's actions did not reach the cache level {self.level.name} in time"))
        if not self._failure and not abandon and not all(errand.done.done() for errand in self._gathering):
            self._emit(Notice(f"what was compiled elsewhere did not reach the cache level {self.level.name} in time"))
        # Whoever is still at it is given up; nobody wants to hear of that.
        self._failure = self._failure or "the run has ended"
        self._folders.close()
        brought = sum(place.fetcher.brought for place in self._places.values())
        return Counts(brought, self._sent, self._bytes)


def _parted(builds: Sequence[_B]) -> tuple[list[_B], list[_B]]:
    """Those that ended well, and those that have not ended: nobody wants the others."""
    return [build for build in builds if build.is_well], [build for build in builds if build.is_well is None]
