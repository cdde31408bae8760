"""`--since`: the targets that are made differently from how a commit made them.

The plan of that commit is made as the plan of now is, from its files in a folder of their own, and the two are compared:
what counts is what a target is made from, not which folder a change lies in. Version, commit and date are now's in both, or
every commit would affect whatever is stamped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.errors import GoctlError, Interrupted
from goctl.plan.affected import Affected, affected
from goctl.plan.facts import Facts
from goctl.plan.images import base_reference
from goctl.plan.make import make
from goctl.plan.model import CompileStep
from goctl.plan.select import select
from goctl.plan.systems import STATIC
from goctl.release import lock
from goctl.release.checkout import Checkout, base_commit, top_of
from goctl.release.crew import Crew, assemble
from goctl.release.gather import Chosen, gather

if TYPE_CHECKING:
    from goctl.events import Event


class Since(msgspec.Struct, frozen=True):
    """What a comparison found: the commit that was compared with, and the affected targets by project."""

    commit: str
    projects: Mapping[str, tuple[Affected, ...]]

    def chosen(self, chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
        """Of a choice, the affected targets, on all of their platforms: an index names all of them."""
        found: dict[str, Chosen] = {}
        for project, own in chosen.items():
            names = {one.target for one in self.projects.get(project, ())}
            if names:
                found[project] = {target: platforms for target, platforms in own.items() if target in names}
        return found


def since(crew: Crew, reference: str, chosen: Mapping[str, Chosen]) -> Since:
    """Compares with the commit that HEAD and a reference have in common. Raises ConfigError where there is none."""
    root = crew.first.root
    top = top_of(root)
    commit = base_commit(root, reference)
    facts = gather(crew, chosen)
    with Checkout(top, commit) as checkout:
        checkout.carry(_loose(crew, facts))
        before = _then(crew, checkout.root / Path(crew.file).relative_to(top))
        return Since(
            commit, {project: _compare(crew, facts[project], before, project, chosen[project]) for project in chosen}
        )


class _Before(msgspec.Struct, frozen=True):
    """The crew of the other commit and what was found out for it; `why` says why there is none."""

    crew: Crew | None
    facts: Mapping[str, Facts]
    lock: lock.Lock
    why: str = ""


def _then(crew: Crew, file: Path) -> _Before:
    try:
        then = assemble(file, profile=crew.profile, emit=_nobody, jobs=crew.first.jobs, look_only=True, beside=crew.first)
        chosen = {project: own for project, own in select(then.configs, ()).items() if own}
        return _Before(then, gather(then, chosen), lock.read(then.first.root))
    except Interrupted:
        raise
    except GoctlError as error:
        return _Before(None, {}, lock.Lock(), f"that commit cannot be planned: {str(error).splitlines()[0]}")


def _nobody(event: Event) -> None:
    """What is said of another commit is no news."""


def _compare(crew: Crew, facts: Facts, before: _Before, project: str, chosen: Chosen) -> tuple[Affected, ...]:
    now = make(crew.sessions[project].config, facts, chosen)
    then = before.crew
    if then is None or project not in before.facts:
        why = before.why or "the project is new"
        return tuple(Affected(target, tuple(map(str, platforms)), (why,)) for target, platforms in chosen.items())
    session = then.sessions[project]
    own = {name: platforms for name, platforms in select(then.configs, ())[project].items() if name in chosen}
    version = facts.version if session.config.project.version == "git" else before.facts[project].version
    same = msgspec.structs.replace(
        before.facts[project], git=facts.git, version=version, environment=facts.environment, compressors=facts.compressors
    )
    try:
        was = make(session.config, same, own)
    except GoctlError as error:
        return tuple(Affected(target, tuple(map(str, platforms)), (str(error),)) for target, platforms in chosen.items())

    def sources(step: CompileStep, source: str) -> list[str]:
        from goctl.golang.explain import source_changes

        return source_changes(crew.host(step), step, source)

    found = {one.target: one for one in affected(now, was, sources)}
    for target, reason in _moved(crew, before, project, chosen):
        known = found.get(target, Affected(target, tuple(map(str, chosen[target])), ()))
        found[target] = msgspec.structs.replace(known, reasons=(*known.reasons, reason))
    return tuple(found[target] for target in chosen if target in found)


def _moved(crew: Crew, before: _Before, project: str, chosen: Chosen) -> Iterator[tuple[str, str]]:
    """Targets of which a base, or where they are pushed to, is another."""
    if before.crew is None:
        return
    locked = crew.first.stores.locked(crew.first.root).now
    session, was = crew.sessions[project], before.crew.sessions[project]
    registries = {
        name
        for name, settings in session.config.registries.items()
        if (name not in was.config.registries) or was.config.registries[name].url != settings.url
    }
    for target, platforms in chosen.items():
        references = {base_reference(session.config, session.config.targets[target], platform) for platform in platforms}
        for reference in sorted(references):
            # What was not pinned yet would have been what it is now.
            pinned = before.lock.bases.get(reference)
            if pinned is not None and pinned != locked.bases.get(reference):
                yield target, f"goctl.lock pins {reference} to another digest"
            if reference == STATIC and before.lock.static and before.lock.static != locked.static:
                yield target, "goctl.lock pins another content of the base `static`"
        for name in sorted(registries.intersection(session.config.publish.to or session.config.registries)):
            yield target, f"registries.{name} is another place"


def _loose(crew: Crew, facts: Mapping[str, Facts]) -> Iterator[Path]:
    """The files that targets are made from, which git may ignore: sources, what they embed, go.work, assets."""
    from goctl.golang.snapshot import graph_of

    seen = set()
    for project, known in facts.items():
        session = crew.sessions[project]
        host = crew.units[crew.unit_name(project)]
        for listing in (known.listings or {}).values():
            mains = [main for mains in listing.mains.values() for main in mains]
            if listing.detail in seen or not mains:
                continue
            seen.add(listing.detail)
            for node in (graph_of(host, mains[0].digest) or {}).values():
                yield from (Path(node.dir, name) for name in node.files)
        for source in known.assets:
            path = session.root / source
            yield from (path.rglob("*") if path.is_dir() else [path])
    for folder in {crew.first.root, *(session.module for session in crew.sessions.values())}:
        yield from (folder / name for name in ("go.work", "go.work.sum", "go.mod", "go.sum"))
