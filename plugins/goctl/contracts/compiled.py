"""What the go command compiles, for other machines: what cacheprog/ needs of cache levels, and golang/ of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable


class ActionLevel(Protocol):
    """What keeps the go command's actions for other machines: one level, or several as one.

    All of it may be called from several threads.
    """

    @property
    def name(self) -> str: ...

    def fetch(self, space: str, key: str, into: Path) -> bool:
        """Writes the entry's content to a new file; False where there is none."""
        ...

    def store(self, space: str, key: str, source: Path) -> None:
        """Keeps a file's content, whole or not at all. A GoctlError says why it could not."""
        ...

    def forget(self, space: str, key: str) -> object: ...


class Served(Protocol):
    """A go build that finds what others compiled."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the go command."""
        ...

    def end(self, *, well: bool) -> None:
        """Tells how it ended."""
        ...


class CompileCache(Protocol):
    """What was compiled elsewhere, for go commands."""

    def begin(self, folder: Path, name: str, inputs: str) -> Served | None:
        """Serves a go build that keeps what it compiles in `folder`; None where go's own cache has all that it will ask for.

        `name` is equal for builds that ask for much the same, on any machine; `inputs` covers all that a build is made from.
        """
        ...


@runtime_checkable
class HasCompileCache(Protocol):
    """A Host that has one (optional)."""

    @property
    def compile_cache(self) -> CompileCache | None: ...
