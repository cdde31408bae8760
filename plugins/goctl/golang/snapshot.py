"""The record of files that makes "nothing changed" cheap: what the last listings were made from, checked by stat alone.

Every file and folder that decides a listing is recorded with its identity (size, times, inode). On a later run all of them
are looked at; where nothing moved, the recorded listings hold and go is not started. Where an identity differs, content
decides: a touched file or a new checkout of the same commit leaves the listings as they are. Where identities cannot tell
(a write in the same tick, Windows), content decides too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError, StorageError
from goctl.golang import watch
from goctl.golang.environment import child_environment, effective
from goctl.golang.listing import Graph, list_packages, read_sums
from goctl.plan import keys
from goctl.plan.facts import Listing, ListingKey, Main
from goctl.system.files import CHANGE_TIME_TELLS, Identity, clock
from goctl.system.ledger import digest_of
from goctl.values import Digest, from_json, to_json

#: Listings made at the same time: go list is bound by one core each.
LISTERS = 2
#: How often packages are listed anew because a file changed meanwhile.
ATTEMPTS = 4
#: Variables of go that decide a listing and may come from the environment or from `go env -w`.
_VARIABLES = ("GO111MODULE", "GOWORK", "GOPATH", "GOFLAGS", "GOEXPERIMENT", "GODEBUG")

Stat = tuple[int, int, int, int]


class Snapshot(msgspec.Struct, array_like=True):
    """One project's record. `files` maps a path to its stat, its sha256 and whether stat can tell a later write;
    `folders` maps a path to its stat, the kind of names that matter, their digest and the same; `absent` must stay so.
    `ignored` is a folder that matters to none of them: that of the programs."""

    context: str
    files: dict[str, tuple[Stat, str, bool]]
    folders: dict[str, tuple[Stat, str, str, bool]]
    absent: list[str]
    listings: bytes
    ignored: str


#: Details of the listings that this process made, by the digest of each main package in them; for explain, which writes
#: nothing.
DETAILS: dict[Digest, bytes] = {}

_decode = msgspec.msgpack.Decoder(Snapshot).decode


def packages(host: Host, wanted: Mapping[ListingKey, tuple[str, ...]], *, write: bool = True) -> dict[ListingKey, Listing]:
    """The listings of these patterns: from the record where it holds, else from go list. Raises ModuleError.

    Without `write` nothing is recorded.
    """
    context = _context(host)
    old = _recall(host)
    recorded: dict[ListingKey, Listing] = {}
    if old is not None and old.context == context:
        changed, refreshed = compare(old)
        if not changed:
            recorded = _listings(old)
            if refreshed and write:
                _record(host, _refresh(host, old, refreshed))
    missing = {
        key: patterns
        for key, patterns in wanted.items()
        if key not in recorded or any(pattern not in recorded[key].mains for pattern in patterns)
    }
    if missing:
        recorded = _list(host, context, missing, recorded, old, write=write)
    return {key: recorded[key] for key in wanted}


def changed_since_listing(host: Host) -> list[str]:
    """Paths, from the module's folder, that are no longer as they were when packages() recorded them.

    A file that was written and is the same again counts: nobody knows what a compiler read meanwhile.
    """
    snapshot = _recall(host)
    if snapshot is None:
        return []
    changed, same = compare(snapshot)
    changed += [path for path in same if path in snapshot.files and _stat(path) != snapshot.files[path][0]]
    return [os.path.relpath(path, host.module) for path in changed]


def compare(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Paths whose content changed; and paths that only look different, or that stat could not tell about."""
    changed: list[str] = []
    refreshed: list[str] = []
    stat, ignored = os.stat, snapshot.ignored
    for path, (known, digest, settled) in snapshot.files.items():
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


def _hash(path: str) -> str:
    try:
        return digest_of(path).hex
    except StorageError:
        return ""


def _stat(path: str) -> Stat:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _settled(known: Stat, at: int) -> bool:
    return Identity(*known).is_settled(at)


def _context(host: Host) -> str:
    """What listings depend on besides files: the toolchain and the variables that go reads."""
    toolchain = host.toolchain()
    variables = [f"{name}={effective(name, os.environ)}" for name in _VARIABLES]
    own = [f"{name}={value}" for name, value in sorted(host.config.go.env.items())]
    return str(keys.combine("listings", str(host.module), to_json(toolchain).decode(), *variables, *own))


def _recall(host: Host) -> Snapshot | None:
    content = host.memo.get("snapshot", str(host.module))
    if content is None:
        return None
    try:
        return _decode(content)
    except msgspec.MsgspecError:
        return None


def _record(host: Host, snapshot: Snapshot) -> None:
    host.memo.put("snapshot", str(host.module), msgspec.msgpack.encode(snapshot))


def _listings(snapshot: Snapshot) -> dict[ListingKey, Listing]:
    return dict(from_json(snapshot.listings, list[tuple[ListingKey, Listing]]))


def _refresh(host: Host, old: Snapshot, paths: Iterable[str]) -> Snapshot:
    """The same record with the identities that these paths have now."""
    at = clock(host.scratch)
    for path in paths:
        stat = _stat(path)
        if path in old.files:
            digest = old.files[path][1]
            if _hash(path) == digest:
                old.files[path] = (stat, digest, _settled(stat, at))
        else:
            _, kind, digest, _ = old.folders[path]
            if watch.names_digest(path, kind, old.ignored) == digest:
                old.folders[path] = (stat, kind, digest, _settled(stat, at))
    return old


def _list(
    host: Host,
    context: str,
    missing: Mapping[ListingKey, tuple[str, ...]],
    recorded: dict[ListingKey, Listing],
    old: Snapshot | None,
    *,
    write: bool,
) -> dict[ListingKey, Listing]:
    patterns = {
        key: tuple(dict.fromkeys((*(recorded[key].mains if key in recorded else ()), *wanted)))
        for key, wanted in missing.items()
    }
    base = old if recorded else None
    known = old
    for _ in range(ATTEMPTS if write else 1):
        at = _tick(host) if write else 0
        hasher = _Hasher(known)
        graphs = _graphs(host, patterns, hasher)
        listings = {**recorded, **dict(zip(missing, (graph.listing for graph in graphs), strict=True))}
        if not write:
            break
        made = _snapshot(host, context, base, graphs, patterns, hasher, listings, at)
        if not _moved(made, known, at):
            _record(host, made)
            for graph in graphs:
                _remember_detail(host, graph)
            break
        known = made
    else:
        raise ModuleError("sources are being edited while they are listed", hint="run it again when they are at rest")
    for graph in graphs:
        DETAILS.update(dict.fromkeys((main.digest for main in _mains(graph)), graph.detail))
    return listings


def _graphs(host: Host, patterns: Mapping[ListingKey, tuple[str, ...]], hasher: _Hasher) -> list[Graph]:
    sums = read_sums(host.module)
    with ThreadPoolExecutor(LISTERS) as pool:
        return list(pool.map(lambda key: list_packages(host, key, patterns[key], hasher.hash, sums), patterns))


def _tick(host: Host) -> int:
    """The file system's time after it went on by a tick: what was written before has an earlier one."""
    before = at = clock(host.scratch)
    deadline = time.monotonic() + 0.05
    while at == before and time.monotonic() < deadline:
        time.sleep(0.001)
        at = clock(host.scratch)
    return at


def _moved(made: Snapshot, before: Snapshot | None, at: int) -> bool:
    """Whether something was written since `at`, so that go list and the record may have seen different states of it.

    What was recorded before, and has not moved since, was at rest.
    """
    index = 2 if CHANGE_TIME_TELLS else 1
    files, folders = (before.files, before.folders) if before is not None else ({}, {})
    return any(
        entry[0][index] >= at and files.get(path, ((), ""))[:2] != entry[:2] for path, entry in made.files.items()
    ) or any(
        entry[0][index] >= at and folders.get(path, ((), "", ""))[:3] != entry[:3] for path, entry in made.folders.items()
    )


def _snapshot(
    host: Host,
    context: str,
    base: Snapshot | None,
    graphs: list[Graph],
    patterns: Mapping[ListingKey, tuple[str, ...]],
    hasher: _Hasher,
    listings: Mapping[ListingKey, Listing],
    at: int,
) -> Snapshot:
    local = [package for graph in graphs for package in graph.local]
    works = {effective("GOWORK", child_environment(host.config.go, dict(key.env))) for key in patterns}
    there, absent = watch.module_files(host.module, local, works)
    everything = [pattern for each in patterns.values() for pattern in each]
    ignored = str(host.dist)
    watched = watch.folders(host.module, everything, local, ignored)
    folders = {}
    for folder, kind in watched.items():
        stat = _stat(folder)
        folders[folder] = (stat, kind, watch.names_digest(folder, kind, ignored), _settled(stat, at))
    for package in local:
        there += (os.path.join(package.dir, name) for name in package.ignored)
    for path in (*there, *watch.loose_sources(watched, local)):
        hasher.hash(path)
    files = {path: (stat, digest, _settled(stat, at)) for path, (stat, digest) in hasher.seen.items()}
    if base is not None:
        files = base.files | files
        folders = {
            **base.folders,
            **{path: new for path, new in folders.items() if not _is_weaker(new, base.folders.get(path))},
        }
        absent = sorted({*base.absent, *absent})
    return Snapshot(context, files, folders, absent, to_json(list(listings.items())), ignored)


def _is_weaker(new: tuple[Stat, str, str, bool], old: tuple[Stat, str, str, bool] | None) -> bool:
    """Whether another listing already watches more names of the same folder."""
    return old is not None and watch.RANK[old[1]] > watch.RANK[new[1]]


def _remember_detail(host: Host, graph: Graph) -> None:
    host.memo.put("detail", graph.listing.detail, graph.detail)
    for main in _mains(graph):
        host.memo.put("source", main.digest, graph.listing.detail.encode())


def _mains(graph: Graph) -> Iterator[Main]:
    return (main for mains in graph.listing.mains.values() for main in mains)


class _Hasher:
    """sha256 of files, each read once; those that an older record still vouches for are not read at all."""

    def __init__(self, old: Snapshot | None) -> None:
        self._old = old.files if old is not None else {}
        self.seen: dict[str, tuple[Stat, str]] = {}

    def hash(self, path: str) -> str:
        if path not in self.seen:
            # The stat from before reading: an edit meanwhile will show as a difference.
            stat = _stat(path)
            known = self._old.get(path)
            digest = known[1] if known is not None and known[2] and known[0] == stat else digest_of(path).hex
            self.seen[path] = (stat, digest)
        return self.seen[path][1]
