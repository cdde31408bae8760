"""Workspaces of each shape with the real go: the same from the root and from inside, each thing once, nothing half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.go.conftest import write
from tests.go.test_release import Project, done

pytestmark = pytest.mark.slow

TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'
TOP = """[workspace]
members = ["services/*"]
[platforms]
default = ["linux/amd64", "linux/arm64"]
[registries.local]
url = "oci-layout:dist/images"
"""
MAIN = 'package main\n\nimport "{path}"\n\nfunc main() {{ println("{word}", {name}.Word()) }}\n'


def program(path: str, word: str) -> str:
    return MAIN.format(path=path, word=word, name=path.rsplit("/", 1)[-1])


def library(name: str, word: str = "") -> str:
    return f'package {name}\n\nfunc Word() string {{ return "{word or name}" }}\n'


def module(path: str, **requires: str) -> str:
    lines = "".join(f"\nrequire {p} v0.0.0\n\nreplace {p} => {folder}\n" for p, folder in requires.items())
    return f"module {path}\n\ngo 1.24\n{lines}"


SERVICES = {
    "services/api/goctl.toml": '[project]\nversion = "1"\n[targets.api]\npackages = ["./cmd/api"]\n',
    "services/web/goctl.toml": '[targets.web]\npackages = ["./cmd/web"]\n[targets.job]\npackages = ["./cmd/job"]\n',
    "services/api/tasks.py": TASKS,
    "services/web/tasks.py": TASKS,
    "goctl.toml": TOP,
    "tasks.py": TASKS,
}


def sources(api: str, web: str, shared: str) -> dict[str, str]:
    """Two services with a package of their own each, and a shared one that api and the job of web import."""
    return {
        "services/api/cmd/api/main.go": program(shared, "api"),
        "services/web/cmd/web/main.go": program(f"{web}/leaf", "web"),
        "services/web/cmd/job/main.go": program(shared, "job"),
        "services/web/leaf/leaf.go": library("leaf"),
        "services/api/own/own.go": library("own"),
    }


ONE = "example.com/mono"
SHAPES: dict[str, dict[str, str]] = {
    "one module": {
        "go.mod": module(ONE),
        "shared/shared.go": library("shared"),
        **sources(f"{ONE}/services/api", f"{ONE}/services/web", f"{ONE}/shared"),
    },
    "go.work": {
        "go.work": "go 1.24\n\nuse (\n\t./services/api\n\t./services/web\n\t./shared\n)\n",
        "shared/go.mod": module("example.com/shared"),
        "shared/shared.go": library("shared"),
        "services/api/go.mod": module("example.com/api"),
        "services/web/go.mod": module("example.com/web"),
        **sources("example.com/api", "example.com/web", "example.com/shared"),
    },
    "a module each": {
        "shared/go.mod": module("example.com/shared"),
        "shared/shared.go": library("shared"),
        "services/api/go.mod": module("example.com/api", **{"example.com/shared": "../../shared"}),
        "services/web/go.mod": module("example.com/web", **{"example.com/shared": "../../shared"}),
        **sources("example.com/api", "example.com/web", "example.com/shared"),
    },
}
SHAPES["the root is a project too"] = SHAPES["one module"] | {
    "cmd/root/main.go": program(f"{ONE}/shared", "root"),
    "goctl.toml": TOP + '[project]\nname = "root"\n[targets.root]\npackages = ["./cmd/root"]\n',
}


def make(root: Path, shape: str, more: Mapping[str, str] | None = None) -> Project:
    write(root, {**SERVICES, **SHAPES[shape], **(more or {})})
    return Project(root)


def inside(mono: Project, name: str) -> Project:
    return Project(mono.root / "services" / name)


def keys(project: Project, *args: str) -> dict[str, Any]:
    """Keys by step, of an invoke plan."""
    (plan,) = (event for event in project.events("plan", *args) if event["event"] == "document")
    return {step["id"]: step["key"] for step in plan["data"]["steps"]}


def outcomes(project: Project, *args: str, **env: str) -> dict[str, str]:
    lines = project.invoke(*(args or ("release",)), "--json", **env).splitlines()
    found = {e["step"]: e["outcome"] for e in map(json.loads, lines) if e["event"] == "step-finished"}
    return {step: outcome for step, outcome in found.items() if not step.startswith("mod")}


def released(project: Project, *args: str) -> dict[str, str]:
    events = project.events(*(args or ("release",)))
    return {e["target"]: e["digest"] for e in events if e["event"] == "released-image"}


@pytest.fixture(params=sorted(SHAPES))
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_same_from_the_root_and_from_inside(tmp_path: Path, shape: str) -> None:
    mono = make(tmp_path / "mono", shape)
    whole = keys(mono)
    for name in ("api", "web"):
        own = keys(inside(mono, name))
        assert own
        assert own.items() <= whole.items()
        assert keys(mono, "--select", f"{name}:") == own
    digests = released(mono)
    assert {"api:api", "web:web", "web:job"} <= set(digests)
    # Nothing is left to do from either side; the shortest way knows that too.
    assert done(outcomes(mono)) == set()
    for name in ("api", "web"):
        assert done(outcomes(inside(mono, name))) == set()
        assert done(outcomes(mono, f"{name}.release")) == set()
    whole = keys(mono)
    assert None not in {key for step, key in whole.items() if not step.startswith("push:")}
    # In another checkout, from inside alone, everything comes out the same.
    other = make(tmp_path / "elsewhere" / "checkout", shape)
    assert released(inside(other, "web")) == {name: digests[name] for name in ("web:web", "web:job")}
    assert not (other.root / "services/web/dist").exists()
    assert not (other.root / "services/web/.goctl").exists()
    assert released(mono_rest := other) == digests
    assert keys(mono_rest) == whole


def test_an_edit_of_a_shared_package_rebuilds_its_importers_alone(tmp_path: Path, shape: str) -> None:
    mono = make(tmp_path / "mono", shape)
    mono.invoke("release")
    mono.edit("shared/shared.go", lambda text: text.replace('"shared"', '"other"'))
    expected = {f"index:{name}" for name in ("api:api", "web:job")} | ({"index:root:root"} if "root" in shape else set())
    ended = done(outcomes(mono))
    assert {step for step in ended if step.startswith("index:")} == expected
    mono.edit("services/web/leaf/leaf.go", lambda text: text.replace('"leaf"', '"other"'))
    ended = done(outcomes(inside(mono, "web")))
    assert {step for step in ended if step.startswith("index:")} == {"index:web:web"}
    assert done(outcomes(mono)) == set()


def wrapper(root: Path) -> tuple[dict[str, str], Path]:
    """A `go` in front of the real one that notes how it is called."""
    real = shutil.which("go")
    assert real is not None
    folder = root / "front"
    folder.mkdir()
    log = folder / "log"
    script = folder / "go"
    # Beside no GOROOT, `go env` is asked each time: that is not what is counted.
    script.write_text(f'#!/bin/sh\n[ "$1" = env ] || echo "$PWD $GOOS/$GOARCH $*" >> {log}\nexec {real} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}, log


@pytest.mark.skipif(os.name == "nt", reason="the wrapper is a shell script")
@pytest.mark.parametrize("shape", ["one module", "go.work", "the root is a project too"])
def test_one_go_build_for_each_platform(tmp_path: Path, shape: str) -> None:
    mono = make(tmp_path / "mono", shape)
    env, log = wrapper(tmp_path)
    mono.invoke("release", **env)
    lines = log.read_text().splitlines()
    builds = [line for line in lines if " build " in line]
    lists = [line for line in lines if " list -e -deps" in line]
    assert sorted(line.split()[1] for line in builds) == ["linux/amd64", "linux/arm64"], lines
    assert {line.split()[0] for line in builds} == {str(mono.root)}
    assert len(lists) == 2, lines
    log.unlink()
    mono.invoke("release", **env)
    inside(mono, "api").invoke("release", **env)
    assert not log.exists(), log.read_text()


@pytest.mark.skipif(os.name == "nt", reason="the wrapper is a shell script")
def test_other_settings_of_go_keep_members_apart(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "one module")
    mono.edit("services/web/goctl.toml", lambda text: text + '[go.env]\nGOFLAGS = "-tags=special"\n')
    special = '//go:build special\n\npackage shared\n\nfunc init() { println("special") }\n'
    write(mono.root, {"shared/special.go": special})
    env, log = wrapper(tmp_path)
    mono.invoke("release", **env)
    builds = [line for line in log.read_text().splitlines() if " build " in line]
    assert len(builds) == 4, builds
    # Two records of one module, side by side: neither drives the other out.
    log.unlink()
    mono.invoke("release", **env)
    assert not log.exists(), log.read_text()
    write(mono.root, {"shared/special.go": special.replace('"special"', '"other"')})
    assert {step for step in done(outcomes(mono, **env)) if step.startswith("index:")} == {"index:web:job"}


@pytest.mark.skipif(os.name == "nt", reason="the wrapper is a shell script")
@pytest.mark.parametrize("needs", ["", '[project]\nneeds = ["api"]\n'])
def test_a_program_that_two_projects_want_is_linked_once(tmp_path: Path, needs: str) -> None:
    mono = make(tmp_path / "mono", "one module", {"tool/main.go": program(f"{ONE}/shared", "tool")})
    for name in ("api", "web"):
        mono.edit(
            f"services/{name}/goctl.toml",
            lambda text: text + '[targets.tool]\npackages = ["../../tool"]\nplatforms = ["linux/amd64"]\n',
        )
    mono.edit("services/web/goctl.toml", lambda text: text + needs)
    env, log = wrapper(tmp_path)
    events = [json.loads(line) for line in mono.invoke("release", "--json", **env).splitlines()]
    compiled = [e["step"] for e in events if e["event"] == "step-finished" and e["outcome"] == "done"]
    assert compiled.count(f"compile:{ONE}/tool@linux/amd64") == 1
    builds = [line for line in log.read_text().splitlines() if " build " in line and f"{ONE}/tool" in line]
    builds += [line for line in log.read_text().splitlines() if " build " in line and "./tool" in line]
    assert len(builds) == 1, builds
    programs = [mono.root / f"dist/{name}/tool/linux-amd64/tool" for name in ("api", "web")]
    assert programs[0].read_bytes() == programs[1].read_bytes()
    # One that is lost is copied from the other, with no go at all.
    programs[1].unlink()
    log.unlink()
    mono.invoke("release", **env)
    assert programs[0].read_bytes() == programs[1].read_bytes()
    assert not log.exists(), log.read_text()
    assert done(outcomes(mono, **env)) == set()


def test_needs_are_released_before_those_that_need_them(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "go.work")
    mono.edit("services/api/goctl.toml", lambda text: text.replace("[project]\n", '[project]\nneeds = ["web"]\n'))
    pushes = [step for step in outcomes(mono) if step.startswith("push:")]
    assert set(pushes[:2]) == {"push:web:web>local", "push:web:job>local"}
    assert pushes[2:] == ["push:api:api>local"]
    # The same from inside; what one needs comes along, what needs it does not.
    other = make(tmp_path / "other", "go.work")
    other.edit("services/api/goctl.toml", lambda text: text.replace("[project]\n", '[project]\nneeds = ["web"]\n'))
    assert [step for step in outcomes(inside(other, "web")) if step.startswith("push:a")] == []
    assert set(released(inside(other, "api"))) == {"web:web", "web:job", "api:api"}
    assert released(other) == released(mono)
    # What fails is not followed by those that need it.
    mono.edit("services/web/cmd/web/main.go", lambda text: text + "broken\n")
    mono.edit("services/api/cmd/api/main.go", lambda text: text.replace('"api"', '"newer"'))
    events = mono.events("release", code=6)
    assert not [e for e in events if e["event"] == "step-finished" and e["step"] == "push:api:api>local"]


def test_sub_collections_and_selections(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "a module each")
    assert set(released(mono, "web.release")) == {"web:web", "web:job"}
    assert set(released(mono, "release", "--select", "api:@linux/arm64")) == {"api:api"}
    assert not (mono.root / "dist/api/api/linux-amd64").exists()
    text = mono.invoke("release", "--select", "apo:", code=3)
    assert "did you mean 'api'?" in text
    mono.invoke("web.clean")
    assert not (mono.root / "dist/web").exists()
    assert (mono.root / "dist/api/api/linux-arm64/api").exists()
    mono.invoke("clean")
    assert not (mono.root / "dist").exists()
    assert not (mono.root / ".goctl").exists()
    (mono.root / "goctl.lock").unlink()
    text = mono.invoke("--dry", "release")
    assert "compile example.com/web/cmd/web for linux/amd64" in text
    assert not (mono.root / "dist").exists()
    assert not (mono.root / ".goctl").exists()
    assert not (mono.root / "goctl.lock").exists()


def test_modules_are_seen_to_each_once_and_a_members_alone(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "go.work")
    for name in ("api", "web"):
        mono.edit(f"services/{name}/go.mod", lambda text: text + "\nrequire example.com/unused v1.0.0\n")
    before = {name: (mono.root / f"services/{name}/go.mod").read_text() for name in ("api", "web")}
    mono.edit("services/api/cmd/api/main.go", lambda text: text.replace("example.com/shared", "example.com/api/own"))
    mono.edit("services/api/cmd/api/main.go", lambda text: text.replace("shared.Word", "own.Word"))
    mono.invoke("api.mod.tidy", GOFLAGS="-mod=mod", GOPROXY="off")
    assert "unused" not in (mono.root / "services/api/go.mod").read_text()
    assert (mono.root / "services/web/go.mod").read_text() == before["web"]
    assert "api/go.mod" not in mono.invoke("api.mod.tidy", "--check", GOPROXY="off")
    mono.edit("services/web/cmd/job/main.go", lambda text: text.replace("example.com/shared", "example.com/web/leaf"))
    mono.edit("services/web/cmd/job/main.go", lambda text: text.replace("shared.Word", "leaf.Word"))
    text = mono.invoke("mod.tidy", "--check", code=11, GOPROXY="off")
    assert "services/web/go.mod" in text
    mono.invoke("mod.tidy", GOPROXY="off")
    assert "unused" not in (mono.root / "services/web/go.mod").read_text()
    assert mono.invoke("mod.tidy", "--check", GOPROXY="off").count("tidy: ") <= 1


def test_modules_without_a_go_work_are_all_looked_at_before_the_first_error(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "a module each")
    for name in ("api", "web"):
        mono.edit(f"services/{name}/go.mod", lambda text: text + "\nrequire example.com/unused v1.0.0\n")
    text = mono.invoke("mod.tidy", "--check", code=11, GOPROXY="off")
    assert "api: mod.tidy" in text
    assert "web: mod.tidy" in text
    assert text.count("-require example.com/unused") == 2


@pytest.mark.parametrize("name", ["mod.download", "mod.verify", "go.env", "base.update", "doctor", "config", "explain"])
def test_chores_of_a_workspace_work_from_both_sides(tmp_path: Path, name: str, shape: str) -> None:
    mono = make(tmp_path / "mono", shape)
    args = (name, "*") if name == "explain" else (name,)
    mono.invoke(*args, GOPROXY="off")
    inside(mono, "web").invoke(*args, GOPROXY="off")


def test_generate_runs_in_each_members_own_packages(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "go.work")
    for name in ("api", "web"):
        mono.edit(f"services/{name}/goctl.toml", lambda text: text + '[go]\ngenerate = ["./gen"]\n')
        write(
            mono.root,
            {
                f"services/{name}/gen/gen.go": 'package main\n\n//go:generate go run .\n\nimport "os"\n\nfunc main() {\n'
                f'\t_ = os.WriteFile("made.txt", []byte("{name}"), 0o666)\n}}\n'
            },
        )
    inside(mono, "api").invoke("generate")
    assert (mono.root / "services/api/gen/made.txt").read_text() == "api"
    (mono.root / "services/api/gen/made.txt").unlink()
    inside(mono, "api").invoke("release")
    assert (mono.root / "services/api/gen/made.txt").read_text() == "api"
    assert not (mono.root / "services/web/gen/made.txt").exists()
    mono.invoke("release")
    assert (mono.root / "services/web/gen/made.txt").read_text() == "web"


@pytest.mark.skipif(os.name == "nt", reason="signals of a console are another test there")
def test_an_interrupt_leaves_nothing_half(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", "go.work")
    mono.edit("services/web/goctl.toml", lambda text: text + '[project]\nneeds = ["api"]\n')
    command = [sys.executable, "-m", "invoke", "release", "--json"]
    with subprocess.Popen(command, cwd=mono.root, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            event = json.loads(line)
            # The first wave is out, the second begins.
            if event["event"] == "step-finished" and event["step"].startswith("push:api:"):
                break
        child.send_signal(signal.SIGINT)
        child.stdout.read()
        assert child.wait(30) == 130
    assert "api:1" in mono.digests() or "api:latest" in mono.digests()
    assert not [name for name in mono.digests() if name.startswith("web")]
    assert not list((mono.root / ".goctl/scratch").glob("build.*"))
    ended = done(outcomes(mono))
    assert not [step for step in ended if ":api" in step and not step.startswith("compile:example.com/web")]
    assert done(outcomes(mono)) == set()
