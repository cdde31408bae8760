"""What the toolchain at hand builds for: asked where the table of `ports` lacks a pair, or a variant needs a newer Go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from goctl.contracts import Host
from goctl.errors import ConfigError, Location, Problem
from goctl.golang.environment import environment_of
from goctl.plan.facts import Toolchain
from goctl.plan.goenv import variant_needs
from goctl.ports import PAIRS, nearest
from goctl.system.process import run
from goctl.values import Platform


def check(
    host: Host, toolchain: Toolchain, wanted: Iterable[Platform], place: Callable[[Platform], Location | None]
) -> None:
    """Raises ConfigError for platforms that the toolchain does not build for, and for variants that it would not heed.

    `place` says where a platform is written. Starts no process for pairs and variants of the table.
    """
    wanted = tuple(dict.fromkeys(wanted))
    unsure = {platform.pair for platform in wanted if platform.pair not in PAIRS}
    known = frozenset(pairs(host, toolchain)) if unsure else PAIRS
    problems = []
    for platform in wanted:
        if platform.pair not in known:
            problems.append(_unknown(platform, toolchain, known, place(platform)))
            continue
        needs = variant_needs(platform)
        if needs is not None and _number(toolchain.version) < needs[1]:
            version = ".".join(str(number) for number in needs[1])
            problems.append(
                Problem(
                    f"{platform}: {toolchain.version} does not heed {needs[0]}",
                    place(platform),
                    expected=f"Go {version} or newer",
                    hint=f"take the variant away, or set go.toolchain to >={version}",
                )
            )
    if problems:
        raise ConfigError(problems)


def pairs(host: Host, toolchain: Toolchain) -> tuple[str, ...]:
    """The pairs of a toolchain, as `go tool dist list` tells them; goctl's own where it tells none."""
    folder = host.module if Path(host.module).is_dir() else host.root
    answer = run((toolchain.command, "tool", "dist", "list"), cwd=folder, env=environment_of(host, {}))
    found = tuple(line for line in answer.text.split() if re.fullmatch(r"[a-z0-9]+/[a-z0-9]+", line))
    return found if answer.code == 0 and found else tuple(sorted(PAIRS))


def _unknown(platform: Platform, toolchain: Toolchain, known: Iterable[str], location: Location | None) -> Problem:
    systems = sorted(pair for pair in known if pair.endswith(f"/{platform.architecture}"))
    few = 0 < len(systems) < 4
    meant = "" if few else nearest(platform.pair, known)
    return Problem(
        f"{toolchain.version} does not build for {platform.pair}",
        location,
        expected=" or ".join(systems) if few else "one of `go tool dist list`",
        hint=f"did you mean {meant}?" if meant else "",
    )


def _number(version: str) -> tuple[int, ...]:
    """go1.26.8 as (1, 26); a version without a number (devel) is newer than any."""
    match = re.match(r"go(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (1, 1 << 16)
