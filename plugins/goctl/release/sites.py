"""`[deploy]` tables as what they stand for: which one is meant, its cluster, its namespace, and who pulls from where."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.config.deploy import Deploy, context_of, is_pulled_from, seconds
from goctl.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from goctl.cluster.deployment import Deployment
    from goctl.cluster.pulling import Login
    from goctl.config.cluster import Cluster
    from goctl.release.crew import Crew
    from goctl.release.session import Session


class Site(msgspec.Struct, frozen=True):
    """One `[deploy.NAME]` table of a project."""

    name: str
    settings: Deploy

    @property
    def timeout(self) -> float:
        """Seconds that a rollout has."""
        return seconds(self.settings.timeout) or 120.0


def site(session: Session, name: str) -> Site:
    """The table that is meant: of that name, or where none is named the one of `release.deploy`, or the only one there is.

    Raises ConfigError where that is not clear.
    """
    tables = session.config.deploy
    wanted = name or session.config.release.deploy or (next(iter(tables)) if len(tables) == 1 else "")
    if wanted in tables:
        return Site(wanted, tables[wanted])
    known = ", ".join(tables) or "none"
    if wanted:
        raise ConfigError(
            f"there is no [deploy.{wanted}]", location=session.loaded.place("release", "deploy"), hint=f"known are {known}"
        )
    raise ConfigError(
        "it is not clear where to deploy to" if tables else "there is nowhere to deploy to",
        location=session.loaded.place("deploy"),
        hint=f"add --to NAME: {known}" if tables else 'write [deploy.NAME] with cluster = { context = "..." }',
    )


def aim(crew: Crew, name: str) -> None:
    """Has the run deploy to the tables of that name, or where none is named to the only one that a project has."""
    for session in crew.sessions.values():
        config = session.config
        only = next(iter(config.deploy)) if len(config.deploy) == 1 and not config.release.deploy else ""
        chosen = name or only
        if chosen in config.deploy:
            session.config = msgspec.structs.replace(config, release=msgspec.structs.replace(config.release, deploy=chosen))


def environment(session: Session, cluster: Cluster) -> dict[str, str]:
    """The environment that leads to a cluster: for one that goctl made, with the kubeconfig that it keeps for it."""
    own = session.state / "clusters" / cluster.kind / "kubeconfig"
    if not cluster.kind or not own.is_file():
        return dict(os.environ)
    known = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return {**os.environ, "KUBECONFIG": os.pathsep.join((str(own), known))}


def registry_of(session: Session, settings: Deploy | None) -> str:
    """The registry, by its name, that the nodes pull from. Raises ConfigError where there is none that they can."""
    config = session.config
    pushed = config.publish.to or tuple(name for name, registry in config.registries.items() if registry.push)
    if settings is not None and settings.registry:
        if settings.registry not in pushed:
            raise ConfigError(
                f"nothing is pushed to {settings.registry!r}, which is to be pulled from", hint="see publish.to"
            )
        return settings.registry
    found = next((name for name in pushed if is_pulled_from(config.registries[name].url)), "")
    if not found:
        urls = ", ".join(config.registries[name].url for name in pushed)
        raise ConfigError(
            f"no node can pull from {urls}",
            location=session.loaded.place("publish", "to"),
            hint="name a registry that the cluster's nodes reach, in [registries] and publish.to",
        )
    return found


@contextlib.contextmanager
def deployment(session: Session, where: Site) -> Iterator[Deployment]:
    """The deployment in its cluster, connected for as long as this lasts. Asks that nothing yet."""
    from goctl.cluster import api
    from goctl.cluster.apply import label
    from goctl.cluster.deployment import Deployment, Place

    connected = api.connect(
        context_of(where.settings.cluster), check=session.check, environment=environment(session, where.settings.cluster)
    )
    place = Place(
        name=where.name,
        part_of=label(session.config.project.name, where.name),
        namespace=where.settings.namespace or connected.namespace,
        is_declared=bool(where.settings.namespace),
    )
    made = Deployment(connected, place, emit=session.emit, check=session.check)
    with contextlib.closing(made):
        yield made


def login(session: Session, where: Site) -> Login | None:
    """Who the nodes pull as, where that is asked for. Raises RegistryError where nodes could not use what is found."""
    if not where.settings.pull_secret:
        return None
    from goctl.cluster.pulling import Login
    from goctl.registry.keychain import Keychain

    settings = session.config.registries[registry_of(session, where.settings)]
    host = settings.url.partition("/")[0]
    found = Keychain(session.emit, login=settings.credentials).find(host)
    if not found:
        raise RegistryError(
            f"there is no login for {host} to pull with", hint="`invoke registry.login`, or pull-secret = false"
        )
    if not found.password:
        raise RegistryError(
            f"the login for {host} is a token that nodes cannot use", hint="log in with a password or a robot's"
        )
    return Login(host, found.username, found.password.reveal())
