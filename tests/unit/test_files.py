"""Writes that are whole or not there, paths that stay inside, locks that end with their holder; Windows by imitation."""

from __future__ import annotations

import errno
import ntpath
import os
import subprocess
import sys
import threading
import time
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from goctl.errors import ConfigError, Interrupted, StorageError
from goctl.system import files

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, modes and descriptors as POSIX has them")


class Windows:
    """The `os` module as if this were Windows. `replace` meets a virus scanner `held` times."""

    name = "nt"
    path = ntpath

    def __init__(self, held: int = 0) -> None:
        self.held = held

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def replace(self, source: Any, target: Any) -> None:
        if self.held:
            self.held -= 1
            raise PermissionError(13, "Access is denied")
        os.replace(source, target)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_a_write_makes_folders_and_leaves_nothing_beside_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b" / "file"
    files.write_atomic(path, b"one", durable=durable)
    files.write_atomic(path, b"two", durable=durable)
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["file"]


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_written_file_has_the_modes_of_an_ordinary_one(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write_atomic(tmp_path / "atomic", b"")
        (tmp_path / "ordinary").write_bytes(b"")
    finally:
        os.umask(before)
    if sys.platform == "linux":  # elsewhere the mask cannot be read without changing it
        assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), Interrupted()])
def test_a_write_that_fails_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: Exception
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise failure

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises((StorageError, Interrupted)):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "who owns the folder"),
        (errno.EACCES, "who owns the folder"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EIO, ""),
    ],
)
def test_a_failed_write_says_what_and_why_and_what_to_do(number: int, hint: str) -> None:
    with pytest.raises(StorageError) as caught, files.storage_errors("dist/api"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write dist/api: {os.strerror(number)}"
    assert hint in caught.value.hint
    assert bool(caught.value.hint) == bool(hint)
    assert caught.value.exit_code == 10


def test_a_file_where_a_folder_should_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        files.write_atomic(tmp_path / "file" / "below", b"")


def test_readers_never_see_half_of_a_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([number]) * 300_000 for number in range(4)}
    files.write_atomic(path, next(iter(contents)), durable=False)
    ended = threading.Event()

    def write(content: bytes) -> None:
        while not ended.is_set():
            files.write_atomic(path, content, durable=False)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    seen = {path.read_bytes() for _ in range(200)}
    ended.set()
    for writer in writers:
        writer.join()
    assert seen <= contents
    assert names(tmp_path) == ["file"]


def test_windows_waits_for_a_scanner_to_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(files, "os", Windows(held=19))
    monkeypatch.setattr(files.time, "sleep", pauses.append)
    (tmp_path / "new").write_bytes(b"new")
    files.replace(tmp_path / "new", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sum(pauses) == pytest.approx(0.95)


def test_windows_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "os", Windows(held=1000))
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    with pytest.raises(PermissionError):
        files.replace(tmp_path / "new", tmp_path / "file")
    with pytest.raises(StorageError, match="Access is denied"):
        files.write_atomic(tmp_path / "file", b"x")
    assert names(tmp_path) == []


@POSIX
def test_elsewhere_a_refused_rename_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def refuse(source: object, target: object) -> None:
        calls.append(source)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        files.replace("a", "b")
    assert calls == ["a"]


def test_windows_has_no_folders_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows()
    windows.open = lambda *args: pytest.fail("opened a folder")  # type: ignore[attr-defined]
    monkeypatch.setattr(files, "os", windows)
    files.sync_folder(tmp_path)


INSIDE = ["a", "a/b", "./a", "a/../b", "new/file", "a/..", ".", "ä/ß", "a b", "..a", "a..", "link-inside/x"]
OUTSIDE = ["..", "../x", "a/../../x", "/etc/passwd", "link-out", "link-out/x", "chain/x", "a\0b", "..\\x", "a\\..\\..\\x"]


@POSIX
@pytest.mark.parametrize("relative", INSIDE)
def test_a_path_inside_is_given_back(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "project"
    (root / "a").mkdir(parents=True)
    (root / "link-inside").symlink_to("a", target_is_directory=True)
    assert files.inside(root, relative, what="x") == Path(os.path.normpath(root / relative))


@POSIX
@pytest.mark.parametrize("relative", OUTSIDE)
def test_a_path_that_leaves_is_refused(tmp_path: Path, relative: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "project-2").mkdir()
    (root / "link-out").symlink_to(tmp_path / "project-2", target_is_directory=True)
    (root / "chain").symlink_to("link-out", target_is_directory=True)
    with pytest.raises(ConfigError) as caught:
        files.inside(root, relative, what="assets[0].from")
    assert str(caught.value).startswith(f"assets[0].from: {relative!r} leaves the project's folder")
    assert caught.value.exit_code == 3


@POSIX
def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop-old").mkdir()
    with pytest.raises(ConfigError):
        files.inside(tmp_path / "shop", "../shop-old/x", what="x")


@POSIX
def test_a_project_reached_through_a_link_holds_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "project").symlink_to("real", target_is_directory=True)
    assert files.inside(tmp_path / "project", "a/b", what="x") == tmp_path / "project/a/b"


@POSIX
def test_links_in_a_circle_do_not_hang(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert files.inside(tmp_path, "a", what="x") == tmp_path / "a"


@pytest.mark.parametrize("relative", ["a", "a\\b", "a/b", "A\\..\\b", "c:\\Work\\SHOP\\x", "C:x", "C:\\work\\shop"])
def test_windows_paths_inside(monkeypatch: pytest.MonkeyPatch, relative: str) -> None:
    monkeypatch.setattr(files, "os", Windows())
    monkeypatch.setattr(files, "Path", PureWindowsPath)
    root: Any = PureWindowsPath("C:\\work\\shop")
    assert files.inside(root, relative, what="x").is_relative_to(root)


@pytest.mark.parametrize(
    "relative",
    ["..", "..\\x", "../x", "a\\..\\..\\x", "D:\\x", "D:x", "\\x", "/x", "\\\\host\\share\\x", "C:\\work\\shop-2"],
)
def test_windows_paths_that_leave(monkeypatch: pytest.MonkeyPatch, relative: str) -> None:
    monkeypatch.setattr(files, "os", Windows())
    monkeypatch.setattr(files, "Path", PureWindowsPath)
    root: Any = PureWindowsPath("C:\\work\\shop")
    with pytest.raises(ConfigError):
        files.inside(root, relative, what="x")


def test_a_file_has_an_identity_that_every_edit_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert files.identity(path) is None
    path.write_bytes(b"one")
    assert files.identity(path / "below") is None
    first = files.identity(path)
    assert first is not None
    assert files.identity(path) == first
    time.sleep(0.02)
    path.write_bytes(b"two")
    os.utime(path, ns=(first.modified, first.modified))
    second = files.identity(path)
    assert second is not None
    assert second.modified == first.modified
    if files.CHANGE_TIME_TELLS:
        assert second != first


def test_a_file_is_settled_when_the_next_write_must_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHANGE_TIME_TELLS", True)
    fine = files.Identity(1, 5_000_000_001, 6_000_000_001, 7)
    assert not fine.is_settled(6_000_000_001)
    assert not fine.is_settled(6_000_000_001 + files.TICK_NS)
    assert fine.is_settled(6_000_000_002 + files.TICK_NS)
    ahead = files.Identity(1, 9_000_000_001, 6_000_000_001, 7)
    assert not ahead.is_settled(8_000_000_000)
    coarse = files.Identity(1, 5_000_000_000, 6_000_000_000, 7)
    assert not coarse.is_settled(6_000_000_001 + files.TICK_NS)
    assert coarse.is_settled(6_000_000_001 + files.COARSE_TICK_NS)
    monkeypatch.setattr(files, "CHANGE_TIME_TELLS", False)
    assert not fine.is_settled(10**18)


def test_the_clock_is_that_of_the_folder_and_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    before = time.time_ns() - 100_000_000
    assert before < files.clock(folder) < time.time_ns() + 100_000_000
    assert names(folder) == []


HOLD = "import sys, time; from pathlib import Path; from goctl.system.files import Lock\n"
HOLD += "with Lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_lock_ends_with_its_holder_however_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        waited: list[int] = []

        def waiting() -> None:
            waited.append(1)
            if len(waited) == 2:
                holder.kill()

        with files.Lock(path, waiting=waiting):
            assert len(waited) >= 2


def test_waiting_for_a_lock_can_be_broken_off_and_the_lock_had_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def give_up() -> None:
        raise Interrupted

    with files.Lock(path), pytest.raises(Interrupted), files.Lock(path, waiting=give_up):
        pytest.fail("two hold one lock")
    with files.Lock(path, waiting=give_up):
        pass


def test_a_lock_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="lock"), files.Lock(tmp_path / "file" / "lock"):
        pytest.fail("locked")


def test_a_move_reaches_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def replace(source: object, target: object) -> None:
        if Path(str(source)).parent != Path(str(target)).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(str(source), str(target))

    monkeypatch.setattr(files.os, "replace", replace)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here/api").write_bytes(b"program")
    (tmp_path / "here/api").chmod(0o755)
    files.move(tmp_path / "here/api", tmp_path / "there/api")
    assert names(tmp_path / "here") == []
    assert names(tmp_path / "there") == ["api"]
    assert (tmp_path / "there/api").read_bytes() == b"program"
    assert os.name == "nt" or (tmp_path / "there/api").stat().st_mode & 0o777 == 0o755


def test_a_move_that_is_refused_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.move(tmp_path / "nothing", tmp_path / "file")
    assert names(tmp_path) == []
