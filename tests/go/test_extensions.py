"""An installed package's engine and destination in a real release."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import tomli

from tests.go.project import TASKS, Project

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "goctl-prebuilt"
TOML = """[project]
name = "brought"
[targets.tool]
packages = ["./cmd/tool"]
platforms = ["linux/amd64", "linux/arm/v7"]
engine = "prebuilt"
[engines.prebuilt]
path = "made/{platform}/{name}"
[registries.folder]
url = "dir:dist/folder"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose programs were made elsewhere, and an environment in which the extension is installed."""
    site = tmp_path / "site"
    metadata = site / "goctl_prebuilt-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: goctl-prebuilt\nVersion: 0.1.0\n")
    points = tomli.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in table.items()) for group, table in points.items()]
    (metadata / "entry_points.txt").write_text("".join(lines))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(PLUGIN))))
    root = tmp_path / "project"
    for platform in ("linux-amd64", "linux-arm-v7"):
        program = root / "made" / platform / "tool"
        program.parent.mkdir(parents=True)
        program.write_bytes(f"program for {platform}".encode())
    (root / "goctl.toml").write_text(TOML)
    (root / "tasks.py").write_text(TASKS)
    return Project(root)


def test_programs_made_elsewhere_are_released_without_go(project: Project) -> None:
    outcomes = project.outcomes()
    assert outcomes["push:tool>folder"] == "done"
    assert (project.root / "dist/tool/linux-arm-v7/tool").read_bytes() == b"program for linux-arm-v7"
    assert (project.root / "dist/folder/tool@latest/manifest.json").is_file()
    again = project.outcomes()
    assert again["push:tool>folder"] == "cached"
    assert again["image:tool@linux/amd64"] == "cached"


def test_a_program_made_anew_is_noticed(project: Project) -> None:
    project.invoke("release")
    (project.root / "made/linux-amd64/tool").write_bytes(b"another")
    outcomes = project.outcomes()
    assert outcomes["image:tool@linux/amd64"] == "done"
    assert outcomes["image:tool@linux/arm/v7"] == "cached"
    assert outcomes["push:tool>folder"] == "done"


def test_skopeo_reads_the_folder(project: Project) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not on PATH")
    project.invoke("release")
    command = [
        skopeo,
        "copy",
        "--multi-arch=all",
        f"dir:{project.root}/dist/folder/tool@latest",
        f"oci:{project.root}/out:x",
    ]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('engine = "prebuilt"', 'engine = "prebuild"', 9, "did you mean 'prebuilt'"),
        ("dir:dist/folder", "dirs:dist/folder", 9, "did you mean 'dir'"),
        ('path = "made', 'pth = "made', 3, "did you mean 'path'"),
        ('path = "made/{platform}/{name}"', "path = 3", 3, "engines.prebuilt"),
        ('path = "made/', 'path = "../made/', 3, "leaves the project"),
        ('engine = "prebuilt"', 'engine = "prebuilt"\nimage = { engine = "prebuilt" }', 9, "cannot make images"),
    ],
)
def test_a_wrong_use_says_what_would_be_right(project: Project, old: str, new: str, code: int, words: str) -> None:
    project.edit("goctl.toml", lambda text: text.replace(old, new))
    assert words in project.invoke("release", code=code)
