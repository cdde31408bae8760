"""GOCACHE: what go wrote is read, what is written go reads, and damage is a miss."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goctl.cacheprog import records
from goctl.cacheprog.folder import ENTRY_SIZE, Entry, Folder, parse
from goctl.cacheprog.records import INLINE, Asked, Known, Packed, Record, decode, known, merged
from tests.cacheprog.gocommand import id_of

ACTION = id_of("action")
CONTENT = b"what was compiled" * 100
ENTRY = Entry(hashlib.sha256(CONTENT).digest(), len(CONTENT), 1_700_000_000_000_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "cache")


def keep(folder: Folder, action: bytes = ACTION, content: bytes = CONTENT) -> Entry:
    entry = Entry(hashlib.sha256(content).digest(), len(content), time.time_ns())
    with folder.writer(entry.output, entry.size) as writer:
        writer.write(content)
        writer.commit()
    folder.note(action, entry)
    return entry


def test_what_is_kept_is_found(folder: Folder) -> None:
    assert folder.entry(ACTION) is None
    entry = keep(folder)
    assert folder.entry(ACTION) == entry
    path = folder.output(entry)
    assert path is not None
    assert Path(path).read_bytes() == CONTENT
    assert folder.has(ACTION)
    names = sorted(file.name for file in folder.path.rglob("*") if file.is_file())
    assert names == sorted([f"{ACTION.hex()}-a", f"{entry.output.hex()}-d"])


def test_an_output_of_another_content_is_not_kept(folder: Folder) -> None:
    for content in (b"x" + CONTENT[1:], CONTENT[:-1], CONTENT + b"x"):
        with folder.writer(ENTRY.output, ENTRY.size) as writer:
            writer.write(content)
            with pytest.raises(ValueError):
                writer.commit()
    assert not any(file.is_file() for file in folder.path.rglob("*"))


def test_a_damaged_line_is_a_miss(folder: Folder) -> None:
    keep(folder)
    path = folder.path / ACTION.hex()[:2] / f"{ACTION.hex()}-a"
    line = path.read_bytes()
    assert len(line) == ENTRY_SIZE
    for damaged in (b"", line[:-1], line + b"x", bytes(len(line)), line.replace(b"v1", b"v2"), line.replace(b" ", b"x")):
        path.write_bytes(damaged)
        assert folder.entry(ACTION) is None
    assert parse(id_of("other"), line) is None


def test_an_output_that_is_gone_or_short_is_a_miss(folder: Folder) -> None:
    entry = keep(folder)
    path = Path(folder.output(entry) or "")
    path.write_bytes(CONTENT[:-1])
    assert folder.output(entry) is None
    path.unlink()
    assert not folder.has(ACTION)


def test_a_program_that_go_keeps_in_a_folder_is_found(folder: Folder) -> None:
    entry = keep(folder)
    path = Path(folder.output(entry) or "")
    path.unlink()
    path.mkdir()
    (path / "tool").write_bytes(CONTENT)
    assert folder.output(entry) == str(path / "tool")
    # It is put once more: what is there stays.
    assert keep(folder).output == entry.output
    assert (path / "tool").read_bytes() == CONTENT


def test_a_verified_output_is_put_where_none_is(folder: Folder) -> None:
    during: list[str | None] = []

    def verified() -> bytes:
        during.append(folder.output(ENTRY))
        return CONTENT

    assert folder.put(ENTRY, verified)
    assert Path(folder.output(ENTRY) or "").read_bytes() == CONTENT
    assert folder.put(ENTRY, verified)
    assert during == [None]  # nobody is told of it before it is whole, and what is there is not made again


@pytest.mark.parametrize("content", [None, CONTENT[:-1], CONTENT + b"x", b""])
def test_an_output_that_is_none_or_of_another_size_is_not_put(folder: Folder, content: bytes | None) -> None:
    assert not folder.put(ENTRY, lambda: content)
    assert not any(file.is_file() for file in folder.path.rglob("*"))


def test_an_output_that_cannot_be_made_leaves_nothing(folder: Folder) -> None:
    def verified() -> bytes:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        folder.put(ENTRY, verified)
    assert not any(file.is_file() for file in folder.path.rglob("*"))


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1])
def test_what_a_killed_process_left_is_replaced(folder: Folder, size: int) -> None:
    assert folder.put(ENTRY, lambda: CONTENT)
    path = Path(folder.output(ENTRY) or "")
    path.write_bytes((CONTENT + b"x")[:size])
    assert not folder.put(ENTRY, lambda: None)
    assert folder.put(ENTRY, lambda: CONTENT)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_output_is_put(folder: Folder) -> None:
    empty = Entry(hashlib.sha256(b"").digest(), 0, 1)
    assert folder.put(empty, lambda: b"")
    assert Path(folder.output(empty) or "").read_bytes() == b""


def test_many_may_put_one_output(folder: Folder) -> None:
    content = random.Random(1).randbytes(1 << 20)
    entry = Entry(hashlib.sha256(content).digest(), len(content), 1)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: folder.put(entry, lambda: content), range(64)))
    path = Path(folder.output(entry) or "")
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_use_is_noted_by_the_hour(folder: Folder) -> None:
    entry = keep(folder)
    files = [Path(folder.output(entry) or ""), folder.path / ACTION.hex()[:2] / f"{ACTION.hex()}-a"]
    for age, moved in ((3000, False), (4000, True)):
        then = time.time() - age
        for file in files:
            os.utime(file, (then, then))
        assert Folder(folder.path).has(ACTION)
        assert [abs(file.stat().st_mtime - time.time()) < 100 for file in files] == [moved, moved]


@pytest.mark.slow
def test_go_reads_what_is_written_and_the_other_way_round(go: str, tmp_path: Path) -> None:
    (tmp_path / "x.go").write_text('package main\n\nimport _ "unicode/utf8"\n\nfunc main() {}\n', encoding="utf-8")
    env = {**os.environ, "GOCACHE": str(tmp_path / "one"), "GO111MODULE": "off"}
    subprocess.run([go, "build", "-trimpath", "-o", os.devnull, "x.go"], cwd=tmp_path, env=env, check=True)
    made, copied = Folder(tmp_path / "one"), Folder(tmp_path / "two")
    actions = [bytes.fromhex(path.name[:-2]) for path in made.path.rglob("*-a")]
    assert len(actions) > 10
    for action in actions:
        entry = made.entry(action)
        assert entry is not None
        path = made.output(entry)
        assert path is not None
        keep(copied, action, Path(path).read_bytes())
    env["GOCACHE"] = str(tmp_path / "two")
    command = [go, "build", "-x", "-trimpath", "-o", os.devnull, "x.go"]
    told = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stderr
    assert "/compile" not in told


def test_records_carry_small_outputs() -> None:
    small = Entry(id_of("x"), 5, 1)
    assert decode(ACTION, Record(small, b"12345").encoded(ACTION)) == Record(small, b"12345")
    assert decode(ACTION, Record(small, b"1234").encoded(ACTION)) is None
    large = Entry(id_of("x"), INLINE + 1, 1)
    packed = Record(large, packed=Packed("ab" * 32, 7, 1000))
    assert decode(ACTION, packed.encoded(ACTION)) == packed
    assert decode(ACTION, packed.encoded(ACTION)[:-1]) is None
    # Nobody could find its output.
    assert decode(ACTION, Record(large).encoded(ACTION)) is None
    assert decode(ACTION, Record(large, b"x").encoded(ACTION)) is None
    assert decode(id_of("other"), Record(large).encoded(ACTION)) is None


def test_a_list_forgets_what_nobody_asks_for() -> None:
    one, two = id_of("one"), id_of("two")
    record = Record(Entry(id_of("x"), 1, 1), b"x")
    listed = Known().after({one: record}).after({two: record})
    assert listed.last() == [two]
    assert list(merged(listed)) == [two, one]
    for _ in range(3):
        listed = listed.after({two: record})
    assert list(merged(listed)) == [two, one]
    assert list(merged(listed.after({two: record}))) == [two]
    assert list(merged(listed.after({one: record}))) == [one, two]


def test_no_bytes_are_a_list_that_is_trusted() -> None:
    chance = random.Random(5)
    good = Known((Asked(ACTION, Record(ENTRY).encoded(ACTION)),)).encoded()
    assert known(good).asked
    assert known(None) == known(b"\xff") == known(b"x") == Known()
    for _ in range(300):
        at = chance.randrange(len(good))
        for action, record in merged(known(good[:at] + chance.randbytes(1) + good[at + 1 :])).items():
            assert parse(action, record.encoded(action)[:ENTRY_SIZE]) == record.entry
    assert records.LONGEST > 1000
