"""Which modules programs are made of: those that a machine needs where it compiles them and has everything else."""

from __future__ import annotations

from collections.abc import Sequence

from goctl.contracts import Host
from goctl.golang.graph import below
from goctl.golang.snapshot import graph_of
from goctl.plan.model import CompileStep


def sums_of(host: Host, steps: Sequence[CompileStep]) -> set[str] | None:
    """The sums in go.sum of all modules that these programs are made of; None where their packages are not known."""
    found: set[str] = set()
    mains: dict[str, list[str]] = {}
    for step in steps:
        mains.setdefault(step.fields.get("source", ""), []).append(step.import_path)
    for source, paths in mains.items():
        graph = graph_of(host, source)
        if graph is None:
            return None
        for path in below(graph, paths):
            # A package that a person can edit has no sum, or is vendored.
            found |= {word for word in graph[path].module.split() if word.startswith("h1:")}
    return found
