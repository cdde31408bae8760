"""The record of files that makes "nothing changed" cheap: what the last listings were made from, checked by stat alone.

Every file and folder that decides a listing is recorded with its identity (size, times, inode). On a later run all of them
are looked at; where nothing moved, the recorded listings hold and go is not started. Where an identity differs, content
decides: a touched file or a new checkout of the same commit leaves the listings as they are. Where identities cannot tell
(a write in the same tick, Windows), content decides too. After edits that leave alone what go list reads of a file (its
imports and what is above them), the recorded graphs with the files' new digests are the listings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError, StorageError
from goctl.golang import travel, watch
from goctl.golang.environment import child_environment, effective
from goctl.golang.graph import Graph, decode_graph, edited, encode_graph
from goctl.golang.graph import listing as make_listing
from goctl.golang.listing import Listed, list_packages, read_sums
from goctl.golang.record import File, Hasher, Snapshot, Stat, compare, is_settled, keep, look, recall, refresh, stat_of, tick
from goctl.plan import keys
from goctl.plan.facts import Listing, ListingKey, Main
from goctl.system.files import CHANGE_TIME_TELLS
from goctl.values import Digest, from_json, to_json

#: Listings made at the same time: go list is bound by one core each.
LISTERS = 2
#: How often packages are listed anew because a file changed meanwhile.
ATTEMPTS = 4
#: Variables of go that decide a listing and may come from the environment or from `go env -w`.
_VARIABLES = ("GO111MODULE", "GOWORK", "GOPATH", "GOFLAGS", "GOEXPERIMENT", "GODEBUG")

#: Graphs that this process made, encoded, by the digest of each main package in them; for explain, which writes nothing.
GRAPHS: dict[Digest, bytes] = {}


def packages(host: Host, wanted: Mapping[ListingKey, tuple[str, ...]], *, write: bool = True) -> dict[ListingKey, Listing]:
    """The listings of these patterns: from the record where it holds, else from go list. Raises ModuleError.

    Without `write` nothing is recorded.
    """
    context = _context(host)
    old = recall(host)
    if write and (old is None or old.context != context):
        old = travel.receive(host, context) or old
    recorded: dict[ListingKey, Listing] = {}
    if old is not None and old.context == context:
        changed, refreshed = compare(old)
        if changed:
            recorded = _amend(host, old, wanted, changed, refreshed, write=write) or {}
        else:
            recorded = _listings(old, wanted)
            if refreshed and write:
                keep(host, refresh(host, old, refreshed))
    missing = {
        key: patterns
        for key, patterns in wanted.items()
        if key not in recorded or any(pattern not in recorded[key].mains for pattern in patterns)
    }
    if missing:
        recorded = _list(host, context, missing, recorded, old, write=write)
    return {key: recorded[key] for key in wanted}


def adopt(host: Host, wanted: Mapping[ListingKey, tuple[str, ...]]) -> bool:
    """Whether the listings of these patterns are known without go list, by a record of this checkout or of another one."""
    context = _context(host)
    old = recall(host)
    if old is None or old.context != context:
        old = travel.receive(host, context)
    if old is None:
        return False
    changed, refreshed = compare(old)
    if changed:
        recorded = _amend(host, old, wanted, changed, refreshed, write=True) or {}
    else:
        keep(host, refresh(host, old, refreshed))
        recorded = _listings(old, wanted)
    return all(key in recorded and set(patterns) <= recorded[key].mains.keys() for key, patterns in wanted.items())


def changed_since_listing(host: Host) -> list[str]:
    """Paths, from the module's folder, that are no longer as they were when packages() recorded them.

    A file that was written and is the same again counts: nobody knows what a compiler read meanwhile.
    """
    snapshot = recall(host)
    if snapshot is None:
        return []
    changed, same = compare(snapshot)
    changed += [path for path in same if path in snapshot.files and stat_of(path) != snapshot.files[path][0]]
    return [os.path.relpath(path, host.module) for path in changed]


def _context(host: Host) -> str:
    """What listings depend on besides files: the toolchain and the variables that go reads."""
    toolchain = host.toolchain()
    variables = [f"{name}={effective(name, os.environ)}" for name in _VARIABLES]
    own = [f"{name}={value}" for name, value in sorted(host.config.go.env.items())]
    return str(keys.combine("listings", str(host.module), to_json(toolchain).decode(), *variables, *own))


def _listings(snapshot: Snapshot, wanted: Iterable[ListingKey]) -> dict[ListingKey, Listing]:
    known = {_recordable(key): key for key in wanted}
    recorded = from_json(snapshot.listings, list[tuple[ListingKey, Listing]])
    return {known.get(key, key): listing for key, listing in recorded}


def _encoded(listings: Mapping[ListingKey, Listing]) -> bytes:
    return to_json([(_recordable(key), listing) for key, listing in listings.items()])


def _recordable(key: ListingKey) -> ListingKey:
    """A key as it is recorded: without the values of secret variables."""
    return msgspec.structs.replace(key, env=tuple((name, keys.shown(name, value)) for name, value in key.env))


def _amend(
    host: Host,
    old: Snapshot,
    wanted: Iterable[ListingKey],
    changed: Sequence[str],
    refreshed: Sequence[str],
    *,
    write: bool,
) -> dict[ListingKey, Listing] | None:
    """The recorded listings after edits that no listing depends on but by content; None where go list must be asked."""
    files = _edits(old, changed, tick(host) if write else 0)
    if files is None:
        return None
    hashes = {path: file.digest for path, file in files.items()}
    listings: dict[ListingKey, Listing] = {}
    for key, listing in _listings(old, wanted).items():
        content = host.memo.get("graph", listing.detail)
        if content is None:
            return None
        try:
            graph = edited(decode_graph(content), hashes)
        except msgspec.MsgspecError:
            return None
        encoded = encode_graph(graph)
        mains = {pattern: [main.import_path for main in mains] for pattern, mains in listing.mains.items()}
        made = make_listing(graph, mains, encoded)
        listings[key] = relisted = msgspec.structs.replace(made, libraries=listing.libraries)
        GRAPHS.update(dict.fromkeys((main.digest for main in _mains(relisted)), encoded))
        if write:
            _remember(host, relisted, encoded)
    if write:
        old.files |= files
        old.listings = _encoded(listings)
        keep(host, refresh(host, old, refreshed))
        travel.send(host, old)
    return listings


def _edits(old: Snapshot, changed: Sequence[str], at: int) -> dict[str, File] | None:
    """Files as they are now whose outlines are as they were; None where one is not."""
    files = {}
    for path in changed:
        before = old.files.get(path)
        if before is None or not before.outline:
            return None
        try:
            now = look(path, stat_of(path), before.outline)
        except (OSError, StorageError):
            return None
        if now.outline != before.outline:
            return None
        files[path] = now._replace(settled=is_settled(now.stat, at))
    return files


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
        at = tick(host) if write else 0
        hasher = Hasher(known)
        try:
            graphs = _graphs(host, patterns, hasher)
            listings = {**recorded, **dict(zip(missing, (graph.listing for graph in graphs), strict=True))}
            if not write:
                break
            made = _snapshot(host, context, base, graphs, patterns, hasher, listings, at)
        except FileNotFoundError:
            # Something that was listed has gone since.
            continue
        if not _moved(made, known, at):
            keep(host, made)
            for graph in graphs:
                _remember(host, graph.listing, graph.graph)
            travel.send(host, made)
            break
        known = made
    else:
        raise ModuleError("sources are being edited while they are listed", hint="run it again when they are at rest")
    for graph in graphs:
        GRAPHS.update(dict.fromkeys((main.digest for main in _mains(graph.listing)), graph.graph))
    return listings


def _graphs(host: Host, patterns: Mapping[ListingKey, tuple[str, ...]], hasher: Hasher) -> list[Listed]:
    sums = read_sums(host.module)
    with ThreadPoolExecutor(LISTERS) as pool:
        return list(pool.map(lambda key: list_packages(host, key, patterns[key], hasher.hash, sums), patterns))


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
    graphs: list[Listed],
    patterns: Mapping[ListingKey, tuple[str, ...]],
    hasher: Hasher,
    listings: Mapping[ListingKey, Listing],
    at: int,
) -> Snapshot:
    local = [package for graph in graphs for package in graph.local]
    works = {effective("GOWORK", child_environment(host.config.go, dict(key.env))) for key in patterns}
    there, absent = watch.module_files(host.module, local, works)
    everything = [pattern for each in patterns.values() for pattern in each]
    ignored = str(host.output)
    watched = watch.folders(host.module, everything, local, ignored)
    folders = {}
    for folder, kind in watched.items():
        stat = stat_of(folder)
        folders[folder] = (stat, kind, watch.names_digest(folder, kind, ignored), is_settled(stat, at))
    for path in watch.kept_out(watched, local):
        # A link that leads nowhere is left out by its name alone.
        if os.path.exists(path):
            hasher.hash(path)
        else:
            absent.append(path)
    for path in there:
        hasher.decides(path)
    files = hasher.files(at)
    if base is not None:
        files = base.files | files
        folders = {
            **base.folders,
            **{path: new for path, new in folders.items() if not _is_weaker(new, base.folders.get(path))},
        }
        absent = sorted({*base.absent, *absent})
    return Snapshot(context, files, folders, absent, _encoded(listings), ignored)


def _is_weaker(new: tuple[Stat, str, str, bool], old: tuple[Stat, str, str, bool] | None) -> bool:
    """Whether another listing already watches more names of the same folder."""
    return old is not None and watch.RANK[old[1]] > watch.RANK[new[1]]


def _remember(host: Host, listing: Listing, graph: bytes) -> None:
    host.memo.put("graph", listing.detail, graph)
    for main in _mains(listing):
        host.memo.put("source", main.digest, listing.detail.encode())


def _mains(listing: Listing) -> Iterator[Main]:
    return (main for mains in listing.mains.values() for main in mains)


def graph_of(host: Host, source: str) -> Graph | None:
    """The graph of the listing in which a main package had this digest."""
    content = next((graph for digest, graph in GRAPHS.items() if digest == source), None)
    if content is None:
        name = host.memo.get("source", source)
        content = host.memo.get("graph", name.decode()) if name is not None else None
    if content is None:
        return None
    try:
        return decode_graph(content)
    except msgspec.MsgspecError:
        return None
