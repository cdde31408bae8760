"""What the go command compiles, for other machines: what cacheprog/ needs of cache levels, and golang/ of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

#: How many bytes of an action's id the go command tells (cmd/internal/buildid, HashToString).
PART: Final = 15


class ActionLevel(Protocol):
    """What keeps the go command's actions for other machines: one level, or several as one.

    All of it may be called from several threads.
    """

    @property
    def name(self) -> str: ...

    @property
    def writes(self) -> bool:
        """Whether anything that is stored is kept."""
        ...

    def read(self, space: str, key: str, most: int) -> bytes | None:
        """The entry's content; None where there is none, or where it has more than `most` bytes."""
        ...

    def store(self, space: str, key: str, content: bytes) -> None:
        """Keeps an entry, whole or not at all. A GoctlError says why it could not."""
        ...

    def forget(self, space: str, key: str) -> object: ...


class Served(Protocol):
    """A go build that finds what others compiled."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the go command."""
        ...

    def end(self, *, well: bool, parts: Mapping[str, Collection[bytes]] | None = None) -> None:
        """Tells how it ended. `parts` are the packages that each program is linked from, by its import path: the first
        bytes of their actions' ids, `PART` of them; None where go does not tell."""
        ...


class CompileCache(Protocol):
    """What was compiled elsewhere, for go commands."""

    def begin(self, folder: Path, goroot: str, kind: str, programs: Mapping[str, str]) -> Served | None:
        """Serves a go build that keeps what it compiles in `folder`; None where go's own cache has all that it will ask for.

        `goroot` is where its toolchain is installed, as `go env` tells it. `kind` is equal for builds that make equal things
        of equal packages, on any machine; `programs` are those that are built, by import path, each with what covers all
        that it is made from.
        """
        ...


@runtime_checkable
class HasCompileCache(Protocol):
    """A Host that has one (optional)."""

    @property
    def compile_cache(self) -> CompileCache | None: ...
