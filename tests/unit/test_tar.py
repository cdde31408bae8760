"""Archives that depend on their entries alone, read back by Python's tarfile."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goctl.errors import ImageError
from goctl.oci.tar import LINKED, Entry, archive, folder, pieces, with_parents
from goctl.values import Digest


def written(entries: Iterable[Entry], **options: frozenset[str]) -> bytes:
    return b"".join(archive(with_parents(entries, **options)))


def members(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        return file.getmembers()


def test_entries_come_in_order_with_the_folders_above_them() -> None:
    found = members(written([Entry(name="/usr/local/bin/b", source=b"b"), Entry(name="etc/a", source=b"a", mode=0o444)]))
    assert [(m.name, m.isdir(), oct(m.mode)) for m in found] == [
        ("etc", True, "0o755"),
        ("etc/a", False, "0o444"),
        ("usr", True, "0o755"),
        ("usr/local", True, "0o755"),
        ("usr/local/bin", True, "0o755"),
        ("usr/local/bin/b", False, "0o555"),
    ]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found} == {(0, 0, "", "", 0)}


def test_the_order_of_what_is_given_does_not_count() -> None:
    entries = [Entry(name=f"a/{number}/{chr(97 + number)}", source=bytes(number)) for number in range(20)]
    expected = written(entries)
    random.Random(1).shuffle(entries)
    assert written(entries) == expected
    assert len(expected) % 512 == 0
    assert expected.endswith(bytes(1024))


def test_folders_with_owners_and_modes_of_their_own_keep_them() -> None:
    found = {
        m.name: (oct(m.mode), m.uid) for m in members(written([Entry(name="var/tmp/x", source=b""), folder("home/nonroot")]))
    }
    assert found["var/tmp"] == ("0o1777", 0)
    assert found["home/nonroot"] == ("0o700", 65532)
    assert found["var"] == ("0o755", 0)


def test_folders_that_are_links_in_bases_get_no_entry() -> None:
    names = [
        m.name for m in members(written([Entry(name="bin/sh", source=b""), Entry(name="opt/x", source=b"")], without=LINKED))
    ]
    assert names == ["bin/sh", "opt", "opt/x"]


@pytest.mark.parametrize("name", ["é/ü.txt", "x" * 99, "x" * 101, "/".join(["long"] * 60), "emoji/\U0001f600", "a b\tc"])
def test_names_of_any_length_and_script_come_back(name: str) -> None:
    assert members(written([Entry(name=name, source=b"content")]))[-1].name == name


def test_large_sizes_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    (tmp_path / "empty").touch()
    found = members(written([Entry(name="l", source=tmp_path / "large"), Entry(name="e", source=tmp_path / "empty")]))
    assert [(m.name, m.size) for m in found] == [("e", 0), ("l", 3 << 20)]


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(ImageError, match="two files would be at /a"):
        written([Entry(name="a", source=b"1"), Entry(name="/a", source=b"2")])
    with pytest.raises(ImageError, match="a file and a folder"):
        written([Entry(name="a", source=b"1"), Entry(name="a/b", source=b"2")])


@pytest.mark.parametrize("name", [".wh.x", "a/.wh..wh..opq", ".wh./x"])
def test_names_that_remove_what_is_below_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match="marks what a layer removes"):
        written([Entry(name=name, source=b"")])


def test_a_file_that_is_not_what_was_expected_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"edited")
    with pytest.raises(ImageError, match="changed while it was read"):
        written([Entry(name="p", source=path, expected=Digest.of(b"compiled"))])
    assert written([Entry(name="p", source=path, expected=Digest.of(b"edited"))])


@pytest.mark.parametrize("change", [b"", b"short", b"x" * 5_000_000])
def test_a_file_that_changes_size_while_it_is_read_is_refused(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "program"
    path.write_bytes(bytes(3 << 20))
    reading = archive([Entry(name="p", source=path)])
    next(reading)
    next(reading)
    path.write_bytes(change)
    with pytest.raises(ImageError, match="changed while it was read"):
        list(reading)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing.*cannot be read"):
        written([Entry(name="p", source=tmp_path / "nothing")])


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 50))
def test_pieces_are_the_same_bytes_in_one_size(chunks: list[bytes], size: int) -> None:
    found = list(pieces(chunks, size))
    assert b"".join(found) == b"".join(chunks)
    assert all(len(piece) == size for piece in found[:-1])
    assert all(0 < len(piece) <= size for piece in found[-1:])
