"""Builds in a GOCACHE that no server reaches: what is carried there before, and what is brought back of it."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from goctl.cache.store import Records
from goctl.cacheprog import carried
from goctl.cacheprog.actions import CompileActions, Counts
from goctl.cacheprog.folder import Entry, Folder
from goctl.contracts import PART
from tests.cacheprog.caches import compiled, copied, heads_of
from tests.cacheprog.gocommand import Shelf, id_of
from tests.cacheprog.test_server import LARGE, SMALL, Machine

CONTENTS = {"a": SMALL, "b": LARGE, "c": LARGE[1:]}


@contextlib.contextmanager
def _folder(above: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=above, ignore_cleanup_errors=True) as name:
        yield Path(name)


class Builder:
    """A builder with a GOCACHE of its own, as a machine uses it. Each `build` is a release."""

    def __init__(self, folder: Path, shelf: Shelf, name: str = "builder", memo: Records | None = None) -> None:
        self.cache = Folder(folder / "builders-go-build")
        self.name = name
        self.machine = Machine(folder, shelf)
        self.machine.memo = memo or self.machine.memo
        self.compiled: list[str] = []
        self.given: list[str] = []
        #: What was asked for when it was brought back: how many actions, each time.
        self.taken: list[int] = []
        self.is_kept = True
        self.waits = threading.Event()
        self.waits.set()

    def build(
        self,
        contents: dict[str, bytes],
        inputs: str = "inputs",
        program: str = "app",
        *,
        well: bool = True,
        linger: float = 15.0,
    ) -> Counts:
        level, emit = self.machine.actions.level, self.machine.events.append
        actions = CompileActions(level, self.machine.memo, emit, linger=linger)
        scratch = self.cache.path.parent
        scratch.mkdir(exist_ok=True)
        own = actions.carry(_folder(scratch), self.name, {"kind": {program: inputs}}, self)
        self.given = [action.hex() for action in own.folder.actions()] if own.ready() else []
        copied(own.folder, self.cache, heads_of(own.folder) if self.given else ())
        self.compiled = [name for name in contents if not self.cache.has(id_of(name))]
        for name in self.compiled:
            compiled(self.cache, id_of(name), contents[name], time.time_ns())
        own.end(well=well, parts={"kind": {program: frozenset(id_of(name)[:PART] for name in contents)}} if well else None)
        actions.keep()
        counts = actions.close()
        assert not own.folder.path.exists()
        return counts

    def lacking(self, heads: Collection[bytes]) -> Collection[bytes]:
        there = heads_of(self.cache)
        return [head for head in heads if head not in there]

    def take(self, folder: Path, heads: Collection[bytes]) -> None:
        self.taken.append(len(heads))
        self.waits.wait(60)
        copied(self.cache, Folder(folder), heads if self.is_kept else ())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """No action is too few; how many are so by default."""
    fewest = carried.FEWEST
    monkeypatch.setattr(carried, "FEWEST", 1)
    return fewest


@pytest.fixture
def builder(tmp_path: Path, shelf: Shelf) -> Builder:
    return Builder(tmp_path / "one", shelf)


def test_what_one_builder_compiled_another_need_not(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    assert builder.build(CONTENTS).sent == 3
    assert (builder.given, builder.compiled, builder.taken) == ([], ["a", "b", "c"], [3])
    other = Builder(tmp_path / "two", shelf, "another")
    counts = other.build({**CONTENTS, "new": LARGE[2:]}, "edited")
    assert (counts.brought, counts.sent) == (3, 1)
    assert (len(other.given), other.compiled, other.taken) == (3, ["new"], [1])
    assert not other.machine.warnings()


def test_a_builder_and_a_go_command_of_a_machine_share(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    machine = Machine(tmp_path / "two", shelf)
    machine.build(CONTENTS)
    machine.actions.close()
    builder.build(CONTENTS)
    assert (len(builder.given), builder.compiled, builder.taken) == (3, [], [])
    builder.build({**CONTENTS, "new": LARGE[2:]}, "edited")
    third = Machine(tmp_path / "three", shelf)
    assert third.build({**CONTENTS, "new": LARGE[2:]}, "edited") == [True] * 4
    third.actions.close()


def test_a_builder_that_knows_a_program_is_given_nothing(builder: Builder, shelf: Shelf) -> None:
    builder.build(CONTENTS)
    before = len(shelf.requests)
    # Nothing was edited: nothing is asked for, before or after.
    builder.build(CONTENTS)
    assert (builder.given, builder.compiled, builder.taken) == ([], [], [3])
    assert len(shelf.requests) == before
    builder.build({**CONTENTS, "new": SMALL}, "edited")
    assert (builder.given, builder.compiled, builder.taken) == ([], ["new"], [3, 1])


def test_what_nobody_used_for_long_is_given_anew(
    builder: Builder, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.build(CONTENTS)
    emptied = Builder(tmp_path / "two", shelf, memo=builder.machine.memo)
    emptied.build(CONTENTS)
    assert (emptied.given, emptied.compiled) == ([], ["a", "b", "c"])
    monkeypatch.setattr(carried, "LATELY", -1.0)
    again = Builder(tmp_path / "three", shelf, memo=builder.machine.memo)
    again.build(CONTENTS)
    assert (len(again.given), again.compiled) == (3, [])


def test_a_builder_that_keeps_nothing_is_not_believed(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    builder.build(CONTENTS)
    builder.is_kept = False
    assert builder.build({**CONTENTS, "d": LARGE[3:], "e": SMALL}, "edited").sent == 0
    again = Builder(tmp_path / "two", shelf, memo=builder.machine.memo)
    again.build(CONTENTS)
    assert (len(again.given), again.compiled) == (3, [])


def test_what_is_there_is_not_given_again(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    builder.build(CONTENTS)
    # Machines that come and go use one builder, and remember nothing of it.
    other = Builder(tmp_path / "two", shelf)
    other.cache = builder.cache
    other.build({**CONTENTS, "new": SMALL}, "edited")
    assert (other.given, other.compiled) == ([], ["new"])
    assert not [each for each in other.machine.events if "came from" in str(each)]
    action = id_of("b")
    Path(other.cache.output(other.cache.entry(action) or Entry(b"", 0, 0)) or "").unlink()
    for file in other.cache.path.rglob(f"{action.hex()}-a"):
        file.unlink()
    third = Builder(tmp_path / "three", shelf)
    third.cache = Folder(builder.cache.path)
    third.build(CONTENTS, "edited")
    assert (third.given, third.compiled) == ([action.hex()], [])


def test_another_builder_is_not_believed_to_be_this_one(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    builder.build(CONTENTS)
    other = Builder(tmp_path / "two", shelf, "another", memo=builder.machine.memo)
    other.build(CONTENTS)
    assert (len(other.given), other.compiled) == (3, [])


def test_a_program_that_was_never_built_is_given_what_the_last_one_had(
    builder: Builder, tmp_path: Path, shelf: Shelf
) -> None:
    builder.build(CONTENTS)
    other = Builder(tmp_path / "two", shelf, "another")
    other.build({"new": SMALL, **CONTENTS}, program="of another module")
    assert (len(other.given), other.compiled, other.taken) == (3, ["new"], [1])


@pytest.mark.parametrize("how", ["failed", "read-only"])
def test_nothing_is_taken_that_nobody_may_have(builder: Builder, shelf: Shelf, how: str) -> None:
    shelf.writes = how != "read-only"
    assert builder.build(CONTENTS, well=how != "failed").sent == 0
    assert builder.taken == []
    assert shelf.asked("store") == []


def test_a_level_that_is_down_is_told_once_and_costs_nothing_else(builder: Builder, shelf: Shelf) -> None:
    shelf.down = True
    assert builder.build(CONTENTS).sent == 0
    assert len(builder.machine.warnings()) == 1


def test_what_is_damaged_on_the_way_is_not_sent(builder: Builder, tmp_path: Path, shelf: Shelf) -> None:
    builder.build({"a": SMALL})
    output = Path(builder.cache.output(builder.cache.entry(id_of("a")) or Entry(b"", 0, 0)) or "")
    output.write_bytes(b"smalL")
    other = Builder(tmp_path / "two", shelf, "another")
    other.build({"a": SMALL})
    assert other.compiled == []


def test_a_few_are_left_until_there_are_more(
    builder: Builder, tmp_path: Path, shelf: Shelf, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "FEWEST", few)
    many = {f"package {number}": LARGE[number:] for number in range(few)}
    builder.build(many)
    added = {f"new {number}": LARGE[number + few :] for number in range(few)}
    first = dict(list(added.items())[: few - 1])
    builder.build({**many, **first}, "edited")
    assert builder.taken == [few]
    # Whoever is given packages meanwhile compiles those few.
    other = Builder(tmp_path / "two", shelf, "another")
    other.build({**many, **first}, "edited")
    assert (len(other.given), other.compiled, other.taken) == (few, list(first), [])
    builder.build({**many, **added}, "edited again")
    assert builder.taken == [few, few]
    third = Builder(tmp_path / "three", shelf, "a third")
    third.build({**many, **added}, "edited again")
    assert third.compiled == []


def test_a_builder_that_takes_its_time_keeps_nobody(builder: Builder) -> None:
    builder.waits.clear()
    began = time.monotonic()
    assert builder.build(CONTENTS, linger=0.2).sent == 0
    assert time.monotonic() - began < 10
    builder.waits.set()
    assert builder.machine.warnings() == ["what was compiled elsewhere did not reach the cache level shelf in time"]
