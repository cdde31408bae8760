"""The flags of go build for a target's programs on a platform."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from goctl.config.model import Config, Target
from goctl.plan.facts import Toolchain
from goctl.plan.naming import Names
from goctl.values import Platform

#: Debug information that the linker would drop (-s, -w) is not written by the compiler either: a sixth of its time and a
#: quarter of what it keeps. The programs hold the same code; their build information tells of the flag.
NO_DEBUG_INFORMATION: Final = "-gcflags=all=-dwarf=false"


def declared_flags(config: Config, target: Target, platform: Platform) -> tuple[str, ...]:
    """Flags of go build as goctl.toml has them: the platform's, then the target's, of which the last one counts."""
    settings = config.platforms.settings.get(str(platform))
    return (*(settings.flags if settings else ()), *target.flags)


def go_flags(
    config: Config, target: Target, platform: Platform, names: Names, toolchain: Toolchain | None
) -> tuple[str, ...]:
    """All flags, templates filled in; what holds for every program (-trimpath) is not among them."""
    flags = []
    if target.build_tags:
        flags.append("-tags=" + ",".join(sorted(set(target.build_tags))))
    ldflags = [names.fill_ldflag(flag) for flag in target.ldflags]
    if target.cgo == "zig" and not any("-linkmode" in flag for flag in ldflags):
        # Go's own linker takes programs whose only C code is that of the standard library (net, os/user) for dynamic ones.
        ldflags = ["-linkmode=external", *(ldflags or _given_ldflags(toolchain))]
    if ldflags:
        flags.append("-ldflags=" + " ".join(ldflags))
    declared = declared_flags(config, target, platform)
    told = " ".join((*declared, *_goflags(config, target, platform, toolchain)))
    # Of several -gcflags only the last one whose pattern matches a package counts for it: a person's own would be lost.
    if drops_debug_information(ldflags) and "-gcflags" not in told:
        flags.append(NO_DEBUG_INFORMATION)
    return (*flags, *declared)


def split_flags(text: str) -> tuple[str, ...]:
    """The flags in a GOFLAGS: words between spaces, or in quotes of either kind, without escapes (cmd/internal/quoted)."""
    words = re.findall(r"""[ \t\r\n]*(?:"([^"]*)"|'([^']*)'|([^ \t\r\n]+))""", text)
    return tuple(double or single or plain for double, single, plain in words)


def drops_debug_information(ldflags: Sequence[str]) -> bool:
    """Whether flags of the linker leave DWARF out of the program: -w does, and -s unless -w says otherwise
    (cmd/link/internal/ld/main.go)."""
    dropped: dict[str, bool] = {}
    for word in split_flags(" ".join(ldflags)):
        match = re.fullmatch(r"--?([sw])(?:=(\w+))?", word)
        if match is not None:
            dropped[match[1]] = match[2] in (None, "1", "t", "T", "true", "TRUE", "True")
    return dropped.get("w", dropped.get("s", False))


def _goflags(config: Config, target: Target, platform: Platform, toolchain: Toolchain | None) -> tuple[str, ...]:
    """Every GOFLAGS that may apply, of which those in [go] are the toolchain's already."""
    settings = config.platforms.settings.get(str(platform))
    environments = (settings.env if settings else {}, target.env)
    return (*(toolchain.flags if toolchain is not None else ()), *(env.get("GOFLAGS", "") for env in environments))


def _given_ldflags(toolchain: Toolchain | None) -> list[str]:
    """The linker's flags in GOFLAGS, which those on a command line replace."""
    flags = toolchain.flags if toolchain is not None else ()
    return [flag.partition("=")[2] for flag in flags if re.match(r"--?ldflags=-", flag)][-1:]
