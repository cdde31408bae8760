"""Platforms: what can be written, how it is normalised, what go is told, and what is said of those there are not."""

from __future__ import annotations

import itertools

import pytest

from goctl import ports
from goctl.errors import ImageError
from goctl.oci.select import platform_of, select
from goctl.plan.goenv import VARIANT_VARIABLES, go_environment, variant_needs
from goctl.values import Descriptor, Digest, Platform


@pytest.mark.parametrize("pair", sorted(ports.PAIRS))
def test_every_pair_is_a_platform(pair: str) -> None:
    platform = Platform.parse(pair)
    assert platform.pair == pair
    assert str(platform) == (f"{pair}/v7" if pair.endswith("/arm") else pair)
    assert (go_environment(platform)["GOOS"], go_environment(platform)["GOARCH"]) == tuple(pair.split("/"))


def everything() -> list[str]:
    """A spelling for each variant with each set of features of each architecture."""
    found = []
    for architecture in sorted(ports.ARCHITECTURES):
        features = ports.FEATURES.get(architecture, ())
        sets = [chosen for size in range(3) for chosen in itertools.combinations(features, size)]
        for variant in ("", *ports.VARIANTS.get(architecture, ())):
            for chosen in sets:
                words = "+".join(filter(None, (variant, *chosen)))
                if len({"softfloat", "hardfloat", "sse2"}.intersection(chosen)) < 2 and words:
                    found.append(f"linux/{architecture}/{words}")
    return found


@pytest.mark.parametrize("text", everything())
def test_a_spelling_read_again_is_the_same_platform(text: str) -> None:
    platform = Platform.parse(text)
    assert Platform.parse(str(platform)) == platform
    assert Platform.parse(text.replace("+", ",").upper()) == platform
    assert not set("/+, ").intersection(platform.slug)
    assert platform.plain.features == ()


def test_two_platforms_never_share_a_spelling_a_folder_or_what_go_is_told() -> None:
    platforms = {Platform.parse(text) for text in everything()}
    for said in (str, lambda one: one.slug, lambda one: tuple(sorted(go_environment(one).items()))):
        assert len({said(platform) for platform in platforms}) == len(platforms)


@pytest.mark.parametrize(
    ("text", "normal", "variable"),
    [
        ("linux/amd64", "linux/amd64", "GOAMD64=v1"),
        ("linux/amd64/v3", "linux/amd64/v3", "GOAMD64=v3"),
        ("linux/arm", "linux/arm/v7", "GOARM=7"),
        ("linux/arm/5", "linux/arm/v5", "GOARM=5"),
        ("linux/arm/v5+softfloat", "linux/arm/v5", "GOARM=5"),
        ("linux/arm/5,hardfloat", "linux/arm/v5+hardfloat", "GOARM=5,hardfloat"),
        ("linux/arm/v7,hardfloat", "linux/arm/v7", "GOARM=7"),
        ("linux/arm/softfloat", "linux/arm/v7+softfloat", "GOARM=7,softfloat"),
        ("linux/arm64", "linux/arm64", "GOARM64=v8.0"),
        ("linux/arm64/v8+crypto+lse", "linux/arm64/v8+lse+crypto", "GOARM64=v8.0,lse,crypto"),
        ("linux/arm64/v8.1+lse", "linux/arm64/v8.1", "GOARM64=v8.1"),
        ("linux/arm64/v9.0", "linux/arm64/v9", "GOARM64=v9.0"),
        ("linux/arm64/v9.5,crypto", "linux/arm64/v9.5+crypto", "GOARM64=v9.5,crypto"),
        ("linux/386/sse2", "linux/386", "GO386=sse2"),
        ("linux/386/softfloat", "linux/386/softfloat", "GO386=softfloat"),
        ("linux/mipsle/softfloat", "linux/mipsle/softfloat", "GOMIPS=softfloat"),
        ("linux/mips64/hardfloat", "linux/mips64", "GOMIPS64=hardfloat"),
        ("linux/mips64le/softfloat", "linux/mips64le/softfloat", "GOMIPS64=softfloat"),
        ("linux/ppc64le/power8", "linux/ppc64le", "GOPPC64=power8"),
        ("linux/ppc64/power10", "linux/ppc64/power10", "GOPPC64=power10"),
        ("linux/riscv64/rva22u64", "linux/riscv64/rva22u64", "GORISCV64=rva22u64"),
        ("wasip1/wasm", "wasip1/wasm", "GOWASM="),
        ("js/wasm/signext+satconv", "js/wasm/satconv+signext", "GOWASM=satconv,signext"),
        ("macos/aarch64", "darwin/arm64", "GOARM64=v8.0"),
    ],
)
def test_what_go_is_told(text: str, normal: str, variable: str) -> None:
    platform = Platform.parse(text)
    name, _, value = variable.partition("=")
    assert str(platform) == normal
    assert go_environment(platform)[name] == value


def test_a_variant_is_always_said_so_that_no_machine_decides() -> None:
    for pair in ports.PAIRS:
        architecture = pair.partition("/")[2]
        if architecture in ports.VARIANTS or architecture in ports.FEATURES:
            assert VARIANT_VARIABLES[architecture][0] in go_environment(Platform.parse(pair))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linux/amd46", r"did you mean linux/amd64\?"),
        ("linux/amd46/v3", r"did you mean linux/amd64/v3\?"),
        ("linus/amd64", r"did you mean linux/amd64\?"),
        ("windws/amd64", r"did you mean windows/amd64\?"),
        ("amd64/linux", r"did you mean linux/amd64\?"),
        ("win/x64", r"did you mean windows/amd64\?"),
        ("osx/arm64", r"did you mean darwin/arm64\?"),
        ("wasi/wasm", r"did you mean wasip1/wasm\?"),
        ("linux/amd64/v5", "it has v1, v2, v3, v4$"),
        ("linux/amd64/v3+lse", "no variant 'lse'"),
        ("linux/arm/v8", "it has v5, v6, v7, each alone or with"),
        ("linux/arm64/v8+lse+lse", "'lse' twice"),
        ("linux/arm/v6+softfloat+hardfloat", "exclude each other"),
        ("linux/mips/v3", "it has hardfloat, softfloat$"),
        ("linux/loong64/v1", "it has none$"),
        ("linux/amd64/", "os/architecture"),
        ("linux/../amd64", "os/architecture"),
        ("linux/am d64", "os/architecture"),
    ],
)
def test_what_can_only_be_wrong_is_refused_when_it_is_read(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Platform.parse(text)


@pytest.mark.parametrize(
    "text", ["linux/riscv32", "wasip2/wasm", "windows/riscv64", "linux/arm64be", "hurd/386", "linux/wasm"]
)
def test_what_a_newer_go_may_have_is_left_to_the_toolchain(text: str) -> None:
    assert Platform.parse(text).pair == text


@pytest.mark.parametrize(
    ("pair", "meant"),
    [
        ("linux/amd46", "linux/amd64"),
        ("linux/x86", "linux/386"),
        ("darwin/aarch64", "darwin/arm64"),
        ("windows/arm", "windows/arm64"),
        ("linux/riscv32", "linux/riscv64"),
        ("banana/split", ""),
    ],
)
def test_the_nearest_pair(pair: str, meant: str) -> None:
    assert ports.nearest(pair) == meant


def test_the_nearest_pair_is_one_that_the_toolchain_has() -> None:
    assert ports.nearest("linux/amd46", ["linux/arm64", "linux/386"]) == "linux/arm64"


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("linux/amd64", None),
        ("linux/amd64/v2", ("GOAMD64", (1, 18))),
        ("linux/arm64", None),
        ("linux/arm64/v8+lse", ("GOARM64", (1, 23))),
        ("linux/riscv64/rva23u64", ("GORISCV64", (1, 23))),
        ("linux/arm/v5", None),
        ("linux/s390x", None),
    ],
)
def test_variants_that_an_older_go_would_not_heed(text: str, needs: tuple[str, tuple[int, int]] | None) -> None:
    assert variant_needs(Platform.parse(text)) == needs


def descriptors(*platforms: str) -> list[Descriptor]:
    found = []
    for text in platforms:
        os, architecture, *variant = text.split("/")
        words = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        found.append(Descriptor("manifest", Digest.of(text.encode()), 1, words))
    return found


@pytest.mark.parametrize(
    ("platform", "bases", "taken"),
    [
        ("linux/amd64/v3", ("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), "linux/amd64/v2"),
        ("linux/arm/v6", ("linux/arm/v7", "linux/arm/v5"), "linux/arm/v5"),
        ("linux/arm/v7+softfloat", ("linux/arm/v7", "linux/arm/v5"), "linux/arm/v7"),
        ("linux/arm64/v9", ("linux/arm64/v8.9", "linux/arm64/v8.5", "linux/arm64/v8"), "linux/arm64/v8.5"),
        ("linux/arm64/v9.2", ("linux/arm64/v8.7", "linux/arm64/v9.3"), "linux/arm64/v8.7"),
        ("linux/arm64/v8+lse", ("linux/arm64/v8", "linux/amd64"), "linux/arm64/v8"),
        ("linux/ppc64le/power9", ("linux/ppc64le", "linux/ppc64le/power10"), "linux/ppc64le"),
        ("linux/riscv64/rva23u64", ("linux/riscv64", "linux/riscv64/rva22u64"), "linux/riscv64/rva22u64"),
        ("linux/mips/softfloat", ("linux/mips",), "linux/mips"),
    ],
)
def test_a_base_is_the_best_that_the_machine_runs(platform: str, bases: tuple[str, ...], taken: str) -> None:
    assert select(descriptors(*bases), Platform.parse(platform)).digest == Digest.of(taken.encode())


def test_a_base_for_more_than_the_machine_has_is_none() -> None:
    with pytest.raises(ImageError, match=r"it has linux/riscv64/rva23u64$"):
        select(descriptors("linux/riscv64/rva23u64", "unknown/unknown"), Platform.parse("linux/riscv64"))
    assert platform_of(descriptors("unknown/unknown")[0]) is None
