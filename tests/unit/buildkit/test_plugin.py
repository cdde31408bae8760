"""buildx without docker in front of it: only where docker's command is its own, and tells where it finds the plugin."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from goctl.buildkit import plugin
from goctl.buildkit.plugin import find_plugin
from goctl.errors import BuilderError
from goctl.system.process import Completed

NAMED = "docker-buildx.exe" if os.name == "nt" else "docker-buildx"
COMMAND = "docker.exe" if os.name == "nt" else "docker"


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, content: bytes = b"\x7fELF") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[object], None]:
    """What docker tells of its plugins."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def tell(answer: object, code: int = 0) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        monkeypatch.setattr(plugin, "docker", lambda args, **more: Completed(tuple(args), code, text.encode(), b""))

    return tell


def named(path: Path | str, name: str = "buildx") -> dict[str, str]:
    return {"Name": name, "Path": str(path), "Vendor": "Docker Inc."}


@pytest.mark.parametrize("code", [0, 1])
def test_the_plugin_that_docker_runs(program: Callable[..., Path], told: Callable[..., None], code: int) -> None:
    path = program(NAMED)
    program(f"bin/{COMMAND}")
    told([named(program("docker-compose"), "compose"), named(path)], code)
    assert find_plugin() == str(path)


@pytest.mark.parametrize(
    "answer", ["", "null", "no JSON", "[1]", "{}", [], [named("docker-buildx")], [named("/nowhere/docker-buildx")]]
)
def test_docker_tells_of_none(program: Callable[..., Path], told: Callable[..., None], answer: object) -> None:
    program(f"bin/{COMMAND}")
    told(answer)
    assert find_plugin() == ""


def test_a_plugin_of_another_name_is_none(program: Callable[..., Path], told: Callable[..., None]) -> None:
    program(f"bin/{COMMAND}")
    told([named(program("wrapped"))])
    assert find_plugin() == ""


def test_a_script_may_choose_what_docker_does(program: Callable[..., Path], told: Callable[..., None]) -> None:
    told([named(program(NAMED))])
    assert find_plugin() == ""  # no docker at all
    program(f"bin/{COMMAND}", b"#!/bin/sh\nDOCKER_HOST=x exec /usr/bin/docker $@\n")
    assert find_plugin() == ""


@pytest.mark.skipif(os.name == "nt", reason="links need leave there")
def test_docker_may_be_a_link_to_itself_and_to_nothing_else(
    program: Callable[..., Path], told: Callable[..., None], tmp_path: Path
) -> None:
    path = program(NAMED)
    told([named(path)])
    link = tmp_path / "bin/docker"
    link.symlink_to(program("snap"))
    assert find_plugin() == ""
    link.unlink()
    link.symlink_to(program("cellar/docker"))
    assert find_plugin() == str(path)


def test_docker_that_does_not_answer(
    program: Callable[..., Path], told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(args: list[str], **more: object) -> Completed:
        raise BuilderError("docker took too long")

    program(f"bin/{COMMAND}")
    told([])
    monkeypatch.setattr(plugin, "docker", silent)
    assert find_plugin() == ""
