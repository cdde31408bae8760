"""Levels on every shelf that needs no server of its own: what is stored is read, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.services.webdav import Server, serving

from goctl.cache.envelope import MAGIC
from goctl.cache.folder import FolderShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.cache.web import WebShelf
from goctl.contracts import Conditional, Listing, Shelf
from goctl.errors import LevelError
from goctl.registry.artifacts import ArtifactShelf
from goctl.testing.host import Host
from goctl.testing.registry import Registry
from goctl.values import Digest

CHANCE = random.Random(11)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "web") as server:
        yield server


@pytest.fixture(params=["folder", "web", "strict web", "bazel", "registry"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    match request.param:
        case "folder":
            yield FolderShelf(tmp_path / "shelf")
        case "registry":
            with Registry() as registry:
                yield ArtifactShelf(f"{registry.address}/team/cache", Host(tmp_path / "host"))
        case kind:
            with serving(tmp_path / "web") as server:
                server.strict = kind == "strict web"
                yield WebShelf(server.url + ("/ac" if kind == "bazel" else ""))


def written(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "source"
    path.write_bytes(content)
    return path


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_what_is_stored_is_read(shelf: Shelf, tmp_path: Path, size: int) -> None:
    level = ShelvedLevel("x", shelf)
    content = CHANCE.randbytes(size)
    into = tmp_path / "into" / "file"
    assert not level.fetch("blob", sha(content), into)
    level.store("blob", sha(content), written(tmp_path, content))
    assert level.fetch("blob", sha(content), into)
    assert into.read_bytes() == content
    assert [path.name for path in into.parent.iterdir()] == ["file"]
    assert not level.fetch("result", sha(content), tmp_path / "other")


@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_memory_is_as_good_as_a_file(shelf: Shelf, tmp_path: Path, size: int) -> None:
    level = ShelvedLevel("x", shelf)
    content = CHANCE.randbytes(size)
    assert level.read("blob", sha(content), size) is None
    level.store("blob", sha(content), content)
    assert level.read("blob", sha(content), size) == content
    assert level.fetch("blob", sha(content), tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == content
    level.store("blob", sha(content), b"another content")  # what names itself cannot be replaced
    assert level.read("blob", sha(content), size) == content
    assert size == 0 or level.read("blob", sha(content), size - 1) is None


def test_what_is_too_large_for_memory_stays(shelf: Shelf) -> None:
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", b"some content")
    assert level.read("result", "ab12", 5) is None
    assert level.read("result", "ab12", 100) == b"some content"


@pytest.mark.parametrize("place", [0, 20, -1])
def test_what_is_damaged_is_not_read_into_memory(tmp_path: Path, place: int) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", b"some content")
    damaged = bytearray(entry(shelf).read_bytes())
    damaged[place] ^= 1
    entry(shelf).write_bytes(damaged)
    path = entry(shelf)
    assert level.read("result", "ab12", 100) is None
    assert not path.exists()


@pytest.mark.parametrize(("size", "verbs", "reads"), [(100, ["PUT"], 1), (100_000, ["POST", "PUT", "PUT"], 2)])
def test_an_entry_in_a_registry_takes_few_requests(tmp_path: Path, size: int, verbs: list[str], reads: int) -> None:
    with Registry() as registry:
        level = ShelvedLevel("x", ArtifactShelf(f"{registry.address}/team/cache", Host(tmp_path / "host")))
        level.store("result", "ab12", written(tmp_path, b"one"))
        registry.forget_requests()
        level.store("result", "cd34", written(tmp_path, CHANCE.randbytes(size)))
        assert [request.method for request in registry.requests] == verbs
        registry.forget_requests()
        assert level.fetch("result", "cd34", tmp_path / "into")
        assert [request.method for request in registry.requests] == ["GET"] * reads


@pytest.mark.parametrize("content", ["!", "YQ", base64.b64encode(b"goctl cache 1\n{}\nxx").decode()])
def test_an_annotation_that_is_no_entry_is_a_miss(tmp_path: Path, content: str) -> None:
    with Registry() as registry:
        shelf = ArtifactShelf(f"{registry.address}/team/cache", Host(tmp_path / "host"))
        level = ShelvedLevel("x", shelf)
        level.store("result", "ab12", written(tmp_path, b"one"))
        found = shelf._client.get_manifest("team/cache", "result-ab12")
        assert found is not None
        document = json.loads(found)
        document["annotations"] = dict.fromkeys(document["annotations"], content)
        manifest = json.dumps(document).encode()
        shelf._client.put_manifest("team/cache", "result-ab12", manifest, document["mediaType"], Digest.of(manifest))
        assert not level.fetch("result", "ab12", tmp_path / "into")
        assert not (tmp_path / "into").exists()


def test_the_last_one_stored_is_read(shelf: Shelf, tmp_path: Path) -> None:
    level = ShelvedLevel("x", shelf)
    for content in (b"one", b"two"):
        level.store("result", "ab12", written(tmp_path, content))
    assert level.fetch("result", "ab12", tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == b"two"


def test_what_is_forgotten_is_gone(shelf: Shelf, tmp_path: Path) -> None:
    level = ShelvedLevel("x", shelf)
    level.forget("result", "ab12")
    level.store("result", "ab12", written(tmp_path, b"one"))
    level.forget("result", "ab12")
    assert not level.fetch("result", "ab12", tmp_path / "into")


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "x" * 200, "a\nb", "a b"])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    level = ShelvedLevel("x", FolderShelf(tmp_path / "shelf"))
    for verb in (lambda: level.fetch("blob", key, tmp_path / "x"), lambda: level.forget("blob", key)):
        with pytest.raises(LevelError):
            verb()


def entry(shelf: FolderShelf) -> Path:
    return next(path for path in shelf.folder.rglob("*") if path.is_file())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda content: content[:-3] + bytes((content[-3] ^ 4,)) + content[-2:],
    "a bit of the header": lambda content: content[: len(MAGIC) + 12] + b"x" + content[len(MAGIC) + 13 :],
    "an end cut off": lambda content: content[:-1],
    "nothing": lambda content: b"",
    "more": lambda content: content + b"x",
    "no envelope": lambda content: b"<html>not found</html>",
    "no end of the header": lambda content: MAGIC + b"{" * 10_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_a_miss_and_removed(tmp_path: Path, damage: str) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", written(tmp_path, b"some content"))
    path = entry(shelf)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not level.fetch("result", "ab12", tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert not path.exists()


def test_what_is_damaged_stays_where_a_level_is_only_read(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    ShelvedLevel("x", shelf).store("result", "ab12", written(tmp_path, b"some content"))
    path = entry(shelf)
    path.write_bytes(b"x")
    assert not ShelvedLevel("x", shelf, writes=False).fetch("result", "ab12", tmp_path / "into")
    assert path.exists()


def test_an_entry_under_another_name_is_foreign(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", written(tmp_path, b"some content"))
    moved = shelf.folder / "result" / "ab" / "ab34"
    entry(shelf).rename(moved)
    assert not level.fetch("result", "ab34", tmp_path / "into")


def test_only_what_was_signed_with_the_key_counts(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    ours, theirs = ShelvedLevel("x", shelf, secret=b"ours"), ShelvedLevel("x", shelf, secret=b"theirs")
    nobody = ShelvedLevel("x", shelf)
    for who, readers in ((ours, (ours, nobody)), (theirs, (theirs, nobody)), (nobody, (nobody,))):
        for reader in (ours, theirs, nobody):
            who.store("result", "ab12", written(tmp_path, b"content"))
            (tmp_path / "into").unlink(missing_ok=True)
            assert reader.fetch("result", "ab12", tmp_path / "into") == (reader in readers)


def test_a_signature_covers_the_content(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    level = ShelvedLevel("x", shelf, secret=b"ours")
    level.store("result", "ab12", written(tmp_path, b"good"))
    path = entry(shelf)
    evil = path.read_bytes().replace(b"good", b"evil").replace(sha(b"good").encode(), sha(b"evil").encode())
    path.write_bytes(evil)
    assert not level.fetch("result", "ab12", tmp_path / "into")


def test_an_edited_file_is_not_stored_as_what_it_was(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    ShelvedLevel("x", shelf).store("blob", sha(b"as made"), written(tmp_path, b"edited"))
    assert list(shelf.held()) == []


def test_age_ends_an_entry(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    now = time.time()
    level = ShelvedLevel("x", shelf, max_age=100, now=lambda: now)
    level.store("result", "ab12", written(tmp_path, b"content"))
    now += 50
    assert level.fetch("result", "ab12", tmp_path / "into")
    now += 60
    assert not level.fetch("result", "ab12", tmp_path / "into")
    assert list(shelf.held()) == []


def test_who_reads_an_entry_before_its_end_renews_it(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    now = time.time()
    level = ShelvedLevel("x", shelf, max_age=100, now=lambda: now)
    level.store("result", "ab12", written(tmp_path, b"content"))
    before = level.header("result", "ab12")
    now += 99.9
    time.sleep(0.01)
    assert level.fetch("result", "ab12", tmp_path / "into")
    after = level.header("result", "ab12")
    assert before is not None
    assert after is not None
    assert after.created > before.created


def test_what_was_stored_before_it_was_invalidated_is_a_miss(tmp_path: Path) -> None:
    level = ShelvedLevel("x", FolderShelf(tmp_path / "shelf"))
    level.store("result", "ab12", written(tmp_path, b"content"))
    assert level.fetch("result", "ab12", tmp_path / "into", after=time.time() - 60)
    assert not level.fetch("result", "ab12", tmp_path / "into", after=time.time() + 60)


def test_a_full_disk_takes_nothing(tmp_path: Path) -> None:
    level = ShelvedLevel("x", FolderShelf(tmp_path / "shelf"), reserve=1 << 60)
    with pytest.raises(LevelError, match="reserve"):
        level.store("result", "ab12", written(tmp_path, b"content"))


def test_only_the_first_creates_a_name(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "shelf")
    assert isinstance(shelf, Conditional)
    assert [shelf.create("lease/ab12", content) for content in (b"one", b"two")] == [True, False]
    pieces = shelf.read("lease/ab12")
    assert pieces is not None
    assert b"".join(pieces) == b"one"
    assert isinstance(shelf, Listing)
    assert [one.name for one in shelf.held()] == ["lease/ab12"]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_is_an_error(web: Server, tmp_path: Path, status: int) -> None:
    level = ShelvedLevel("x", WebShelf(web.url, timeout=2))
    web.status = status
    with pytest.raises(LevelError, match=str(status)):
        level.fetch("result", "ab12", tmp_path / "into")
    with pytest.raises(LevelError, match=str(status)):
        level.store("result", "ab12", written(tmp_path, b"content"))
    with pytest.raises(LevelError, match=str(status)):
        level.forget("result", "ab12")


def test_a_server_that_is_silent_is_an_error_in_time(web: Server, tmp_path: Path) -> None:
    web.delay = 5.0
    started = time.monotonic()
    with pytest.raises(LevelError):
        ShelvedLevel("x", WebShelf(web.url, timeout=1)).fetch("result", "ab12", tmp_path / "into")
    assert time.monotonic() - started < 3.0


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LevelError):
        ShelvedLevel("x", WebShelf("http://127.0.0.1:9", timeout=1)).fetch("result", "ab12", tmp_path / "into")


@pytest.mark.parametrize(("login", "header"), [(("me", "word"), "Basic bWU6d29yZA=="), (("", "token"), "Bearer token")])
def test_a_login_is_shown(web: Server, tmp_path: Path, login: tuple[str, str], header: str) -> None:
    web.authorization = header
    level = ShelvedLevel("x", WebShelf(web.url, login=login))
    level.store("result", "ab12", written(tmp_path, b"content"))
    assert level.fetch("result", "ab12", tmp_path / "into")
    with pytest.raises(LevelError, match="401"):
        ShelvedLevel("x", WebShelf(web.url)).fetch("result", "ab12", tmp_path / "into")


def test_bazel_remote_gets_names_of_64_digits(web: Server, tmp_path: Path) -> None:
    ShelvedLevel("x", WebShelf(f"{web.url}/ac")).store("result", "ab12", written(tmp_path, b"content"))
    ((method, path),) = web.requests
    assert (method, path.rpartition("/")[0], len(path.rpartition("/")[2])) == ("PUT", "/ac", 64)
