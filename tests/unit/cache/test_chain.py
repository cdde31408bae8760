"""Several levels: reads fill what is nearer, a level that fails is left alone, and nothing makes a run fail."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from goctl.cache.chain import Chain, Member
from goctl.cache.folder import FolderShelf
from goctl.cache.shared import Labels, SharedBlobs, SharedRecords
from goctl.cache.shelved import ShelvedLevel
from goctl.cache.store import Records
from goctl.errors import LevelError
from goctl.values import Digest

CONTENT = b"what was made"
KEY = hashlib.sha256(CONTENT).hexdigest()


class Broken:
    """A level that is down."""

    name = "broken"

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, space: str, key: str, into: Path, *, after: float = 0.0) -> bool:
        self.asked += 1
        raise LevelError("it is down")

    def read(self, space: str, key: str, most: int, *, after: float = 0.0) -> bytes | None:
        self.asked += 1
        raise LevelError("it is down")

    def store(self, space: str, key: str, source: Path | bytes) -> None:
        self.asked += 1
        raise LevelError("it is down")

    def forget(self, space: str, key: str) -> None:
        raise LevelError("it is down")


class Levels:
    """A near and a far level in folders, and the words of warnings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.near = ShelvedLevel("near", FolderShelf(root / "near"))
        self.far = ShelvedLevel("far", FolderShelf(root / "far"))
        self.words: list[str] = []
        self.source = root / "source"
        self.source.write_bytes(CONTENT)

    def chain(self, *members: Member) -> Chain:
        found = members or (Member(self.near, near=True), Member(self.far))
        return Chain(found, warn=self.words.append)

    def holds(self, level: ShelvedLevel) -> bool:
        return level.fetch("blob", KEY, self.root / "looked")


@pytest.fixture
def levels(tmp_path: Path) -> Levels:
    return Levels(tmp_path)


def test_writes_go_to_all(levels: Levels) -> None:
    chain = levels.chain()
    chain.store("blob", KEY, levels.source)
    assert chain.close()
    assert levels.holds(levels.near)
    assert levels.holds(levels.far)


def test_reads_fill_what_is_nearer_and_ask_no_further(levels: Levels) -> None:
    levels.far.store("blob", KEY, levels.source)
    chain = levels.chain()
    assert chain.fetch("blob", KEY, levels.root / "one") == "far"
    assert chain.fetch("blob", KEY, levels.root / "two") == "near"
    assert (levels.root / "two").read_bytes() == CONTENT
    assert chain.tallies()["far"].hits == 1
    assert chain.tallies()["near"].misses == 1


def test_what_is_read_into_memory_fills_what_is_nearer_too(levels: Levels) -> None:
    levels.far.store("blob", KEY, CONTENT)
    chain = levels.chain()
    assert chain.read("blob", KEY) == (CONTENT, "far")
    assert chain.read("blob", KEY) == (CONTENT, "near")
    assert chain.read("blob", KEY, len(CONTENT) - 1) is None
    assert chain.read("result", KEY) is None
    assert chain.tallies()["far"].read == len(CONTENT)
    assert not [path for path in levels.root.iterdir() if path.name not in ("near", "far", "source")]


def test_a_level_that_fails_is_left_alone_after_one_warning(levels: Levels) -> None:
    broken = Broken()
    chain = levels.chain(Member(broken), Member(levels.far))
    levels.far.store("blob", KEY, levels.source)
    for number in range(3):
        assert chain.fetch("blob", KEY, levels.root / str(number)) == "far"
    chain.store("blob", KEY, levels.source)
    chain.close()
    assert broken.asked == 1
    assert levels.words == ["the cache level broken is left alone: it is down"]


def test_a_level_that_is_full_is_still_read(levels: Levels) -> None:
    class Full(ShelvedLevel):
        def store(self, space: str, key: str, source: Path) -> None:
            raise LevelError("it is full")

    levels.far.store("blob", KEY, levels.source)
    chain = levels.chain(Member(Full("full", FolderShelf(levels.root / "far"))))
    chain.store("result", "aa11", levels.source)
    chain.close()
    assert chain.fetch("blob", KEY, levels.root / "into") == "full"
    assert levels.words == ["the cache level full is left alone: it is full"]


@pytest.mark.parametrize(("reads", "writes"), [(True, False), (False, True), (False, False)])
def test_modes_hold(levels: Levels, reads: bool, writes: bool) -> None:
    levels.far.store("result", "aa11", levels.source)
    chain = levels.chain(Member(levels.far, reads=reads, writes=writes))
    assert bool(chain.fetch("result", "aa11", levels.root / "into")) == reads
    chain.store("blob", KEY, levels.source)
    assert (chain.forget("result", "aa11") == ["far"]) == writes
    chain.close()
    assert levels.holds(levels.far) == writes


def test_a_level_that_is_only_read_is_not_filled(levels: Levels) -> None:
    levels.far.store("blob", KEY, levels.source)
    chain = levels.chain(Member(levels.near, near=True, writes=False), Member(levels.far, writes=False))
    assert chain.fetch("blob", KEY, levels.root / "into") == "far"
    assert not levels.holds(levels.near)


def test_a_tombstone_keeps_farther_levels_from_filling(levels: Levels) -> None:
    levels.far.store("blob", KEY, levels.source)
    chain = levels.chain(Member(levels.near, near=True), Member(levels.far, writes=False))
    assert chain.fetch("blob", KEY, levels.root / "one") == "far"
    assert chain.forget("blob", KEY) == ["near"]
    assert chain.fetch("blob", KEY, levels.root / "two") == ""
    # What is made anew after that counts.
    time.sleep(0.01)
    levels.far.store("blob", KEY, levels.source)
    assert chain.fetch("blob", KEY, levels.root / "three") == "far"


def test_a_reader_that_is_slow_fills_nothing_that_was_invalidated_meanwhile(levels: Levels) -> None:
    levels.far.store("blob", KEY, levels.source)

    class Slow(ShelvedLevel):
        def fetch(self, space: str, key: str, into: Path, *, after: float = 0.0) -> bool:
            found = super().fetch(space, key, into, after=after)
            levels.chain(Member(levels.near, near=True)).forget(space, key)
            return found

    chain = levels.chain(Member(levels.near, near=True), Member(Slow("far", FolderShelf(levels.root / "far"))))
    assert chain.fetch("blob", KEY, levels.root / "into") == "far"
    assert not levels.holds(levels.near)


def test_threads_that_want_the_same_ask_once(levels: Levels) -> None:
    levels.far.store("blob", KEY, levels.source)
    chain = levels.chain()
    threads = [threading.Thread(target=chain.fetch, args=("blob", KEY, levels.root / f"into{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chain.tallies()["far"].hits == 1
    assert all((levels.root / f"into{n}").read_bytes() == CONTENT for n in range(8))


def test_what_is_given_up_leaves_nothing_half(levels: Levels, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    class Stuck(FolderShelf):
        def write(self, name: str, content) -> None:  # type: ignore[no-untyped-def]
            begun.set()
            while True:
                time.sleep(0.01)
                with content.open() as file:
                    file.read(1)

    chain = levels.chain()
    stuck = ShelvedLevel("stuck", Stuck(levels.root / "stuck"), check=lambda: _end(chain))
    chain.members = (Member(stuck),)
    chain.store("blob", KEY, levels.source)
    assert begun.wait(5)
    started = time.monotonic()
    assert not chain.close(abandon=True)
    assert time.monotonic() - started < 1
    assert not levels.words


def _end(chain: Chain) -> None:
    if chain.ended.is_set():
        raise LevelError("ended")


def test_records_are_shared_by_kind(levels: Levels) -> None:
    one = levels.chain()
    records = SharedRecords(Records(levels.root / "records1"), one)
    records.publish("compile", "key", b"value", Labels(target="api", seconds=3.0))
    records.put("snapshot", "key", b"mine")
    one.close()
    two = levels.chain()
    others = SharedRecords(Records(levels.root / "records2"), two)
    assert others.get("compile", "key") == b"value"
    assert others.get("snapshot", "key") is None
    assert others.get("image", "key") is None
    others.count("compile", "key")
    others.count("compile", "key")
    assert two.tallies()["near"].saved == 3.0
    assert two.tallies()["near"].targets == {":api": 3.0}


def test_many_records_are_looked_up_at_once_and_absent_ones_once(levels: Levels) -> None:
    chain = levels.chain()
    records = SharedRecords(Records(levels.root / "records"), chain)
    records.get_many([("compile", str(number)) for number in range(30)])
    assert all(records.get("compile", str(number)) is None for number in range(30))
    assert chain.tallies()["far"].misses == 30


def test_blobs_are_brought_when_they_are_asked_for(levels: Levels) -> None:
    one = levels.chain()
    digest = SharedBlobs(levels.root / "blobs1", one).add(CONTENT)
    one.close()
    two = levels.chain()
    blobs = SharedBlobs(levels.root / "blobs2", two)
    assert not blobs.has_here(digest, len(CONTENT))
    assert blobs.has(digest, len(CONTENT))
    assert blobs.read(digest) == CONTENT
    assert not blobs.has(Digest.of(b"other"), 5)


def test_what_is_here_is_asked_of_no_level(levels: Levels) -> None:
    chain = levels.chain()
    blobs = SharedBlobs(levels.root / "blobs", chain)
    digest = blobs.add(CONTENT)
    records = SharedRecords(Records(levels.root / "records"), chain)
    records.put("compile", "key", b"value")
    chain.close()
    fresh = levels.chain()
    blobs, records = SharedBlobs(levels.root / "blobs", fresh), SharedRecords(Records(levels.root / "records"), fresh)
    assert blobs.has(digest, len(CONTENT))
    assert records.get("compile", "key") == b"value"
    assert fresh.tallies() == {}


@pytest.mark.parametrize("given_up", [False, True])
def test_what_is_done_afterwards_waits_for_what_is_slow(
    levels: Levels, monkeypatch: pytest.MonkeyPatch, given_up: bool
) -> None:
    monkeypatch.setattr("goctl.cache.chain.PATIENCE", 0.1)
    goes_on, done = threading.Event(), threading.Event()
    store = levels.near.store

    def slow(space: str, key: str, source: Path) -> None:
        goes_on.wait(20)
        store(space, key, source)

    monkeypatch.setattr(levels.near, "store", slow)
    chain = levels.chain(Member(levels.near, near=True))
    chain.store("blob", KEY, levels.source)
    chain.afterwards(done.set)
    assert not done.wait(0.6)
    if given_up:
        assert not chain.close()
    else:
        goes_on.set()
    assert done.wait(20)
    assert given_up or levels.holds(levels.near)
    goes_on.set()
