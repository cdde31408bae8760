"""What `doctor` says of each registry: whether it answers, who we are there, what we may, and by way of whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from goctl.config.model import Image
from goctl.errors import GoctlError
from goctl.release.extensions import scheme
from goctl.values import is_repository

if TYPE_CHECKING:
    from goctl.registry.probe import Probe
    from goctl.release.session import Session

#: How often a request is repeated: somebody waits for the answer.
RETRIES: Final = 1
#: Registries looked at side by side.
WIDTH: Final = 4


class Found(msgspec.Struct, frozen=True):
    """What is to be said of one registry. `code` is an error's exit code, 0 where all is well."""

    name: str
    found: str
    advice: str = ""
    code: int = 0


def registries(session: Session) -> list[Found]:
    """Looks at every registry of goctl.toml."""
    with ThreadPoolExecutor(WIDTH, "probe") as pool:
        return list(pool.map(lambda name: _look(session, name), session.config.registries))


def _look(session: Session, name: str) -> Found:
    kind, address = scheme(session.config.registries[name].url)
    try:
        session.destination(name)
        if kind != "registry":
            return Found(name, f"{address} ({kind})")
        return _told(name, address, _probe(session, name, address), wanted=_is_pushed_to(session, name))
    except GoctlError as error:
        return Found(name, f"{address}: {error}", error.hint, error.exit_code)


def _probe(session: Session, name: str, address: str) -> Probe:
    from goctl.registry.client import connect
    from goctl.registry.probe import probe
    from goctl.values import DOCKER_HUB

    host, _, path = address.rstrip("/").partition("/")
    host = DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host
    client = connect(session, host, session.config.registries[name], retries=RETRIES)
    return probe(client, "/".join(filter(None, (path, _repository(session)))))


def _repository(session: Session) -> str:
    """The repository of some target: what may be done may differ from one to the next, but seldom does."""
    for name, target in session.config.targets.items():
        if isinstance(target.image, Image):
            repository = target.image.repository or name
            return repository if is_repository(repository) else name  # a template is filled in by a plan alone
    return "goctl"


def _is_pushed_to(session: Session, name: str) -> bool:
    to = session.config.publish.to
    return name in to if to else session.config.registries[name].push


def _told(name: str, address: str, probe: Probe, *, wanted: bool) -> Found:
    features = [f"{feature} {answer}" for feature, answer in sorted(probe.features.items())]
    words = [f"{address}: {probe.login}", "may push" if probe.refusal is None else "may not push", ", ".join(features)]
    if probe.through:
        words.append(f"through {', '.join(probe.through)}")
    if probe.refusal is None or not wanted:
        return Found(name, "; ".join(words))
    return Found(name, "; ".join(words), f"{probe.refusal}: {probe.refusal.hint}", probe.refusal.exit_code)
