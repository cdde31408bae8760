"""Digests of files: remembered where that is safe, read anew where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goctl.cache.store import Records
from goctl.system import files, ledger
from goctl.values import Digest


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    found: list[str] = []
    real = ledger.digest_of

    def digest_of(path: Path) -> Digest:
        found.append(path.name)
        return real(path)

    monkeypatch.setattr(ledger, "digest_of", digest_of)
    return found


def settle(monkeypatch: pytest.MonkeyPatch, *, told: bool = True) -> None:
    """Makes every file look as if it had been at rest for long, or as if nothing could tell."""
    monkeypatch.setattr(files.Identity, "is_settled", lambda self, at: told)


def test_a_file_at_rest_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]) -> None:
    settle(monkeypatch)
    (tmp_path / "a").write_bytes(b"one")
    for _ in range(3):  # each as if in a run of its own
        book = ledger.Ledger(Records(tmp_path / "records"), tmp_path, tmp_path / "scratch")
        assert book.digest(tmp_path / "a") == Digest.of(b"one")
    assert reads == ["a"]
    (tmp_path / "a").write_bytes(b"other")
    assert book.digest(tmp_path / "a") == Digest.of(b"other")
    assert reads == ["a", "a"]


def test_where_times_cannot_tell_content_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]) -> None:
    settle(monkeypatch, told=False)
    book = ledger.Ledger(Records(tmp_path / "records"), tmp_path, tmp_path / "scratch")
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert book.digest(path) == Digest.of(b"one")
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert book.digest(path) == Digest.of(b"two")
    assert reads == ["a", "a"]


def test_what_somebody_else_wrote_is_not_what_a_step_made(tmp_path: Path) -> None:
    book = ledger.Ledger(Records(tmp_path / "records"), tmp_path, tmp_path / "scratch")
    path = tmp_path / "dist" / "api"
    path.parent.mkdir()
    path.write_bytes(b"made")
    assert book.untouched(path) is None
    book.made(path, Digest.of(b"made"))
    assert book.untouched(path) == Digest.of(b"made")
    path.write_bytes(b"edited")
    assert book.untouched(path) is None
    book.digest(path)
    assert book.untouched(path) is None
    path.unlink()
    assert book.untouched(path) is None
    assert book.digest(path) is None


def test_a_question_leaves_no_note(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    before = sorted(tmp_path.rglob("*"))
    book = ledger.Ledger(Records(tmp_path / "records"), tmp_path, tmp_path / "scratch", write=False)
    assert book.digest(tmp_path / "a") == Digest.of(b"one")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_note_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    records = Records(tmp_path / "records")
    records.put("file", "a", b"\xc1 not a note")
    (tmp_path / "a").write_bytes(b"one")
    assert ledger.Ledger(records, tmp_path, tmp_path / "scratch").digest(tmp_path / "a") == Digest.of(b"one")


def test_notes_leave_the_users_folders_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run leaves must not lie among a user's files: times are looked up in goctl's own folder."""
    looked: list[Path] = []
    real = files.clock
    monkeypatch.setattr(ledger, "clock", lambda folder: looked.append(folder) or real(folder))
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/api").write_bytes(b"made")
    book = ledger.Ledger(Records(tmp_path / "records"), tmp_path, tmp_path / "scratch")
    book.made(tmp_path / "dist/api", Digest.of(b"made"))
    assert looked == [tmp_path / "scratch"]
