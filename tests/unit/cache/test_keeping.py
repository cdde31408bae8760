"""A run that wrote to a level keeps it within its size: once in a while, in bounded time, and whatever the level does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.cache.folder import FolderShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.config.loader import load
from goctl.contracts import Held
from goctl.errors import LevelError
from goctl.events import Notice
from goctl.release import accounts
from goctl.release.levels import chain
from goctl.release.session import Session

OLD = 1_000_000.0


class Place:
    """A project with a shared folder as a level, and what its runs say."""

    def __init__(self, root: Path, more: str) -> None:
        self.root = root
        self.level = root / "level"
        self.said: list[str] = []
        text = f'[project]\nname = "shop"\nversion = "1"\n[cache.team]\nurl = "file:level"\nreserve = ""\n{more}\n'
        (root / "goctl.toml").write_text(text, encoding="utf-8")
        self.session = Session(load(root / "goctl.toml", environment={}), emit=self._hear)

    def _hear(self, event: object) -> None:
        if isinstance(event, Notice):
            self.said.append(event.message)

    def put(self, number: int, used: float) -> None:
        """An entry of a thousand bytes and a little, last used so many seconds ago."""
        source = self.root / "source"
        source.write_bytes(bytes([number]) * 1000)
        key = hashlib.sha256(source.read_bytes()).hexdigest()
        ShelvedLevel("team", FolderShelf(self.level, shared=True)).store("blob", key, source)
        (path,) = self.level.rglob(key)
        os.utime(path, (time.time() - used, time.time() - used))

    def run(self, *, abandon: bool = False) -> None:
        """A run that wrote one entry, up to its end."""
        levels = chain(self.session)
        levels.store("result", hashlib.sha256(os.urandom(8)).hexdigest(), b"{}")
        if not abandon:
            levels.close()
        accounts.settle(self.session, levels, abandon=abandon)

    def count(self, space: str = "blob") -> int:
        return sum(path.is_file() for path in (self.level / space).rglob("*"))


@pytest.mark.parametrize(("more", "left"), [('max-size = "4KiB"', 3), ('max-age = "7d"', 3), ("", 8)])
def test_a_run_that_wrote_keeps_a_level_within_its_size_and_age(tmp_path: Path, more: str, left: int) -> None:
    place = Place(tmp_path, more)
    for number in range(8):
        place.put(number, used=(number + 1) * 2 * 86400)
    place.run()
    # Besides there is the run's own entry, which counts too.
    assert place.count() == left
    assert place.count("result") == 1
    assert not place.said


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, 'max-size = "1KiB"')
    place.put(1, used=0)
    place.put(2, used=1800)
    place.run()
    assert place.count() == 2


def test_a_level_is_looked_through_once_an_hour_by_all_machines(tmp_path: Path) -> None:
    place = Place(tmp_path, 'max-size = "1KiB"')
    place.run()
    place.put(1, used=OLD)
    place.run()
    assert place.count() == 1
    for stamp in (tmp_path / "level" / "stamp").rglob("pruned"):
        stamp.unlink()
    place.run()
    assert place.count() == 0


def test_who_may_not_write_throws_nothing_away(tmp_path: Path) -> None:
    place = Place(tmp_path, 'max-size = "1KiB"\nmode = "read"')
    place.put(1, used=OLD)
    place.run()
    assert place.count() == 1


def test_the_end_of_a_run_waits_for_no_level_that_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(shelf: FolderShelf) -> Iterator[Held]:
        while True:
            time.sleep(0.05)
            yield Held("blob/x", 1, 0.0)

    monkeypatch.setattr(FolderShelf, "held", endless)
    monkeypatch.setattr(accounts, "TRIMMING", 0.3)
    place = Place(tmp_path, 'max-size = "1KiB"')
    started = time.monotonic()
    place.run()
    assert time.monotonic() - started < 5
    assert place.said == ["the cache level team holds more than can be looked through in 0 s"]


def test_a_level_that_fails_then_is_nobodys_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(shelf: FolderShelf) -> Iterator[Held]:
        raise LevelError("it is down")

    monkeypatch.setattr(FolderShelf, "held", broken)
    place = Place(tmp_path, 'max-size = "1KiB"')
    place.run()
    assert not place.said
