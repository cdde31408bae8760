"""Levels of the cache under kills, damage, full disks, crowds and poison: what is read is what was stored, or nothing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from goctl.cache import folder as folders
from goctl.cache.folder import FolderShelf
from goctl.cache.lease import FolderLeases, Waited
from goctl.cache.policy import doomed
from goctl.cache.shelved import ShelvedLevel
from goctl.contracts import Held
from goctl.errors import LevelError
from tests.faults.campaign import campaign, count
from tests.faults.disk import Disk, PowerLoss

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="signals and full disks are Linux's")]


def content_of(number: int) -> bytes:
    return random.Random(number).randbytes(10_000 + number * 997)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(level: ShelvedLevel, root: Path, content: bytes) -> str:
    source = root / f"source.{os.getpid()}.{sha(content)[:8]}"
    source.write_bytes(content)
    level.store("blob", sha(content), source)
    source.unlink()
    return sha(content)


def read(level: ShelvedLevel, root: Path, key: str) -> bytes | None:
    into = root / f"into.{os.getpid()}.{key[:8]}"
    into.unlink(missing_ok=True)
    return into.read_bytes() if level.fetch("blob", key, into) else None


#: Processes begin with all that is imported here: thousands of them are there in no time.
FORK = multiprocessing.get_context("fork") if sys.platform == "linux" else multiprocessing.get_context()


def write_for_ever(root: Path, begun: Connection) -> None:
    """Writes the same few blobs again and again until it is killed, and takes a lease each time."""
    level = ShelvedLevel("x", FolderShelf(root / "shelf"))
    leases = FolderLeases(root / "shelf", lambda: None)
    contents = [content_of(number) for number in range(5)]
    begun.send(None)
    while True:
        for content in contents:
            source = root / "source"
            source.write_bytes(content)
            with leases.turn(sha(content), lambda: False):
                level.store("blob", sha(content), source)


def test_killed_writers_leave_nothing_wrong_and_no_lock(tmp_path: Path) -> None:
    level = ShelvedLevel("x", FolderShelf(tmp_path / "shelf"))
    contents = [content_of(number) for number in range(5)]

    def trial(chance: random.Random) -> str:
        begun, told = FORK.Pipe(duplex=False)
        writer = FORK.Process(target=write_for_ever, args=(tmp_path, told))
        writer.start()
        begun.recv()
        time.sleep(chance.random() * 0.05)
        writer.kill()
        writer.join()
        started = time.monotonic()
        for number, content in enumerate(contents):
            with FolderLeases(tmp_path / "shelf", lambda: None).turn(sha(content), lambda: False):
                found = read(level, tmp_path, sha(content))
            if found is not None and found != content:
                return f"blob {number} is not what was stored"
        # A lock that is held by nobody is there at once; one that was stuck would never be.
        return "a lock was stuck" if time.monotonic() - started > 20 else ""

    campaign("cache", "SIGKILL of a writer", count(full=2000, short=100), trial)


def test_damage_is_always_seen(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf)

    def trial(chance: random.Random) -> str:
        content = chance.randbytes(chance.choice((1, 100, 70_000)))
        key = stored(level, tmp_path, content)
        path = shelf.folder / "blob" / key[:2] / key
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        kinds = (
            whole[:at] + bytes((whole[at] ^ 1 << chance.randrange(8),)) + whole[at + 1 :],
            whole[:at],
            whole + chance.randbytes(3),
            bytes(len(whole)),
        )
        path.write_bytes(chance.choice(kinds))
        found = read(level, tmp_path, key)
        if found is not None and found != content:
            return "damaged content was read"
        # A bit of the header that says nothing of the content, like the time, may turn unseen.
        return "a damaged entry stayed" if found is None and path.exists() else ""

    campaign("cache", "bit flips and truncations", count(full=2400, short=200), trial)


def test_a_write_that_fails_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf)
    left = code = 0

    def failing(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(code, os.strerror(code))
            return call(*args, **named)

        return wrapped

    for name in ("fsync", "chmod"):
        monkeypatch.setattr(folders.os, name, failing(getattr(os, name)))
    monkeypatch.setattr(folders, "replace", failing(folders.replace))
    monkeypatch.setattr(folders.shutil, "copyfileobj", failing(shutil.copyfileobj))

    def trial(chance: random.Random) -> str:
        nonlocal left, code
        code = chance.choice((errno.ENOSPC, errno.EIO, errno.EROFS))
        content = chance.randbytes(5000)
        left = chance.randrange(1, 6)
        try:
            stored(level, tmp_path, content)
            failed = False
        except LevelError:
            failed = True
        left = 0
        found = read(level, tmp_path, sha(content))
        if found not in (None, content):
            return "something wrong was stored"
        if not failed and found is None:
            return "it was lost in silence"
        rest = list(shelf.folder.rglob(".new.*"))
        return f"{rest[0]} was left" if rest else ""

    campaign("cache", "ENOSPC, EIO or EROFS at any call", count(full=1200, short=60), trial)


def test_power_loss_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        shelf, rest = tmp_path / "shelf", tmp_path / "rest"
        for folder in (shelf, rest):
            shutil.rmtree(folder, ignore_errors=True)
        level, disk, source = ShelvedLevel("x", FolderShelf(shelf)), Disk(shelf, chance), tmp_path / "source"
        old, new = (chance.randbytes(chance.randrange(1, 20_000)) for _ in range(2))
        stored = []
        with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(PowerLoss):
            # Before what is under way is cleared away: who lost the power clears away nothing.
            monkeypatch.setattr(folders.os, "unlink", lambda name: None)
            disk.watch(monkeypatch)
            for content in (old, new):
                disk.left = 0 if content is old else chance.randrange(1, 9)
                source.write_bytes(content)
                level.store("result", "ab12", source)
                stored.append(content)
        disk.lose(rest)
        into = tmp_path / "into"
        found = into.read_bytes() if ShelvedLevel("x", FolderShelf(rest)).fetch("result", "ab12", into) else None
        return "" if found in ((new,) if len(stored) == 2 else (old, new)) else "what was stored is lost, or another"

    campaign("cache", "power loss at any call", count(full=2000, short=100), trial)


#: Many operations at once: stores, reads and evictions of a few blobs.
CROWD = """
import hashlib, random, sys
from pathlib import Path
from goctl.cache.folder import FolderShelf
from goctl.cache.shelved import ShelvedLevel
root, seed, most = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
level = ShelvedLevel("x", FolderShelf(root / "shelf"))
for turn in range(most):
    number = chance.randrange(8)
    content = random.Random(number).randbytes(10_000 + number * 997)
    key = hashlib.sha256(content).hexdigest()
    what = chance.random()
    if what < 0.4:
        source = root / f"source.{seed}"
        source.write_bytes(content)
        level.store("blob", key, source)
    elif what < 0.9:
        into = root / f"into.{seed}.{turn}"
        if level.fetch("blob", key, into):
            assert into.read_bytes() == content, "torn"
            into.unlink()
    else:
        level.forget("blob", key)
"""


def test_crowds_see_no_torn_reads(tmp_path: Path) -> None:
    processes, turns = count(full=16, short=6), str(count(full=500, short=60))

    def trial(chance: random.Random) -> str:
        command = [sys.executable, "-c", CROWD, str(tmp_path)]
        running = [
            subprocess.Popen([*command, str(chance.randrange(1 << 30)), turns], stderr=subprocess.PIPE)
            for _ in range(processes)
        ]
        words = [one.communicate()[1].decode() for one in running]
        return next((text[-300:] for one, text in zip(running, words, strict=True) if one.returncode), "")

    campaign("cache", "readers, writers and evictions at once", count(full=10, short=1), trial)


def want(root: Path, start: Barrier) -> None:
    """Wants a thing: makes it where nobody has, and notes that it did."""
    made = root / "made"
    start.wait()
    try:
        with FolderLeases(root, lambda: None).turn("ab12", made.exists):
            with open(root / "log", "a", encoding="ascii") as log:
                log.write(f"{os.getpid()}\n")
            time.sleep(0.2)
            made.touch()
    except Waited:
        pass
    sys.exit(not made.exists())


def test_a_stampede_makes_it_once(tmp_path: Path) -> None:
    size = count(full=64, short=16)

    def trial(chance: random.Random) -> str:
        root = tmp_path / str(chance.randrange(1 << 40))
        root.mkdir()
        killed = chance.random() < 0.5
        start = FORK.Barrier(size)
        crowd = [FORK.Process(target=want, args=(root, start)) for _ in range(size)]
        for one in crowd:
            one.start()
        if killed:
            while not (log := root / "log").exists() or not log.read_bytes():
                time.sleep(0.005)
            leader = int(log.read_text(encoding="ascii").split()[0])
            next(one for one in crowd if one.pid == leader).kill()
        for one in crowd:
            one.join()
        times = len((root / "log").read_bytes().splitlines())
        shutil.rmtree(root)
        if any((one.exitcode or 0) > 0 for one in crowd):
            return "somebody went without it"
        return f"it was made {times} times" if times > 1 + killed else ""

    campaign("cache", "a stampede for one key", count(full=50, short=2), trial)


def test_poison_without_the_key_is_never_read(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    ours = ShelvedLevel("main", shelf, secret=b"main's key")

    def trial(chance: random.Random) -> str:
        key = f"{chance.randrange(1 << 64):016x}"
        good, evil = tmp_path / "good", tmp_path / "evil"
        good.write_bytes(b"good")
        evil.write_bytes(b"evil")
        ours.store("result", key, good)
        path = shelf.folder / "result" / key[:2] / key
        whole = path.read_bytes()
        match chance.randrange(4):
            case 0:
                ShelvedLevel("pr", shelf).store("result", key, evil)
            case 1:
                ShelvedLevel("pr", shelf, secret=chance.randbytes(16)).store("result", key, evil)
            case 2:
                path.write_bytes(whole.replace(b"good", b"evil").replace(sha(b"good").encode(), sha(b"evil").encode()))
            case 3:
                other = f"{chance.randrange(1 << 64):016x}"
                ours.store("result", other, evil)
                path.write_bytes((shelf.folder / "result" / other[:2] / other).read_bytes())
        into = tmp_path / "into"
        into.unlink(missing_ok=True)
        return "poison was read" if ours.fetch("result", key, into) else ""

    campaign("cache", "poison without the key", count(full=1000, short=200), trial)


def test_eviction_spares_what_is_in_use() -> None:
    now = 1_000_000.0

    def trial(chance: random.Random) -> str:
        held = [Held(str(n), chance.randrange(1000), now - chance.random() * 10_000) for n in range(chance.randrange(200))]
        gone = doomed(held, now, max_size=chance.randrange(1, 50_000), max_age=chance.random() * 20_000)
        return next((f"{one.name} was in use" for one in gone if now - one.used < 3600), "")

    campaign("cache", "eviction of what is in use", count(full=2000, short=200), trial)
