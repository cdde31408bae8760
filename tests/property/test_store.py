"""The artifact store under damage, full disks, kills and crowds: what is read is what was written, or an error."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from goctl.cache import store
from goctl.cache.store import Blobs, Records, prune
from goctl.errors import StorageError
from goctl.values import Digest

CHANCE = random.Random(7)


def blobs_in(folder: Path) -> Blobs:
    """As another run sees the store: with nothing that it wrote itself."""
    return Blobs(folder)


def in_pieces(blobs: Blobs) -> Callable[[Digest], None]:
    def read(digest: Digest) -> None:
        with blobs.open(digest) as file:
            while file.read(CHANCE.choice((100, 70_000))):
                continue

    return read


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def flipped(content: bytes) -> bytes:
    at = CHANCE.randrange(len(content))
    return content[:at] + bytes((content[at] ^ 1 << CHANCE.randrange(8),)) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit": flipped,
    "an end cut off": lambda content: content[: CHANCE.randrange(len(content))],
    "zeros": lambda content: bytes(len(content)),
    "more": lambda content: content + b"x",
    "another's": lambda content: CHANCE.randbytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_blob_is_read(tmp_path: Path, damage: str) -> None:
    for number in range(200):
        content = CHANCE.randbytes(CHANCE.choice((1, 100, 5000, 200_000)))
        digest = Blobs(tmp_path).add(content)
        path = blobs_in(tmp_path).path(digest)
        path.write_bytes(DAMAGES[damage](content))
        if path.read_bytes() == content:
            continue
        reader = blobs_in(tmp_path).read if number % 2 else in_pieces(blobs_in(tmp_path))
        with pytest.raises(StorageError, match="damaged"):
            reader(digest)
        assert not path.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_record_is_a_hit(tmp_path: Path, damage: str) -> None:
    records = Records(tmp_path)
    for number in range(200):
        value = CHANCE.randbytes(CHANCE.choice((0, 1, 100, 5000)))
        records.put("kind", f"key {number}", value)
        (path,) = files(tmp_path)
        content = path.read_bytes()
        path.write_bytes(DAMAGES[damage](content))
        found = Records(tmp_path).get("kind", f"key {number}")
        assert found is None or path.read_bytes() == content
        path.unlink(missing_ok=True)


def test_a_record_under_anothers_name_is_no_hit(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put("kind", "one", b"1")
    records.put("kind", "two", b"2")
    one, two = sorted(files(tmp_path), key=lambda path: path.read_bytes()[-1:])
    one.replace(two)
    assert records.get("kind", "one") is None
    assert records.get("kind", "two") in (None, b"1", b"2")
    assert (records.get("other", "two"), records.get("kind", "tw")) == (None, None)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    for size in (0, 1, 65_536, 3_000_000):
        content = CHANCE.randbytes(size)
        digest = blobs.add(content)
        assert digest == Digest.of(content)
        for reader in (blobs, blobs_in(tmp_path)):
            assert reader.read(digest) == content
            with reader.open(digest) as file:
                assert file.read() == content
            assert reader.has(digest, size)
            assert not reader.has(digest, size + 1)


def test_content_that_is_not_what_was_expected_is_not_kept(tmp_path: Path) -> None:
    with Blobs(tmp_path).writer() as writer:
        writer.write(b"other")
        with pytest.raises(StorageError, match="not kept"):
            writer.commit(Digest.of(b"expected"))
    assert files(tmp_path) == []


class Fault:
    """Lets the n-th of the calls that write fail, and every later one too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.left = -1
        self.calls = 0
        for module, name in (
            (os, "fsync"),
            (os, "replace"),
            (os, "rename"),
            (os, "link"),
            (store, "replace"),
            (os, "mkdir"),
        ):
            monkeypatch.setattr(module, name, self._wrapped(getattr(module, name), code))
        real = os.fdopen

        def fdopen(*args: Any, **named: Any) -> Any:
            file = real(*args, **named)
            return _Faulty(file, self._wrapped(file.write, code)) if "w" in str(args[1:]) else file

        monkeypatch.setattr(os, "fdopen", fdopen)

    def _wrapped(self, real: Callable[..., Any], code: int) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            if 0 <= self.left < self.calls:
                raise OSError(code, os.strerror(code))
            return real(*args, **named)

        return call


class _Faulty:
    def __init__(self, file: Any, write: Callable[..., Any]) -> None:
        self._file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._file.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_at_any_write_stores_nothing_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    content = CHANCE.randbytes(300_000)

    def work(folder: Path) -> None:
        blobs, records = Blobs(folder), Records(folder / "records")
        with blobs.writer() as writer:
            for at in range(0, len(content), 100_000):
                writer.write(content[at : at + 100_000])
            writer.commit()
        records.put("kind", "key", content)

    fault = Fault(monkeypatch, code)
    work(tmp_path / "good")
    total = fault.calls
    assert total >= 6
    for number in range(total):
        folder = tmp_path / str(number)
        fault.calls, fault.left = 0, number
        with pytest.raises(StorageError) as caught:
            work(folder)
        fault.left = -1
        assert os.strerror(code) in str(caught.value) or caught.value.hint
        for path in files(folder / "sha256"):
            assert path.read_bytes() == content, "half a blob was kept"
        assert Records(folder / "records").get("kind", "key") in (None, content)
        work(folder)
        assert Records(folder / "records").get("kind", "key") == content


WRITER = """
import sys
from pathlib import Path
from goctl.cache.store import Blobs, Records
folder = Path(sys.argv[1])
blobs, records = Blobs(folder), Records(folder / "records")
print("ready", flush=True)
number = 0
while True:
    content = bytes([number % 251]) * 200_000
    digest = blobs.add(content)
    records.put("kind", str(number % 50), digest.encode() * 100)
    number += 1
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_killed_writer_leaves_no_corrupt_hit(tmp_path: Path) -> None:
    for _ in range(15):
        run = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(CHANCE.random() * 0.05)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        for path in files(tmp_path / "sha256"):
            if not path.name.startswith("."):
                assert Digest.of(path.read_bytes()).hex == path.name
        for number in range(50):
            value = Records(tmp_path / "records").get("kind", str(number))
            assert value is None or Digest(value[:71].decode()) * 100 == value.decode()
    # What they were writing goes with the next clean-up.
    prune(tmp_path / "sha256", 1 << 40, unused=-1)
    assert [path for path in files(tmp_path / "sha256") if path.name.startswith(".")] == []


CROWD = """
import random, sys, time
from pathlib import Path
from goctl.cache.store import Blobs, Records, prune
from goctl.errors import StorageError
from goctl.values import Digest
folder, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
blobs, records = Blobs(folder), Records(folder / "records")
hits, until = 0, time.monotonic() + 2
while time.monotonic() < until:
    number = chance.randrange(250)
    content = bytes([number]) * 50_000
    digest = Digest.of(content)
    what = chance.randrange(4)
    if what == 0:
        assert blobs.add(content) == digest
        records.put("kind", str(number), digest.encode())
    elif what == 1:
        try:
            assert Blobs(folder).read(digest) == content
            hits += 1
        except StorageError as error:
            assert "not there" in str(error), error
    elif what == 2:
        assert records.get("kind", str(number)) in (None, digest.encode())
    else:
        prune(folder / "sha256", 1_000_000, unused=0.5)
print(hits)
"""


def test_readers_writers_and_evictions_at_once_tear_nothing(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", CROWD, str(tmp_path), str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for seed in range(8)
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, [output[1].decode()[-500:] for output in outputs]
    assert sum(int(output[0]) for output in outputs) > 20


def test_threads_share_a_store(tmp_path: Path) -> None:
    blobs, errors = Blobs(tmp_path), list[BaseException]()

    def work(seed: int) -> None:
        try:
            for number in range(30):
                content = bytes([number]) * 10_000
                assert blobs.read(blobs.add(content)) == content
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.fixture
def aged(tmp_path: Path) -> tuple[Path, list[Digest]]:
    blobs = Blobs(tmp_path)
    digests = [blobs.add(bytes([number]) * 1000) for number in range(10)]
    now = time.time()
    for age, digest in enumerate(reversed(digests)):
        os.utime(blobs.path(digest), (now - 10_000 - age, now - 10_000 - age))
    return tmp_path / "sha256", digests


def test_prune_takes_the_longest_unused_first(aged: tuple[Path, list[Digest]]) -> None:
    folder, digests = aged
    assert prune(folder, 4000) == 6000
    assert {path.name for path in files(folder)} == {digest.hex for digest in digests[-4:]}


def test_prune_keeps_what_it_is_told_and_what_is_in_use(aged: tuple[Path, list[Digest]]) -> None:
    folder, digests = aged
    os.utime(folder / digests[1].hex)
    prune(folder, 0, keep=[digests[0]])
    assert {path.name for path in files(folder)} == {digests[0].hex, digests[1].hex}
