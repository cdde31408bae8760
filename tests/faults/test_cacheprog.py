"""Whatever a go command says, and whatever a level holds: no session hangs, and nothing wrong is handed out."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.records import Known, Record, merged
from goctl.cacheprog.remote import Remote
from goctl.cacheprog.session import Session
from tests.cacheprog.gocommand import Shelf, id_of, request
from tests.faults.campaign import campaign, count

pytestmark = pytest.mark.faults


class Alone:
    """A build without a level."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def may_ask(self, action: bytes) -> bool:
        return False

    def ask(self, action: bytes) -> bool:
        raise AssertionError

    def found(self, action: bytes, entry: Entry) -> None:
        assert self.folder.output(entry) is not None

    made = found


def spoken(chance: random.Random) -> bytes:
    """Some messages as go writes them."""
    sent = bytearray()
    for number in range(1, chance.randrange(2, 8)):
        content = chance.choice((None, b"", chance.randbytes(chance.randrange(1, 200)), chance.randbytes(6000)))
        command = chance.choice(("get", "put", "put", "close", "get2", ""))
        sent += request(number, command, chance.randbytes(chance.choice((32, 32, 32, 0, 5))), content)
    return bytes(sent)


def damaged(chance: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(chance.choice((1, 1, 3))):
        at = chance.randrange(len(made))
        match chance.randrange(4):
            case 0:
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                del made[at : at + chance.randrange(1, 50)]
            case 2:
                made[at:at] = chance.randbytes(chance.randrange(1, 50))
            case _:
                del made[at:]
        if not made:
            break
    return bytes(made)


def answered(folder: Folder, said: bytes) -> str:
    """What is wrong with a session that is told this."""
    source, answers = io.BytesIO(said), bytearray()
    with ThreadPoolExecutor(1) as waiters:
        session = Session(Alone(folder), source.read, lambda data: answers.extend(data) or len(data), waiters)
        thread = threading.Thread(target=session.run, daemon=True)
        thread.start()
        thread.join(20)
    if thread.is_alive():
        return f"it hangs after {said!r}"
    return "" if answers.endswith(b"\n") else f"half an answer to {said!r}"


def wrong(folder: Folder) -> str:
    """Outputs that are others than their names say, and what was left behind."""
    names = [path for path in folder.path.rglob("*-d") if path.name[:-2] != hashlib.sha256(path.read_bytes()).hexdigest()]
    return f"kept wrongly: {names}" if names else ""


def test_mutated_messages(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "go-build")
    campaign(
        "cacheprog",
        "mutated messages",
        count(full=5000, short=300),
        lambda chance: answered(folder, damaged(chance, spoken(chance))),
    )
    assert not wrong(folder)


def test_an_end_at_any_byte(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "go-build")

    def trial(chance: random.Random) -> str:
        said = spoken(chance)
        return answered(folder, said[: chance.randrange(len(said))])

    campaign("cacheprog", "an end at any byte", count(full=2000, short=100), trial)
    assert not wrong(folder)


def test_damaged_entries(tmp_path: Path) -> None:
    """A level whose entries are verified by nobody else."""
    contents = {id_of(str(n)): random.Random(n).randbytes(10 ** (n % 4 + 1)) for n in range(8)}
    shelf = Shelf(tmp_path / "shelf")
    first = Folder(tmp_path / "first")
    entries = []
    for action, content in contents.items():
        entry = Entry(hashlib.sha256(content).digest(), len(content), 1)
        with first.writer(entry.output, entry.size) as writer:
            writer.write(content)
            writer.commit()
        first.note(action, entry)
        entries.append((action, entry))
    kept: dict[bytes, Record] = {}
    for parcel in (entries[:5], entries[5:]):
        kept |= Remote(shelf, first).send(parcel)[0]
    Remote(shelf, first).keep("list", Known().after(kept))
    good = {path: path.read_bytes() for path in shelf.folder.rglob("*") if path.is_file()}

    def trial(chance: random.Random) -> str:
        path = chance.choice(list(good))
        path.write_bytes(damaged(chance, good[path]))
        folder = Folder(tmp_path / f"folder {chance.random()}")
        remote = Remote(shelf, folder)
        listed = merged(remote.known("list"))
        for action, content in contents.items():
            record = listed.get(action)
            there = record is not None and remote.bring(record.pack, [(action, record)])
            entry = folder.entry(action)
            output = None if entry is None else folder.output(entry)
            if there and (output is None or Path(output).read_bytes() != content):
                return f"{path.name} was damaged, and taken"
        for each, content in good.items():
            each.write_bytes(content)
        return wrong(folder)

    campaign("cacheprog", "damaged entries of a level", count(full=2000, short=100), trial)
