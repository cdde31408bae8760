"""Go builds in a GOCACHE that no server reaches, as a builder has one: what a level has is carried there before, in go's own
files, and what came of the builds is carried back afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.records import Warmth
from goctl.cacheprog.serving import Place, Serving
from goctl.cacheprog.shares import Parts
from goctl.contracts import PART

#: Seconds for which a GOCACHE that was used is believed to be what it was. BuildKit removes cache mounts that nobody used
#: for two days, where they are large (cmd/buildkitd/config/gcpolicy.go).
LATELY: Final = 172_800.0
#: Actions that are brought back together. To have a builder hand over fewer takes longer than to compile them, which another
#: one does as long as there are no more: those that are left stay lacking, and come with the next.
FEWEST: Final = 10


class Elsewhere(Protocol):
    """A GOCACHE that no server reaches. Actions are told by the first bytes of their ids."""

    def lacking(self, heads: Collection[bytes]) -> Collection[bytes]:
        """Those of these actions that it has not; none where it cannot be asked."""
        ...

    def take(self, folder: Path, heads: Collection[bytes]) -> None:
        """Brings actions into a folder; those that are not there, or not any more, it leaves out."""
        ...


class Carried:
    """Builds of several kinds that are made together elsewhere. `known` is, for each, what was noted of it when it was last
    built there."""

    def __init__(self, place: Place, known: Mapping[Serving, Warmth], elsewhere: Elsewhere) -> None:
        self.folder: Folder = place.folder
        self.is_well: bool | None = None
        #: Whether the GOCACHE did not keep what was compiled there: then it is not believed next time.
        self.is_lost = False
        self._fetcher = place.fetcher
        self._known = known
        self._elsewhere = elsewhere
        # Those that were built there lately have what they need, or nearly: nothing is asked.
        self._strange = [build for build, warmth in known.items() if not 0 <= time.time() - warmth.at <= LATELY]

    def ready(self) -> bool:
        """Has in the folder what the level has and the GOCACHE lacks, as far as that is worth waiting for; whether there is
        any."""
        fetcher = self._fetcher
        fetcher.look(name for build in self._strange for name in build.lists.values())
        wanted: dict[bytes, None] = {}
        for build in self._strange:
            # Of a program that was never built anywhere, what the last one of its kind had is most of what it needs.
            wanted |= dict.fromkeys(fetcher.last(build.lists.values()) or fetcher.last((build.kind,)))
        if not wanted:
            return False
        lacking = frozenset(self._elsewhere.lacking({action[:PART] for action in wanted}))
        return fetcher.bring([action for action in wanted if action[:PART] in lacking])

    def end(self, *, well: bool, parts: Mapping[str, Parts] | None = None) -> None:
        """Tells how they ended. `parts` are contracts.Served's for each kind; a build without any did not end well."""
        self.is_well = well
        for build in self._known:
            own = (parts or {}).get(build.kind, {})
            build.end(well=well and bool(own), parts=own)

    def gather(self, *, everything: bool) -> list[Serving]:
        """Finds out what the builds asked for: what the level has of it, and with `everything` what it lacks, if that is
        enough. Those that may have asked for something else than the last time."""
        heads = {build: frozenset(head for heads in build.parts.values() for head in heads) for build in self._edited()}
        new: set[bytes] = set()
        for build, own in heads.items():
            new |= self._lacking(own, (*build.lists.values(), build.kind))
        brought: dict[bytes, Entry] = {}
        if everything and len(new) >= FEWEST:
            self._elsewhere.take(self.folder.path, new)
            brought |= self._brought(new)
            self.is_lost = len(brought) < len(new) / 2
        found = {action: record.entry for action, record in self._fetcher.there().items()} | brought
        for build, own in heads.items():
            for action, entry in found.items():
                if action[:PART] in own:
                    build.found(action, entry)
        return list(heads)

    def _edited(self) -> list[Serving]:
        return [build for build, warmth in self._known.items() if build.is_well and warmth.inputs != build.inputs]

    def noted(self) -> dict[Serving, Warmth]:
        """What is to be noted of builds that asked for nothing new, or whose GOCACHE did not keep what they made."""
        if self.is_lost:
            return dict.fromkeys(self._known, Warmth())
        edited = self._edited()
        now = time.time()
        return {
            build: msgspec.structs.replace(warmth, at=now)
            for build, warmth in self._known.items()
            if build.is_well and build not in edited
        }

    def _lacking(self, heads: Collection[bytes], names: Iterable[str]) -> set[bytes]:
        """Those that the level has not by any of these lists, of which no more are read than it takes."""
        lacking = set(heads)
        for name in names:
            if lacking:
                self._fetcher.known(name)
                lacking -= {action[:PART] for action in self._fetcher.there()}
        return lacking

    def _brought(self, heads: Collection[bytes]) -> Iterator[tuple[bytes, Entry]]:
        for action in self.folder.actions():
            found = self.folder.find(action) if action[:PART] in heads else None
            if found is not None:
                yield action, found[0]
