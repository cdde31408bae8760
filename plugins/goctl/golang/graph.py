"""A platform's packages as a graph of digests, and what becomes of it when files are edited.

A package's digest covers its files, what it embeds, its module's version or language version, and the digests of all that
it imports: a Merkle tree, made in one pass, for a graph's packages stand in the order in which they import each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from goctl.plan import keys
from goctl.plan.facts import Listing, Main
from goctl.values import Digest, to_json


class Node(msgspec.Struct, frozen=True):
    """A package. `files` maps names below `dir` to their sha256; it is empty for packages that nobody edits, which `module`
    covers with version and checksum. `imports` are those that are in the graph; `own` is what else enters the digest."""

    dir: str
    name: str
    files: dict[str, str]
    imports: list[str]
    module: str
    own: list[str]


#: Packages by import path, each after all that it imports.
Graph = dict[str, Node]

decode_graph = msgspec.json.Decoder(Graph).decode
encode_graph = to_json


def digests(graph: Graph) -> dict[str, Digest]:
    """The digest of each package."""
    found: dict[str, Digest] = {}
    for path, node in graph.items():
        parts = [path, node.name, node.module, *node.own, "files"]
        parts += [text for pair in sorted(node.files.items()) for text in pair]
        parts += ["imports", *(text for each in node.imports for text in (each, found[each]))]
        found[path] = keys.combine("package", *parts)
    return found


def edited(graph: Graph, hashes: Mapping[str, str]) -> Graph:
    """The graph with other contents of some files: sha256 by path."""
    made = dict(graph)
    for path, node in graph.items():
        changed = {name: hashes[file] for name in node.files if (file := os.path.join(node.dir, name)) in hashes}
        if changed:
            made[path] = msgspec.structs.replace(node, files=node.files | changed)
    return made


def below(graph: Graph, mains: Iterable[str]) -> set[str]:
    """These packages and all that they import, as far as they are in the graph."""
    found: set[str] = set()
    waiting = [main for main in mains if main in graph]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += graph[path].imports
    return found


def listing(graph: Graph, mains: Mapping[str, Sequence[str]], content: bytes) -> Listing:
    """The listing of a graph whose encoded form is `content`; `mains` are main packages by the pattern that named them."""
    found = digests(graph)
    made = {pattern: tuple(Main(path, graph[path].name, found[path]) for path in paths) for pattern, paths in mains.items()}
    return Listing(made, Digest.of(content))
