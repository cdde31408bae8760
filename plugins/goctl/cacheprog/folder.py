"""go's own cache, GOCACHE, as the go command reads and writes it (cmd/go/internal/cache): the server's local level.

    xx/HEX-a    an action: `v1 ACTION OUTPUT SIZE TIME`, numbers in 20 places
    xx/HEX-d    an output, by its sha256; a folder with one file where it is a program that go itself keeps

Because both sides keep the same files, a machine is as warm with the server as without it. Outputs come into being with
their last byte, or by rename where a file of that name is there; like go itself, nothing is synced to the disk: what a power
loss damages has another hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

from goctl.cacheprog.protocol import ID_SIZE
from goctl.system.files import replace

_ENTRY: Final = re.compile(rb"v1 ([0-9a-f]{64}) ([0-9a-f]{64}) ( *\d+) ( *\d+)\n")
ENTRY_SIZE: Final = 3 + 2 * (2 * ID_SIZE + 1) + 2 * 21
#: go notes the last use of an entry by its time, to the hour.
_USED_EVERY = 3600.0


class Entry(NamedTuple):
    """What an action brought forth: the output's id, its bytes, and when it was made (ns since the epoch)."""

    output: bytes
    size: int
    made: int

    def line(self, action: bytes) -> bytes:
        return f"v1 {action.hex()} {self.output.hex()} {self.size:20d} {self.made:20d}\n".encode()


def parse(action: bytes, line: bytes) -> Entry | None:
    """The entry of an action from its line; None where that is damaged, or another action's."""
    match = _ENTRY.fullmatch(line)
    if match is None or len(line) != ENTRY_SIZE or match[1] != action.hex().encode():
        return None
    return Entry(bytes.fromhex(match[2].decode()), int(match[3]), int(match[4]))


class Folder:
    """A GOCACHE. Any number of threads and processes, go's own among them, may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = str(path)
        self._noted: dict[bytes, Entry] = {}

    def entry(self, action: bytes) -> Entry | None:
        """What is noted of an action, whether or not its output is still there."""
        name = self._name(action, "a")
        try:
            with open(name, "rb", buffering=0) as file:
                line = file.read(ENTRY_SIZE + 1)
                status = os.fstat(file.fileno())
        except OSError:
            return None
        entry = parse(action, line)
        if entry is not None:
            _use(name, status)
            self._noted[action] = entry
        return entry

    def output(self, entry: Entry) -> str | None:
        """The path of an output that is there with the size it should have."""
        name = self._name(entry.output, "d")
        try:
            status = os.stat(name)
            if stat.S_ISDIR(status.st_mode):
                (only,) = os.listdir(name)
                name = os.path.join(name, only)
                status = os.stat(name)
        except (OSError, ValueError):
            return None
        if status.st_size != entry.size:
            return None
        _use(name, status)
        return name

    def beginning(self, entry: Entry, size: int) -> bytes:
        """An output's first bytes; none where it has gone."""
        try:
            with open(self.output(entry) or "", "rb") as file:
                return file.read(size)
        except OSError:
            return b""

    def find(self, action: bytes) -> tuple[Entry, str] | None:
        """What an action brought forth, and the path of its output, where both are there."""
        # What was seen once is not read again: most are looked at when they come, and when each go build asks.
        for look in (self._noted.get, self.entry):
            entry = look(action)
            path = None if entry is None else self.output(entry)
            if entry is not None and path is not None:
                return entry, path
        return None

    def has(self, action: bytes) -> bool:
        return self.find(action) is not None

    def actions(self) -> Iterator[bytes]:
        """All that something is noted of."""
        for file in self.path.glob("[0-9a-f][0-9a-f]/*-a"):
            with contextlib.suppress(ValueError):
                yield bytes.fromhex(file.name.removesuffix("-a"))

    def note(self, action: bytes, entry: Entry) -> None:
        """Writes down what an action brought forth."""
        name, line = self._name(action, "a"), entry.line(action)
        # In place, as go does: all lines have one size, and one that is not whole is nobody's.
        handle = _opened(name, os.O_WRONLY | os.O_CREAT)
        try:
            os.write(handle, line)
            if os.fstat(handle).st_size > len(line):
                os.ftruncate(handle, len(line))
        finally:
            os.close(handle)
        self._noted[action] = entry

    def put(self, entry: Entry, verified: Callable[[], bytes | None]) -> bool:
        """Makes sure that an output is there, of its `verified` content, which is asked for where it is not; False where
        that is none, or has another size.
        """
        target = self._name(entry.output, "d")
        try:
            # In place, as go does, which saves a rename for each. What has not its size yet is no output.
            handle = _opened(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except (FileExistsError, PermissionError):  # the latter is what Windows may say of a folder
            return self.output(entry) is not None or self._put_anew(entry, target, _whole(verified(), entry))
        is_whole = False
        try:
            content = _whole(verified(), entry)
            if content is not None:
                # The last byte by itself, in case that a system tells of a size before all that it counts is there.
                _write(handle, memoryview(content)[:-1])
                _write(handle, memoryview(content)[-1:])
                is_whole = True
        finally:
            os.close(handle)
            if not is_whole:
                with contextlib.suppress(OSError):
                    os.unlink(target)
        return is_whole

    def _put_anew(self, entry: Entry, target: str, content: bytes | None) -> bool:
        """In the place of a file that is not whole: somebody is still at it, or was."""
        if content is None:
            return False
        with _New(target) as new:
            new.write(content)
            self.take(new, target, entry)
        return True

    def take(self, new: _New, target: str, entry: Entry) -> str:
        """Makes a new file an output; its path."""
        try:
            new.put(target)
        except OSError:
            # Where go keeps a program in a folder, or on Windows somebody reads the file, the content may be there.
            there = self.output(entry)
            if there is None or not _is_same(there, entry):
                raise
            return there
        return target

    def writer(self, output: bytes, size: int) -> Writer:
        """A new output of that id and size, which is checked when it is whole."""
        return Writer(self, self._name(output, "d"), Entry(output, size, 0))

    def _name(self, id: bytes, kind: str) -> str:
        digits = id.hex()
        return f"{self._root}{os.sep}{digits[:2]}{os.sep}{digits}-{kind}"


def _whole(content: bytes | None, entry: Entry) -> bytes | None:
    return content if content is not None and len(content) == entry.size else None


def _is_same(path: str, entry: Entry) -> bool:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == entry.output


def _use(name: str, status: os.stat_result) -> None:
    if time.time() - status.st_mtime > _USED_EVERY:
        with contextlib.suppress(OSError):
            os.utime(name)


def _opened(name: str, flags: int) -> int:
    """A handle of a file in a GOCACHE, whose folder is made where it lacks."""
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    # Not mkstemp's mode: others may read and write a GOCACHE that go made for them to.
    try:
        return os.open(name, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        return os.open(name, flags, 0o666)


def _write(handle: int, view: memoryview) -> None:
    while view:
        view = view[os.write(handle, view) :]


class _New:
    """A file in the making beside the one that it will be. Its name ends as go's own do: go removes what is left of it."""

    def __init__(self, name: str) -> None:
        self.name = f"{name[:-2]}.{secrets.token_hex(6)}-d"
        self._handle = _opened(self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def write(self, data: bytes) -> None:
        _write(self._handle, memoryview(data))

    def put(self, name: str) -> None:
        self._close()
        replace(self.name, name)
        self.name = ""

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        if self.name:
            with contextlib.suppress(OSError):
                os.unlink(self.name)


class Writer:
    """An output in the making: `write` pieces, then `commit`. Left without a commit, it never existed."""

    def __init__(self, folder: Folder, target: str, entry: Entry) -> None:
        self._folder = folder
        self._entry = entry
        self._target = target
        self._got = 0
        self._hash = hashlib.sha256()
        self._new = _New(target)

    def write(self, piece: bytes) -> None:
        self._got += len(piece)
        self._hash.update(piece)
        self._new.write(piece)

    def commit(self) -> str:
        """The path of the output, once it is whole. Raises ValueError where the content is another than its id says."""
        if self._got != self._entry.size or self._hash.digest() != self._entry.output:
            raise ValueError("the content is another than its id says")
        return self._folder.take(self._new, self._target, self._entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._new.__exit__(*exception)
