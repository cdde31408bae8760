"""What is done with builders: listed, made as declared, chosen, removed, looked at, pruned. Each is one or two commands."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from goctl.buildkit.builders_made import forget, note
from goctl.buildkit.docker import BUILDX, docker, lines_of, told
from goctl.buildkit.nodes import Builder, needed, parse
from goctl.buildkit.nodes_declared import Declared, create_args
from goctl.errors import BuilderError
from goctl.system.files import write_atomic
from goctl.values import ByteSize

#: Seconds for a builder to start: its image may have to come from a registry.
STARTING: Final = 600.0
#: Seconds for a cache to be cleared.
CLEARING: Final = 1800.0


def builders(buildx: Sequence[str] = BUILDX) -> tuple[Builder, ...]:
    """All builders of this machine, as a command for buildx tells of them. Raises BuilderError."""
    return parse(told(["ls", "--format", "json"], doing="list the builders of buildx", command=buildx))


def create(want: Declared) -> None:
    """Makes a builder that is not there, and notes that goctl did. What was begun is taken back when a later node fails.

    Raises BuilderError.
    """
    with tempfile.TemporaryDirectory(prefix="goctl-") as folder:
        config = Path(folder, "buildkitd.toml") if want.daemon.content else None
        if config is not None:
            write_atomic(config, want.daemon.content, durable=False, private=True)
        try:
            for number, node in enumerate(want.nodes):
                args = create_args(want, node, append=number > 0, config=config)
                told(args, doing=f"make node {node.name} of builder {want.name}")
        except BaseException:
            with contextlib.suppress(BuilderError):
                docker(["buildx", "rm", "--force", want.name])
            raise
    note(needed(builders(), want.name))


def bootstrap(name: str) -> Builder:
    """Starts a builder, where it does not run yet, and says what it can do then. Raises BuilderError."""
    told(["buildx", "inspect", "--bootstrap", *_named(name)], doing=f"start builder {name or '(current)'}", timeout=STARTING)
    return needed(builders(), name)


def use(name: str) -> None:
    """Makes it the one that `docker buildx` takes where none is named. Raises BuilderError."""
    told(["buildx", "use", "--", name], doing=f"choose builder {name}")


def remove(builder: Builder, *, keep_cache: bool = False) -> None:
    """Removes a builder, what it runs, and its cache unless it is kept. Raises BuilderError."""
    kept = ["--keep-state"] if keep_cache else []
    told(["buildx", "rm", *kept, "--", builder.name], doing=f"remove builder {builder.name}", timeout=CLEARING)
    forget(builder)


_UNITS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}


class Entry(msgspec.Struct, frozen=True, rename="pascal"):
    """A piece of a builder's cache, as `docker buildx du --format json` tells of it.

    When it was used is told in words alone (`2 hours ago`; docker/go-units, HumanDuration): an age is about right.
    """

    type: str = ""
    size: str = "0B"
    reclaimable: bool = False
    last_used_at: str = ""

    @property
    def bytes(self) -> int:
        try:
            return ByteSize.parse(self.size)
        except ValueError:
            return 0

    @property
    def age(self) -> int:
        """Seconds since it was used, roughly; 0 where that is not known."""
        match = re.match(r"(?:Less than |About )?(an?|\d+) ([a-z]+?)s? ago", self.last_used_at)
        if match is None:
            return 0
        return (int(match[1]) if match[1].isdigit() else 1) * _UNITS.get(match[2], 0)


class Usage(msgspec.Struct, frozen=True, rename="kebab"):
    """What one kind of content comes to: sizes in bytes."""

    kind: str
    entries: int
    size: int
    reclaimable: int


def usage(name: str, *, older: int = 0) -> tuple[Usage, ...]:
    """What a builder's cache holds, by kind, the largest first; with `older`, of what was not used for about that many
    seconds. (`du` takes a filter for that, and BuildKit heeds it only when it prunes.)

    Raises BuilderError.
    """
    text = told(["buildx", "du", "--format", "json", *_builder(name)], doing=f"see what builder {name or '(current)'} holds")
    return summed([entry for entry in lines_of(text, Entry) if entry.age >= older])


def summed(entries: Sequence[Entry]) -> tuple[Usage, ...]:
    """Entries by kind, the largest first."""
    kinds: dict[str, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(entry.type or "other", []).append(entry)
    rows = [
        Usage(kind, len(own), sum(e.bytes for e in own), sum(e.bytes for e in own if e.reclaimable))
        for kind, own in kinds.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.size, row.kind)))


def prune(name: str, *, older: int = 0, keep: int | None = None, everything: bool = False) -> int:
    """Removes what a builder's cache holds beyond `keep` bytes, or was not used for `older` seconds; the bytes it is less.

    Raises BuilderError.
    """
    before = sum(row.size for row in usage(name))
    size = ["--max-used-space", str(keep)] if keep is not None else []
    told(
        ["buildx", "prune", "--force", *(["--all"] if everything else []), *_builder(name), *_until(older), *size],
        doing=f"prune builder {name or '(current)'}",
        timeout=CLEARING,
    )
    return max(0, before - sum(row.size for row in usage(name)))


def _builder(name: str) -> list[str]:
    return ["--builder", name] if name else []


def _named(name: str) -> list[str]:
    return ["--", name] if name else []


def _until(older: int) -> list[str]:
    return ["--filter", f"until={older}s"] if older else []
