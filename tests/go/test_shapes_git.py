"""What a release makes of the checkout: dirty trees, shallow clones, submodules, work trees, and no git at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.go.conftest import write
from tests.go.project import Project, done
from tests.go.shapes import APP, MAIN, MOD, PROGRAM, TOML, check_change, edit, holds, importing, make, says
from tests.unit.test_git import run as git

pytestmark = [pytest.mark.usefixtures("go"), pytest.mark.skipif(shutil.which("git") is None, reason="needs git")]

GIT_TOML = TOML.replace('version = "1.0"\n', "") + APP
#: The version in the program, and in a tag.
VERSIONED = (
    GIT_TOML
    + 'stamp = "binary"\nldflags = ["-X main.version={version}"]\n[publish]\ntags = ["{version}"]\n'
    + '[registries.local]\nurl = "oci-layout:dist/images"\n'
)
FILES = {
    "cmd/app/main.go": 'package main\n\nvar version = "none"\n\nfunc main() { println("version", version) }\n',
    ".gitignore": "/dist/\n__pycache__/\n",
    "README.md": "read\n",
}


def checkout(root: Path, toml: str = VERSIONED, tag: str = "v1.2.0") -> Project:
    project = make(root, FILES, toml)
    git(root, "init", "--quiet", "--initial-branch=main")
    project.invoke("release", "--select", "app") if "{version}" not in toml else None
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    if tag:
        git(root, "tag", tag)
    return project


def tags(project: Project) -> set[str]:
    """The tags of the last release."""
    return {name.partition(":")[2] for name in project.digests()}


def test_a_tag_is_the_version_and_an_edit_makes_it_dirty(tmp_path: Path) -> None:
    project = checkout(tmp_path)
    project.invoke("release")
    assert tags(project) == {"v1.2.0"}
    assert holds(project, "v1.2.0")
    # What a release leaves behind, and files that git does not know, make nothing dirty.
    write(tmp_path, {"notes.txt": "new\n", "docs/more.txt": "new\n"})
    assert "nothing to do" in project.invoke("release")
    edit("README.md", "another\n")(tmp_path)
    project.invoke("release")
    assert tags(project) == {"v1.2.0", "v1.2.0-dirty"}
    assert holds(project, "v1.2.0-dirty")
    # Back to what was committed, though written anew.
    edit("README.md", "read\n")(tmp_path)
    project.invoke("release")
    assert not holds(project, "-dirty")


@pytest.mark.parametrize("change", ["staged", "removed", "mode", "added"])
def test_what_git_takes_for_a_change_makes_dirty(change: str, tmp_path: Path) -> None:
    project = checkout(tmp_path)
    match change:
        case "staged":
            edit("README.md", "another\n")(tmp_path)
            git(tmp_path, "add", "README.md")
        case "removed":
            (tmp_path / "README.md").unlink()
        case "added":
            edit("new.txt", "new\n")(tmp_path)
            git(tmp_path, "add", "new.txt")
        case _:
            if os.name == "nt":
                pytest.skip("no modes on Windows")
            (tmp_path / "README.md").chmod(0o755)
    project.invoke("release")
    assert tags(project) == {"v1.2.0-dirty"}


def test_a_shallow_clone(tmp_path: Path) -> None:
    project = checkout(tmp_path / "origin")
    edit("README.md", "second\n")(project.root)
    git(project.root, "commit", "--quiet", "--all", "--message", "two")
    short = git(project.root, "rev-parse", "--short=7", "HEAD")
    for name, more in (("none", ()), ("tagged", ("--branch=v1.2.0",))):
        git(tmp_path, "clone", "--quiet", "--depth=1", *more, project.root.as_uri(), name)
    without, tagged = Project(tmp_path / "none"), Project(tmp_path / "tagged")
    said = without.invoke("release")
    assert tags(without) == {f"v0.0.0-{short}"}
    assert "git fetch --unshallow --tags" in said
    said = tagged.invoke("release")
    assert tags(tagged) == {"v1.2.0"}
    assert "shallow" not in said
    git(without.root, "fetch", "--quiet", "--unshallow", "--tags")
    assert "shallow" not in without.invoke("release")
    assert f"v1.2.0-1-g{short}" in tags(without)


def test_a_work_tree_beside_is_a_checkout_of_its_own(tmp_path: Path) -> None:
    project = checkout(tmp_path / "shop")
    git(project.root, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "beside"))
    beside = Project(tmp_path / "beside")
    project.invoke("release")
    beside.invoke("release")
    assert project.digests() == beside.digests()
    edit("README.md", "another\n")(beside.root)
    beside.invoke("release")
    assert tags(beside) == {"v1.2.0", "v1.2.0-dirty"}
    assert "nothing to do" in project.invoke("release")


def test_a_submodule_that_holds_a_replaced_module(tmp_path: Path) -> None:
    write(tmp_path / "dep", {"go.mod": "module example.com/dep\n\ngo 1.24\n", "dep.go": says("shape.before", "dep")})
    git(tmp_path / "dep", "init", "--quiet", "--initial-branch=main")
    git(tmp_path / "dep", "add", ".")
    git(tmp_path / "dep", "commit", "--quiet", "--message", "dep")
    project = checkout(tmp_path / "shop", tag="")
    root = project.root
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", (tmp_path / "dep").as_uri(), "third/dep")
    replaced = MOD + "\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./third/dep\n"
    write(root, {"go.mod": replaced, "cmd/app/main.go": importing("example.com/dep") + '\nvar version = "none"\n'})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "with dep")
    git(root, "tag", "v2.0.0")

    project.invoke("release")
    assert tags(project) == {"v2.0.0"}
    write(root, {"third/dep/notes.txt": "unknown to git\n"})
    assert "nothing to do" in project.invoke("release")
    edit("third/dep/dep.go", says("shape.after", "dep"))(root)
    project.invoke("release")
    assert tags(project) == {"v2.0.0", "v2.0.0-dirty"}
    assert holds(project, "shape.after")
    # Another commit of the submodule than the one that was committed is a change too.
    git(root / "third/dep", "commit", "--quiet", "--all", "--message", "shape.after")
    assert "nothing to do" in project.invoke("release")
    git(root, "commit", "--quiet", "--all", "--message", "newer dep")
    short = git(root, "rev-parse", "--short=7", "HEAD")
    project.invoke("release")
    assert f"v2.0.0-1-g{short}" in tags(project)

    # As after a clone that left submodules out.
    git(root, "submodule", "--quiet", "deinit", "--force", "third/dep")
    said = project.invoke("release", code=5)
    assert "third/dep" in said
    assert "git submodule update --init" in said


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('[publish]\ntags = ["{version}"]\n', 'set project.version to a literal or to "file:VERSION"'),
        ('[publish]\ntags = ["{git.short}"]\n', "run `git init` and commit, or do without {git.*}"),
        ('[publish]\ntags = ["{git.branch}"]\n', "run `git init` and commit, or do without {git.*}"),
    ],
)
@pytest.mark.parametrize("there", ["no checkout", "no commit", "no git"])
def test_without_a_checkout_templates_say_what_to_do(
    setting: str, words: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(tmp_path / "shop", FILES, GIT_TOML + setting)
    if there != "no checkout":
        git(project.root, "init", "--quiet")
    if there == "no git":
        git(project.root, "add", ".")
        git(project.root, "commit", "--quiet", "--message", "one")
        hide_git(tmp_path, monkeypatch)
    said = project.invoke("release", code=3)
    assert words in said
    assert "no git checkout with a commit, or git was not found" in said


def hide_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which there is go, and no git."""
    found = shutil.which("go")
    assert found is not None
    monkeypatch.setenv("PATH", os.path.dirname(os.path.realpath(found)))
    if shutil.which("git") is not None:
        pytest.skip("git stands beside go")


def test_no_git_is_needed_where_nothing_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(tmp_path / "shop", {"cmd/app/main.go": MAIN}, GIT_TOML)
    hide_git(tmp_path, monkeypatch)
    check_change(project, edit("cmd/app/text.go", says("shape.after")), "shape.after")


def test_a_stamp_without_a_checkout_leaves_out_what_nobody_knows(tmp_path: Path) -> None:
    project = make(tmp_path, {"cmd/app/main.go": MAIN}, GIT_TOML + 'stamp = "label"\n')
    project.invoke("release")
    assert done(project.outcomes()) == set()


def test_a_checkout_of_somebody_else_says_what_to_do(tmp_path: Path) -> None:
    project = checkout(tmp_path)
    # As in a container in which the checkout was mounted (git, t/t0033-safe-directory.sh).
    said = project.invoke("release", code=3, GIT_TEST_ASSUME_DIFFERENT_OWNER="1", GIT_CONFIG_GLOBAL=os.devnull)
    assert "safe.directory" in said
    assert (tmp_path / PROGRAM).exists() is False
