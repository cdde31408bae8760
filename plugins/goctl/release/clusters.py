"""The tasks about kind clusters, and `tools.install`: which clusters are meant, and what `cluster` is handed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from goctl.errors import ClusterError, ConfigError, GoctlError, ToolchainError
from goctl.events import Notice, Table

if TYPE_CHECKING:
    from goctl.cluster.clusters import Clusters
    from goctl.config.cluster import Cluster
    from goctl.release.doctor import Check
    from goctl.release.session import Session


def up(session: Session, *, dry: bool, cluster: str, replace: bool, kubeconfig: str) -> None:
    """Makes the clusters that are declared, or brings them in line."""
    chosen = _chosen(session, cluster)
    if kubeconfig and len(chosen) > 1 and not cluster:
        names = ", ".join(one.kind for one in chosen)
        session.emit(Notice(f"{kubeconfig} gets a context for each of {names}", level="info"))
    made = _clusters(session)
    for one in chosen:
        if dry:
            session.emit(Notice(made.plan(one), level="info"))
            continue
        with session.lock():
            made.up(one, replace=replace)
            if kubeconfig:
                made.merge(one.kind, Path(os.path.abspath(os.path.expanduser(kubeconfig))))


def down(session: Session, *, dry: bool, cluster: str) -> None:
    """Removes the clusters that are declared."""
    chosen = _chosen(session, cluster)
    made = _clusters(session)
    for one in chosen:
        if dry:
            session.emit(Notice(f"would remove the cluster {one.kind}, if it is there", level="info"))
            continue
        with session.lock():
            made.down(one.kind)


def status(session: Session, *, dry: bool, cluster: str) -> None:
    """A table of the nodes of the clusters that are declared."""
    del dry
    chosen = _chosen(session, cluster)
    made = _clusters(session)
    rows = [row for one in chosen for row in made.status(one)]
    columns = ("cluster", "node", "role", "state", "kubernetes", "platform", "detail")
    table = tuple((r.cluster, r.node, r.role, r.state, r.version, r.platform, r.detail) for r in rows)
    session.emit(Table("clusters", columns, table))


def install(session: Session, *, dry: bool) -> None:
    """Fetches the kind command, at the version that goctl is tested with, with `go install`."""
    from goctl.cluster.kind import MODULE, VERSION, installed
    from goctl.golang import command
    from goctl.system.files import replace, storage_errors

    target = installed(session.state)
    words = f"go install {MODULE}@{VERSION}"
    if target.is_file():
        session.emit(Notice(f"kind {VERSION} is there: {target}", level="info"))
        return
    if command.only_tell(session, words, dry=dry):
        return
    with session.lock():
        scratch = session.scratch / "tools"
        scratch.mkdir(parents=True, exist_ok=True)
        # Neither the project's flags nor its platform are a tool's.
        env = {"GOBIN": str(scratch), "GOFLAGS": "", "GOOS": "", "GOARCH": "", "CGO_ENABLED": "0"}
        done = command.go(session, *words.split()[1:], folder=scratch, env=env, on_stderr=command.telling(session))
        if done.code:
            raise ToolchainError(f"`{words}` failed: {done.errors.strip()[-1000:]}", hint="is the module proxy reachable?")
        with storage_errors(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            replace(scratch / target.name, target)
    session.emit(Notice(f"installed kind {VERSION} as {target}", level="info"))


def checks(session: Session) -> Iterator[Check]:
    """What doctor says of the clusters that a project declares; nothing where it declares none."""
    from goctl.release.doctor import Check

    declared = _declared(session)
    if not declared:
        return
    from goctl.cluster.kind import Kind

    try:
        kind = Kind(session.state, session.emit)
        yield Check("kind", "ok", f"{kind.version()} ({kind.command})")
    except GoctlError as error:
        yield Check("kind", "error", str(error), error.hint, error.exit_code)
    try:
        made = _clusters(session)
        for one in declared.values():
            rows = made.status(one)
            states = ", ".join(f"{row.node} {row.state}" for row in rows if row.node != "-") or "absent"
            detail = next((row.detail for row in rows if row.detail), "")
            yield Check(f"cluster {one.kind}", "warning" if rows[0].detail else "ok", states, detail)
            short = made.lacks_memory(one)
            if short:
                yield Check(
                    f"cluster {one.kind}",
                    "error",
                    short,
                    "give Docker's engine more, or declare fewer nodes",
                    ClusterError.exit_code,
                )
    except GoctlError as error:
        yield Check("clusters", "error", str(error), error.hint, error.exit_code)


def declared_names(session: Session) -> frozenset[str]:
    """The kind clusters of a project, by name."""
    return frozenset(_declared(session))


def _declared(session: Session) -> dict[str, Cluster]:
    found = (deploy.cluster for deploy in session.config.deploy.values())
    return {cluster.kind: cluster for cluster in found if cluster.kind}


def _chosen(session: Session, name: str) -> list[Cluster]:
    declared = _declared(session)
    if not declared:
        raise ConfigError(
            "no cluster is declared", hint='add one to goctl.toml: [deploy.local] cluster = { kind = "NAME", workers = 1 }'
        )
    if name and name not in declared:
        raise ConfigError(f"no cluster is called {name!r}", hint=f"declared are {', '.join(declared)}")
    return [declared[name]] if name else list(declared.values())


def _clusters(session: Session) -> Clusters:
    from goctl.cluster.clusters import Clusters

    return Clusters(
        root=session.root,
        state=session.state,
        registries=session.config.registries,
        emit=session.emit,
        check=session.check,
        tags=lambda: _node_tags(session),
    )


def _node_tags(session: Session) -> list[str]:
    """The tags of kind's node images, from Docker Hub."""
    from goctl.cluster.versions import REPOSITORY
    from goctl.registry.client import connect
    from goctl.registry.tags import list_tags
    from goctl.values import DOCKER_HUB

    return list_tags(connect(session, DOCKER_HUB), REPOSITORY)
