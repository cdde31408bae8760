"""GOCACHE kept within a size: the longest unused first, whole pairs, and nothing under a running build."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goctl.cacheprog.folder import Folder
from goctl.cacheprog.trim import YOUNGEST, trim
from goctl.system.lease import alone, lease
from tests.cacheprog.gocommand import id_of
from tests.cacheprog.test_folder import keep


def aged(folder: Folder, hours: float) -> None:
    for path in folder.path.rglob("*-[ad]"):
        then = time.time() - hours * 3600
        os.utime(path, (then, then))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Ten outputs of 1,000 bytes; the n-th was used n hours ago."""
    made = Folder(tmp_path / "go-build")
    for number in range(10):
        keep(made, id_of(str(number)), f"{number}".encode() * 1000)
    for number in range(10):
        entry = made.entry(id_of(str(number)))
        assert entry is not None
        for path in (made.output(entry), made._name(id_of(str(number)), "a")):
            then = time.time() - number * 3600 - 60
            os.utime(path or "", (then, then))
    return made


def left(folder: Folder) -> list[int]:
    names = {path.name for path in folder.path.rglob("*") if path.is_file()}
    found = []
    for number in range(10):
        action = f"{id_of(str(number)).hex()}-a" in names
        found += [number] if action else []
    assert len([name for name in names if name.endswith("-d")]) == len(found), "whole pairs"
    return found


def test_the_longest_unused_go_first(folder: Folder) -> None:
    held = trim(folder.path, 10**9).held
    assert left(folder) == [*range(10)]
    one = held // 10
    assert trim(folder.path, held - 3 * one, dry=True).outputs == 3
    assert left(folder) == [*range(10)]
    trimmed = trim(folder.path, held - 3 * one)
    assert (trimmed.outputs, trimmed.removed) == (3, 3 * one)
    assert left(folder) == [*range(7)]
    trim(folder.path, 0, unused=5 * 3600)
    assert left(folder) == [*range(5)]


def test_what_may_be_in_use_stays(folder: Folder) -> None:
    trim(folder.path, 0, unused=0)
    assert left(folder) == [0, 1]
    assert YOUNGEST >= 2 * 3600


def test_an_output_stays_while_one_action_is_used(folder: Folder) -> None:
    entry = folder.entry(id_of("9"))
    assert entry is not None
    aged(folder, 50)
    folder.note(id_of("another"), entry)
    trim(folder.path, 0)
    assert folder.output(entry) is not None
    assert folder.entry(id_of("another")) is not None


def test_rests_and_nonsense_go_too(folder: Folder) -> None:
    for name in ("ab/xyz-a", "ab/1234.abcd-d"):
        path = folder.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 5000)
    (folder.path / "README").write_text("x")
    aged(folder, 50)
    trim(folder.path, 0)
    assert [path.name for path in folder.path.rglob("*") if path.is_file()] == ["README"]


def test_nobody_is_alone_beside_a_lease(tmp_path: Path) -> None:
    with lease(tmp_path), lease(tmp_path), alone(tmp_path) as free:
        assert not free
    with alone(tmp_path) as free:
        assert free
    with lease(None):
        pass


def test_a_lease_ends_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, os\nfrom goctl.system.lease import lease\n"
        "with lease(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline().strip() == b"held"
    with alone(tmp_path) as free:
        assert not free
    child.kill()
    child.wait()
    child.stdout.close()
    child.stdin.close()
    with alone(tmp_path) as free:
        assert free
