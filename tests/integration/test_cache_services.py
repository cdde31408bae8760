"""Levels on real servers: Redis, nginx's DAV module, an S3 server, a registry. Each is started here where it is on PATH."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goctl.cache.lease import ShelfLeases, Waited
from goctl.cache.objects import ObjectShelf
from goctl.cache.redis import RedisShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.cache.web import WebShelf
from goctl.contracts import Conditional, Listing, Shelf
from goctl.errors import LevelError
from goctl.registry.artifacts import ArtifactShelf
from goctl.testing.host import Host

pytestmark = pytest.mark.integration
NGINX = """daemon off; pid {folder}/pid; error_log stderr;
{user}
events {{}}
http {{ access_log off; client_body_temp_path {folder}/tmp; client_max_body_size 0;
  server {{ listen 127.0.0.1:{port}; location / {{ root {folder}/files; dav_methods PUT DELETE MKCOL;
  create_full_put_path on; }} }} }}
"""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, **env: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env or None)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def redis(tmp_path: Path, service: Callable[[str, str], str]) -> Iterator[RedisShelf]:
    port = _free_port()
    command = [service("redis", "redis-server"), "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    with running(command, port):
        yield RedisShelf(f"redis://127.0.0.1:{port}/0", timeout=5)


@pytest.fixture
def dav(tmp_path: Path, service: Callable[[str, str], str]) -> Iterator[WebShelf]:
    port = _free_port()
    nginx = service("dav", "nginx")
    (tmp_path / "files").mkdir()
    # Started by root, nginx would write as somebody who may not look into the folder of a test.
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, user=user))
    with running([nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], port):
        yield WebShelf(f"http://127.0.0.1:{port}/cache", timeout=5)


@pytest.fixture
def s3(tmp_path: Path, service: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectShelf]:
    port = _free_port()
    (tmp_path / "buckets" / "builds").mkdir(parents=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-long-word-for-tests")
    command = [service("s3", "versitygw"), "--access", "tester", "--secret", "a-long-word-for-tests"]
    command += ["--port", f"127.0.0.1:{port}", "posix", str(tmp_path / "buckets")]
    with running(command, port):
        options = {"endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1"}
        yield ObjectShelf("s3://builds/shop", options=options, timeout=5)


@pytest.fixture
def registry(tmp_path: Path, registry_address: str) -> ArtifactShelf:
    return ArtifactShelf(f"{registry_address}/cache-{random.randrange(1 << 40):x}", Host(tmp_path / "host"))


@pytest.fixture(params=["redis", "dav", "s3", "registry"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    found: Shelf = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("size", [0, 100, 12_000_000])
def test_what_is_stored_is_read(shelf: Shelf, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    key = hashlib.sha256(content).hexdigest()
    (tmp_path / "source").write_bytes(content)
    level = ShelvedLevel("x", shelf, secret=b"key")
    assert not level.fetch("blob", key, tmp_path / "into")
    level.store("blob", key, tmp_path / "source")
    level.store("blob", key, tmp_path / "source")
    assert level.fetch("blob", key, tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == content


def test_what_is_forgotten_is_gone(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    level = ShelvedLevel("x", shelf)
    level.store("result", "ab12", tmp_path / "source")
    if isinstance(shelf, Listing):
        assert [one.name for one in shelf.held()] == ["result/ab12"]
    try:
        level.forget("result", "ab12")
    except LevelError:
        # A registry may be set up to delete nothing.
        assert isinstance(shelf, ArtifactShelf)
        return
    level.forget("result", "ab12")
    assert not level.fetch("result", "ab12", tmp_path / "into")


def test_leases_of_stores_that_write_conditionally(shelf: Shelf) -> None:
    if not isinstance(shelf, Conditional):
        return  # others are written as they come
    there = False
    with ShelfLeases(shelf, lambda: None).turn("ab12", lambda: False):
        assert not shelf.create("lease/ab12", b"x")
        there = True
        with pytest.raises(Waited), ShelfLeases(shelf, lambda: None).turn("ab12", lambda: there):
            raise AssertionError("it was not its turn")
    assert shelf.create("lease/ab12", b"x")


def test_redis_forgets_by_age(redis: RedisShelf, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    redis._max_age = 1
    level = ShelvedLevel("x", redis)
    level.store("result", "ab12", tmp_path / "source")
    assert level.fetch("result", "ab12", tmp_path / "into")
    time.sleep(1.2)
    assert not level.fetch("result", "ab12", tmp_path / "into")


def test_a_server_that_went_away_is_an_error(tmp_path: Path) -> None:
    port = _free_port()
    for shelf in (
        RedisShelf(f"redis://127.0.0.1:{port}/0", timeout=1),
        ObjectShelf(
            "s3://b/c", options={"endpoint": f"http://127.0.0.1:{port}", "region": "x", "skip_signature": "true"}, timeout=1
        ),
    ):
        started = time.monotonic()
        with pytest.raises(LevelError):
            ShelvedLevel("x", shelf).fetch("result", "ab12", tmp_path / "into")
        assert time.monotonic() - started < 10
