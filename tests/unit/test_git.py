"""What git says of a checkout, in every state a checkout can be in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from goctl.config.model import BuildKit, Config, Project, Publish, Target
from goctl.errors import ConfigError
from goctl.plan.facts import Git
from goctl.release import git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def run(folder: Path, *args: str, date: int = 1_700_000_000) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "n", f"GIT_{who}_EMAIL": "n@example.com", f"GIT_{who}_DATE": f"{date} +0000"}
    return subprocess.run(["git", *args], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    run(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def commit(folder: Path, text: str = "a") -> str:
    (folder / "file").write_text(text)
    run(folder, "add", "file")
    run(folder, "commit", "--quiet", "--message", text)
    return run(folder, "rev-parse", "HEAD")


def looked(folder: Path, prefix: str = "") -> Git:
    found = git.look(folder, prefix)
    assert found is not None
    return found


def test_no_checkout_and_no_commit_say_nothing(tmp_path: Path, checkout: Path) -> None:
    assert git.look(checkout) is None
    alone = tmp_path / "alone"
    alone.mkdir()
    assert git.look(alone) is None


def test_no_git_says_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(checkout)
    monkeypatch.setenv("PATH", str(checkout))
    assert git.look(checkout) is None


def test_a_commit_without_tags_sorts_before_every_release(checkout: Path) -> None:
    sha = commit(checkout)
    found = looked(checkout)
    assert found == Git(sha, sha[:7], "main", f"v0.0.0-{sha[:7]}", 1_700_000_000, dirty=False)
    (checkout / "file").write_text("edited")
    assert looked(checkout).describe == f"v0.0.0-{sha[:7]}-dirty"
    assert looked(checkout).dirty


@pytest.mark.parametrize("tag", ["v1.2.0", "1.2.0", "release/v1"])
def test_a_tag_is_the_version(checkout: Path, tag: str) -> None:
    commit(checkout)
    run(checkout, "tag", tag)
    assert looked(checkout).describe == tag
    sha = commit(checkout, "b")
    assert looked(checkout).describe == f"{tag}-1-g{sha[:7]}"


def test_checksums_that_go_adds_in_a_workspace_make_nothing_dirty(checkout: Path) -> None:
    for name in ("go.work.sum", "below/go.work.sum", "go.sum"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("a\n")
    run(checkout, "add", ".")
    commit(checkout)
    for name in ("go.work.sum", "below/go.work.sum"):
        (checkout / name).write_text("a\nb\n")
    assert not looked(checkout).dirty
    assert not looked(checkout / "below").dirty
    (checkout / "go.sum").write_text("a\nb\n")
    assert looked(checkout).dirty
    assert looked(checkout / "below").dirty


def test_a_detached_head_has_no_branch(checkout: Path) -> None:
    run(checkout, "checkout", "--quiet", commit(checkout))
    assert looked(checkout).branch == "HEAD"


def test_a_work_tree_beside_and_a_folder_below_count(checkout: Path, tmp_path: Path) -> None:
    sha = commit(checkout)
    run(checkout, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "beside"))
    assert looked(tmp_path / "beside").branch == "other"
    (checkout / "below").mkdir()
    assert looked(checkout / "below").sha == sha


def test_a_shallow_clone_has_a_version_too(checkout: Path, tmp_path: Path) -> None:
    commit(checkout)
    run(checkout, "tag", "v1.0.0")
    sha = commit(checkout, "b")
    run(tmp_path, "clone", "--quiet", "--depth=1", checkout.as_uri(), "shallow")
    assert looked(tmp_path / "shallow").describe == f"v0.0.0-{sha[:7]}"


@pytest.mark.parametrize("prefix", ["shop/", "shop-", "[x]*/", "a?b/"])
def test_only_tags_with_the_prefix_count(checkout: Path, prefix: str) -> None:
    commit(checkout)
    named = prefix.replace("[", "x").replace("]", "x").replace("*", "x").replace("?", "x")
    run(checkout, "tag", f"{named}v1.0.0")
    run(checkout, "tag", "v9.0.0")
    run(checkout, "tag", "other/v8.0.0")
    expected = "v1.0.0" if named == prefix else f"v0.0.0-{looked(checkout).short}"
    assert looked(checkout, prefix).describe == expected


def test_looking_writes_nothing(checkout: Path) -> None:
    commit(checkout)
    before = {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")}
    os.utime(checkout / "file")
    looked(checkout)
    assert {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")} == before


def config(version: str, **more: object) -> Config:
    return Config(project=Project(version=version), **more)  # type: ignore[arg-type]


def test_a_version_comes_from_a_file_or_is_itself(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_bytes(b"\xef\xbb\xbf 1.4.0 \r\nsecond\r\n")
    assert git.version(config("file:VERSION"), tmp_path, None) == "1.4.0"
    assert git.version(config("2.0"), tmp_path, None) == "2.0"
    assert git.version(config("git"), tmp_path, None) is None


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"\n1.0", "is empty"), (b"\xff\xfe", "cannot be read")])
def test_a_file_without_a_version_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "VERSION").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        git.version(config("file:VERSION"), tmp_path, None)


def test_a_missing_file_and_one_outside_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        git.version(config("file:VERSION"), tmp_path, None)
    with pytest.raises(ConfigError, match="leaves the project"):
        git.version(config("file:../VERSION"), tmp_path, None)


def test_git_is_asked_only_where_its_answer_counts() -> None:
    plain = {"a": Target(packages=("./a",))}
    stamped = {"a": Target(packages=("./a",), stamp="label")}
    for made, expected in (
        (config("git", targets=plain), False),
        (config("git", targets=stamped), True),
        (config("1.0", targets=stamped), True),
        (config("git", targets=plain, publish=Publish(tags=("{version}",))), True),
        (config("1.0", targets=plain, publish=Publish(tags=("{version}",))), False),
        (config("1.0", targets=plain, publish=Publish(tags=("{git.short}",))), True),
        (config("1.0", targets=plain, buildkit=BuildKit(cache_to=("type=registry,ref={registry}/c:{git.branch}",))), True),
        (config("1.0", targets=plain, buildkit=BuildKit(cache_from=("type=registry,ref={registry}/c",))), False),
    ):
        assert git.needs_git(made, git.wanted_names(made)) is expected
