"""A release in parts, as on several machines: joined, it is what one machine releases; halves are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from goctl.testing import Registry
from tests.go.conftest import FILES, write
from tests.go.test_release import TASKS, Project

TOML = """[project]
name = "shop"
version = "1.0"

[platforms]
default = ["linux/amd64", "linux/arm64"]

[targets.api]
packages = ["./cmd/api"]

[targets.worker]
packages = ["./cmd/worker"]

[targets.both]
packages = ["./cmd/api", "./cmd/worker"]

[registries.there]
url = "{url}"

[publish]
tags = ["{version}", "latest"]
"""


def project(root: Path, url: str = "oci-layout:dist/images") -> Project:
    write(root, {**FILES, "goctl.toml": TOML.replace("{url}", url), "tasks.py": TASKS})
    return Project(root)


def layout(root: Path) -> dict[str, str]:
    return Project(root).digests()


def machines(tmp_path: Path, count: int, url: str = "oci-layout:dist/images") -> list[Project]:
    return [project(tmp_path / f"machine-{number}" / "shop", url) for number in range(1, count + 1)]


def part(machine: Project, number: int, count: int, *args: str) -> Path:
    machine.invoke("release", "--shard", f"{number}/{count}", *args)
    return machine.root / "dist/shards" / f"{number}-of-{count}"


def gather(machine: Project, folders: list[Path]) -> None:
    """What a CI does between jobs: it brings the folders to one machine."""
    for folder in folders:
        shutil.copytree(folder, machine.root / "dist/shards" / folder.name, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests that one machine releases."""
    root = tmp_path_factory.mktemp("whole") / "shop"
    project(root).invoke("release")
    return layout(root)


@pytest.mark.usefixtures("go")
def test_joined_parts_are_what_one_machine_releases(tmp_path: Path, whole: dict[str, str]) -> None:
    parts = [part(machine, number, 3) for number, machine in enumerate(machines(tmp_path, 3), 1)]
    assert not (tmp_path / "machine-1/shop/dist/images/index.json").exists() or layout(tmp_path / "machine-1/shop") == {}
    last = project(tmp_path / "last" / "shop")
    gather(last, parts)
    told = last.invoke("merge", PATH=str(tmp_path))  # neither go nor git is there
    assert layout(last.root) == whole
    assert "linux/amd64 linux/arm64" in told
    costs = json.loads((last.root / ".goctl/costs.json").read_text())["seconds"]
    assert len(costs) == 6
    assert set(last.outcomes("merge").values()) == {"cached"}


@pytest.mark.usefixtures("go")
def test_with_a_registry_parts_carry_no_content(tmp_path: Path) -> None:
    with Registry() as registry:
        url = f"{registry.address}/corp"
        parts = [part(machine, number, 2) for number, machine in enumerate(machines(tmp_path, 2, url), 1)]
        sizes = [path.stat().st_size for folder in parts for path in (folder / "blobs").iterdir()]
        assert max(sizes) < 5000, "documents only"
        assert registry.tags("corp/api") == {}
        last = project(tmp_path / "last" / "shop", url)
        gather(last, parts)
        last.invoke("merge")
        assert sorted(registry.tags("corp/api")) == ["1.0", "latest"]
        assert sorted(registry.tags("corp/both")) == ["1.0", "latest"]


@pytest.mark.usefixtures("go")
def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first, second = machines(tmp_path, 2)
    one, two = part(first, 1, 2), part(second, 2, 2)
    last = project(tmp_path / "last" / "shop")
    assert "there are no shards to merge" in last.invoke("merge", code=3)
    gather(last, [one])
    assert "shards 2 of 2 are missing" in last.invoke("merge", code=3)
    second.edit("goctl.toml", lambda text: text.replace('"latest"', '"newest"'))
    gather(last, [part(second, 2, 2)])
    assert "are not of one release" in last.invoke("merge", code=3)
    gather(last, [two])
    (two / "shard.json").write_text("{}")
    assert "is no shard's result" in last.invoke("merge", "--folder", str(two), code=3)
    assert not (last.root / "dist/images").exists()
    assert "no part of a whole" in last.invoke("release", "--shard", "3/2", code=3)


@pytest.mark.usefixtures("go")
def test_damaged_content_of_a_part_is_not_taken_in(tmp_path: Path) -> None:
    folder = part(project(tmp_path / "shop"), 1, 1)
    blob = max((folder / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    last = project(tmp_path / "last" / "shop")
    gather(last, [folder])
    (last.root / "dist/shards/1-of-1/blobs" / blob.name).write_bytes(content)
    last.invoke("merge", code=10)
    assert not (last.root / "dist/images/index.json").exists() or layout(last.root) == {}


@pytest.mark.usefixtures("go")
def test_a_part_of_what_is_affected_and_one_with_nothing_in_it(tmp_path: Path) -> None:
    made = project(tmp_path / "shop")
    for args in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *args], cwd=made.root, check=True)
    write(made.root, {"cmd/worker/motd/today.txt": "bye\n"})
    for number in range(1, 6):
        part(made, number, 5, "--since", "main", "--select", "worker")
    made.invoke("merge")
    assert set(layout(made.root)) == {"worker:1.0", "worker:latest"}
