"""The extensions of plugins/goctl-prebuilt, driven as a run drives them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from goctl.config.model import Config, Registry
from goctl.contracts import Binary, Destination, Engine, Image, Index
from goctl.errors import BuildError, ConfigError, Interrupted, StorageError
from goctl.plan.model import CompileStep
from goctl.values import Descriptor, Digest, Platform

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "goctl-prebuilt"
if str(PLUGIN) not in sys.path:
    sys.path.insert(0, str(PLUGIN))

from goctl_prebuilt.destination import DirDestination, DirOptions  # noqa: E402 - the folder above makes it importable
from goctl_prebuilt.engine import PrebuiltEngine, PrebuiltOptions  # noqa: E402

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Blobs:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def add(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.content[digest] = content
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        if digest not in self.content:
            raise StorageError(f"{digest} is not there")
        return io.BytesIO(self.content[digest])


def host_in(root: Path, check: Any = lambda: None) -> Any:
    return SimpleNamespace(
        root=root, config=Config(), dist=root / "dist", scratch=root / ".goctl" / "scratch", blobs=Blobs(), check=check
    )


def compile_step(platform: str = "linux/arm/v7", targets: tuple[str, ...] = ("api",)) -> CompileStep:
    return CompileStep(
        id="compile:api",
        title="compile api",
        engine="prebuilt",
        package="./cmd/api",
        import_path="./cmd/api",
        file_name="api",
        platform=Platform.parse(platform),
        flags=(),
        env=(),
        group="g",
        targets=targets,
        outputs=tuple(f"dist/{target}/{Platform.parse(platform).slug}/api" for target in targets),
        input=None,
        fields={},
    )


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_program_is_taken_over(tmp_path: Path) -> None:
    put(tmp_path / "prebuilt/api/linux-arm-v7/api", b"program")
    engine = PrebuiltEngine(PrebuiltOptions(), host_in(tmp_path))
    assert isinstance(engine, Engine)
    (outcome,) = engine.run([compile_step()], {})
    assert outcome.error is None
    assert outcome.artifact == Binary("dist/api/linux-arm-v7/api", Digest.of(b"program"), 7)
    placed = tmp_path / "dist/api/linux-arm-v7/api"
    assert placed.read_bytes() == b"program"
    assert os.name == "nt" or placed.stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / ".goctl/scratch").iterdir()) == []


def test_a_later_change_of_the_source_leaves_what_was_released(tmp_path: Path) -> None:
    source = put(tmp_path / "prebuilt/api/linux-arm-v7/api", b"program")
    list(PrebuiltEngine(PrebuiltOptions(), host_in(tmp_path)).run([compile_step()], {}))
    source.write_bytes(b"another")
    assert (tmp_path / "dist/api/linux-arm-v7/api").read_bytes() == b"program"


def test_the_template_is_filled_in(tmp_path: Path) -> None:
    put(tmp_path / "bazel-out/api_linux-amd64", b"x")
    engine = PrebuiltEngine(PrebuiltOptions(path="bazel-out/{name}_{platform}"), host_in(tmp_path))
    (outcome,) = engine.run([compile_step("linux/amd64")], {})
    assert isinstance(outcome.artifact, Binary)


def test_a_missing_program_is_the_outcome_of_its_step_alone(tmp_path: Path) -> None:
    put(tmp_path / "prebuilt/api/linux-amd64/api", b"x")
    engine = PrebuiltEngine(PrebuiltOptions(), host_in(tmp_path))
    missing, found = engine.run([compile_step("linux/arm64"), compile_step("linux/amd64")], {})
    assert isinstance(missing.error, BuildError)
    assert "prebuilt/api/linux-arm64/api" in missing.error.message
    assert found.artifact is not None


@pytest.mark.parametrize("path", ["../{name}", "/etc/passwd", "prebuilt/../../{name}"])
def test_a_path_that_leaves_the_project_is_refused(tmp_path: Path, path: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    put(tmp_path / "api", b"x")
    (outcome,) = PrebuiltEngine(PrebuiltOptions(path=path), host_in(project)).run([compile_step()], {})
    assert isinstance(outcome.error, ConfigError)
    assert not (project / "dist").exists()


def test_an_unknown_name_in_the_template_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="version"):
        PrebuiltEngine(PrebuiltOptions(path="prebuilt/{version}/{name}"), host_in(tmp_path))


def test_an_interrupted_run_leaves_nothing_half_done(tmp_path: Path) -> None:
    put(tmp_path / "prebuilt/api/linux-arm-v7/api", b"program")

    def check() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        list(PrebuiltEngine(PrebuiltOptions(), host_in(tmp_path, check)).run([compile_step()], {}))
    assert not (tmp_path / "dist/api/linux-arm-v7/api").exists()
    assert list((tmp_path / ".goctl/scratch").iterdir()) == []


def index_of(blobs: Blobs, *layers: bytes) -> Index:
    images = []
    for number, layer in enumerate(layers):
        platform = Platform("linux", ("amd64", "arm64")[number])
        config = json.dumps({"architecture": platform.architecture, "os": "linux"}).encode()
        parts = [
            Descriptor("application/vnd.oci.image.config.v1+json", blobs.add(config), len(config)),
            Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blobs.add(layer), len(layer)),
        ]
        manifest = json.dumps({"config": parts[0].digest, "layers": [parts[1].digest]}).encode()
        images.append(Image(platform, Descriptor(MANIFEST, blobs.add(manifest), len(manifest)), parts[0], (parts[1],)))
    content = json.dumps({"manifests": [image.digest for image in images]}).encode()
    return Index(Descriptor(INDEX, blobs.add(content), len(content)), tuple(images))


def destination_in(root: Path, options: DirOptions | None = None) -> tuple[DirDestination, Blobs]:
    host = host_in(root)
    return DirDestination("folder", Registry(url="dir:out"), "out", options or DirOptions(), host), host.blobs


def release(destination: DirDestination, index: Index, *tags: str) -> int:
    sent = sum(destination.upload("shop/api", image, lambda done, total: None) for image in index.images)
    sent += destination.upload("shop/api", index, lambda done, total: None)
    destination.tag("shop/api", index, tags)
    return sent


@pytest.mark.parametrize("options", [DirOptions(), DirOptions(link=False)])
def test_a_released_index_has_skopeos_form(tmp_path: Path, options: DirOptions) -> None:
    destination, blobs = destination_in(tmp_path, options)
    assert isinstance(destination, Destination)
    index = index_of(blobs, b"one", b"two")
    assert destination.missing("shop/api", index, ["1.0", "latest"]) == ("1.0", "latest")
    assert release(destination, index, "1.0", "latest") == index.size
    folder = tmp_path / "out/shop/api@1.0"
    assert destination.reference("shop/api", "1.0") == "dir:out/shop/api@1.0"
    assert hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() == index.digest.hex
    assert (folder / "version").read_bytes() == b"Directory Transport Version: 1.1\n"
    for image in index.images:
        assert Digest.of((folder / f"{image.digest.hex}.manifest.json").read_bytes()) == image.digest
        for blob in (image.config, *image.layers):
            assert Digest.of((folder / blob.digest.hex).read_bytes()) == blob.digest
    assert destination.missing("shop/api", index, ["1.0", "latest"]) == ()
    assert sorted(path.name for path in (tmp_path / "out/shop").iterdir()) == ["api@.content", "api@1.0", "api@latest"]


def test_the_same_again_copies_nothing(tmp_path: Path) -> None:
    destination, blobs = destination_in(tmp_path)
    index = index_of(blobs, b"one", b"two")
    release(destination, index, "latest")
    assert release(destination, index, "latest") == 0


def test_a_tag_moves_and_loses_what_only_the_old_index_had(tmp_path: Path) -> None:
    destination, blobs = destination_in(tmp_path)
    old, new = index_of(blobs, b"one", b"two"), index_of(blobs, b"one", b"three")
    release(destination, old, "latest")
    release(destination, new, "latest")
    assert destination.missing("shop/api", new, ["latest"]) == ()
    assert destination.missing("shop/api", old, ["latest"]) == ("latest",)
    assert not (tmp_path / "out/shop/api@latest" / old.images[1].layers[0].digest.hex).exists()


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_layer_is_noticed_and_mended(tmp_path: Path, damage: str) -> None:
    destination, blobs = destination_in(tmp_path, DirOptions(link=False))
    index = index_of(blobs, b"one", b"two")
    release(destination, index, "latest")
    layer = tmp_path / "out/shop/api@latest" / index.images[0].layers[0].digest.hex
    if damage == "gone":
        layer.unlink()
    else:
        layer.write_bytes(b"o")
    assert destination.missing("shop/api", index, ["latest"]) == ("latest",)
    release(destination, index, "latest")
    assert destination.missing("shop/api", index, ["latest"]) == ()


def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    destination, blobs = destination_in(tmp_path)
    index = index_of(blobs, b"one")
    with pytest.raises(ConfigError):
        destination.upload("../api", index, lambda done, total: None)
    with pytest.raises(ConfigError):
        destination.tag("api", index, ["../latest"])
    with pytest.raises(ConfigError):
        DirDestination("folder", Registry(url="dir:../out"), "../out", DirOptions(), host_in(tmp_path))


def test_the_package_names_its_entry_points() -> None:
    import tomllib

    points = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert points == {
        "goctl.engines": {"prebuilt": f"{PrebuiltEngine.__module__}:PrebuiltEngine"},
        "goctl.destinations": {"dir": f"{DirDestination.__module__}:DirDestination"},
    }
