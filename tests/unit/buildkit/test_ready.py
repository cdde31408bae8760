"""Which builder a build uses, and by which command: the plugin where it knows of the builder, docker where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from goctl.buildkit import builders, plugin
from goctl.buildkit.docker import BUILDX
from goctl.buildkit.nodes import Builder, Node
from goctl.config.loader import load
from goctl.errors import BuilderError
from goctl.release import buildkit_ready
from goctl.release.session import Session

FARM = Builder("farm", "remote", nodes=(Node("farm0", "tcp://farm:1", "running"),))
Asked = list[tuple[str, ...]]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "goctl.toml").write_text('[project]\nname = "shop"\n[buildkit]\nbuilder = "farm"\n', encoding="utf-8")
    return Session(load(tmp_path / "goctl.toml", environment={}), emit=lambda event: None)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "docker-buildx"
    path.write_bytes(b"")
    path.chmod(0o755)
    monkeypatch.setattr(plugin, "find_plugin", lambda: str(path))
    return str(path)


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    """What each command tells of builders: the plugin and docker."""

    def use(by_plugin: Sequence[Builder] | BuilderError, by_docker: Sequence[Builder] = (FARM,)) -> Asked:
        asked: Asked = []

        def answer(command: Sequence[str] = BUILDX) -> tuple[Builder, ...]:
            asked.append(tuple(command))
            told = by_docker if command == BUILDX else by_plugin
            if isinstance(told, BuilderError):
                raise told
            return tuple(told)

        monkeypatch.setattr(builders, "builders", answer)
        return asked

    return use


def test_the_plugin_is_used_where_it_knows_of_the_builder(session: Session, own: str, listing: Callable[..., Asked]) -> None:
    asked = listing([FARM])
    assert buildkit_ready.remembered(session) is None
    found = buildkit_ready.ready(session)
    assert buildkit_ready.remembered(session) == found
    assert found.builder == FARM
    assert found.buildx == (own,)
    assert asked == [(own,)]


@pytest.mark.parametrize("told", [[], [Builder("other")], BuilderError("it cannot be started")])
def test_docker_is_asked_where_it_does_not(
    session: Session, own: str, listing: Callable[..., Asked], told: Sequence[Builder] | BuilderError
) -> None:
    asked = listing(told)
    found = buildkit_ready.ready(session)
    assert found.builder == FARM
    assert found.buildx == BUILDX
    assert asked == [(own,), BUILDX]


def test_a_plugin_that_has_gone_is_not_used(session: Session, own: str, listing: Callable[..., Asked]) -> None:
    listing([FARM])
    found = buildkit_ready.ready(session)
    Path(own).unlink()
    assert found.buildx == BUILDX


def test_another_docker_on_path_is_looked_at_anew(
    session: Session, own: str, listing: Callable[..., Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing([FARM])
    buildkit_ready.ready(session)
    (tmp_path / "bin").mkdir()
    for name in ("docker", "docker.exe"):
        (tmp_path / "bin" / name).write_bytes(b"")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert buildkit_ready.remembered(session) is None
