"""Images and indexes as OCI's image-spec has them, document by document."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from goctl.config.model import Registry
from goctl.contracts import Binary, Image, Index
from goctl.errors import GoctlError, ImageError
from goctl.oci.assemble import Assembler
from goctl.oci.assets import asset_digest
from goctl.oci.compress import compressors
from goctl.oci.layout import LayoutDestination, LayoutOptions
from goctl.oci.static import scratch_base, static_base
from goctl.plan.facts import Base
from goctl.plan.model import Asset, ImageStep, IndexStep, Program, Settings
from goctl.testing import Host
from goctl.values import Descriptor, Digest, Platform, to_json

AMD, ARM64, ARM7 = (Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
STEP = "compile:example.com/cmd/api@linux/amd64"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/api").write_bytes(b"program")
    (tmp_path / "web/deep").mkdir(parents=True)
    (tmp_path / "web/index.html").write_bytes(b"<p>")
    (tmp_path / "web/deep/a.css").write_bytes(b"a{}")
    return Host(tmp_path)


def static(host: Host, platform: Platform = AMD) -> Base:
    made = static_base(platform, host.blobs, host.memo)
    assert made is not None
    host.blobs.add(made[1])
    return made[0]


def foreign(host: Host, platform: Platform = AMD, **config: Any) -> Base:
    """A base as a registry has it, in Docker's media types."""
    layer = gzip.compress(b"tar", mtime=0)
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Env": ["PATH=/bin", "A=base"], "Cmd": ["sh"], "User": "base", "Labels": {"of": "base"}, **config},
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(b"tar")]},
        "history": [{"created_by": "ADD"}, {"created_by": "ENV", "empty_layer": True}],
    }
    content = to_json(document)
    stored = Descriptor("application/vnd.docker.container.image.v1+json", host.blobs.add(content), len(content))
    kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    blob = Descriptor(kind, host.blobs.add(layer), len(layer))
    return Base("example.com/base:1", Digest.of(b"manifest"), stored, (blob,), (Digest.of(b"tar"),))


def step(host: Host, base: Base | None, platform: Platform = AMD, **change: Any) -> ImageStep:
    made = ImageStep(
        id=f"image:api@{platform}", title="", target="api", platform=platform, base_reference="base", base=base,
        programs=(Program(STEP, "/usr/local/bin/api"),),
        assets=(Asset("web", "/srv/www", asset_digest(host.root / "web")),),
        settings=Settings(entrypoint=("/usr/local/bin/api",)), compression="gzip", compression_level=1,
        compressor=compressors()["gzip"], recipe=Digest.of(b"recipe"), fields={},
    )  # fmt: skip
    return replace(made, **change)


def program(host: Host) -> Binary:
    content = (host.root / "dist/api").read_bytes()
    return Binary("dist/api", Digest.of(content), len(content))


def assembled(host: Host, wanted: ImageStep) -> Image:
    return Assembler(host).image(wanted, {STEP: program(host)})


def document(host: Host, descriptor: Descriptor) -> dict[str, Any]:
    content = host.blobs.read(descriptor.digest)
    assert len(content) == descriptor.size
    found: dict[str, Any] = json.loads(content)
    return found


def names(host: Host, layer: Descriptor) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(host.blobs.read(layer.digest)))) as file:
        return {m.name: None if (read := file.extractfile(m)) is None else read.read() for m in file.getmembers()}


def test_the_manifest_names_config_and_layers(host: Host) -> None:
    image = assembled(host, step(host, static(host)))
    manifest = document(host, image.manifest)
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, "application/vnd.oci.image.manifest.v1+json")
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert manifest["config"]["digest"] == image.config.digest
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.digest for layer in image.layers]
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert "annotations" not in manifest


def test_the_config_says_how_it_runs_and_what_it_is_made_of(host: Host) -> None:
    image = assembled(host, step(host, static(host)))
    config = document(host, image.config)
    assert (config["os"], config["architecture"], config["created"]) == ("linux", "amd64", "1970-01-01T00:00:00Z")
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/api"]
    assert "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" in config["config"]["Env"]
    unpacked = [Digest.of(gzip.decompress(host.blobs.read(layer.digest))) for layer in image.layers]
    assert config["rootfs"] == {"type": "layers", "diff_ids": unpacked}
    assert len([entry for entry in config["history"] if not entry.get("empty_layer")]) == len(image.layers) == 3


def test_layers_hold_assets_and_programs(host: Host) -> None:
    _, assets, programs = assembled(host, step(host, static(host))).layers
    assert names(host, assets) == {
        "srv": None, "srv/www": None, "srv/www/deep": None, "srv/www/deep/a.css": b"a{}", "srv/www/index.html": b"<p>",
    }  # fmt: skip
    assert names(host, programs) == {"usr": None, "usr/local": None, "usr/local/bin": None, "usr/local/bin/api": b"program"}


def test_what_a_base_says_stays_unless_it_is_changed(host: Host) -> None:
    settings = Settings(
        entrypoint=("/api",), command=("-v",), env=(("A", "ours"), ("B", "b=c")), ports=("80/tcp",), user="1:2",
        working_directory="/srv", labels=(("x", "y"),), annotations=(("n", "m"),), created=1_700_000_000,
    )  # fmt: skip
    base = foreign(host, ExposedPorts={"53/udp": {}})
    image = assembled(host, step(host, base, settings=settings))
    config = document(host, image.config)
    assert config["config"] == {
        "Cmd": ["-v"], "Entrypoint": ["/api"], "Env": ["PATH=/bin", "A=ours", "B=b=c"], "User": "1:2", "WorkingDir": "/srv",
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}}, "Labels": {"of": "base", "x": "y"},
    }  # fmt: skip
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert [entry.get("created_by") for entry in config["history"][:2]] == ["ADD", "ENV"]
    manifest = document(host, image.manifest)
    assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert manifest["layers"][0]["digest"] == base.layers[0].digest
    assert manifest["annotations"] == {
        "n": "m",
        "org.opencontainers.image.base.name": "example.com/base:1",
        "org.opencontainers.image.base.digest": base.digest,
    }


def test_a_new_entrypoint_drops_the_arguments_of_the_bases(host: Host) -> None:
    config = document(host, assembled(host, step(host, foreign(host))).config)["config"]
    assert "Cmd" not in config
    kept = document(host, assembled(host, step(host, foreign(host), settings=Settings())).config)["config"]
    assert (kept["Cmd"], kept["User"]) == (["sh"], "base")


def test_the_same_step_gives_the_same_bytes_elsewhere(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    here = assembled(host, step(host, static(host)))
    other = tmp_path_factory.mktemp("other")
    for name in ("dist/api", "web/index.html", "web/deep/a.css"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((host.root / name).read_bytes())
        (other / name).chmod(0o600)
    there = Host(other)
    assert assembled(there, step(there, static(there))) == here


def test_an_index_names_each_platform(host: Host) -> None:
    images = {f"image:api@{p}": assembled(host, step(host, static(host, p), p)) for p in (AMD, ARM64, ARM7)}
    wanted = IndexStep(
        id="index:api", title="", target="api", needs=tuple(images), annotations=(("a", "b"),), recipe=Digest.of(b"")
    )
    made = Assembler(host).index(wanted, images)
    index = document(host, made.descriptor)
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    assert [entry["digest"] for entry in index["manifests"]] == [image.digest for image in images.values()]
    assert index["annotations"] == {"a": "b"}
    # Built-in bases are one layer for all platforms, and assets are the same: they are stored once.
    layers = [layer.digest for image in images.values() for layer in image.layers]
    assert len(set(layers)) == 3


def test_a_base_for_another_platform_is_refused(host: Host) -> None:
    with pytest.raises(ImageError, match="is for linux/arm64, not for linux/amd64"):
        assembled(host, step(host, foreign(host, ARM64)))
    with pytest.raises(ImageError, match="not known for linux/amd64"):
        assembled(host, step(host, None))


CLASHES = {
    "/usr/local/bin/api": "would both be at /usr/local/bin/api",
    "/usr/local": "",
    "/usr/local/bin/api/x": "would both be at /usr/local/bin/api",
}


@pytest.mark.parametrize("path", CLASHES)
def test_two_things_at_one_place_are_refused(host: Host, path: str) -> None:
    (host.root / "file").write_bytes(b"f")
    wanted = step(host, static(host), assets=(Asset("file", path, asset_digest(host.root / "file")),))
    with pytest.raises(ImageError, match=CLASHES[path] or "needs a folder|would both be"):
        assembled(host, wanted)


def test_edits_after_the_plan_are_refused(host: Host) -> None:
    wanted = step(host, static(host))
    (host.root / "web/index.html").write_bytes(b"edited")
    with pytest.raises(ImageError, match="edited during the release"):
        assembled(host, wanted)
    wanted, binary = step(host, static(host)), program(host)
    (host.root / "dist/api").write_bytes(b"Program")
    with pytest.raises(ImageError, match="changed while it was read"):
        Assembler(host).image(wanted, {STEP: binary})


def test_an_empty_base_is_empty(host: Host) -> None:
    base, config = scratch_base(AMD)
    host.blobs.add(config)
    image = assembled(host, step(host, base, assets=()))
    assert len(image.layers) == 1
    assert document(host, image.config)["config"]["Entrypoint"] == ["/usr/local/bin/api"]


def layout(host: Host) -> LayoutDestination:
    return LayoutDestination("local", Registry(url="oci-layout:out"), "out", LayoutOptions(), host)


def index_of(host: Host, *platforms: Platform) -> Index:
    images = {f"image:api@{p}": assembled(host, step(host, static(host, p), p)) for p in platforms}
    wanted = IndexStep(id="index:api", title="", target="api", needs=tuple(images), recipe=Digest.of(b""))
    return Assembler(host).index(wanted, images)


def put(host: Host, index: Index, *tags: str) -> int:
    there = layout(host)
    sent = sum(there.upload("shop/api", each, lambda done, total: None) for each in (*index.images, index))
    there.tag("shop/api", index, tags)
    return sent


def test_a_layout_holds_what_its_names_lead_to(host: Host) -> None:
    index = index_of(host, AMD, ARM64)
    assert layout(host).missing("shop/api", index, ("1", "latest")) == ("1", "latest")
    assert put(host, index, "1", "latest") > 0
    assert layout(host).missing("shop/api", index, ("1", "latest")) == ()
    out = host.root / "out"
    assert json.loads((out / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads((out / "index.json").read_bytes())["manifests"]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries] == [
        "shop/api:1",
        "shop/api:latest",
    ]
    assert {entry["digest"] for entry in entries} == {index.digest}
    for path in (out / "blobs/sha256").iterdir():
        assert Digest.of(path.read_bytes()).hex == path.name
    assert put(host, index, "1", "latest") == 0


def test_a_tag_moves_and_the_others_stay(host: Host) -> None:
    first = index_of(host, AMD)
    put(host, first, "1", "latest")
    second = index_of(host, AMD, ARM64)
    put(host, second, "latest")
    assert layout(host).missing("shop/api", first, ("1", "latest")) == ("latest",)
    assert layout(host).missing("shop/api", second, ("1", "latest")) == ("1",)


def test_a_missing_or_cut_blob_is_missed(host: Host) -> None:
    index = index_of(host, AMD)
    put(host, index, "1")
    blob = host.root / "out/blobs/sha256" / index.images[0].layers[-1].digest.hex
    blob.write_bytes(blob.read_bytes()[:-1])
    assert layout(host).missing("shop/api", index, ("1",)) == ("1",)
    blob.unlink()
    assert layout(host).missing("shop/api", index, ("1",)) == ("1",)
    put(host, index, "1")
    assert layout(host).missing("shop/api", index, ("1",)) == ()


@pytest.mark.parametrize("address", ["../out", "/etc/out", "a/../../out", "C:\\out", "\\\\server\\share"])
def test_a_layout_stays_in_the_project(host: Host, address: str) -> None:
    with pytest.raises(GoctlError):
        LayoutDestination("local", Registry(url=f"oci-layout:{address}"), address, LayoutOptions(), host)


def test_a_link_in_a_layout_leads_nowhere(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (host.root / "out").mkdir()
    (host.root / "out/blobs").symlink_to(outside, target_is_directory=True)
    with pytest.raises(GoctlError):
        put(host, index_of(host, AMD), "1")
    assert list(outside.rglob("*")) == []


def test_a_layout_is_rid_of_what_killed_runs_left(host: Host) -> None:
    put(host, index_of(host, AMD), "1")
    blobs = host.root / "out/blobs/sha256"
    for left in (blobs / ".abc.1.2", host.root / "out/.index.json.x.tmp"):
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
    (blobs / ".def.3.4").write_bytes(b"another run is at it")
    put(host, index_of(host, AMD), "2")
    assert [path.name for path in blobs.glob(".*")] == [".def.3.4"]
    assert sorted(path.name for path in (host.root / "out").glob(".*")) == [".goctl.lock"]
