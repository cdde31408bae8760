"""Packs: outputs lie in them under their ids, and what is damaged or lies elsewhere is not taken."""

from __future__ import annotations

import functools
import hashlib
import random
from pathlib import Path

import pytest

from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.records import Packed, Record
from goctl.cacheprog.remote import Remote
from tests.cacheprog.gocommand import Shelf, id_of

#: Two outputs of one size, and a small one that travels with its record.
CONTENTS = {id_of(name): random.Random(name).randbytes(size) for name, size in (("a", 5000), ("b", 5000), ("c", 10))}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(Shelf(tmp_path / "shelf"), Folder(tmp_path / "there"))


@pytest.fixture
def sent(tmp_path: Path, remote: Remote) -> dict[bytes, Record]:
    here = Folder(tmp_path / "here")
    entries = [(action, Entry(hashlib.sha256(content).digest(), len(content), 1)) for action, content in CONTENTS.items()]
    for action, entry in entries:
        assert here.put(entry, functools.partial(CONTENTS.get, action))
    made, size = Remote(Shelf(tmp_path / "shelf"), here).send(entries)
    (pack,) = (tmp_path / "shelf" / "output").iterdir()
    assert pack.stat().st_size == size
    assert pack.name == hashlib.sha256(pack.read_bytes()).hexdigest()
    return made


def taken(tmp_path: Path) -> dict[bytes, bytes]:
    folder = Folder(tmp_path / "there")
    found = ((action, folder.find(action)) for action in CONTENTS)
    return {action: Path(one[1]).read_bytes() for action, one in found if one is not None}


def test_what_was_sent_is_brought(tmp_path: Path, remote: Remote, sent: dict[bytes, Record]) -> None:
    for pack in {record.pack for record in sent.values()}:
        wanted = [(action, record) for action, record in sent.items() if record.pack == pack]
        assert remote.bring(pack, wanted) == len(wanted)
    assert taken(tmp_path) == CONTENTS


def test_an_output_that_lies_in_the_place_of_another_is_not_taken(
    tmp_path: Path, remote: Remote, sent: dict[bytes, Record]
) -> None:
    a, b, _ = CONTENTS
    assert remote.bring(sent[a].pack, [(a, sent[a]._replace(packed=sent[b].packed)), (b, sent[b])]) == 1
    assert taken(tmp_path) == {b: CONTENTS[b]}
    # Somebody's list is not what it should be: nobody fetches by it again.
    assert list((tmp_path / "shelf" / "output").iterdir()) == []


@pytest.mark.parametrize("place", [0, 31, 32, 40, -5, -1])
def test_a_pack_that_is_damaged_in_one_place_is_not_taken(
    tmp_path: Path, remote: Remote, sent: dict[bytes, Record], place: int
) -> None:
    a = next(iter(CONTENTS))
    record = sent[a]
    assert record.packed is not None
    (pack,) = (tmp_path / "shelf" / "output").iterdir()
    content = bytearray(pack.read_bytes())
    content[record.packed.start + (place if place >= 0 else record.packed.size + place)] ^= 1
    pack.write_bytes(content)
    assert remote.bring(record.pack, [(a, record)]) == 0
    assert not taken(tmp_path)


def test_a_place_behind_the_end_holds_nothing(tmp_path: Path, remote: Remote, sent: dict[bytes, Record]) -> None:
    a = next(iter(CONTENTS))
    nowhere = sent[a]._replace(packed=Packed(sent[a].pack, 1 << 40, 100))
    assert remote.bring(sent[a].pack, [(a, nowhere)]) == 0


def test_a_small_output_is_compared_with_its_id(tmp_path: Path, remote: Remote, sent: dict[bytes, Record]) -> None:
    *_, c = CONTENTS
    assert remote.bring("", [(c, sent[c]._replace(content=b"x" * 10))]) == 0
    assert not taken(tmp_path)
