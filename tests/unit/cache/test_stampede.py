"""64 processes want one thing that nobody has: one of them makes it, in whatever kind of level they meet."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services import objects, stores

from goctl.cache import lease

pytestmark = pytest.mark.slow
CROWD = 64
KINDS = ["disk", "shared", *(pytest.param(one, marks=pytest.mark.integration) for one in ("redis", "s3"))]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The kind of a level, and where it is."""
    kind = request.param
    if kind in ("disk", "shared"):
        yield kind, str(tmp_path / "level")
        return
    service = request.getfixturevalue("service")
    if kind == "redis":
        with stores.redis(service("redis", "redis-server"), tmp_path) as url:
            yield kind, url
        return
    for name, value in objects.login(objects.OWNER).items():
        monkeypatch.setenv(name, value)
    with objects.serving(service("s3", "versitygw"), tmp_path / "server") as server:
        yield kind, json.dumps(server.options)


def made(tmp_path: Path, place: tuple[str, str], *more: str) -> int:
    """How many of a crowd made what all of them wanted, and have."""
    folder = tmp_path / "crowd"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.services.crowd", *place, str(folder), str(CROWD), *more]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return len((folder / "made").read_bytes())


def test_of_64_processes_one_makes_it(tmp_path: Path, place: tuple[str, str]) -> None:
    started = time.monotonic()
    assert made(tmp_path, place) == 1
    # Nobody waited for a lease to end.
    assert time.monotonic() - started < lease.LENGTH * 4


def test_of_64_processes_two_make_it_where_the_first_is_killed(tmp_path: Path, place: tuple[str, str]) -> None:
    assert made(tmp_path, place, "killed") == 2
