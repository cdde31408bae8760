"""`--since`: only what is made differently counts, by the graph of packages and not by folders; nothing is left behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.go.conftest import FILES, write
from tests.go.test_release import TASKS, Project

TOML = """[project]
name = "shop"
version = "git"

[platforms]
default = ["linux/amd64"]

[targets.api]
packages = ["./cmd/api"]
stamp = "binary"
ldflags = ["-X main.version={version}"]

[targets.worker]
packages = ["./cmd/worker"]

[targets.worker.image]
assets = { "web" = "/srv" }
labels = { "team" = "shop" }

[registries.local]
url = "oci-layout:dist/images"
"""


def git(root: Path, *args: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *args], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, words: str = "x") -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", words)


def checkout(root: Path, files: dict[str, str]) -> Project:
    """A repository with one commit on `main`, and a branch of work on it."""
    write(root, {**files, "tasks.py": TASKS, ".gitignore": "/dist/\n.goctl/\nweb/built.txt\n*_gen.go\n"})
    git(root, "init", "-q", "-b", "main")
    commit(root)
    git(root, "checkout", "-qb", "work")
    return Project(root)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("git") is None or shutil.which("go") is None:
        pytest.skip("needs git and go")
    root = tmp_path_factory.mktemp("template") / "shop"
    checkout(root, {**FILES, "goctl.toml": TOML, "web/a.txt": "a\n"})
    return root


@pytest.fixture
def shop(template: Path, tmp_path: Path) -> Project:
    shutil.copytree(template, tmp_path / "shop", symlinks=True)
    return Project(tmp_path / "shop")


def asked(project: Project, *args: str) -> dict[str, Any]:
    found = [event for event in project.events("affected", *args) if event["event"] == "document"]
    return dict(found[-1]["data"])


def reasons(project: Project, *args: str) -> dict[str, list[str]]:
    return {row["select"]: row["reasons"] for row in asked(project, *args)["include"]}


def test_without_a_change_nothing_is_affected_and_nothing_is_left(shop: Project) -> None:
    before = {path: path.read_bytes() for path in shop.root.rglob("*") if path.is_file()}
    scratch = set(Path(tempfile.gettempdir()).glob("goctl-since-*"))
    assert asked(shop)["include"] == []
    assert {path: path.read_bytes() for path in shop.root.rglob("*") if path.is_file()} == before
    assert set(Path(tempfile.gettempdir()).glob("goctl-since-*")) <= scratch
    assert git(shop.root, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"internal/text/text.go": FILES["internal/text/text.go"] + "\nvar more = 1\n"}, {"shop:api"}),
        ({"internal/text/pages/new.html": "<p>new</p>\n"}, {"shop:api"}),
        ({"internal/text/pages/a.html": "<p>other</p>\n"}, {"shop:api"}),
        ({"third/dep/dep.go": 'package dep\n\nconst Name = "other"\n'}, {"shop:api"}),
        ({"cmd/worker/motd/today.txt": "bye\n"}, {"shop:worker"}),
        ({"web/a.txt": "b\n"}, {"shop:worker"}),
        ({"internal/text/text_test.go": "package text\n\n// more\n"}, set()),
        ({"README.md": "words\n", "internal/text/two/unused.txt": "x\n", "cmd/other/main.go": "package main\n"}, set()),
        ({"goctl.toml": TOML.replace('"team" = "shop"', '"team" = "ours"')}, {"shop:worker"}),
        ({"goctl.toml": TOML.replace('["linux/amd64"]', '["linux/amd64", "linux/arm64"]')}, {"shop:api", "shop:worker"}),
        ({"goctl.toml": TOML.replace("dist/images", "dist/elsewhere")}, {"shop:api", "shop:worker"}),
        ({"goctl.toml": TOML + '\n[publish]\ntags = ["other"]\n'}, {"shop:api", "shop:worker"}),
        ({"goctl.toml": TOML + '\n[targets.third]\npackages = ["./cmd/worker"]\n'}, {"shop:third"}),
        ({"goctl.toml": TOML + "\n# words\n"}, set()),
    ],
)  # fmt: skip
def test_what_counts_is_what_a_target_is_made_from(shop: Project, change: dict[str, str], expected: set[str]) -> None:
    write(shop.root, change)
    assert set(reasons(shop)) == expected


def test_a_commit_counts_as_an_edit_does(shop: Project) -> None:
    write(shop.root, {"third/dep/dep.go": 'package dep\n\nconst Name = "other"\n'})
    commit(shop.root)
    assert reasons(shop) == {"shop:api": ["example.com/dep/dep.go changed"]}


def test_a_file_that_is_gone_counts_and_is_named(shop: Project) -> None:
    (shop.root / "internal/text/pages/deep/b.html").unlink()
    assert reasons(shop) == {"shop:api": ["example.com/shop/internal/text/pages/deep/b.html was removed"]}


def test_another_commit_alone_affects_nothing_although_it_is_stamped(shop: Project) -> None:
    write(shop.root, {"README.md": "words\n"})
    commit(shop.root)
    assert reasons(shop) == {}


def test_what_the_other_branch_did_meanwhile_does_not_count(shop: Project) -> None:
    git(shop.root, "checkout", "-q", "main")
    write(shop.root, {"cmd/worker/motd/today.txt": "theirs\n"})
    commit(shop.root)
    git(shop.root, "checkout", "-q", "work")
    write(shop.root, {"third/dep/dep.go": 'package dep\n\nconst Name = "mine"\n'})
    assert set(reasons(shop)) == {"shop:api"}


def test_what_git_ignores_is_no_change(shop: Project) -> None:
    write(shop.root, {"cmd/worker/made_gen.go": "package main\n\nvar made = 1\n", "web/built.txt": "built\n"})
    assert reasons(shop) == {}


def test_a_release_since_a_commit_makes_only_what_is_affected(shop: Project) -> None:
    assert not [step for step in shop.outcomes("release", "--since", "main") if not step.startswith("mod:")]
    assert "nothing is affected since main" in shop.invoke("release", "--since", "main")
    write(shop.root, {"web/a.txt": "b\n"})
    steps = shop.outcomes("release", "--since", "main")
    assert steps["push:worker>local"] == "done"
    assert not any("api" in step for step in steps)
    told = next(event["data"] for event in shop.events("plan", "--since", "main") if event["event"] == "document")
    assert {step["kind"] for step in told["steps"]} == {"compile", "image", "index", "push"}
    assert not any("api" in step["id"] for step in told["steps"])
    assert "nothing is affected" in shop.invoke("build", "--since", "main", "--select", "api")


@pytest.mark.parametrize(
    ("reference", "words"),
    [("nowhere", "'nowhere' is no commit that is here"), ("--output=x", "names no commit"), ("main^{tree}", "is no commit")],
)
def test_what_is_no_commit_is_refused(shop: Project, reference: str, words: str) -> None:
    assert words in shop.invoke("affected", f"--since={reference}", code=3)


def test_without_a_checkout_it_says_so(shop: Project) -> None:
    shutil.rmtree(shop.root / ".git")
    assert "this is not a git checkout" in shop.invoke("affected", code=3)


def test_a_commit_that_cannot_be_planned_affects_everything_and_says_why(shop: Project) -> None:
    git(shop.root, "checkout", "-q", "main")
    write(shop.root, {"goctl.toml": "[targets.api]\n"})
    commit(shop.root, "broken")
    git(shop.root, "checkout", "-qb", "mended")
    write(shop.root, {"goctl.toml": TOML})
    commit(shop.root, "mended")
    found = reasons(shop, "--since", "HEAD~1")
    assert set(found) == {"shop:api", "shop:worker"}
    assert "that commit cannot be planned" in found["shop:api"][0]


def test_a_submodule_counts_by_its_files(shop: Project, tmp_path: Path) -> None:
    dep = tmp_path / "dep"
    write(dep, {"go.mod": "module example.com/dep\n\ngo 1.24\n", "dep.go": 'package dep\n\nconst Name = "one"\n'})
    git(dep, "init", "-q", "-b", "main")
    commit(dep)
    shutil.rmtree(shop.root / "third")
    git(shop.root, "rm", "-rq", "--cached", "third")
    git(shop.root, "submodule", "add", "-q", str(dep), "third/dep")
    commit(shop.root, "submodule")
    assert reasons(shop, "--since", "HEAD") == {}
    write(shop.root, {"third/dep/dep.go": 'package dep\n\nconst Name = "two"\n'})
    assert set(reasons(shop, "--since", "HEAD")) == {"shop:api"}


def test_of_a_workspace_only_importers_are_affected_and_new_projects(tmp_path: Path) -> None:
    main = 'package main\n\nimport "example.com/mono/lib"\n\nfunc main() { println(lib.Name) }\n'
    project = checkout(
        tmp_path / "mono",
        {
            "go.mod": "module example.com/mono\n\ngo 1.24\n",
            "goctl.toml": '[workspace]\nmembers = ["services/*"]\n[platforms]\ndefault = ["linux/amd64"]\n',
            "lib/lib.go": 'package lib\n\nconst Name = "a"\n',
            "services/a/goctl.toml": "",
            "services/a/cmd/a/main.go": main,
            "services/b/goctl.toml": "",
            "services/b/cmd/b/main.go": "package main\n\nfunc main() {}\n",
        },
    )
    write(project.root, {"lib/lib.go": 'package lib\n\nconst Name = "b"\n'})
    assert reasons(project) == {"a:a": ["example.com/mono/lib/lib.go changed"]}
    assert reasons(Project(project.root), "--select", "b:*") == {}
    write(project.root, {"services/c/goctl.toml": "", "services/c/cmd/c/main.go": "package main\n\nfunc main() {}\n"})
    assert reasons(project)["c:c"] == ["the project is new"]
    assert json.dumps(asked(project)["include"][0]["platforms"]) == '["linux/amd64"]'
