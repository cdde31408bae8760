"""What the documents show is true: their Python compiles, their goctl.toml load, the tasks and links they name exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from goctl import namespace
from goctl.config.loader import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("examples/*/*.md")]
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def fences(language: str, *names: str) -> list[object]:
    """The fenced blocks of a language, of all documents or of those named."""
    found = []
    for path in [ROOT / name for name in names] or DOCUMENTS:
        for number, match in enumerate(FENCE.finditer(path.read_text(encoding="utf-8")), 1):
            if match[1] == language:
                found.append(pytest.param(match[2], id=f"{path.relative_to(ROOT).as_posix()}-{number}"))
    return found


@pytest.mark.parametrize("text", fences("python"))
def test_python_compiles(text: str) -> None:
    ast.parse(text)


@pytest.mark.parametrize("text", fences("toml"))
def test_toml_is_toml(text: str) -> None:
    tomllib.loads(text)


@pytest.mark.parametrize("text", fences("toml", "README.md"))
def test_the_readmes_goctl_toml_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "cmd" / "api").mkdir(parents=True)
    (tmp_path / "cmd" / "api" / "main.go").write_text("package main\n\nfunc main() {}\n", encoding="utf-8")
    (tmp_path / "services" / "api").mkdir(parents=True)
    (tmp_path / "services" / "api" / "goctl.toml").touch()
    (tmp_path / "goctl.toml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "goctl.toml").config
    assert "[project]" not in text or config.project.name == "shop"


def test_the_projects_own_goctl_toml_loads() -> None:
    assert set(load(ROOT / "goctl.toml").config.targets) == {"api", "worker"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tasks_that_are_named_exist(path: Path) -> None:
    known = {name for pair in namespace(ROOT / "goctl.toml").task_names.items() for name in (pair[0], *pair[1])}
    code = re.findall(r"`invoke ([^`]+)`|^    .*\binvoke (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    words = [[word for word in "".join(pair).split() if not word.startswith("-")] for pair in code]
    # `api` stands for a project of a workspace.
    assert {first.removeprefix("api.") for first, *_ in filter(None, words)} <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
