"""The benchmark with real releases: each state is what it says, and the user's own checkout and caches are left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from goctl.benchmark.machine import furnish, machine
from goctl.benchmark.peers import go_build, has_builder
from goctl.benchmark.program import find
from goctl.benchmark.run import Request, bench
from goctl.benchmark.states import STATES
from goctl.config.loader import load
from goctl.measures import CONTROL
from tests.go.conftest import write

#: A cache that no machine reaches: whoever asked it would say so.
TOML = """[cache.team]
url = "http://127.0.0.1:9/"

[project]
name = "shop"
version = "git"

[platforms]
default = ["linux/amd64"]

[targets.api]
packages = ["./cmd/api"]

[targets.worker]
packages = ["./cmd/worker"]

[registries.corp]
url = "registry.invalid/shop"

[publish]
tags = ["{version}"]
"""

#: Programs of which little has to be compiled: the runtime alone, again and again.
SMALL = {
    "go.mod": "module example.com/shop\n\ngo 1.24\n",
    "cmd/api/main.go": 'package main\n\nfunc main() { println("api") }\n',
    "cmd/worker/main.go": 'package main\n\nfunc main() { println("worker") }\n',
}


def checkout(root: Path) -> Path:
    write(root, {**SMALL, "goctl.toml": TOML, ".gitignore": ".goctl/\ndist/\n"})
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "one"), ("tag", "v1.0")):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root / "goctl.toml"


def files(root: Path) -> dict[Path, tuple[int, int]]:
    """Every file below a folder, with what tells whether it was written to; git may refresh its index."""
    found = {path: path.stat() for path in root.rglob("*") if path.is_file() and path.name != "index"}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}


@pytest.mark.slow
def test_a_night_measures_every_state_as_it_says(tmp_path: Path) -> None:
    file = checkout(tmp_path / "shop")
    before = files(tmp_path / "shop")
    said: list[str] = []
    # Two rounds, so that what a state keeps is what an earlier round left.
    found = bench(Request(file=file, count=2, work=tmp_path / "work"), said.append)
    night = found.night
    assert set(night.samples) == {*STATES, CONTROL}
    assert {len(samples) for samples in night.samples.values()} == {2}
    known = {state: night.samples[state][-1] for state in STATES}
    assert known["nothing"].hits == known["nothing"].steps == known["gomod"].hits > 0
    assert 0 < known["edit"].hits < known["edit"].steps
    for state in ("cold", "modules", "compile"):
        assert known[state].hits == 0
        assert known[state].phases["push"].moved > 1_000_000
    assert known["pushed"].phases["compile"].hits == 0
    assert known["pushed"].phases.get("push") is None or known["pushed"].phases["push"].moved < 100_000
    beside = known["remote"].phases
    assert beside["compile"].hits == beside["compile"].steps == known["nothing"].phases["compile"].steps > 0
    assert beside["push"].moved < 100_000
    assert known["remote"].cpu < known["pushed"].cpu / 2
    assert known["compile"].cpu < known["modules"].cpu / 2
    assert all(sample.memory > 10_000_000 for sample in known.values())
    assert {path: seen for path, seen in files(tmp_path / "shop").items() if ".benchmarks" not in path.parts} == before
    assert [verdict.outcome for verdict in found.judgement.verdicts] == ["new"] * len(STATES)
    assert night.versions["go"]
    assert json.loads(found.file.read_bytes())["commit_info"]["id"] == night.commit


@pytest.mark.slow
def test_the_command_reports_a_slowdown_and_ends_with_13(tmp_path: Path) -> None:
    file = checkout(tmp_path / "shop")

    def nox_runs(*words: str, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "goctl.benchmark", "--rounds", "5", "nothing", *words],
            cwd=file.parent, capture_output=True, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1", **env},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def scale(factor: float) -> float:
        """Makes the baseline another one, and tells how long its fastest release takes now."""
        (kept,) = (tmp_path / "shop" / ".benchmarks").glob("*/baseline-nothing.json")
        content = json.loads(kept.read_bytes())
        samples = content["goctl"]["samples"]["nothing"]
        for timed in (*samples, *(phase for sample in samples for phase in sample["phases"].values())):
            timed["seconds"] *= factor
        kept.write_text(json.dumps(content), encoding="utf-8")
        return float(min(sample["seconds"] for sample in samples))

    assert "from now on the baseline of nothing" in nox_runs()
    # A baseline that took a tenth: the release is ten times as slow as it was, the machine is not.
    tenth = scale(0.1)
    summary = tmp_path / "summary.md"
    text = nox_runs("--scaling", code=13, GITHUB_STEP_SUMMARY=str(summary))
    assert "FAILED" in text
    assert "most of it in plan" in text
    assert "2 targets for 1 platforms" in text
    assert "Releases became slower: nothing" in summary.read_text(encoding="utf-8")
    page = (tmp_path / "shop" / "dist" / "benchmark" / "index.html").read_text(encoding="utf-8")
    assert "each of the targets for 1 platforms adds" in page
    nox_runs("--accept")
    # What was measured is the baseline now. Tests beside this one may slow the next run down, but not to ten times that.
    assert scale(10) > 30 * tenth
    assert "FAILED" not in nox_runs("--report", str(tmp_path / "reports"))
    assert (tmp_path / "reports" / "index.html").is_file()


@pytest.mark.slow
def test_a_release_that_fails_ends_the_night_with_what_it_said(tmp_path: Path) -> None:
    file = checkout(tmp_path / "shop")
    (file.parent / "cmd" / "api" / "main.go").write_text("package main\n\nfunc main() { nowhere() }\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "goctl.benchmark", "nothing"], cwd=file.parent, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "undefined: nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_plain_go_build_is_measured_beside_it(tmp_path: Path) -> None:
    program = find(load(checkout(tmp_path / "shop")))
    with (
        machine(tmp_path / "seed", STATES["cold"], program) as seed,
        machine(tmp_path / "peer", STATES["nothing"], program) as peer,
    ):
        first = go_build(seed)
        furnish(peer, seed, lambda: go_build(peer))
        again = go_build(peer)
        assert again.seconds < first.seconds / 2
        built = sorted(path.name for path in peer.outputs.rglob("*") if path.is_file())
        assert built == ["api", "worker"]


BUILDER = os.environ.get("GOCTL_TEST_BUILDERS", "").partition(",")[0]


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(not BUILDER, reason="needs GOCTL_TEST_BUILDERS, builders of buildx that find Go in a registry")
def test_the_buildkit_engine_and_bake_are_measured_beside_it(tmp_path: Path) -> None:
    assert has_builder(BUILDER)
    assert not has_builder("nobodys")
    file = checkout(tmp_path / "shop")
    place = os.environ.get("GOCTL_TEST_REGISTRY", "localhost:5000")
    more = f'[image]\nbase = "scratch"\n[buildkit]\nbuilder = "{BUILDER}"\ngo-image = "{place}/golang:1.26"\n'
    file.write_text(f"{TOML}\n{more}", encoding="utf-8")
    said: list[str] = []
    states = ("modules", "edit", "nothing")
    night = bench(
        Request(file=file, states=states, count=3, buildkit=True, peers=True, work=tmp_path / "work"), said.append
    ).night
    measured = {name for name in night.samples if name.endswith(("/bake", "/buildkit"))}
    assert measured == {f"{state}/{name}" for state in ("edit", "nothing") for name in ("bake", "buildkit")}
    assert "modules/bake is left out: a builder's cache is not emptied" in said
    # Each edit was compiled, although the same file was edited as often for the other, on the same builder.
    edited, idle = (min(one.seconds for one in night.samples[f"{state}/bake"]) for state in ("edit", "nothing"))
    assert edited > 1.2 * idle
    assert all(sample.hits < sample.steps for sample in night.samples["edit/buildkit"])
    assert all(sample.phases["push"].moved > 100_000 for sample in night.samples["edit/buildkit"])
    outputs = tmp_path / "work" / "nothing-bake" / "outputs"
    assert sorted(path.name for path in outputs.glob("*.tar")) == ["api.tar", "worker.tar"]
