"""A platform as Go's environment: GOOS, GOARCH, and the variable of the architecture's variants."""

from __future__ import annotations

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


def go_environment(platform: Platform) -> dict[str, str]:
    """The variables that make go build for a platform."""
    found = {"GOOS": platform.os, "GOARCH": platform.architecture, "CGO_ENABLED": "0"}
    if platform.architecture in VARIANT_VARIABLES:
        name, default = VARIANT_VARIABLES[platform.architecture]
        found[name] = _variant(platform) or default
    return found


def _variant(platform: Platform) -> str:
    if platform.architecture == "arm":
        return platform.variant.removeprefix("v")
    if platform.architecture == "arm64" and platform.variant:
        # OCI writes v9, Go writes v9.0.
        return platform.variant if "." in platform.variant else f"{platform.variant}.0"
    return platform.variant
