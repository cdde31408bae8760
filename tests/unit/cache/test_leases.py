"""Single flight: one makes a thing, the others wait for it; a leader that died holds nobody up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.waiting import until

from goctl.cache import lease
from goctl.cache.folder import FolderShelf
from goctl.cache.lease import FolderLeases, ShelfLeases, Waited


def never() -> bool:
    return False


def no_check() -> None:
    """Nobody interrupts."""


#: A process that wants one thing, and makes it where nobody has: a line in a file for each that did.
WANTS = """
import sys, time
from pathlib import Path
from goctl.cache.folder import FolderShelf
from goctl.cache.lease import FolderLeases, ShelfLeases, Waited
root, kind = Path(sys.argv[1]), sys.argv[2]
leases = FolderLeases(root, lambda: None) if kind == "folder" else ShelfLeases(FolderShelf(root), lambda: None)
made = root / "made"
try:
    with leases.turn("ab12", made.exists):
        if not made.exists():
            with open(root / "log", "a") as log:
                log.write("made\\n")
            time.sleep(0.3)
            made.touch()
except Waited:
    pass
assert made.exists()
"""


@pytest.mark.parametrize("kind", ["folder", "shelf"])
def test_of_many_processes_one_makes_it(tmp_path: Path, kind: str) -> None:
    running = [subprocess.Popen([sys.executable, "-c", WANTS, str(tmp_path), kind]) for _ in range(8)]
    assert [one.wait(60) for one in running] == [0] * 8
    assert (tmp_path / "log").read_text() == "made\n"


def _kill_amid_its_work(leader: subprocess.Popen[bytes], log: Path) -> None:
    """Kills a leader once its line is written; the file is there a moment before."""
    until(lambda: log.exists() and bool(log.read_text()), 30)
    leader.kill()
    leader.wait()


def test_a_leader_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", WANTS.replace("0.3", "60"), str(tmp_path), "folder"])
    _kill_amid_its_work(leader, tmp_path / "log")
    started = time.monotonic()
    with FolderLeases(tmp_path, no_check).turn("ab12", never):
        assert time.monotonic() - started < 5


def test_a_lease_that_nobody_renews_ends(tmp_path: Path) -> None:
    now = time.time()
    shelf = FolderShelf(tmp_path)
    shelf.create("lease/ab12", ShelfLeases(shelf, no_check, now=lambda: now - 31)._terms("gone"))
    with ShelfLeases(shelf, no_check, now=lambda: now).turn("ab12", never):
        assert not shelf.create("lease/ab12", b"x")
        with (
            pytest.raises(Waited),
            ShelfLeases(shelf, no_check, now=lambda: now).turn("ab12", iter((False, True)).__next__),
        ):
            raise AssertionError("it was not its turn")
    assert list(shelf.held()) == []


def test_a_lease_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    shelf.create("lease/ab12", b"rubbish")
    with ShelfLeases(shelf, no_check).turn("ab12", never):
        pass


def test_a_lease_is_renewed_while_its_holder_lives(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    with ShelfLeases(shelf, no_check, length=0.6).turn("ab12", never):
        time.sleep(1.5)
        assert ShelfLeases(shelf, no_check)._taken("ab12", "somebody") == []


class LosingShelf(FolderShelf):
    """A shelf whose first answer to a creation gets lost on its way: it is asked again by who never saw it."""

    def create(self, name: str, content: bytes) -> bool:
        super().create(name, content)
        return super().create(name, content)


def test_a_lease_whose_creation_was_not_answered_is_held(tmp_path: Path) -> None:
    started = time.monotonic()
    with ShelfLeases(LosingShelf(tmp_path), no_check).turn("ab12", never):
        assert time.monotonic() - started < lease.LENGTH / 2


#: As WANTS, with leases that end soon; whoever is first takes its time and is killed.
WANTS_AFTER_A_KILL = WANTS.replace("lambda: None)\nmade", "lambda: None, length=5)\nmade").replace("0.3", "SECONDS")


def test_of_many_who_see_a_lease_end_one_takes_it_over(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WANTS_AFTER_A_KILL.replace("SECONDS", "60"), str(tmp_path), "shelf"]
    leader = subprocess.Popen(command)
    _kill_amid_its_work(leader, tmp_path / "log")
    command[2] = WANTS_AFTER_A_KILL.replace("SECONDS", "0.3")
    running = [subprocess.Popen(command) for _ in range(8)]
    assert [one.wait(60) for one in running] == [0] * 8
    assert (tmp_path / "log").read_text() == "made\n" * 2


def test_who_waits_goes_on_when_the_thing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_POLL", 0.02)
    there = threading.Event()
    shelf = FolderShelf(tmp_path)
    with ShelfLeases(shelf, no_check).turn("ab12", never):
        threading.Timer(0.2, there.set).start()
        with pytest.raises(Waited), ShelfLeases(shelf, no_check).turn("ab12", there.is_set):
            raise AssertionError("it was not its turn")


def test_who_waits_can_be_interrupted(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with (
        FolderLeases(tmp_path, no_check).turn("ab12", never),
        pytest.raises(KeyboardInterrupt),
        FolderLeases(tmp_path, interrupted).turn("ab12", never),
    ):
        raise AssertionError("it was not its turn")
