"""One go build that is served: whose requests are answered, what it may find elsewhere, and what of it is worth sending."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from goctl.cacheprog.fetching import Fetcher
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.indexes import Installation, is_index
from goctl.cacheprog.records import Record
from goctl.cacheprog.remote import Remote
from goctl.cacheprog.shares import Parts, shares
from goctl.values import name_of

#: Bytes of outputs, not compressed, that travel together.
_PARCEL: Final = 16 << 20
#: Enough of an output to see what it is.
_BEGINNING: Final = 32

#: Actions that travel together, each with its entry.
Parcel = list[tuple[bytes, Entry]]


class Place:
    """One GOCACHE with the level behind it."""

    def __init__(self, folder: Folder, remote: Remote, fetcher: Fetcher) -> None:
        self.folder = folder
        self.remote = remote
        self.fetcher = fetcher
        #: Actions whose outputs are indexes, and whether another machine can use each.
        self.indexes: dict[bytes, bool] = {}
        self._sent: set[bytes] = set()

    def unsent(self, action: bytes, entry: Entry) -> bool:
        """Whether it is not there and nobody has begun to send it; who asks has. Links, for one, are noted each time."""
        if action in self._sent or self.fetcher.held(action, entry) is not None:
            return False
        self._sent.add(action)
        return True


class Serving:
    """One go build that is served. Implements contracts.Served and the server's Build.

    `where` is the GOCACHE that it is made in; without a name the one whose files are those of `place`.
    """

    def __init__(
        self, place: Place, installation: Installation, kind: str, programs: Mapping[str, str], where: str = ""
    ) -> None:
        self.place = place
        self.installation = installation
        self.folder = place.folder
        self.kind = kind
        self.programs = programs
        self.lists = {program: name_of(kind, program) for program in programs}
        own = name_of(kind, *sorted(programs))
        #: What stands for programs that are built together in one GOCACHE, and for all that they are made from.
        self.name = name_of(own, where) if where else own
        self.inputs = name_of(*(f"{program} {programs[program]}" for program in sorted(programs)))
        self._is_compiling = False
        self.parts: Parts = {}
        self.environment: Mapping[str, str] = {}
        self.asked: dict[bytes, Entry] = {}
        #: How it ended; None while it has not.
        self.is_well: bool | None = None

    def may_ask(self, action: bytes) -> bool:
        fetcher = self.place.fetcher
        return fetcher.is_waiting_worth and fetcher.may_have(self._names(), action)

    def ask(self, action: bytes) -> bool:
        return self.place.fetcher.ask(self._names(), action)

    def _names(self) -> tuple[str, ...]:
        """The lists that may tell of what go asks for. While it loads packages that is their indexes; what it compiles comes
        later, and what is new to its programs another one may have made."""
        own = self.lists.values()
        return (*own, self.kind) if self._is_compiling else (self.installation.list, *own)

    def found(self, action: bytes, entry: Entry) -> None:
        self.asked[action] = entry
        self._is_compiling = self._is_compiling or self.place.fetcher.lists((*self.lists.values(), self.kind), action)

    def made(self, action: bytes, entry: Entry) -> None:
        self.asked[action] = entry

    def end(self, *, well: bool, parts: Parts | None = None) -> None:
        self.is_well = well
        self.parts = parts or {}

    @functools.cached_property
    def indexes(self) -> Mapping[bytes, bool]:
        """Of the actions that were asked for, those whose outputs are indexes, and whether another machine can use each.
        Asked for once the build has ended."""
        known, fetcher = self.place.indexes, self.place.fetcher
        for action, entry in self.asked.items():
            if action in known:
                continue
            if fetcher.lists((self.installation.list,), action):
                known[action] = True
            elif fetcher.held(action, entry) is None and is_index(self.folder.beginning(entry, _BEGINNING)):
                known[action] = self.installation.has(self.folder.beginning(entry, entry.size))
        return {action: known[action] for action in self.asked if action in known}

    def shares(self) -> dict[str, list[bytes]]:
        """Of the actions that were asked for, those of each program; all are each one's where go did not tell. Indexes are
        nobody's."""
        asked = [action for action in self.asked if action not in self.indexes]
        told = shares(asked, self.parts)
        return {program: told.get(program, asked) for program in self.programs}

    def held(self) -> dict[bytes, Record]:
        """Of the actions that were asked for, those that the level has."""
        found = ((action, self.place.fetcher.held(action, entry)) for action, entry in self.asked.items())
        return {action: record for action, record in found if record is not None}

    def parcels(self) -> Iterator[Parcel]:
        """What the level lacks, in parcels of which each is best fetched as a whole: indexes; and of packages, those that
        the same programs are made of."""
        yield from self._parcels(action for action, travels in self.indexes.items() if travels)
        owners: dict[bytes, tuple[str, ...]] = {}
        for program, actions in self.shares().items():
            for action in actions:
                owners[action] = (*owners.get(action, ()), program)
        yield from self._parcels(sorted(owners, key=owners.__getitem__))

    def _parcels(self, actions: Iterable[bytes]) -> Iterator[Parcel]:
        parcel: Parcel = []
        size = 0
        for action in actions:
            entry = self.asked[action]
            if self.place.unsent(action, entry):
                parcel.append((action, entry))
                size += entry.size
            if size >= _PARCEL:
                yield parcel
                parcel, size = [], 0
        if parcel:
            yield parcel
