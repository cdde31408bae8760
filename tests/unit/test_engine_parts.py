"""What the BuildKit engine is made of, without a builder: its plan, its layouts, the comparison of two images."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from goctl.config.model import Archives, BuildKit, Config, Dockerfile, Go, Image, Project, Registry, Target
from goctl.contracts import Image as Made
from goctl.errors import ImageError
from goctl.oci.contents import files
from goctl.oci.layout import LayoutDestination, LayoutOptions
from goctl.oci.layout_images import read_images
from goctl.plan.facts import Base, Facts, Git, Listing, ListingKey, Main, Toolchain
from goctl.plan.joined import join
from goctl.plan.make import listing_key, make
from goctl.plan.model import CompileStep, ImageStep, Plan
from goctl.testing import Host, make_index
from goctl.values import Descriptor, Digest, Platform

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
BOTH = (AMD64, ARM64)


def configuration(**image: Any) -> Config:
    settings = {"engine": "buildkit", "compile": "buildkit", "base": "static", **image}
    return Config(
        project=Project(name="shop", version="1"),
        targets={"api": Target(packages=("./cmd/api",), image=Image(**settings))},
        registries={"there": Registry(url="registry.example.com/shop")},
    )


def facts(config: Config, source: str = "one") -> Facts:
    keys: dict[ListingKey, Listing] = {}
    for platform in BOTH:
        main = Main("example.com/shop/cmd/api", "api", Digest.of(source.encode()))
        keys[listing_key(config, config.targets["api"], platform)] = Listing({"./cmd/api": (main,)}, Digest.of(b"detail"))
    base = Base("static", Digest.of(b"base"), Descriptor("config", Digest.of(b"config"), 1))
    return Facts(
        git=Git("a" * 40, "aaaaaaa", "main", "v1.0", 1_700_000_000, dirty=False),
        version="1",
        toolchain=Toolchain("go", "PATH", "go1.26.1", "/go"),
        listings=keys,
        bases={("static", platform): base for platform in BOTH},
    )


def planned(config: Config, source: str = "one") -> Plan:
    return make(config, facts(config, source), {"api": BOTH})


def images(plan: Plan) -> list[ImageStep]:
    return [step for step in plan.steps if isinstance(step, ImageStep)]


def key(config: Config, source: str = "one") -> Digest | None:
    return images(planned(config, source))[0].key({})


def test_programs_compiled_in_buildkit_are_no_steps_but_part_of_the_image() -> None:
    plan = planned(configuration())
    assert not [step for step in plan.steps if isinstance(step, CompileStep)]
    for step in images(plan):
        assert step.needs == ()
        assert step.baking is not None
        assert [one.import_path for one in step.baking.inside] == ["example.com/shop/cmd/api"]
        assert [program.path for program in step.programs] == ["/usr/local/bin/api"]


def test_archives_need_the_programs_here_too() -> None:
    config = configuration()
    target = msgspec.structs.replace(config.targets["api"], archive=Archives())
    plan = planned(msgspec.structs.replace(config, targets={"api": target}))
    assert len([step for step in plan.steps if isinstance(step, CompileStep)]) == len(BOTH)
    assert all(step.needs == () for step in images(plan))


@pytest.mark.parametrize("compile", ["host", "buildkit"])
def test_programs_of_the_embedded_engine_are_steps_whatever_a_bake_file_says(compile: str) -> None:
    plan = planned(configuration(engine="embedded", compile=compile))
    assert len([step for step in plan.steps if isinstance(step, CompileStep)]) == len(BOTH)
    assert all(len(step.needs) == 1 for step in images(plan))


def test_a_workspaces_plan_keeps_what_is_compiled_inside() -> None:
    config = configuration()
    joined = join("mono", [planned(config)], {"shop": config})
    assert [step.target for step in images(joined)] == ["shop:api"] * 2
    assert all(step.baking is not None and step.baking.inside for step in images(joined))


def test_the_key_of_an_image_has_all_that_can_change_it_and_nothing_else() -> None:
    first = key(configuration())
    assert first is not None
    assert key(configuration()) == first
    different = [
        key(configuration(), "two"),
        key(configuration(dockerfile=Dockerfile(packages=("tzdata",)), base="static")),
        key(configuration(dockerfile=Dockerfile(args={"COMMIT": "{git.sha}"}))),
        key(configuration(dockerfile=Dockerfile(secrets={"netrc": "file:netrc"}))),
        key(configuration(compile="host")),
        key(msgspec.structs.replace(configuration(), buildkit=BuildKit(go_image="golang:1"))),
        key(msgspec.structs.replace(configuration(), go=Go(env={"GOEXPERIMENT": "x"}))),
    ]
    assert first not in different
    assert len({str(one) for one in different}) == len(different)
    caches = BuildKit(cache_to=("type=registry,ref={registry}/cache:{target}",), builder="other", retries=3)
    assert key(msgspec.structs.replace(configuration(), buildkit=caches)) == first


def test_nobody_knows_what_a_dockerfile_of_the_projects_own_reads() -> None:
    assert key(configuration(dockerfile=Dockerfile(path="Dockerfile"))) is None


def test_a_branch_adds_no_option_to_a_cache() -> None:
    config = msgspec.structs.replace(
        configuration(), buildkit=BuildKit(cache_to=("type=registry,ref={registry}/cache:{git.branch}",))
    )
    own = msgspec.structs.replace(facts(config), git=Git("a" * 40, "a", "x,mode=max", "v1", 0, dirty=False))
    (step, _) = images(make(config, own, {"api": BOTH}))
    assert step.baking is not None
    assert step.baking.cache_to == ((("ref", "registry.example.com/shop/cache:x,mode=max"), ("type", "registry")),)


def layout(folder: Path) -> tuple[Path, tuple[Made, ...]]:
    """An image layout of one index, and the images in it."""
    host = Host(folder / "writer")
    index = make_index(host)
    destination = LayoutDestination("there", Registry(url="oci-layout:out"), "out", LayoutOptions(), host)
    for image in index.images:
        destination.upload("shop", image, lambda done, total: None)
    destination.upload("shop", index, lambda done, total: None)
    destination.tag("shop", index, ["1"])
    return host.root / "out", index.images


def test_images_come_out_of_a_layout_whole(tmp_path: Path) -> None:
    folder, written = layout(tmp_path)
    host = Host(tmp_path / "reader")
    found = read_images(host, folder)
    assert [(one.platform, one.digest, one.layers) for one in found] == [
        (one.platform, one.digest, one.layers) for one in written
    ]
    assert all(host.blobs.has(blob.digest, blob.size) for one in found for blob in (one.manifest, one.config, *one.layers))


def test_a_damaged_layout_is_told_and_leaves_nothing_wrong(tmp_path: Path) -> None:
    folder, written = layout(tmp_path)
    layer = written[0].layers[0]
    path = folder / "blobs" / layer.digest.algorithm / layer.digest.hex
    path.write_bytes(path.read_bytes()[::-1])
    host = Host(tmp_path / "reader")
    with pytest.raises(Exception, match="sha256"):
        read_images(host, folder)
    assert not host.blobs.has(layer.digest, layer.size)


def tarball(**content: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, text in content.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return held.getvalue()


def image(host: Host, *layers: tuple[str, bytes]) -> Made:
    blobs = tuple(
        Descriptor(f"application/vnd.oci.image.layer.v1.tar{kind}", host.blobs.add(content), len(content))
        for kind, content in layers
    )
    nothing = Descriptor("x", Digest.of(b""), 0)
    return Made(AMD64, nothing, nothing, blobs)


def test_files_are_found_in_layers_of_every_compression_the_uppermost_first(tmp_path: Path) -> None:
    host = Host(tmp_path)
    made = image(
        host,
        ("", tarball(app="old", srv__www__page="page")),
        ("+gzip", gzip.compress(tarball(app="new", other="other"))),
        ("+zstd", zstandard.ZstdCompressor().compress(tarball(srv__www__style="style"))),
    )
    assert files(host.blobs, made, ["/app", "/srv/www"]) == {
        "/app": Digest.of(b"new"),
        "/srv/www/page": Digest.of(b"page"),
        "/srv/www/style": Digest.of(b"style"),
    }


def test_a_layer_that_is_no_archive_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        files(host.blobs, image(host, ("+gzip", b"no gzip")), ["/app"])
