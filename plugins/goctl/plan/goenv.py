"""A platform as Go's environment: GOOS, GOARCH, and the variable of the architecture's variants."""

from __future__ import annotations

from typing import Final

from goctl.values import Platform

#: The variable of each architecture, and the value Go has by default (internal/buildcfg of Go 1.26). It is always set, so
#: that a person's own environment cannot change what is built.
VARIANT_VARIABLES = {
    "386": ("GO386", "sse2"),
    "amd64": ("GOAMD64", "v1"),
    "arm": ("GOARM", "7"),
    "arm64": ("GOARM64", "v8.0"),
    "mips": ("GOMIPS", "hardfloat"),
    "mipsle": ("GOMIPS", "hardfloat"),
    "mips64": ("GOMIPS64", "hardfloat"),
    "mips64le": ("GOMIPS64", "hardfloat"),
    "ppc64": ("GOPPC64", "power8"),
    "ppc64le": ("GOPPC64", "power8"),
    "riscv64": ("GORISCV64", "rva20u64"),
    "wasm": ("GOWASM", ""),
}


#: The first Go that heeds a variable; an older one would build something else in silence
#: (the release notes of Go 1.18 and 1.23). What an older Go does not know it refuses by itself.
SINCE = {"GOAMD64": (1, 18), "GOARM64": (1, 23), "GORISCV64": (1, 23)}

#: Go's compiler and linker hardly collect garbage where each job has this much memory: not before 128 MB, with which the
#: compiler begins by itself too, and then not before half of what the job has is filled. Measured: the standard library
#: takes 14 % less CPU time; the largest package of AWS's SDK 30 % less, and 2 GB instead of 0.9.
ROOMY: Final = 3 << 30
GOGC_WHERE_ROOMY: Final = "3200"

#: Has go write down its actions, into the file that it is set to, since 1.10. No help tells of it.
ACTIONS_FLAG: Final = "-debug-actiongraph"


def go_environment(platform: Platform) -> dict[str, str]:
    """The variables that make go build for a platform."""
    found = {"GOOS": platform.os, "GOARCH": platform.architecture, "CGO_ENABLED": "0"}
    if platform.architecture in VARIANT_VARIABLES:
        name, default = VARIANT_VARIABLES[platform.architecture]
        words = [_level(platform), *platform.features]
        found[name] = ",".join(filter(None, words)) if platform.features else words[0] or default
    return found


def variant_needs(platform: Platform) -> tuple[str, tuple[int, ...]] | None:
    """What a variant asks of the toolchain: the variable and the version that heeds it; None where any will do."""
    if platform.architecture not in VARIANT_VARIABLES:
        return None
    name, default = VARIANT_VARIABLES[platform.architecture]
    if name not in SINCE or go_environment(platform)[name] == default:
        return None
    return name, SINCE[name]


def _level(platform: Platform) -> str:
    """The variant as Go writes it: 7 for v7, v9.0 for v9."""
    if platform.architecture == "arm":
        return platform.variant.removeprefix("v")
    if platform.architecture == "arm64":
        level = platform.variant or ("v8" if platform.features else "")
        return f"{level}.0" if level and "." not in level else level
    return platform.variant
