"""Attestations that goctl does not make: asked for, and refused before anything is pushed without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from goctl.errors import ConfigError
from goctl.release.attested import refuse_attestations
from goctl.release.buildkit import _unattested
from goctl.release.crew import Crew, assemble
from goctl.release.run import Request, release
from goctl.values import Platform

PLATFORMS = (Platform.parse("linux/amd64"),)


def crew(folder: Path, engine: str, settings: str) -> Crew:
    (folder / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (folder / "goctl.toml").write_text(
        f'[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n[targets.api.image]\nengine = "{engine}"\n'
        f'[targets.tool]\npackages = ["./cmd/tool"]\nimage = false\n[buildkit]\n{settings}\n'
    )
    return assemble(folder / "goctl.toml", profile="", emit=lambda event: None)


def test_what_would_lack_is_told_with_its_line_and_who_makes_it(tmp_path: Path) -> None:
    made = crew(tmp_path, "buildkit", 'provenance = "min"\nsbom = true')
    with pytest.raises(ConfigError) as caught:
        refuse_attestations(made, {project: {"api": PLATFORMS} for project in made.sessions})
    told = str(caught.value)
    assert "provenance: images that goctl pushes have no attestations" in told
    assert "sbom: images that goctl pushes have no attestations" in told
    assert "goctl.toml:11" in told
    assert "docker buildx bake -f dist/docker-bake.json --push" in told


def test_a_release_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    made = crew(tmp_path, "buildkit", 'provenance = "min"\n[registries.there]\nurl = "localhost:1/shop"')
    with pytest.raises(ConfigError, match="have no attestations"):
        release(made, Request(task="release"))
    assert not (tmp_path / ".goctl").exists()


@pytest.mark.parametrize(
    ("engine", "settings", "target"),
    [
        ("buildkit", "", "api"),
        ("buildkit", 'provenance = "off"\nsbom = false', "api"),
        ("buildkit", 'provenance = "max"', "tool"),
        ("embedded", 'provenance = "max"\nsbom = true', "api"),
    ],
)
def test_nobody_is_refused_who_misses_nothing(tmp_path: Path, engine: str, settings: str, target: str) -> None:
    made = crew(tmp_path, engine, settings)
    refuse_attestations(made, {project: {target: PLATFORMS} for project in made.sessions})
    refuse_attestations(made, {})


def test_a_run_has_no_attestations_made_that_it_would_leave_behind() -> None:
    document = {"group": {}, "target": {"api": {"context": ".", "attest": [{"type": "sbom"}]}, "web": {"context": "w"}}}
    targets = _unattested(document)["target"]
    assert [target["attest"] for target in targets.values()] == [[{"type": "provenance", "disabled": True}]] * 2
    assert targets["api"]["context"] == "."
    assert document["target"]["api"]["attest"] == [{"type": "sbom"}]
