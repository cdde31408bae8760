"""Bake files as buildx itself reads them, and Dockerfiles as BuildKit judges them."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from goctl.buildkit import hcl
from goctl.buildkit.context import ignore_file
from goctl.buildkit.dockerfile import text
from goctl.buildkit.dockerfile_recipes import Program, Recipe
from goctl.plan.model import Settings
from goctl.values import Platform

pytestmark = pytest.mark.integration
GOLDEN = Path(__file__).parents[1] / "unit" / "golden" / "dockerfiles"
#: What bake, HCL, JSON, CSV, shells and Dockerfiles read as more than text.
PARTS = (
    "${", "$${", "$$${", "%{", "%%{", "}", "$", "%", '"', "'", "\\", "\\u0041", "\n", "\r", "\t", "`", "$(id)", "${HOME}",
    "${target.api}", "%{ if true }", "%{ endif }", "<<EOF", "#", "//", "/*", "{", "[", ",", "=", ":", ";", "&&", "x", " ",
    "\u00e9", "\u2028", "\U0001f600", "\x7f", "\x01", "null", "~}", "${~", "file(\"/etc/passwd\")", "../",
)  # fmt: skip


def printed(buildx: str, folder: Path, name: str, content: bytes) -> dict[str, Any]:
    """What `bake --print` makes of a file."""
    (folder / name).write_bytes(content)
    done = subprocess.run([buildx, "buildx", "bake", "--print", "-f", name], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def unescaped(value: Any) -> Any:
    """What is printed is a bake file again: values, but no keys, are escaped in it."""
    if isinstance(value, str):
        return hcl.plain(value)
    if isinstance(value, dict):
        return {key: unescaped(one) for key, one in value.items()}
    return [unescaped(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", ["json", "hcl"])
def test_five_hundred_hostile_names_and_values_take_no_effect(buildx: str, tmp_path: Path, form: str) -> None:
    chance = random.Random(7)
    values = [*PARTS, *("".join(chance.choices(PARTS, k=chance.randint(1, 8))) for _ in range(500 - len(PARTS)))]
    labels = {f"{value}.{number}": value for number, value in enumerate(values)}
    args = {f"A{number}": value for number, value in enumerate(values)}
    target: dict[str, hcl.Value] = {"args": args, "context": ".", "dockerfile": "Dockerfile", "labels": labels}
    file: hcl.BakeFile = {"group": {"default": {"targets": ["api"]}}, "target": {"api": target}}
    content = hcl.to_json(file) if form == "json" else hcl.to_hcl(file)
    found = printed(buildx, tmp_path, f"bake.{form}", content)["target"]
    assert found.keys() == {"api"}
    assert found["api"]["labels"].keys() == labels.keys()
    assert {key: hcl.plain(value) for key, value in found["api"]["labels"].items()} == labels
    assert {key: hcl.plain(value) for key, value in found["api"]["args"].items()} == args


@pytest.mark.parametrize("name", ["host-bake", "buildkit-bake"])
def test_bake_reads_back_what_was_written(buildx: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "netrc").touch()
    written = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    for form in ("json", "hcl"):
        found = printed(buildx, tmp_path, f"bake.{form}", (GOLDEN / f"{name}.{form}").read_bytes())
        for target in (*found["target"].values(), *written["target"].values()):
            for secret in target.get("secret", ()):
                # Which kind it is, its other field says as well.
                secret.pop("type", None)
        assert unescaped(found) == unescaped(written)


@pytest.mark.parametrize("base", ["scratch", "goctl-static"])
def test_buildkit_finds_nothing_to_warn_of(buildx: str, builders: list[str], tmp_path: Path, base: str) -> None:
    recipe = Recipe(
        target="api",
        base=base,
        platforms=(Platform.parse("linux/amd64"),),
        programs=(Program("api", "./cmd/api", "/usr/local/bin/api"),),
        assets=(),
        settings=Settings(user="65532:65532", env=(("A", '$HOME "x" \\'),), entrypoint=("/usr/local/bin/api",)),
        dist="dist/api",
    )  # fmt: skip
    (tmp_path / "api.Dockerfile").write_text(text(recipe))
    (tmp_path / "api.Dockerfile.dockerignore").write_text(ignore_file(recipe))
    (tmp_path / "dist/api/linux-amd64").mkdir(parents=True)
    (tmp_path / "dist/api/linux-amd64/api").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    command = (buildx, "buildx", "build", "--builder", builders[0], "-f", "api.Dockerfile", "--build-context")
    context = "goctl-static=empty"
    done = subprocess.run([*command, context, "--check", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no warnings found" in done.stdout + done.stderr
