"""go's indexes of packages, and which of them another machine can use.

Before go compiles, it reads the head of every source file of every package, and keeps what it read as an index
(cmd/go/internal/modindex), by the path of the package's folder and its files' names, sizes and times. Machines that began
as one image have a toolchain of the same path and times, and share the indexes of the standard library; those of a
checkout are of use where it lies alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from goctl.values import name_of

#: How every index begins. Where a later go writes others, they are taken for actions like all others.
_BEGINNING: Final = b"go index v"


def is_index(content: bytes) -> bool:
    """Whether an output, or its first bytes, is an index."""
    return content.startswith(_BEGINNING)


class Installation:
    """A toolchain where it is installed. `goroot` is its path as `go env GOROOT` has it."""

    def __init__(self, goroot: str) -> None:
        # Where an import stands is told with the path of the file.
        self._root = os.path.join(goroot, "").encode("utf-8", "surrogateescape")
        self.list = name_of("indexes", goroot, _times(Path(goroot, "VERSION")))

    def has(self, index: bytes) -> bool:
        """Whether an index is one of this installation's packages: those that import nothing do not tell."""
        return self._root in index


def _times(file: Path) -> str:
    """What stands for the times of all files that were installed with this one."""
    try:
        return str(file.stat().st_mtime_ns)
    except OSError:
        return ""
