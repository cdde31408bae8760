"""Flags of go build: what the linker is told to drop is not compiled either."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from goctl.config.model import Config, Platforms, PlatformSettings, Target
from goctl.plan.facts import Facts, Toolchain
from goctl.plan.goflags import NO_DEBUG_INFORMATION, drops_debug_information, go_flags
from goctl.plan.naming import Names
from goctl.values import Platform

ARM64 = Platform.parse("linux/arm64")


@pytest.mark.parametrize(
    ("ldflags", "dropped"),
    [
        ((), False),
        (("-s",), True),
        (("-w",), True),
        (("--w",), True),
        (("-s -w",), True),
        (("-s", "-w=0"), False),
        (("-w=false", "-s"), False),
        (("-w=0", "-w=1"), True),
        (("-X main.a=-w",), False),
        (("-X 'main.a=b -w'",), False),
        (('-extldflags "-s -w"',), False),
        (('-extldflags "-static"', "'-s'"), True),
        (("-sw",), False),
    ],
)
def test_whether_the_linker_drops_debug_information(ldflags: Sequence[str], dropped: bool) -> None:
    assert drops_debug_information(ldflags) is dropped


def flags(target: Target, settings: PlatformSettings | None = None, goflags: Sequence[str] = ()) -> tuple[str, ...]:
    config = Config(targets={"api": target}, platforms=Platforms(settings={str(ARM64): settings} if settings else {}))
    toolchain = Toolchain("/go/bin/go", "PATH", "go1.26.8", "/go", tuple(goflags), {})
    names = Names(Facts(), project="shop", target="api", platform=ARM64)
    return go_flags(config, target, ARM64, names, toolchain)


def test_it_is_not_compiled_then() -> None:
    stripped = Target(packages=("./cmd/api",), ldflags=("-s", "-w"), flags=("-v",))
    assert flags(stripped) == ("-ldflags=-s -w", NO_DEBUG_INFORMATION, "-v")
    assert flags(Target(packages=("./cmd/api",), ldflags=("-X main.a=b",))) == ("-ldflags=-X main.a=b",)


def test_a_persons_own_flags_of_the_compiler_are_left_alone() -> None:
    stripped = Target(packages=("./cmd/api",), ldflags=("-s",))
    own = "-gcflags=all=-l"
    assert NO_DEBUG_INFORMATION in flags(stripped)
    for others in (
        flags(Target(packages=("./cmd/api",), ldflags=("-s",), flags=(own,))),
        flags(Target(packages=("./cmd/api",), ldflags=("-s",), env={"GOFLAGS": f"'{own}'"})),
        flags(stripped, PlatformSettings(flags=(own,))),
        flags(stripped, PlatformSettings(env={"GOFLAGS": own})),
        flags(stripped, goflags=[own]),
    ):
        assert NO_DEBUG_INFORMATION not in others
