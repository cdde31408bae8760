"""Which sources changed between two listings, from their graphs."""

from __future__ import annotations

from goctl.contracts import Host
from goctl.golang.graph import Graph, Node, below
from goctl.golang.snapshot import graph_of
from goctl.plan.model import CompileStep

MOST = 20


def source_changes(host: Host, step: CompileStep, before: str) -> list[str]:
    """What is different in the packages below a step's main package, since its source had the digest `before`."""
    old = graph_of(host, before)
    new = graph_of(host, step.fields.get("source", ""))
    if old is None or new is None:
        return []
    return difference(old, new, step.import_path)


def difference(old: Graph, new: Graph, main: str) -> list[str]:
    """One sentence for each file, package or module that is different in what `main` imports."""
    was, now = below(old, [main]), below(new, [main])
    said: dict[str, None] = {}
    for path in sorted(was | now):
        if path not in was:
            said[f"package {path} is imported now"] = None
        elif path not in now:
            said[f"package {path} is no longer imported"] = None
        else:
            said.update(dict.fromkeys(_package_changes(path, old[path], new[path])))
    sentences = list(said)
    return sentences[:MOST] + ([f"and {len(sentences) - MOST} changes more"] if len(sentences) > MOST else [])


def _package_changes(path: str, old: Node, new: Node) -> list[str]:
    if old.module != new.module:
        return [f"module {_version(old.module)} is now {_version(new.module)}"]
    changes = []
    for name in sorted(old.files.keys() | new.files.keys()):
        if name not in old.files:
            changes.append(f"{path}/{name} was added")
        elif name not in new.files:
            changes.append(f"{path}/{name} was removed")
        elif old.files[name] != new.files[name]:
            changes.append(f"{path}/{name} changed")
    return changes


def _version(module: str) -> str:
    """Path and version, without the checksum."""
    return " ".join(word for word in module.split() if not word.startswith("h1:"))
