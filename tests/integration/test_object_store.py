"""A level in a bucket of an S3 server: who may only read, what is listed and thrown away, what is given up half way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goctl.cache.chain import Chain, Member
from goctl.cache.objects import ObjectShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.config.loader import load
from goctl.errors import LevelError
from goctl.events import Notice
from goctl.release import keeping
from goctl.release.levels import chain
from goctl.release.session import Session
from tests.services.objects import OWNER, READER, ObjectServer, login, serving
from tests.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path, service: Callable[[str, str], str]) -> Iterator[ObjectServer]:
    with serving(service("s3", "versitygw"), tmp_path / "server") as server:
        yield server


@pytest.fixture
def shelf(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectShelf:
    for name, value in login(OWNER).items():
        monkeypatch.setenv(name, value)
    return ObjectShelf("s3://builds/shop", options=server.options)


@pytest.fixture
def reading(server: ObjectServer, shelf: ObjectShelf, monkeypatch: pytest.MonkeyPatch) -> ObjectShelf:
    """The same, as somebody who may read."""
    server.grant("s3:GetObject", "s3:ListBucket")
    for name, value in login(READER).items():
        monkeypatch.setenv(name, value)
    return ObjectShelf("s3://builds/shop", options=server.options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    return path


def test_who_may_only_read_reads_and_is_told_once(
    shelf: ObjectShelf, reading: ObjectShelf, tmp_path: Path, source: Path
) -> None:
    ShelvedLevel("team", shelf).store("result", "ab12", source)
    said: list[str] = []
    levels = Chain([Member(ShelvedLevel("team", reading))], warn=said.append)
    for key in ("cd34", "ef56"):
        levels.store("result", key, source)
    assert levels.close()
    assert levels.read("result", "ab12") == (b"content", "team")
    assert levels.read("result", "none") is None
    assert len(said) == 1
    assert "team is left alone: cannot write at s3://builds/shop" in said[0]
    assert "word" not in said[0]
    assert [one.name for one in reading.held()] == ["result/ab12"]


def test_what_somebody_damaged_stays_where_one_may_only_read(
    server: ObjectServer, shelf: ObjectShelf, reading: ObjectShelf, tmp_path: Path, source: Path
) -> None:
    ShelvedLevel("team", shelf).store("result", "ab12", source)
    (path,) = server.folder.rglob("ab12")
    path.write_bytes(path.read_bytes().replace(b"content", b"contend"))
    assert not ShelvedLevel("team", reading).fetch("result", "ab12", tmp_path / "into")
    assert not ShelvedLevel("team", shelf).fetch("result", "ab12", tmp_path / "into")
    assert not path.exists()


def test_only_one_of_many_creates_a_name(shelf: ObjectShelf) -> None:
    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            made = pool.map(lambda number, name=f"lease/{turn}": shelf.create(name, b"%d" % number), range(16))
            assert sum(made) == 1


def test_more_is_listed_than_one_answer_holds(server: ObjectServer, shelf: ObjectShelf) -> None:
    for number in range(1100):
        path = server.folder / "shop" / "blob" / f"{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
    held = list(shelf.held())
    assert {one.name for one in held} == {f"blob/{number:04}" for number in range(1100)}
    assert {one.size for one in held} == {10}


def test_what_is_too_old_and_too_much_goes(server: ObjectServer, shelf: ObjectShelf, tmp_path: Path, source: Path) -> None:
    said: list[str] = []
    text = f'[project]\nname = "shop"\nversion = "1"\n{server.level}max-age = "30d"\nmax-size = "1KiB"\n'
    (tmp_path / "goctl.toml").write_text(text, encoding="utf-8")
    session = Session(
        load(tmp_path / "goctl.toml", environment={}),
        emit=lambda event: said.append(event.message) if isinstance(event, Notice) else None,
    )
    (member,) = chain(session).members
    source.write_bytes(b"x" * 300)
    for days in (40, 20, 10, 5, 0):
        member.level.store("result", f"old{days}", source)
        (path,) = server.folder.rglob(f"old{days}")
        os.utime(path, (time.time() - days * 86400,) * 2)
    assert keeping.trim(session, member, time.monotonic() + 60)
    # One was too old, and of the others only two are no more than a KiB with their headers.
    assert {one.name for one in shelf.held()} == {"result/old5", "result/old0"}
    assert said == []


def test_what_is_given_up_half_way_leaves_nothing(server: ObjectServer, shelf: ObjectShelf, source: Path) -> None:
    source.write_bytes(os.urandom(30_000_000))
    left = 12

    def check() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            # A part that is under way as an upload is given up may come after its end, and stays: no client of S3 can keep
            # that from happening (docs/caching.md). The parts that were sent are let arrive before.
            until(lambda: _settled(server), 30)
            raise LevelError("the run has ended")

    with pytest.raises(LevelError, match="the run has ended"):
        ShelvedLevel("team", shelf, check=check).store("result", "ab12", source)
    # Parts that were uploaded would be hidden, and paid for.
    assert left == -1
    assert _files(server) == []
    assert list(shelf.held()) == []


def _files(server: ObjectServer) -> list[Path]:
    return [path for path in server.folder.rglob("*") if path.is_file()]


def _settled(server: ObjectServer) -> bool:
    """Whether there are parts of an upload, and no more came within a second."""
    seen = _files(server)
    time.sleep(1)
    return bool(seen) and seen == _files(server)
