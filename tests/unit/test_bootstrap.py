"""bootstrap.py: which tool makes the environment, when it is made anew, and what people are told."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with an empty project for its own."""
    spec = importlib.util.spec_from_file_location("bootstrap", FILE)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    (tmp_path / "pyproject.toml").write_text("one", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("two", encoding="utf-8")
    monkeypatch.setattr(made, "ROOT", tmp_path)
    return made


@pytest.fixture
def no_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else found(name))


def test_venv_comes_first(bootstrap: ModuleType) -> None:
    assert bootstrap._maker()[:3] == [sys.executable, "-m", "venv"]


@pytest.mark.usefixtures("no_ensurepip")
@pytest.mark.parametrize("tool", ["uv", "virtualenv"])
def test_another_tool_takes_its_place(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/tools/{name}" if name == tool else None)
    assert bootstrap._maker()[0] == f"/tools/{tool}"


@pytest.mark.usefixtures("no_ensurepip")
def test_without_any_it_says_what_to_install(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    for name in ("VENV", "SCRIPTS", "PYTHON", "STAMP"):
        monkeypatch.setattr(bootstrap, name, tmp_path / ".venv" / name)
    assert bootstrap.main(["pytest"]) == 1
    assert "apt install python3-venv" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_changes_the_stamp(bootstrap: ModuleType, tmp_path: Path, name: str) -> None:
    before = bootstrap._fingerprint()
    assert bootstrap._fingerprint() == before
    (tmp_path / name).write_text("three", encoding="utf-8")
    assert bootstrap._fingerprint() != before


def test_without_a_command_it_says_how_to_use_it() -> None:
    asked = subprocess.run([sys.executable, FILE], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "invoke release" in asked.stderr


def test_exit_code_and_environment_are_the_commands_own(bootstrap: ModuleType, tmp_path: Path) -> None:
    script = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('bootstrap', {str(FILE)!r})\n"
        "made = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(made)\n"
        f"made.SCRIPTS = made.VENV = pathlib.Path({str(Path(sys.executable).parent)!r})\n"
        f"sys.exit(made._run([{sys.executable!r}, '-c', sys.argv[1]]))\n"
    )
    inner = "import os, sys; print(os.environ['PATH'].split(os.pathsep)[0], os.environ['GREETING']); sys.exit(7)"
    done = subprocess.run(
        [sys.executable, "-c", script, inner],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GREETING": "hello", "PYTHONHOME": ""},
    )
    assert (done.returncode, done.stdout.split()) == (7, [str(Path(sys.executable).parent), "hello"])
