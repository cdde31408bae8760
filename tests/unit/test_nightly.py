"""`invoke ci.nightly`: where it writes, what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.test_tasks import invoke, write

GITHUB = ".github/workflows/goctl-nightly.yml"
GITLAB = ".gitlab/goctl-nightly.yml"


def repository(root: Path, folder: str = ".") -> Path:
    (root / ".git").mkdir(parents=True)
    return write(root / folder)


def test_github_is_written_once_and_then_up_to_date(tmp_path: Path) -> None:
    root = repository(tmp_path)
    assert f"{GITHUB} is not what goctl.toml makes it" in invoke(root, "ci.nightly", "--check", code=11)
    assert f"would write {GITHUB}" in invoke(root, "--dry", "ci.nightly")
    assert not (root / GITHUB).exists()
    assert "from goctl.sessions import bench" in invoke(root, "ci.nightly")
    assert f"{GITHUB} is up to date" in invoke(root, "ci.nightly", "--check")
    text = (root / GITHUB).read_text(encoding="utf-8")
    for line in ("working-directory: .", "path: .benchmarks", "dist/benchmark", "go-version-file: go.mod", "nox -s bench"):
        assert line in text
    assert "${{ github.run_id }}" in text
    assert "pull_request" not in text


def test_paths_count_from_the_top_of_the_checkout(tmp_path: Path) -> None:
    root = repository(tmp_path, "services/shop")
    invoke(root, "ci.nightly")
    text = (tmp_path / GITHUB).read_text(encoding="utf-8")
    for line in ("working-directory: services/shop", "path: services/shop/.benchmarks", "services/shop/dist/benchmark"):
        assert line in text


@pytest.mark.parametrize("words", [(), ("--system", "gitlab")], ids=["found", "asked"])
def test_gitlab_is_written_where_it_is_in_use_or_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    root = repository(tmp_path)
    if not words:
        (root / ".gitlab-ci.yml").touch()
    invoke(root, "ci.nightly", *words)
    text = (root / GITLAB).read_text(encoding="utf-8")
    assert "paths: [.benchmarks]" in text
    assert 'if: $CI_PIPELINE_SOURCE == "schedule"' in text
    assert not (root / GITHUB).exists()


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / GITHUB).parent.mkdir(parents=True)
    (root / GITHUB).write_text("name: mine\n", encoding="utf-8")
    assert "was not written by goctl" in invoke(root, "ci.nightly", code=3)
    assert (root / GITHUB).read_text(encoding="utf-8") == "name: mine\n"


def test_another_system_is_refused(tmp_path: Path) -> None:
    assert "there are github, gitlab" in invoke(repository(tmp_path), "ci.nightly", "--system", "jenkins", code=3)
