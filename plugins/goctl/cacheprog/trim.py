"""Keeping GOCACHE within a size: go itself only removes what was not used for five days.

An output goes with all the actions that lead to it, the longest unused first; never one that was used in the last hours, for
go notes use to the hour, and other go commands than goctl's may be at work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from goctl.cacheprog.folder import ENTRY_SIZE, parse
from goctl.cacheprog.protocol import ID_SIZE

#: Seconds since its last use, as far as go notes it, in which nothing is removed.
YOUNGEST: Final = 2 * 3600.0


class Trimmed(msgspec.Struct, frozen=True):
    """What a folder held, and what was removed of it: outputs, and bytes."""

    held: int
    removed: int
    outputs: int


class _Output:
    """An output and the actions that lead to it: their files, bytes and last use."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.size = 0
        self.used = 0.0

    def add(self, name: str, size: int, used: float) -> None:
        self.files.append(name)
        self.size += size
        self.used = max(self.used, used)


def trim(folder: Path, most: int, *, unused: float = YOUNGEST, dry: bool = False) -> Trimmed:
    """Removes until `most` bytes are left, or nothing that was unused for `unused` seconds. Nobody may hold a lease on the
    folder."""
    outputs = _outputs(folder)
    held = left = sum(output.size for output in outputs)
    gone = 0
    before = time.time() - max(unused, YOUNGEST)
    for output in sorted(outputs, key=lambda output: output.used):
        if left <= most or output.used > before:
            break
        if dry or _remove(output, before):
            left -= output.size
            gone += 1
    return Trimmed(held, held - left, gone)


def _outputs(folder: Path) -> list[_Output]:
    found: dict[str, _Output] = {}
    for name, path in _files(folder):
        try:
            status = os.stat(path)
        except OSError:
            continue
        output = found.setdefault(_leads_to(name, path), _Output())
        output.add(path, status.st_size if not os.path.isdir(path) else _size(path), status.st_mtime)
    return list(found.values())


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for number in range(256):
        with contextlib.suppress(OSError), os.scandir(folder / f"{number:02x}") as entries:
            for entry in entries:
                if entry.name.endswith(("-a", "-d")):
                    yield entry.name, entry.path


def _leads_to(name: str, path: str) -> str:
    """The output that a file of the cache belongs to; its own name where that cannot be told."""
    if name.endswith("-d"):
        return name[:-2]
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        action = bytes.fromhex(name[:-2])
        entry = parse(action, file.read(ENTRY_SIZE + 1)) if len(action) == ID_SIZE else None
        if entry is not None:
            return entry.output.hex()
    return name


def _size(folder: str) -> int:
    with contextlib.suppress(OSError):
        return sum(entry.stat().st_size for entry in os.scandir(folder))
    return 0


def _remove(output: _Output, before: float) -> bool:
    """Removes it, unless it was used meanwhile; the actions first, so that none leads nowhere."""
    try:
        if any(os.stat(file).st_mtime > before for file in output.files):
            return False
    except OSError:
        return False
    for file in sorted(output.files, key=lambda name: name[-1]):
        try:
            os.unlink(file)
        except IsADirectoryError:
            shutil.rmtree(file, ignore_errors=True)
        except PermissionError:  # a folder on macOS and Windows, or a file that is open
            shutil.rmtree(file, ignore_errors=True)
        except OSError:
            continue
    return True
