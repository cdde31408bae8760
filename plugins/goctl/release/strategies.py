"""How a `[deploy]` table wants requests to get to a new version, as rules of a deployment: with commands and queries as what
is called."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from goctl.config.deploy import mirrored, seconds, share
from goctl.errors import ClusterError, ConfigError
from goctl.events import Notice
from goctl.system import process

if TYPE_CHECKING:
    from goctl.cluster.bluegreen import BlueGreen, Smoke
    from goctl.cluster.canary import Canary
    from goctl.cluster.deployment import Rules
    from goctl.cluster.judging import Check, Trial
    from goctl.config.deploy import Analysis
    from goctl.release.session import Session
    from goctl.release.sites import Site


def rules(session: Session, where: Site, *, force: bool = False, prune: bool = False) -> Rules:
    """How a release gets to a place. Raises ConfigError where a variable that it needs is not set."""
    from goctl.cluster.deployment import Rules

    return Rules(
        timeout=where.timeout,
        rollback=where.settings.rollback,
        force=force,
        prune=prune,
        strategy=_strategy(session, where),
    )


def _strategy(session: Session, where: Site) -> BlueGreen | Canary | None:
    from goctl.cluster.bluegreen import BlueGreen
    from goctl.cluster.canary import Canary
    from goctl.cluster.judging import Judgement
    from goctl.cluster.routes import Routes

    strategy = where.settings.strategy
    if strategy.kind == "rolling":
        return None
    if strategy.kind == "blue-green":
        return BlueGreen(_smoke(session, where), strategy.keep)
    steps = tuple(share(step) for step in strategy.steps)
    checks = tuple(_checks(session, where, strategy.analysis))
    judgement = Judgement(seconds(strategy.pause) or 0.0, strategy.analysis.restarts, checks)
    routes = Routes(strategy.headers, mirrored(strategy.mirror)) if strategy.by == "routes" else None
    return Canary(steps, judgement, routes)


def _smoke(session: Session, where: Site) -> Smoke | None:
    """The command that tries a new version, as what is called with its address."""
    command = where.settings.strategy.smoke
    if not command:
        return None
    return lambda service, url: _run(session, where, command, "smoke", {"GOCTL_SERVICE": service, "GOCTL_URL": url})


def _checks(session: Session, where: Site, analysis: Analysis) -> list[Check]:
    found: list[Check] = []
    if analysis.command:
        found.append(partial(_ask_command, session, where, analysis.command))
    if analysis.prometheus:
        found.append(_query(session, analysis))
    return found


def _ask_command(session: Session, where: Site, command: tuple[str, ...], trial: Trial) -> None:
    known = {
        "GOCTL_WEIGHT": str(trial.weight),
        "GOCTL_DEPLOYMENT": trial.key.name,
        "GOCTL_VERSION": trial.version,
        "GOCTL_NAMESPACE": trial.key.namespace,
    }
    _run(session, where, command, "analysis", known)


def _query(session: Session, analysis: Analysis) -> Check:
    from goctl.cluster.prometheus import Query, judge
    from goctl.system.http import Http
    from goctl.system.patience import Patience

    query = Query(
        url=analysis.prometheus,
        text=analysis.query,
        at_most=analysis.at_most,
        at_least=analysis.at_least,
        token=_token(analysis.token.removeprefix("env:")),
    )
    return partial(judge, Http(Patience(check=session.check)), query)


def _token(name: str) -> Callable[[], str] | None:
    if not name:
        return None
    if not os.environ.get(name):
        raise ConfigError(f"{name} is not set, which holds the token for Prometheus", hint=f"set {name}")
    return lambda: os.environ[name]


def _run(session: Session, where: Site, command: tuple[str, ...], what: str, known: Mapping[str, str]) -> None:
    told = partial(Notice, level="info")
    process.run(
        command,
        cwd=session.root,
        env={**os.environ, **known},
        timeout=where.timeout,
        on_stdout=lambda line: session.emit(told(f"{what}: {line}")),
        on_stderr=lambda line: session.emit(told(f"{what}: {line}")),
        error=ClusterError,
    )
