"""contracts.CompileCache: whether a go build is worth the server's while is decided here, and what came of it is kept.

Nothing goes to a level while a build is at work: it needs the cores, and may fail, or its sources may be edited meanwhile.
`keep` says that all went well, and `close` waits for a while until everything is there.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from goctl.cacheprog import records
from goctl.cacheprog.errands import LATER, URGENT, Errand, Errands
from goctl.cacheprog.fetching import PATIENCE, Fetcher
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.records import Record
from goctl.cacheprog.remote import Remote
from goctl.cacheprog.server import Server
from goctl.contracts import ActionLevel, Memo
from goctl.events import Emit, Notice
from goctl.system.files import storage_errors

#: Threads that fetch, and that send. Most of what they do is to wait.
_FETCHERS: Final = 8
_SENDERS: Final = 4
#: Seconds that a release waits at its end until what it made has reached the level.
LINGER: Final = 15.0
_KIND: Final = "go-actions"


class Place:
    """One GOCACHE with the level behind it."""

    def __init__(self, folder: Folder, remote: Remote, fetcher: Fetcher) -> None:
        self.folder = folder
        self.remote = remote
        self.fetcher = fetcher
        self._sent: set[bytes] = set()

    def unsent(self, action: bytes, entry: Entry) -> bool:
        """Whether it is not there and nobody has begun to send it; who asks has. Links, for one, are noted each time."""
        if action in self._sent or self.fetcher.is_held(action, entry):
            return False
        self._sent.add(action)
        return True


class Serving:
    """One go build that is served. Implements contracts.Served and the server's Build."""

    def __init__(self, place: Place, name: str, inputs: str) -> None:
        self.place = place
        self.folder = place.folder
        self.name = name
        self.inputs = inputs
        self.environment: Mapping[str, str] = {}
        self.asked: dict[bytes, Entry] = {}
        self.new: dict[bytes, Entry] = {}
        self.is_well = False

    @property
    def may_ask(self) -> bool:
        return self.place.fetcher.is_waiting_worth

    def ask(self, action: bytes) -> bool:
        return self.place.fetcher.ask(self.name, action)

    def found(self, action: bytes, entry: Entry) -> None:
        self.asked[action] = entry

    def made(self, action: bytes, entry: Entry) -> None:
        self.asked[action] = self.new[action] = entry

    def end(self, *, well: bool) -> None:
        self.is_well = well


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
        scratch: Path,
        emit: Emit,
        *,
        patience: float = PATIENCE,
        linger: float = LINGER,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.level = level
        self._memo = memo
        self._scratch_parent = scratch
        self._emit = emit
        self._patience = patience
        self._linger = linger
        self._ended = ended
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._fetching = Errands(_FETCHERS, "go-cache-fetch")
        self._sending = Errands(_SENDERS, "go-cache-send")
        self._learning: list[Errand] = []
        self._scratch: Path | None = None
        self._places: dict[Path, Place] = {}
        self._builds: list[Serving] = []
        self._number = 0
        self._failure = ""
        self._sent = 0
        self._bytes = 0

    def begin(self, folder: Path, name: str, inputs: str) -> Serving | None:
        """Serves a go build that keeps what it compiles in `folder`; None where go's own cache has all that it will ask for.

        `name` is equal for builds that ask for much the same, on any machine; `inputs` covers all that a build is made from.
        """
        known = records.known(self._memo.get(_KIND, name))
        own = Folder(folder)
        last = known.last()
        if inputs in known.inputs and last and all(own.has(action) for action in last):
            return None
        with self._lock:
            place = self._places.get(folder) or self._place(own)
            place.fetcher.expect(name, known)
            self._number += 1
            serving = Serving(place, name, inputs)
            command = self._started().command(self._number, serving)
            if command is None:
                self._warn("a path of this machine cannot be written into GOCACHEPROG")
                return None
            serving.environment = {"GOCACHEPROG": command}
            self._builds.append(serving)
        return serving

    def _started(self) -> Server:
        if self._server is None:
            self._server = Server()
        return self._server

    def _place(self, folder: Folder) -> Place:
        if self._scratch is None:
            with storage_errors(str(self._scratch_parent)):
                self._scratch_parent.mkdir(parents=True, exist_ok=True)
                self._scratch = Path(tempfile.mkdtemp(prefix="go-actions.", dir=self._scratch_parent))
        remote = Remote(self.level, folder, self._scratch)
        made = Place(folder, remote, Fetcher(remote, folder, self._fetching, self._warn, self._patience))
        self._places[folder.path] = made
        return made

    def keep(self) -> None:
        """Every build that ended well may be believed: begins to send what is new."""
        with self._lock:
            builds, self._builds = [build for build in self._builds if build.is_well], []
            kinds = dict.fromkeys((build.place, build.name) for build in builds)
            for place, name in kinds:
                own = [build for build in builds if build.place is place and build.name == name]
                self._learning.append(self._sending.put(functools.partial(self._learn, place, name, own), URGENT))
            for build in builds:
                for action, entry in build.new.items():
                    if build.place.unsent(action, entry):
                        self._sending.put(functools.partial(self._send, build.place, action, entry), LATER)

    def drop(self) -> None:
        """What was built is nobody's result: nothing of it is sent, or remembered."""
        with self._lock:
            self._builds = []

    def _send(self, place: Place, action: bytes, entry: Entry) -> bool:
        return self._tried(lambda: self._count(place.remote.send(action, entry)))

    def _count(self, size: int) -> None:
        with self._lock:
            self._sent += size > 0
            self._bytes += size

    def _learn(self, place: Place, name: str, builds: list[Serving]) -> bool:
        """Notes what builds of one kind asked for, here and at the level."""
        found: dict[bytes, Record] = {}
        for build in builds:
            for action, entry in list(build.asked.items()):
                record = None if action in found else place.remote.record(entry)
                if record is not None:
                    found[action] = record
        inputs = tuple(dict.fromkeys(build.inputs for build in builds))
        before = records.known(self._memo.get(_KIND, name))
        self._memo.put(_KIND, name, before.after(inputs, found).encoded())
        farther = place.fetcher.known(name).after(inputs, found)
        # Behind all that it names.
        self._sending.put(lambda: self._tried(lambda: place.remote.keep(name, farther)), LATER)
        return True

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
            scratch, self._scratch = self._scratch, None
        if server is not None:
            server.close()
        self._fetching.drain(0)
        for learned in self._learning:
            # What is remembered here takes no level, and a moment.
            with contextlib.suppress(Exception):
                learned.done.result(0 if abandon else 2)
        abandoned = self._sending.drain(0 if self._failure or abandon else self._linger, self._ended)
        if abandoned and not self._failure and not abandon and not self._ended():
            self._emit(Notice(f"{abandoned} of go's actions did not reach the cache level {self.level.name} in time"))
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        brought = sum(place.fetcher.brought for place in self._places.values())
        return Counts(brought, self._sent, self._bytes)
