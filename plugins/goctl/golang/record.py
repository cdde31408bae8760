"""The record of files that decide listings: what it holds, how it is compared with the disk, how it is kept."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from goctl.contracts import Host
from goctl.errors import StorageError
from goctl.golang import watch
from goctl.golang.outline import outline
from goctl.plan.make import unit_of
from goctl.system.files import Identity, clock
from goctl.system.ledger import digest_of

#: Size, time of modification, time of change, inode.
Stat = tuple[int, int, int, int]

#: The outline of a file that is only there to be embedded: its content decides no listing.
_EMBEDDED = "embedded"


class File(NamedTuple):
    """A file as it was read: its stat, its sha256, whether its stat can tell a later write; `outline` is the digest of what
    of it decides listings, empty where that is not known."""

    stat: Stat
    digest: str
    settled: bool
    outline: str


class Snapshot(msgspec.Struct, array_like=True):
    """One project's record. `folders` maps a path to its stat, the kind of names that matter, their digest and whether its
    stat can tell a later change; `absent` must stay so. `ignored` is a folder that matters to none of them: that of the
    programs."""

    context: str
    files: dict[str, File]
    folders: dict[str, tuple[Stat, str, str, bool]]
    absent: list[str]
    listings: bytes
    ignored: str


_decode = msgspec.msgpack.Decoder(Snapshot).decode


def _slot(host: Host) -> str:
    # Projects of a workspace may lie in one module and tell Go other things: each way has a record of its own.
    return f"{host.module} {unit_of(host.config)}"


def recall(host: Host) -> Snapshot | None:
    content = host.memo.get("snapshot", _slot(host))
    if content is None:
        return None
    try:
        return _decode(content)
    except msgspec.MsgspecError:
        return None


def keep(host: Host, snapshot: Snapshot) -> None:
    host.memo.put("snapshot", _slot(host), msgspec.msgpack.encode(snapshot))


def compare(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Paths whose content changed; and paths that only look different, or that stat could not tell about."""
    changed: list[str] = []
    refreshed: list[str] = []
    stat, ignored = os.stat, snapshot.ignored
    for path, (known, digest, settled, _) in snapshot.files.items():
        try:
            found = stat(path)
        except OSError:
            changed.append(path)
            continue
        if settled and (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino) == known:
            continue
        (refreshed if found.st_size == known[0] and _hash(path) == digest else changed).append(path)
    for path, (known, kind, digest, settled) in snapshot.folders.items():
        try:
            found = stat(path)
        except OSError:
            changed.append(path)
            continue
        if settled and (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino) == known:
            continue
        (refreshed if watch.names_digest(path, kind, ignored) == digest else changed).append(path)
    changed += [path for path in snapshot.absent if os.path.exists(path)]
    return changed, refreshed


def refresh(host: Host, snapshot: Snapshot, paths: Iterable[str]) -> Snapshot:
    """The same record with the identities that these paths have now."""
    at = clock(host.scratch)
    for path in paths:
        now = stat_of(path)
        if path in snapshot.files:
            file = snapshot.files[path]
            if _hash(path) == file.digest:
                snapshot.files[path] = file._replace(stat=now, settled=is_settled(now, at))
        else:
            _, kind, digest, _ = snapshot.folders[path]
            if watch.names_digest(path, kind, snapshot.ignored) == digest:
                snapshot.folders[path] = (now, kind, digest, is_settled(now, at))
    return snapshot


def tick(host: Host) -> int:
    """The file system's time after it went on by a tick: what was written before has an earlier one."""
    before = at = clock(host.scratch)
    deadline = time.monotonic() + 0.05
    while at == before and time.monotonic() < deadline:
        time.sleep(0.001)
        at = clock(host.scratch)
    return at


def stat_of(path: str) -> Stat:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def is_settled(stat: Stat, at: int) -> bool:
    return Identity(*stat).is_settled(at)


def _hash(path: str) -> str:
    try:
        return digest_of(path).hex
    except StorageError:
        return ""


class Hasher:
    """sha256 and outlines of files, each read once; those that an older record still vouches for are not read at all."""

    def __init__(self, old: Snapshot | None) -> None:
        self._old = old.files if old is not None else {}
        self._seen: dict[str, File] = {}
        self._deciding: set[str] = set()

    def hash(self, path: str, embedded: bool = False) -> str:
        """The sha256 of a file that is compiled, or that is there only to be embedded."""
        if path not in self._seen:
            self._seen[path] = self._look(path, embedded)
        return self._seen[path].digest

    def decides(self, path: str) -> None:
        """Takes a file in that decides listings with all of its content."""
        self._deciding.add(path)
        self.hash(path)

    def files(self, at: int) -> dict[str, File]:
        """What was taken in until the time `at`."""
        return {
            path: file._replace(settled=is_settled(file.stat, at), outline="" if path in self._deciding else file.outline)
            for path, file in self._seen.items()
        }

    def _look(self, path: str, embedded: bool) -> File:
        # The stat from before reading: an edit meanwhile will show as a difference.
        stat = stat_of(path)
        known = self._old.get(path)
        if known is not None and known.settled and known.stat == stat:
            return known
        return look(path, stat, _EMBEDDED if embedded and not watch.is_source(os.path.basename(path)) else "")


def look(path: str, stat: Stat, known_outline: str = "") -> File:
    """A file as it is now, not yet settled; `stat` is from before."""
    if not path.endswith(".go"):
        return File(stat, digest_of(path).hex, False, known_outline)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    return File(stat, hashlib.sha256(content).hexdigest(), False, outline(content))
