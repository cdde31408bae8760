"""What became of deployments: status, history, going back. Tasks about what is in a cluster, not about what is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from goctl.config.deploy import context_of
from goctl.errors import ClusterError, ConfigError, RegistryError
from goctl.events import Document, Notice, Table
from goctl.release import sites, strategies
from goctl.values import to_json

if TYPE_CHECKING:
    from goctl.cluster.history import Record
    from goctl.cluster.verification import Subject
    from goctl.release.session import Session


def status(session: Session, *, dry: bool, to: str) -> None:
    """A row for each object of the release that should run, as it is in the cluster now.

    Raises ClusterError where nothing was deployed, or something does not run.
    """
    del dry
    from goctl.cluster.history import last_good

    where = sites.site(session, to)
    with sites.deployment(session, where) as made:
        records = made.history.records()
        record = last_good(records)
        if record is None:
            raise ClusterError(f"{where.name}: no release ran here yet", hint=f"`invoke deploy.run --to {where.name}`")
        found = made.status(record)
    newest = records[-1]
    if newest.state == "pending":
        session.emit(Notice(f"release {newest.number} is under way since {newest.started}, or was cut short"))
    elif newest.state == "failed":
        first = newest.reason.splitlines()[0] if newest.reason else "no reason was noted"
        session.emit(Notice(f"release {newest.number} failed: {first}"))
    rows = tuple((str(one.key), one.key.namespace or "-", one.ready, one.state) for one in found)
    session.emit(Table(f"release {record.number}", ("object", "namespace", "ready", "state"), rows))
    bad = [f"{one.key} {one.state}" for one in found if not one.is_well]
    if bad:
        raise ClusterError(f"{where.name}: {', '.join(bad)}", hint="`invoke deploy.run` makes it as it should be")


def history(session: Session, *, dry: bool, to: str) -> None:
    """The releases that are kept in the cluster, the newest first."""
    del dry
    where = sites.site(session, to)
    with sites.deployment(session, where) as made:
        records = made.history.records()
    lines = [_line(record) for record in reversed(records)] or [f"{where.name}: no release ran here yet"]
    data = [
        {
            name: getattr(record, name)
            for name in ("number", "state", "version", "images", "by", "started", "ended", "reason")
        }
        for record in reversed(records)
    ]
    session.emit(Document("history", "\n".join(lines), msgspec.Raw(to_json(data))))


def _line(record: Record) -> str:
    images = ", ".join(f"{target} {reference.rpartition('@')[2][:19]}" for target, reference in record.images.items())
    parts = [str(record.number), record.started, {"good": "ran", "pending": "under way"}.get(record.state, record.state)]
    parts += [record.version, images, f"by {record.by}" if record.by else ""]
    first = record.reason.splitlines()[0] if record.reason else ""
    return "  ".join(filter(None, [*parts, first]))


def rollback(session: Session, *, dry: bool, to: str, release: str) -> None:
    """Makes an earlier release run again. Raises RolloutError where that does not run either."""
    where = sites.site(session, to)
    if release and not release.isdigit():
        raise ConfigError(f"--release: {release!r} is no number", hint="`invoke deploy.history` shows them")
    if dry:
        what = f"release {release}" if release else "the last release that ran before the newest"
        session.emit(Notice(f"would go back to {what} in {context_of(where.settings.cluster)}", level="info"))
        return
    with sites.deployment(session, where) as made:
        made.roll_back(int(release or 0), strategies.rules(session, where))


def verify(session: Session, *, dry: bool, to: str) -> None:
    """Runs each platform's image of the last good release by itself in the cluster; a row for each, with what it reported.

    Raises ClusterError where nothing was deployed, RolloutError where what one reports is not its platform's.
    """
    from goctl.cluster.deployment import Wanted
    from goctl.cluster.history import last_good
    from goctl.cluster.verification import judge

    where = sites.site(session, to)
    with sites.deployment(session, where) as made:
        record = last_good(made.history.records())
        if record is None:
            raise ClusterError(f"{where.name}: no release ran here yet", hint=f"`invoke deploy.run --to {where.name}`")
        subjects = tuple(one for target, image in record.images.items() for one in _subjects(session, target, image))
        if not subjects:
            raise ClusterError(f"{where.name}: release {record.number} has no image that could be run")
        if dry:
            shown = ", ".join(f"{one.target} {one.platform}" for one in subjects)
            session.emit(Notice(f"would run, each by itself: {shown}", level="info"))
            return
        found = made.verify(
            Wanted(manifests=(), images=record.images, login=sites.login(session, where), subjects=subjects),
            strategies.rules(session, where),
        )
    rows = tuple(
        (one.subject.target, str(one.subject.platform), one.node or "-", one.how or "-", one.problem or one.reported)
        for one in found
    )
    session.emit(Table(f"release {record.number}", ("target", "platform", "node", "run", "report"), rows))
    judge(found)


def _subjects(session: Session, target: str, image: str) -> Iterator[Subject]:
    """The images of an index in a registry, one for each platform that it has."""
    from goctl.cluster.verification import Subject
    from goctl.oci.select import platform_of
    from goctl.registry.documents import parse
    from goctl.registry.mirrors import source
    from goctl.values import Descriptor, ImageRef

    reference = ImageRef.parse(image)
    content = source(session, reference.host).get_manifest(reference.repository, str(reference.digest))
    if content is None:
        raise RegistryError(f"{image} is no longer in its registry")
    for entry, _ in parse(image, content).entries(image):
        words = {name: word for name, word in (entry.platform or {}).items() if isinstance(word, str)}
        platform = platform_of(Descriptor(entry.media_type, entry.digest, entry.size, words or None))
        if platform is not None:
            yield Subject(target, platform, f"{image.partition('@')[0]}@{entry.digest}")


ROLLOUTS: dict[str, Callable[..., Any]] = {
    "deploy.status": status,
    "deploy.history": history,
    "deploy.rollback": rollback,
    "deploy.verify": verify,
}
