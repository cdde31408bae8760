"""Workspaces as invoke shows them: one namespace, sub-collections, and tasks.py files that people write by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.test_tasks import TASKS, invoke, listed

from goctl import tasks

TARGET = '[targets.x]\npackages = ["./cmd/x"]\n'
TOP = '[workspace]\nmembers = ["services/*"]\n'
OWN = set(tasks._tasks(Path("x")))


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return root


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    files = {"goctl.toml": TOP, "tasks.py": TASKS, "services/api/goctl.toml": TARGET, "services/web/goctl.toml": TARGET}
    return write(tmp_path / "mono", files)


def test_a_sub_collection_for_each_project(mono: Path) -> None:
    assert set(listed(mono)) == OWN | {f"{name}.{task}" for name in ("api", "web") for task in OWN}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("build", "api"), ("project-build", "api")),
        (("mod", "base"), ("project-mod", "project-base")),
        (("build", "project-build"), ("project-build", "project-project-build")),
        (("my_api", "my-api"), ("my-api", "project-my-api")),
        (("a.b", "go.env"), ("a-b", "go-env")),
    ],
)
def test_names_that_invoke_would_take_for_others(tmp_path: Path, names: tuple[str, str], shown: tuple[str, str]) -> None:
    root = write(tmp_path / "mono", {"goctl.toml": TOP, "tasks.py": TASKS})
    for number, name in enumerate(names):
        write(root, {f"services/{number}/goctl.toml": f'[project]\nname = "{name}"\n{TARGET}'})
    found = set(listed(root))
    assert found == OWN | {f"{name}.{task}" for name in shown for task in OWN}
    for name, one in zip(names, shown, strict=True):
        assert [row[1] for row in _table(invoke(root, f"{one}.config", "--json"), "config") if row[0] == "project.name"] == [
            name
        ]


@pytest.mark.parametrize("broken", ["[[[", "[project]\nname = 3\n", "\0", '[project]\nname = "No Name!"\n'])
def test_the_list_is_whole_when_a_member_is_broken(mono: Path, broken: str) -> None:
    write(mono, {"services/web/goctl.toml": broken})
    found = {name.partition(".")[0] for name in listed(mono) if name.endswith(".release")}
    assert "api" in found
    assert len(found) == 2
    # The others work, and the whole says which file to mend.
    assert "targets.x.packages" in invoke(mono, "api.config")
    assert f"services{Path('/')}web{Path('/')}goctl.toml:" in invoke(mono, "config", code=3)


@pytest.mark.parametrize("top", ["[workspace]\nmembers = 3\n", "[workspace\n", TOP.replace("services", "nobody")])
def test_the_list_is_there_when_the_workspaces_file_is_broken(mono: Path, top: str) -> None:
    write(mono, {"goctl.toml": top})
    assert set(listed(mono)) == OWN


def test_config_tells_every_projects_settings_and_a_members_its_own(mono: Path) -> None:
    write(mono, {"services/web/goctl.toml": TARGET + '[project]\nneeds = ["api"]\n'})
    both = invoke(mono, "config")
    assert both.index("api: config") < both.index("web: config")
    assert "api: config" not in invoke(mono, "web.config")
    inside = write(mono / "services/web", {"tasks.py": TASKS})
    assert "api: config" not in invoke(inside, "config")
    assert "environment GOCTL_IMAGE_USER" in invoke(mono, "config", GOCTL_IMAGE_USER="1")


def test_doctor_looks_at_every_project(mono: Path) -> None:
    write(mono, {"go.mod": "module example.com/mono\n\ngo 1.24\n"})
    rows = {row[0]: row[1] for row in _table(invoke(mono, "doctor", "--json", code=None), "doctor")}
    assert rows["api: goctl.toml"] == rows["web: goctl.toml"] == "ok"
    assert "goctl.toml" in {row[0] for row in _table(invoke(mono, "api.doctor", "--json", code=None), "doctor")}
    write(mono, {"services/web/goctl.toml": "nonsense = 1\n", "goctl.toml": TOP + "rubbish = 1\n"})
    text = invoke(mono, "doctor", code=3)
    assert "goctl.toml:3" in text
    assert "web" in text


def _table(text: str, title: str) -> list[list[str]]:
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return next(event["rows"] for event in events if event["event"] == "table" and event["title"] == title)


def test_clean_takes_what_is_shared_and_what_is_a_members(mono: Path) -> None:
    write(mono, {"services/own/goctl.toml": TARGET + '[release]\ndist = "out"\n'})
    made = ("dist/api/p", "dist/web/p", "dist/images/index.json", "services/own/out/p", ".goctl/records/x")
    write(mono, dict.fromkeys(made, ""))
    invoke(mono, "--dry", "clean")
    assert all((mono / path).exists() for path in made)
    invoke(mono, "web.clean")
    assert [path for path in made if not (mono / path).exists()] == ["dist/web/p"]
    invoke(mono, "own.clean")
    assert [path for path in made if not (mono / path).exists()] == ["dist/web/p", "services/own/out/p"]
    write(mono, dict.fromkeys(made, ""))
    invoke(mono, "clean")
    assert not any((mono / path).exists() for path in made)
    assert (mono / "services/own/goctl.toml").exists()


def test_clean_leaves_alone_what_a_member_needs(mono: Path) -> None:
    write(mono, {"services/web/goctl.toml": TARGET + '[project]\nneeds = ["api"]\n', "dist/api/p": "", "dist/web/p": ""})
    invoke(mono, "web.clean")
    assert (mono / "dist/api/p").exists()
    assert not (mono / "dist/web/p").exists()


def test_clean_never_takes_a_neighbours_sources(mono: Path) -> None:
    write(mono, {"services/web/goctl.toml": TARGET + '[release]\ndist = "../api"\n'})
    text = invoke(mono, "clean", code=3)
    assert "holds a project" in text
    assert (mono / "services/api/goctl.toml").exists()
    invoke(mono, "web.clean", code=3)
    assert (mono / "services/api/goctl.toml").exists()


BY_HAND = """
import goctl
from invoke import Collection, task

@task
def greet(c):
    print("greetings")

@task(name="build")
def own_build(c):
    print("built by hand")

ns = goctl.namespace("goctl.toml")
ns.add_task(greet)
ns.add_task(own_build)
ns.add_collection(goctl.collection("services/api/goctl.toml", profile="staging"), "staging")
ns.add_collection(goctl.collection("services/api/goctl.toml", profile="live"), "live")
"""
PROFILES = '[profiles.staging.publish]\ntags = ["on-staging"]\n[profiles.live.publish]\ntags = ["on-live"]\n'


def test_a_tasks_py_by_hand_adds_overrides_and_mounts_twice(mono: Path) -> None:
    write(mono, {"tasks.py": BY_HAND, "services/api/goctl.toml": TARGET + PROFILES})
    found = set(listed(mono))
    assert found == OWN | {"greet"} | {f"{name}.{task}" for name in ("api", "web", "staging", "live") for task in OWN}
    assert invoke(mono, "greet").strip() == "greetings"
    assert invoke(mono, "build").strip() == "built by hand"
    text = invoke(mono, "staging.config", "greet", "live.config", "api.config")
    assert text.index("on-staging") < text.index("greetings") < text.index("on-live")
    assert "latest" in text[text.index("on-live") :]
    # A profile of the command line wins, and so does none of invoke's environment over the mount's own.
    assert "on-live" in invoke(mono, "staging.config", "--profile", "live")
    assert "on-staging" in invoke(mono, "staging.config", INVOKE_GOCTL_PROFILE="live")


def test_two_profiles_of_one_project_in_one_command_line_are_two_runs(mono: Path) -> None:
    write(mono, {"tasks.py": BY_HAND, "services/api/goctl.toml": TARGET + PROFILES})
    lines = invoke(mono, "staging.config", "live.config", "--json", "staging.config").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(rows) == 1
    assert ["publish.tags", "on-live"] in [row[:2] for row in rows[0]["rows"]]


def test_a_mount_is_a_workspaces_whole_where_the_file_is(mono: Path) -> None:
    write(mono, {"tasks.py": "import goctl\n\nns = goctl.collection('goctl.toml')\n"})
    assert set(listed(mono)) == OWN
    assert "web: config" in invoke(mono, "config")
