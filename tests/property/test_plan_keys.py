"""What changes which key. Every field of the configuration and of the facts stands in a table here: with the steps that a
change of it makes anew, and no others. A field that is new and not in the table fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from goctl.config import model
from goctl.config.cache import Cache, Level
from goctl.config.cluster import Cluster
from goctl.config.deploy import Deploy
from goctl.config.model import ArchiveDefaults, Config, Image, Platforms, PlatformSettings, Registry, Target
from goctl.plan import facts as looked_up
from goctl.plan import keys
from goctl.plan.facts import Base, Facts, File, Git, Listing, ListingKey, Main, Toolchain
from goctl.plan.make import listing_key, make
from goctl.plan.model import ArchiveStep, CompileStep, ImageStep, IndexStep
from goctl.values import Descriptor, Digest, Platform

AMD, ARM, MAC = (Platform.parse(name) for name in ("linux/amd64", "linux/arm/v7", "darwin/arm64"))
CHOSEN = {"api": (AMD, ARM), "worker": (AMD, MAC)}


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def configuration() -> Config:
    return Config(
        targets={
            "api": Target(
                packages=("./cmd/api",), stamp="binary", image=Image(assets={"web": "/srv"}, base="base:1"),
                archive=ArchiveDefaults(files=("LICENSE",)),
            ),
            "worker": Target(packages=("./cmd/worker",), image=Image(base="base:1")),
        },
        registries={"one": Registry(url="localhost/one")},
    )  # fmt: skip


def base(name: str) -> Base:
    return Base("base:1", digest(name), Descriptor("config", digest(f"config {name}"), 1))


def facts(config: Config) -> Facts:
    listings = {}
    for name, platforms in CHOSEN.items():
        for platform in platforms:
            main = Main(f"example.com/cmd/{name}", "main", digest(f"{name} {platform}"))
            known = listings.setdefault(listing_key(config, config.targets[name], platform), {})
            known[config.targets[name].packages[0]] = (main,)
    return Facts(
        git=Git("a" * 40, "aaaaaaa", "main", "v1.0", 1_700_000_000, dirty=False),
        version="1.0",
        toolchain=Toolchain("/go/bin/go", "PATH", "go1.26.8", "/go", ("-mod=readonly",), {"GOEXPERIMENT": "none"}),
        listings={key: Listing(mains, digest("detail")) for key, mains in listings.items()},
        assets={"web": digest("web")},
        bases={("base:1", platform): base(str(platform)) for platform in (AMD, ARM)},
        compressors={"gzip": "deflate 1", "zstd": "zstandard 1"},
        environment={},
        files={"LICENSE": (File("LICENSE", digest("license")),), "docs": (File("docs/a.md", digest("a")),)},
    )


def keyed(config: Config, known: Facts) -> dict[str, Digest | None]:
    """The key of each step, as far as it depends on the plan alone."""
    found: dict[str, Digest | None] = {}
    for step in make(config, known, CHOSEN).steps:
        match step:
            case CompileStep():
                found[step.id] = step.key({})
            case ImageStep() | IndexStep() | ArchiveStep():
                found[step.id] = step.recipe
    return found


def changed(config: Config, known: Facts) -> set[str]:
    """The steps whose keys are others than at first, without platforms: `compile api`, `image worker`..."""
    before = keyed(configuration(), facts(configuration()))
    after = keyed(config, known)
    assert None not in before.values()
    ids = {id for id in before.keys() | after.keys() if before.get(id) != after.get(id)}
    return {id.split("@")[0].replace("example.com/cmd/", "").replace(":", " ") for id in ids}


API = {"compile api", "image api", "index api"}
WORKER = {"compile worker", "image worker", "index worker"}
COMPILES = {"compile api", "compile worker"}
IMAGES = {"image api", "image worker"}
NOTHING: set[str] = set()

#: A field of the configuration: another value for it, and what is made anew.
Change = tuple[Any, set[str]]
CONFIG: dict[type, dict[str, Change]] = {
    Config: {
        "schema": (1, NOTHING),
        "project": (model.Project(name="other", version="7", needs=("auth",)), NOTHING),
        "workspace": (model.Workspace(members=("services/*",)), NOTHING),
        "archive": (model.Archives(checksums="sums", format="zip"), NOTHING),  # is in every target when it is loaded
        "go": (model.Go(env={"GOEXPERIMENT": "x"}), COMPILES),
        "platforms": (Platforms(settings={"linux/amd64": PlatformSettings(env={"A": "b"})}), COMPILES),
        "targets": ({}, NOTHING),  # field by field, below
        "image": (model.ImageDefaults(base="scratch", compression="zstd"), NOTHING),  # is in every target when it is loaded
        "registries": ({"two": Registry(url="localhost/two", plain_http=True, retries=1, ca="x")}, NOTHING),
        "publish": (model.Publish(tags=("{version}", "x")), NOTHING),
        "benchmark": (model.Benchmark(states=("nothing",), rounds=3), NOTHING),
        "metrics": (model.Metrics(textfile="x"), NOTHING),
        "release": (model.Release(stages=("build",), dist="out", deploy="x"), NOTHING),
        "deploy": ({"x": Deploy(cluster=Cluster(context="x"))}, NOTHING),
        "cache": (
            Cache(levels=("disk",), mode="read", tables={"team": Level(url="file:x")}, go_actions=False),
            NOTHING,
        ),
        "buildkit": (model.BuildKit(sbom=True, cache_to=("type=inline",), builder="x", memory="1GiB"), NOTHING),
        "engines": ({"x": {"a": 1}}, NOTHING),
        "profiles": ({"x": {"project": {"name": "a"}}}, NOTHING),
    },
    model.Go: {
        "directory": ("services", NOTHING),
        "toolchain": (">=1.20", NOTHING),
        "proxy": (("https://proxy.example.com",), NOTHING),
        "private": (("example.com/*",), NOTHING),
        "env": ({"CGO_CFLAGS": "-O3"}, COMPILES),
        "generate": (("./...",), NOTHING),
    },
    PlatformSettings: {
        "env": ({"A": "b"}, COMPILES),
        "flags": (("-race",), COMPILES),
        "base": ("other:1", IMAGES),
    },
    Target: {
        "packages": (
            ("./cmd/worker",),
            {"compile api", "image api", "archive api"},
        ),  # the program's name is its path in the image
        "archive": (False, {"archive api"}),
        "platforms": (("linux/386",), NOTHING),  # what is chosen decides
        "ldflags": (("-s",), {"compile api"}),
        "build_tags": (("netgo",), {"compile api"}),
        "flags": (("-race",), {"compile api"}),
        "env": ({"A": "b"}, {"compile api"}),
        "stamp": ("none", {"image api", "archive api"}),
        "cgo": ("zig", {"compile api"}),
        "libc": ("gnu", NOTHING),  # without cgo
        "engine": ("other", {"compile api"}),
        "image": (False, {"image api", "index api"}),
    },
    ArchiveDefaults: {
        "format": ("zip", {"archive api"}),
        "files": (("docs",), {"archive api"}),
        "name": ("{target}-{os}-{arch}{variant}", {"archive api"}),
        "folder": ("{target}", {"archive api"}),
        "compression_level": (9, {"archive api"}),
    },
    Image: {
        "base": ("other:1", {"image api"}),
        "engine": ("other", {"image api", "index api"}),
        "compression": ("zstd", {"image api"}),
        "compression_level": (5, {"image api"}),
        "user": ("None", {"image api"}),
        "working_directory": ("/srv", {"image api"}),
        "env": ({"A": "b"}, {"image api"}),
        "ports": ((80,), {"image api"}),
        "labels": ({"a": "b"}, {"image api"}),
        "annotations": ({"a": "b"}, {"image api", "index api"}),
        "repository": ("other", NOTHING),
        "assets": ({"web": "/www"}, {"image api"}),
        "entrypoint": (("/x",), {"image api"}),
        "command": (("--help",), {"image api"}),
        "compile": ("buildkit", NOTHING),  # what follows stands in bake files and Dockerfiles alone
        "dockerfile": (model.Dockerfile(packages=("tzdata",)), NOTHING),
    },
}


def with_change(kind: type, field: str, value: Any) -> Config:
    config = configuration()
    target = config.targets["api"]
    if kind is Config:
        return config if field == "targets" else replace(config, **{field: value})
    if kind is model.Go:
        return replace(config, go=replace(config.go, **{field: value}))
    if kind is PlatformSettings:
        return replace(config, platforms=Platforms(settings={"linux/amd64": PlatformSettings(**{field: value})}))
    if kind is Target:
        return replace(config, targets={**config.targets, "api": replace(target, **{field: value})})
    if kind is ArchiveDefaults:
        api = replace(target, archive=replace(target.archive, **{field: value}))
        return replace(config, targets={**config.targets, "api": api})
    assert isinstance(target.image, Image)
    return replace(config, targets={**config.targets, "api": replace(target, image=replace(target.image, **{field: value}))})


def known_for(config: Config) -> Facts:
    """The facts of a changed configuration: what is listed is the same."""
    known = facts(config)
    others = {("other:1", platform): base(f"other {platform}") for platform in (AMD, ARM)}
    return replace(known, bases={**known.bases, **others})


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in CONFIG.items() for field in fields])
def test_a_setting_changes_the_keys_of_what_it_feeds(kind: type, field: str) -> None:
    value, expected = CONFIG[kind][field]
    config = with_change(kind, field, value)
    if expected and kind is not PlatformSettings and kind is not Config:
        assert config != configuration()
    assert changed(config, known_for(config)) == expected


@pytest.mark.parametrize("kind", CONFIG)
def test_every_setting_stands_in_the_table(kind: type) -> None:
    assert set(CONFIG[kind]) == {field.name for field in msgspec.structs.fields(kind)}


def in_git(**change: Any) -> Callable[[Facts], Facts]:
    return lambda known: replace(known, git=replace(known.git, **change))


def in_files(**change: Any) -> Callable[[Facts], Facts]:
    return lambda known: replace(known, files={"LICENSE": tuple(replace(file, **change) for file in known.files["LICENSE"])})


def in_toolchain(**change: Any) -> Callable[[Facts], Facts]:
    return lambda known: replace(known, toolchain=replace(known.toolchain, **change))


def in_bases(**change: Any) -> Callable[[Facts], Facts]:
    return lambda known: replace(
        known, bases={slot: replace(each, **change) if slot[1] == ARM else each for slot, each in known.bases.items()}
    )


def in_listings(change: Callable[[ListingKey, Listing], Listing]) -> Callable[[Facts], Facts]:
    return lambda known: replace(
        known, listings={key: change(key, listing) for key, listing in (known.listings or {}).items()}
    )


def _edited(key: ListingKey, listing: Listing) -> Listing:
    if key.platform != ARM:
        return listing
    return replace(
        listing,
        mains={name: tuple(replace(m, digest=digest("new")) for m in found) for name, found in listing.mains.items()},
    )


FACTS: dict[type, dict[str, tuple[Callable[[Facts], Facts], set[str]]]] = {
    Facts: {
        "git": (lambda known: replace(known, git=None), {"image api", "archive api"}),
        "version": (lambda known: replace(known, version="2"), {"image api", "archive api"}),  # in the archive's name
        "toolchain": (lambda known: replace(known, toolchain=None), COMPILES),
        "listings": (lambda known: replace(known, listings=None), COMPILES),
        "assets": (lambda known: replace(known, assets={"web": digest("other")}), {"image api"}),
        "bases": (lambda known: replace(known, bases={slot: base("x") for slot in known.bases}), IMAGES),
        "compressors": (
            lambda known: replace(known, compressors={"gzip": "deflate 2", "zstd": "zstandard 1"}),
            IMAGES | {"archive api"},
        ),
        "environment": (lambda known: replace(known, environment={"SOURCE_DATE_EPOCH": "5"}), {"image api", "archive api"}),
        "files": (lambda known: replace(known, files={}), {"archive api"}),
        "modules": (lambda known: replace(known, modules=digest("m")), NOTHING),
        "cgo": (lambda known: replace(known, cgo={ListingKey(AMD): "gcc"}), NOTHING),  # where cgo is off
    },
    Git: {
        "sha": (in_git(sha="b" * 40), {"image api"}),
        "short": (in_git(short="bbbbbbb"), NOTHING),
        "branch": (in_git(branch="other"), NOTHING),
        "describe": (in_git(describe="v2"), NOTHING),
        "date": (in_git(date=1), {"image api", "archive api"}),
        "dirty": (in_git(dirty=True), NOTHING),
    },
    File: {
        "path": (in_files(path="COPYING"), {"archive api"}),
        "digest": (in_files(digest=digest("other")), {"archive api"}),
        "name": (in_files(name="COPYING"), {"archive api"}),
    },
    Toolchain: {
        "command": (in_toolchain(command="/other/go"), NOTHING),
        "source": (in_toolchain(source="GOROOT"), NOTHING),
        "version": (in_toolchain(version="go1.26.9"), COMPILES),
        "goroot": (in_toolchain(goroot="/other"), NOTHING),
        "flags": (in_toolchain(flags=("-gcflags=-l",)), COMPILES),
        "settings": (in_toolchain(settings={"GOEXPERIMENT": "x"}), COMPILES),
    },
    Base: {
        "reference": (in_bases(reference="other"), NOTHING),
        "digest": (in_bases(digest=digest("other")), IMAGES - {"image worker"}),
        "config": (in_bases(config=Descriptor("config", digest("x"), 2)), NOTHING),  # the digest covers it
        "layers": (in_bases(layers=(Descriptor("layer", digest("x"), 2),)), NOTHING),
        "diff_ids": (in_bases(diff_ids=(digest("x"),)), NOTHING),
    },
    Listing: {
        "mains": (in_listings(_edited), {"compile api"}),
        "libraries": (in_listings(lambda _, listing: replace(listing, libraries=("x",))), NOTHING),
        "detail": (in_listings(lambda _, listing: replace(listing, detail=digest("x"))), NOTHING),
    },
}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in FACTS.items() for field in fields])
def test_a_fact_changes_the_keys_of_what_it_feeds(kind: type, field: str) -> None:
    change, expected = FACTS[kind][field]
    known = facts(configuration())
    after = change(known)
    assert after != known
    assert changed(configuration(), after) == expected


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_stands_in_the_table(kind: type) -> None:
    assert set(FACTS[kind]) == {field.name for field in msgspec.structs.fields(kind)}


def test_no_kind_of_fact_is_forgotten() -> None:
    kinds = {each for each in vars(looked_up).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)}
    assert {kind for kind in kinds if kind.__module__ == looked_up.__name__} == {*FACTS, Main, ListingKey}


def test_a_setting_of_one_platform_changes_only_that_one() -> None:
    config = with_change(PlatformSettings, "env", {"A": "b"})
    before, after = keyed(configuration(), facts(configuration())), keyed(config, known_for(config))
    other = {id for id in before if before[id] != after[id]}
    assert other == {"compile:example.com/cmd/api@linux/amd64", "compile:example.com/cmd/worker@linux/amd64"}


def with_cgo(libc: str, compiler: str | None) -> dict[str, Digest | None]:
    config = configuration()
    api = replace(config.targets["api"], cgo="zig", libc=libc)
    config = replace(config, targets={**config.targets, "api": api})
    known = {} if compiler is None else {listing_key(config, api, platform): compiler for platform in (AMD, ARM)}
    return keyed(config, replace(facts(config), cgo=known))


def test_what_cgo_depends_on_is_in_its_keys_alone() -> None:
    plain = keyed(configuration(), facts(configuration()))
    made = [with_cgo("musl", "zig 1"), with_cgo("musl", "zig 2"), with_cgo("gnu", "zig 1"), plain]
    assert len({steps["compile:example.com/cmd/api@linux/amd64"] for steps in made}) == 4
    assert len({steps["compile:example.com/cmd/worker@linux/amd64"] for steps in made}) == 1
    assert with_cgo("musl", None)["compile:example.com/cmd/api@linux/amd64"] is None


def test_two_targets_of_one_program_share_its_step() -> None:
    config = configuration()
    again = replace(config.targets["worker"], image=Image(base="base:1", labels={"a": "b"}))
    config = replace(config, targets={"api": again, "worker": config.targets["worker"]})
    steps = make(config, known_for(config), {"api": (AMD,), "worker": (AMD,)}).steps
    (step,) = [each for each in steps if isinstance(each, CompileStep)]
    assert step.targets == ("api", "worker")
    assert [each.needs for each in steps if isinstance(each, ImageStep)] == [(step.id,), (step.id,)]


NAMES = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=4)


@given(NAMES, NAMES)
def test_the_key_of_fields_tells_them_apart(one: Mapping[str, str], other: Mapping[str, str]) -> None:
    assert (keys.of_fields("x", one) == keys.of_fields("x", other)) == (one == other)


@given(st.lists(st.text(max_size=4), max_size=5), st.lists(st.text(max_size=4), max_size=5))
def test_the_key_of_parts_tells_where_they_end(one: list[str], other: list[str]) -> None:
    assert (keys.combine("x", *one) == keys.combine("x", *other)) == (one == other)


@given(NAMES)
def test_the_order_of_fields_does_not_count(fields: Mapping[str, str]) -> None:
    assert keys.of_fields("x", fields) == keys.of_fields("x", dict(reversed(fields.items())))
