"""The benchmark's parts that need no Go: settings, states, the copied goctl.toml, and a release's events as phases."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goctl.benchmark import program
from goctl.benchmark.__main__ import main
from goctl.benchmark.machine import machine, remove
from goctl.benchmark.measure import Mark, Usage, sample
from goctl.benchmark.peers import OURS, Contender, bake
from goctl.benchmark.states import STATES
from goctl.config import benchmark as settings
from goctl.config.benchmark import Benchmark
from goctl.config.cache import Cache
from goctl.config.loader import load
from goctl.config.model import Image
from goctl.errors import ConfigError
from goctl.release.levels import folder_of

MAIN = "package main\n\nfunc main() {}\n"


def project(root: Path, more: str = "") -> Path:
    (root / "cmd" / "api").mkdir(parents=True)
    (root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n", encoding="utf-8")
    (root / "cmd" / "api" / "main.go").write_text(MAIN, encoding="utf-8")
    text = f'[project]\nname = "shop"\nversion = "1"\n[targets.api]\npackages = ["./cmd/api"]\n{more}'
    (root / "goctl.toml").write_text(text, encoding="utf-8")
    return root / "goctl.toml"


def test_every_state_of_the_settings_can_be_measured() -> None:
    assert list(STATES) == list(settings.STATES) == list(Benchmark().states)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[benchmark]\nstates = ["clod"]', "did you mean 'cold'"),
        ("[benchmark]\nstates = []", "there is nothing to measure"),
        ('[benchmark]\nfail-above = { cold = "fast" }', "'fast' is no share"),
        ('[benchmark]\nfail-above = { warm = "10%" }', "'warm' is no state"),
        ("[benchmark]\nrounds = 1", "benchmark.rounds"),
        ('[metrics]\npushgateway = "gate"', "is no address"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_their_line(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        load(project(tmp_path, toml))
    assert "goctl.toml:7" in str(raised.value)


def test_a_login_in_the_gateways_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="user name or password") as raised:
        load(project(tmp_path, '[metrics]\npushgateway = "https://me:hunter2@gate"'))
    assert "hunter2" not in str(raised.value)


def test_limits_are_ratios() -> None:
    asked = Benchmark(fail_above={"edit": "12.5%", "cold": "off"})
    assert [settings.limit(asked, state) for state in ("edit", "cold", "nothing")] == [1.125, 0.0, 1.1]


def test_a_state_that_is_none_is_named_on_the_command_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project(tmp_path)
    assert main(["--file", str(file), "warm"]) == 3
    assert "there is no state 'warm'" in capsys.readouterr().err


def test_a_copy_pushes_to_the_benchmarks_registry_alone(tmp_path: Path) -> None:
    file = project(
        tmp_path / "shop",
        '[registries.corp]\nurl = "registry.example.com:5000/shop"\nretries = 3\n'
        '[registries.disk]\nurl = "oci-layout:dist/images"\n[registries.engine]\nurl = "docker-daemon:"\n'
        '[publish]\nto = ["corp"]\ntags = ["{version}"]\n[profiles.live]\npublish.to = ["disk"]\n'
        '[release]\nstages = ["mod", "build", "image", "push"]\n',
    )
    found = program.find(load(file))
    copied = load(program.copy(found, tmp_path / "copy", "127.0.0.1:5000/cold"), environment={}).config
    assert {name: (one.url, one.push) for name, one in copied.registries.items()} == {
        "corp": ("registry.example.com:5000/shop", False),
        program.REGISTRY: ("127.0.0.1:5000/cold", True),
    }
    assert copied.registries["corp"].retries == 3
    assert (copied.publish.to, copied.publish.tags, copied.profiles) == ((program.REGISTRY,), ("{version}",), {})


def test_members_of_a_workspace_push_there_too(tmp_path: Path) -> None:
    top = tmp_path / "all"
    member = project(top / "shop", '[registries.own]\nurl = "hub.example.com/shop"\n[publish]\nto = ["own"]\n')
    (top / "goctl.toml").write_text('[workspace]\nmembers = ["shop"]\n', encoding="utf-8")
    found = program.find(load(member))
    assert (found.file, found.shared) == ("shop/goctl.toml", "goctl.toml")
    copied = load(program.copy(found, tmp_path / "copy", "127.0.0.1:5000/cold"), environment={}).config
    assert copied.publish.to == (program.REGISTRY,)
    assert [name for name, one in copied.registries.items() if one.push] == [program.REGISTRY]


def test_a_copy_for_buildkit_has_every_image_made_by_it(tmp_path: Path) -> None:
    more = (
        '[targets.api.image]\nengine = "embedded"\nports = [8080]\n[targets.tool]\npackages = ["./cmd/api"]\nimage = false\n'
    )
    found = program.find(load(project(tmp_path / "shop", more)))
    made: dict[str, list[tuple[str, str, tuple[int | str, ...]]]] = {}
    kinds: tuple[program.Images, ...] = ("", "buildkit", "bake")
    for images in kinds:
        copied = load(program.copy(found, tmp_path / f"copy-{images}", "127.0.0.1:5000/edit", None, images), environment={})
        own = [target.image for target in copied.config.targets.values()]
        made[images] = [(one.engine, one.compile, one.ports) for one in own if isinstance(one, Image)]
    assert made == {
        "": [("embedded", "host", (8080,))],
        "buildkit": [("buildkit", "host", (8080,))],
        "bake": [("buildkit", "buildkit", (8080,))],
    }


def test_builders_that_are_shared_take_part_in_states_that_empty_nothing() -> None:
    names = [state.name for state in STATES.values() if Contender("bake", bake, "bake").takes_part(state)]
    assert names == ["edit", "gomod", "nothing"]
    assert all(OURS.takes_part(state) for state in STATES.values())


def test_no_two_machines_make_the_same_edit(tmp_path: Path) -> None:
    found = program.find(load(project(tmp_path / "shop")))
    texts = set()
    for number in range(2):
        with machine(tmp_path / str(number), STATES["edit"], found) as made:
            made.prepare(1)
            texts.add((made.checkout / found.edited / program.EDITED).read_text(encoding="utf-8"))
    assert len(texts) == 2


def test_the_buildkit_engine_needs_a_builder_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project(tmp_path, '[buildkit]\nbuilder = "nobodys-builder"\n')
    assert main(["--file", str(file), "--buildkit", "nothing"]) == 3
    assert "there is no builder 'nobodys-builder'" in capsys.readouterr().err


@pytest.mark.parametrize("state", list(STATES))
def test_levels_of_the_users_cache_are_left_alone(tmp_path: Path, state: str) -> None:
    top = tmp_path / "all"
    declared = '[cache]\nmode = "read"\ngo-actions = false\n[cache.team]\nurl = "s3://builds/shop"\nsign = "env:KEY"\n'
    member = project(top / "shop")
    (top / "goctl.toml").write_text(f'[workspace]\nmembers = ["shop"]\n{declared}', encoding="utf-8")
    with machine(tmp_path / "machine", STATES[state], program.find(load(member))) as made:
        cache = made.config.cache
        if state != "remote":
            assert cache == Cache()
            return
        assert (cache.used, cache.mode, cache.pull_request_mode) == (("beside",), "readwrite", "readwrite")
        assert not cache.go_actions
        folder = folder_of(cache.level("beside").url, made.root)
        assert folder.resolve() == (tmp_path / "machine" / "level").resolve()


def test_edits_differ_and_leave_the_users_files_alone(tmp_path: Path) -> None:
    file = project(tmp_path / "shop")
    found = program.find(load(file))
    before = {path: path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file()}
    copy = tmp_path / "copy"
    program.copy(found, copy, "127.0.0.1:5000/edit")
    texts = set()
    for number in range(3):
        program.edit(found, copy, number)
        program.touch_module(found, copy, number)
        texts.add((copy / "cmd" / "api" / program.EDITED).read_text(encoding="utf-8"))
        texts.add((copy / "go.mod").read_text(encoding="utf-8"))
    assert len(texts) == 6
    assert (copy / "go.mod").read_text(encoding="utf-8").count("goctl benchmark") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("edit", "package"), [("cmd/api", "main"), ("lib", "lib")])
def test_the_edited_package_can_be_named(tmp_path: Path, edit: str, package: str) -> None:
    file = project(tmp_path / "shop", f'[benchmark]\nedit = "{edit}"\n')
    (tmp_path / "shop" / "lib").mkdir()
    (tmp_path / "shop" / "lib" / "a_test.go").write_text("package lib_test\n", encoding="utf-8")
    (tmp_path / "shop" / "lib" / "lib.go").write_text("// Package words.\npackage lib\n", encoding="utf-8")
    found = program.find(load(file))
    copy = tmp_path / "copy"
    program.copy(found, copy, "127.0.0.1:5000/edit")
    assert (copy / edit / program.EDITED).read_text(encoding="utf-8").startswith(f"package {package}\n")


def test_an_edited_folder_outside_of_any_module_is_refused(tmp_path: Path) -> None:
    file = project(tmp_path / "shop", '[benchmark]\nedit = "../elsewhere"\n')
    with pytest.raises(ConfigError, match="no Go module"):
        program.find(load(file))


VALUES = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_toml_is_read_as_it_was_written(tree: dict[str, object]) -> None:
    assert tomllib.loads(program.toml(tree)) == tree


def marks(*events: tuple[float, str, str]) -> list[Mark]:
    """Marks whose CPU is twice their time. `started`, `planned` and `finished` are what they say, all else ended steps."""
    kinds = {"started": "step-started", "planned": "run-started", "finished": "run-finished"}
    return [Mark(at, at * 2, int(at * 1000), kinds.get(what, "step-finished"), phase, what) for at, phase, what in events]


def test_phases_add_up_to_the_whole() -> None:
    made = sample(
        marks(
            (0.3, "modules", "started"),
            (1.0, "modules", "done"),
            (1.2, "", "planned"),
            (1.3, "compile", "cached"),
            (2.0, "assemble", "done"),  # while the compiler is still at work
            (4.0, "compile", "done"),
            (4.5, "assemble", "done"),
            (5.5, "push", "done"),
            (5.6, "", "finished"),
        ),
        6.0,
        13.0,
    )
    seconds = {name: round(phase.seconds, 6) for name, phase in made.phases.items()}
    assert seconds == {"plan": 0.5, "modules": 0.7, "compile": 2.8, "assemble": 0.5, "push": 1.0, "end": 0.5}
    assert sum(seconds.values()) == pytest.approx(made.seconds)
    assert sum(phase.cpu for phase in made.phases.values()) == pytest.approx(13.0)
    assert {name: (phase.hits, phase.steps) for name, phase in made.phases.items() if phase.steps} == {
        "modules": (0, 1), "compile": (1, 2), "assemble": (0, 2), "push": (0, 1),
    }  # fmt: skip


def test_a_workspace_plans_several_times() -> None:
    made = sample(
        marks((1, "", "planned"), (2, "compile", "done"), (3, "push", "done"), (4, "", "planned"), (6, "compile", "done"),
              (7, "push", "cached"), (8, "", "finished")),
        8.0, 0.0,
    )  # fmt: skip
    seconds = {name: phase.seconds for name, phase in made.phases.items()}
    assert seconds == {"plan": 2.0, "compile": 3.0, "push": 2.0, "end": 1.0}


def test_a_release_that_told_nothing_is_one_phase() -> None:
    assert {name: phase.seconds for name, phase in sample([], 2.0, 1.0).phases.items()} == {"end": 2.0}


@pytest.mark.skipif(os.name == "nt", reason="modes of folders")
def test_folders_that_go_keeps_from_being_written_to_are_removed(tmp_path: Path) -> None:
    inner = tmp_path / "modules" / "example.com@v1" / "a"
    inner.mkdir(parents=True)
    (inner / "a.go").touch()
    for folder in (inner, inner.parent):
        folder.chmod(0o555)
    remove(tmp_path / "modules")
    assert not (tmp_path / "modules").exists()


def test_what_is_looked_at_is_one_process_and_no_other() -> None:
    """Whoever measures may have children that worked more, and started later."""
    burn = "import time\nwhile time.process_time() < {}: pass\nprint('burnt', flush=True)\ninput()"
    usage = Usage()
    assert usage.look() == (0.0, 0)
    with contextlib.ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        for seconds in (0.3, 0.9):
            child = stack.enter_context(subprocess.Popen([sys.executable, "-c", burn.format(seconds)], **pipes))
            stack.callback(child.kill)
            if seconds == 0.3:
                usage.follow(child.pid)
            assert child.stdout is not None
            assert child.stdout.readline().strip() == b"burnt"
        used, memory = usage.look()
        assert 0.2 < used < 0.8
        assert memory > 0
    assert usage.look() == (used, memory)
