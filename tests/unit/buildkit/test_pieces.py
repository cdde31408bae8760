"""The pieces that BuildKit makes of images: what is baked together, what is not baked again, and who misses what failed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goctl.buildkit.dockerfile import programs_text
from goctl.buildkit.dockerfile_recipes import Compilation, Recipe, Sources
from goctl.buildkit.hcl import BakeFile
from goctl.buildkit.progress import named
from goctl.buildkit.run import Baked, Results
from goctl.buildkit.run_document import Files, Layout, Output
from goctl.config.dockerfiles import options
from goctl.config.model import BuildKit, Registry
from goctl.errors import BuilderError, GoctlError
from goctl.oci.layout import LayoutDestination, LayoutOptions
from goctl.plan.facts import Base
from goctl.plan.model import Baking, ImageStep, Program, Settings
from goctl.release.buildkit_packages import Packages
from goctl.release.buildkit_pieces import Pieces, pieces
from goctl.release.crew import assemble
from goctl.release.session import Session
from goctl.testing import Host, make_index
from goctl.values import Descriptor, Digest, Platform

AMD64, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm/v7")
BOTH = (AMD64, ARM)
BASE = Base("debian:12", Digest.of(b"base"), Descriptor("config", Digest.of(b"config"), 6))


def compilation(
    *names: str, files: tuple[str, ...] = ("go.mod",), module: str = ".", flags: tuple[str, ...] = ()
) -> Compilation:
    return Compilation(
        image="golang:1.26",
        sources=Sources(module=module, modules=(module,), module_files=files, files=dict.fromkeys(names, ())),
        files=(),
        programs=tuple(_program(name) for name in names),
        platforms=BOTH,
        flags=flags,
        ldflags=None,
        env=(),
    )


def _program(name: str) -> Any:
    from goctl.buildkit.dockerfile_recipes import Program as Made

    return Made(name, f"./cmd/{name}")


def recipe(name: str, own: Compilation | None = None, packages: tuple[str, ...] = ()) -> Recipe:
    return Recipe(
        target=name,
        base="debian:12",
        platforms=BOTH,
        programs=(),
        assets=(),
        settings=Settings(created=1_700_000_000),
        dist=f"dist/{name}",
        packages=packages,
        compilation=own,
    )


def images(name: str, packages: tuple[str, ...] = (), platforms: Sequence[Platform] = BOTH) -> list[ImageStep]:
    return [
        ImageStep(
            id=f"image:{name}@{platform}",
            title="",
            engine="buildkit",
            target=name,
            platform=platform,
            base_reference="debian:12",
            base=BASE,
            programs=(Program(f"build:{name}@{platform}", f"/usr/local/bin/{name}"),),
            assets=(),
            settings=Settings(),
            compression="gzip",
            compression_level=1,
            compressor="zlib-ng",
            baking=Baking(packages=packages) if packages else None,
            recipe=None,
            fields={},
        )
        for platform in platforms
    ]


class Builder:
    """Makes what is asked for, but for targets that are to fail; keeps what it was asked for."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.asked: list[BakeFile] = []
        self.executed: list[tuple[Platform, ...] | None] = []

    def __call__(self, document: BakeFile, outputs: Mapping[str, Output], executed: tuple[Platform, ...]) -> Results:
        self.asked.append(document)
        self.executed.append(executed)
        failed: dict[str, GoctlError] = {name: BuilderError(f"{name} fails") for name in outputs if name in self.failing}
        for name, output in outputs.items():
            if isinstance(output, Files) and name not in failed:
                for platform in BOTH:
                    for program in ("api", "worker"):
                        file = output.folder / platform.slug / program
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_text(f"{program} for {platform}")
            if isinstance(output, Layout) and name not in failed:
                self._layout(output.folder)
        return Results({name: Baked(name) for name in outputs if name not in failed}, failed)

    def _layout(self, folder: Path) -> None:
        host = Host(folder.parent / f"{folder.name}-made")
        index = make_index(host, [str(platform) for platform in BOTH], layers=(b"below", b"packages"))
        destination = LayoutDestination("there", Registry(url="oci-layout:out"), "out", LayoutOptions(), host)
        for image in index.images:
            destination.upload("base", image, lambda done, total: None)
        destination.upload("base", index, lambda done, total: None)
        destination.tag("base", index, ["1"])
        (host.root / "out").rename(folder)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (tmp_path / "goctl.toml").write_text(
        '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n[targets.worker]\npackages = ["./cmd/worker"]\n'
    )
    return assemble(tmp_path / "goctl.toml", profile="", emit=lambda event: None).first


def made(
    session: Session, pairs: Sequence[tuple[Recipe, Sequence[ImageStep]]], builder: Builder, name: str = "out"
) -> Pieces:
    folder = session.root / name
    folder.mkdir(exist_ok=True)
    return pieces(session, pairs, folder, builder, Packages(session, builder, lambda: "builder"))


def test_targets_that_are_compiled_alike_are_one_part(session: Session) -> None:
    shared = compilation("api", "worker")
    builder = Builder()
    found = made(session, [(recipe("api", shared), images("api")), (recipe("worker", shared), images("worker"))], builder)
    assert found.failed == {}
    (document,) = builder.asked
    (table,) = document["target"].values()
    assert "platforms" not in table, "it is the builder's own platform that compiles for all"
    assert {id: Path(program.path).read_text() for id, program in found.programs.items()} == {
        f"build:{name}@{platform}": f"{name} for {platform}" for name in ("api", "worker") for platform in BOTH
    }
    assert all(program.digest == Digest.of(Path(program.path).read_bytes()) for program in found.programs.values())


def test_a_base_with_packages_is_baked_once_for_all_who_want_it_and_kept(session: Session) -> None:
    wanted = ("libsqlite3-0",)
    pairs = [(recipe(name, packages=wanted), images(name, wanted)) for name in ("api", "worker")]
    builder = Builder()
    found = made(session, pairs, builder)
    assert [sorted(document["target"]) for document in builder.asked] == [["api-base"]]
    assert builder.executed == [BOTH], "packages are installed by programs of the platform"
    assert {base.layers for base in found.bases.values()} == {next(iter(found.bases.values())).layers}
    assert {*found.bases} == {image.id for _, own in pairs for image in own}
    for base in found.bases.values():
        assert (base.reference, base.digest) == (BASE.reference, BASE.digest), "annotations name the base below"
    again = made(session, pairs, builder, "again")
    assert again.bases == found.bases
    assert len(builder.asked) == 1


def test_a_kept_base_is_of_its_packages_and_goes_with_its_content(session: Session) -> None:
    builder = Builder()
    made(session, [(recipe("api", packages=("a",)), images("api", ("a",)))], builder)
    made(session, [(recipe("api", packages=("b",)), images("api", ("b",)))], builder, "other")
    assert len(builder.asked) == 2
    found = made(session, [(recipe("api", packages=("a",)), images("api", ("a",)))], builder, "third")
    assert len(builder.asked) == 2
    layer = next(iter(found.bases.values())).layers[-1]
    session.blobs.path(layer.digest).unlink()
    made(session, [(recipe("api", packages=("a",)), images("api", ("a",)))], builder, "fourth")
    assert len(builder.asked) == 3


def test_the_time_of_a_commit_is_no_part_of_a_base(session: Session) -> None:
    builder = Builder()
    made(session, [(recipe("api", packages=("a",)), images("api", ("a",)))], builder)
    assert builder.asked[0]["target"]["api-base"]["args"] == {"SOURCE_DATE_EPOCH": "0"}


def caches(session: Session, *texts: str) -> dict[str, dict[str, list[Any]]]:
    """The caches of both pieces of a target that installs packages and compiles, by piece; `texts` as declared."""
    session.config = msgspec.structs.replace(
        session.config, buildkit=BuildKit(cache_to=texts, cache_from=tuple(text.replace("dest=", "src=") for text in texts))
    )
    filled = msgspec.structs.replace(
        recipe("api", compilation("api"), packages=("a",)),
        **{
            name: tuple(tuple(options(text.replace("{target}", "api")).items()) for text in declared)
            for name, declared in (
                ("cache_to", session.config.buildkit.cache_to),
                ("cache_from", session.config.buildkit.cache_from),
            )
        },
    )
    builder = Builder()
    made(session, [(filled, images("api", ("a",)))], builder)
    tables: Any = builder.asked[0]["target"]
    return {name: {option: table.get(option, []) for option in ("cache-to", "cache-from")} for name, table in tables.items()}


@pytest.mark.parametrize(
    ("text", "option", "programs", "base"),
    [
        ("type=registry,ref=h:5000/c:{target}", "ref", "h:5000/c:api-programs", "h:5000/c:api-base"),
        ("type=registry,ref=h:5000/c", "ref", "h:5000/c:latest-api-programs", "h:5000/c:latest-api-base"),
        ("type=local,dest=c/{target}/", "dest", "c/api/programs", "c/api/base"),
        ("type=gha", "scope", "buildkit-api-programs", "buildkit-api-base"),
        ("type=gha,scope={target}", "scope", "api-programs", "api-base"),
        ("type=s3,region=r,bucket=b", "name", "buildkit-api-programs", "buildkit-api-base"),
        ("type=s3,region=r,bucket=b,name=x;{target}", "name", "x-programs;api-programs", "x-base;api-base"),
        ("type=azblob,name=n", "name", "n-api-programs", "n-api-base"),
    ],
)
def test_each_piece_has_a_cache_of_its_own_and_reads_it(
    session: Session, text: str, option: str, programs: str, base: str
) -> None:
    found = caches(session, text)
    assert {name: cache["cache-to"][0][option] for name, cache in found.items()} == {"api": programs, "api-base": base}
    read = "src" if option == "dest" else option
    assert {name: cache["cache-from"][0][read] for name, cache in found.items()} == {"api": programs, "api-base": base}


def test_what_is_in_an_image_is_no_cache_of_a_piece(session: Session) -> None:
    found = caches(session, "type=inline", f"type=registry,ref=h/c@{BASE.digest}", f"type=registry,ref=h/c:{'x' * 128}")
    for piece, cache in found.items():
        fixed, long = cache["cache-to"]
        assert fixed["ref"] == f"h/c@{BASE.digest}"
        tag = long["ref"].removeprefix("h/c:")
        assert len(tag) == 128
        assert tag.endswith({"api": "x-api-programs", "api-base": "x-api-base"}[piece])


def test_only_images_of_a_part_that_failed_fail(session: Session) -> None:
    pairs = [
        (recipe("api", compilation("api")), images("api")),
        (recipe("worker", compilation("worker", flags=("-tags=x",))), images("worker")),
    ]
    found = made(session, pairs, Builder("worker"))
    assert {*found.failed} == {image.id for image in pairs[1][1]}
    assert {*found.programs} == {f"build:api@{platform}" for platform in BOTH}


def test_a_program_that_is_not_there_is_told(session: Session) -> None:
    pairs = [(recipe("api", compilation("other")), [msgspec.structs.replace(one, programs=(Program("x", "/bin/other"),))
             for one in images("api", platforms=[AMD64])])]  # fmt: skip
    found = made(session, pairs, Builder())
    assert "BuildKit made no other of api for linux/amd64" in str(found.failed["image:api@linux/amd64"])


def test_nothing_is_baked_where_nothing_is_needed(session: Session) -> None:
    builder = Builder()
    assert made(session, [(recipe("api"), images("api"))], builder) == Pieces({}, {}, {})
    assert builder.asked == []


def test_sources_are_mounted_and_compiled_for_all_platforms_at_once() -> None:
    text = programs_text(recipe("api"), compilation("api", files=("go.mod", "go.sum")))
    assert "COPY go.mod" not in text
    assert "--mount=type=bind,source=go.sum,target=/src/go.sum " in text
    assert text.count("go build") == len(BOTH)
    assert re.search(r"COPY --from=goctl-compile /[^/ ]+/[^/ ]+/ /", text), "beside a folder in the root is the whole image"
    assert 'for one in $all; do wait "$one" || exit; done' in text
    one = programs_text(recipe("api"), msgspec.structs.replace(compilation("api"), platforms=(ARM,)))
    assert (
        "GOOS=linux GOARCH=arm CGO_ENABLED=0 GOARM=7 go build -trimpath -buildvcs=false "
        "-o /out/programs/linux-arm-v7/ -- ./cmd/api\n" in one
    )
    assert "wait" not in one


@pytest.mark.skipif(sys.platform == "win32", reason="a build's shell is one of Linux")
@pytest.mark.parametrize(
    ("free", "cores", "before", "after"),
    [
        (3 << 20, 2, {}, "3200 1572864KiB"),
        ((3 << 20) - 1, 2, {}, " "),
        (32 << 20, 2, {"GOGC": "50"}, "50 "),
        (32 << 20, 2, {"GOMEMLIMIT": "1GiB"}, " 1GiB"),
        ("", 2, {}, " "),
        (None, 2, {}, " "),
    ],
)
def test_garbage_is_collected_late_where_each_core_has_room(
    tmp_path: Path, free: int | str | None, cores: int, before: dict[str, str], after: str
) -> None:
    text = programs_text(recipe("api"), msgspec.structs.replace(compilation("api"), platforms=(ARM,)))
    line = next(line for line in text.splitlines() if "GOGC" in line).removesuffix("\\")
    for name, says in (("awk", free), ("nproc", cores)):
        if says is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
            (tmp_path / name).chmod(0o755)
    env = {"PATH": str(tmp_path)} | before
    said = f'{line} echo "$GOGC $GOMEMLIMIT"'
    done = subprocess.run(["/bin/sh", "-c", said], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{after}\n", "")


def test_a_steps_title_begins_with_what_is_compiled() -> None:
    """BuildKit calls a step by its lines, joined."""
    text = programs_text(recipe("api"), compilation("api"))
    run = text[text.rindex("RUN") : text.rindex("FROM")].replace("\\\n", "")
    assert "GOGC" in run
    title = named(f"[goctl-compile 4/4] {run}", ["api"]).title
    assert title.startswith("goctl-compile: RUN GOOS=linux GOARCH=amd64 ")


def test_a_workspaces_sums_can_be_noted_and_are_thrown_away() -> None:
    text = programs_text(recipe("api"), compilation("api", files=("go.work", "svc/go.mod"), module="svc"))
    assert "WORKDIR /src/svc" in text
    assert text.count(",rw") == 3


@pytest.mark.parametrize("name", ["a b/go.mod", "a,b/go.mod", "$x/go.mod", 'q"/go.mod', "[x]/go.mod"])
def test_names_that_a_mount_would_read_otherwise_are_copied(name: str) -> None:
    text = programs_text(recipe("api"), compilation("api", files=(name,)))
    assert f"source={name}" not in text
    assert "COPY" in text.partition("RUN")[0]
