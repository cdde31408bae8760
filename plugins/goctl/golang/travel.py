"""The record of files, written so that another checkout or machine can use it: paths from the project's folder, contents in
place of times and inodes.

It is found by what go.mod and go.sum say and by the toolchain, and may be of any state of the sources: the files
that are there are compared with it, and only where they are what it says does it tell what `go list` would. A machine
without a single module can plan a release with it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from goctl.contracts import Host, Sharing
from goctl.golang.environment import child_environment, effective
from goctl.golang.graph import Graph, decode_graph, encode_graph
from goctl.golang.graph import listing as make_listing
from goctl.golang.modfiles import work_file
from goctl.golang.record import File, Snapshot
from goctl.plan import keys
from goctl.plan.facts import Listing, ListingKey
from goctl.plan.make import unit_of
from goctl.values import from_json, to_json

#: Variables of go that decide a listing, but for those that name places.
_VARIABLES = ("GO111MODULE", "GOFLAGS", "GOEXPERIMENT", "GODEBUG")
_DECIDING = ("go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt")
KIND = "listing"


class _Listed(msgspec.Struct, frozen=True):
    key: ListingKey
    mains: dict[str, list[str]]
    libraries: tuple[str, ...]
    graph: Graph


class Travelling(msgspec.Struct, frozen=True):
    """A record without a place: `files` holds size, sha256 and outline by path, `folders` the kind of names that matter and
    their digest. Paths have forward slashes."""

    files: dict[str, tuple[int, str, str]]
    folders: dict[str, tuple[str, str]]
    absent: list[str]
    ignored: str
    listings: list[_Listed]


def key_of(host: Host) -> str:
    """What a record is found by."""
    environment = child_environment(host.config.go, host.config.go.env)
    toolchain = host.toolchain()
    work = work_file(host.module, environment)
    parts = [_relative(host, str(host.module)), _relative(host, str(work)) if work else "", unit_of(host.config)]
    parts += [toolchain.version, *toolchain.flags, *(f"{k}={v}" for k, v in sorted(toolchain.settings.items()))]
    parts += [f"{name}={keys.shown(name, effective(name, environment))}" for name in _VARIABLES]
    for folder in dict.fromkeys((host.module, work.parent if work else host.module)):
        parts += [_digest(folder / name) for name in _DECIDING]
    return str(keys.combine("travelling", *parts))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "none"


def send(host: Host, snapshot: Snapshot) -> None:
    """Writes a record down where others find it, if there is such a place."""
    if isinstance(host.memo, Sharing):
        content = packed(host, snapshot)
        if content is not None:
            host.memo.put(KIND, key_of(host), content)


def packed(host: Host, snapshot: Snapshot) -> bytes | None:
    """A record as others can use it; None where its graphs are gone."""
    listings = []
    for key, listing in from_json(snapshot.listings, list[tuple[ListingKey, Listing]]):
        content = host.memo.get("graph", listing.detail)
        if content is None:
            return None
        graph = {
            path: msgspec.structs.replace(node, dir=_relative(host, node.dir) if node.dir else "")
            for path, node in decode_graph(content).items()
        }
        mains = {pattern: [main.import_path for main in found] for pattern, found in listing.mains.items()}
        listings.append(_Listed(key, mains, listing.libraries, graph))
    made = Travelling(
        {_relative(host, path): (file.stat[0], file.digest, file.outline) for path, file in snapshot.files.items()},
        {_relative(host, path): (kind, digest) for path, (_, kind, digest, _) in snapshot.folders.items()},
        [_relative(host, path) for path in snapshot.absent],
        _relative(host, snapshot.ignored),
        listings,
    )
    return zlib.compress(to_json(made), 6)


def receive(host: Host, context: str) -> Snapshot | None:
    """A record that others wrote, put in its place here, in which no time and no inode tells anything yet; its graphs are
    remembered. None where there is none."""
    if not isinstance(host.memo, Sharing):
        return None
    content = host.memo.get(KIND, key_of(host))
    if content is None:
        return None
    try:
        found = from_json(zlib.decompress(content), Travelling)
    except (ValueError, zlib.error):
        return None
    listings = []
    for one in found.listings:
        graph = {
            path: msgspec.structs.replace(node, dir=_place(host, node.dir) if node.dir else "")
            for path, node in one.graph.items()
        }
        encoded = encode_graph(graph)
        try:
            listing = make_listing(graph, one.mains, encoded)
        except KeyError:
            return None
        host.memo.put("graph", listing.detail, encoded)
        for main in (main for mains in listing.mains.values() for main in mains):
            host.memo.put("source", main.digest, listing.detail.encode())
        listings.append((one.key, msgspec.structs.replace(listing, libraries=one.libraries)))
    return Snapshot(
        context,
        {_place(host, path): File((size, 0, 0, 0), digest, False, out) for path, (size, digest, out) in found.files.items()},
        {_place(host, path): ((0, 0, 0, 0), kind, digest, False) for path, (kind, digest) in found.folders.items()},
        _places(host, found.absent),
        to_json(listings),
        _place(host, found.ignored),
    )


def _relative(host: Host, path: str) -> str:
    try:
        return os.path.relpath(path, host.root).replace(os.sep, "/")
    except ValueError:  # another drive
        return path.replace(os.sep, "/")


def _place(host: Host, path: str) -> str:
    return os.path.normpath(os.path.join(host.root, path))


def _places(host: Host, paths: Iterable[str]) -> list[str]:
    return [_place(host, path) for path in paths]
