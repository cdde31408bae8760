"""What a release does to a cluster: it applies, follows and removes objects, each an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from goctl.cluster.api import Api
from goctl.cluster.apply import Change, carry_out, compare, manifest_of, place
from goctl.cluster.history import Record
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.rollout import watch
from goctl.events import Emit, StepFinished


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where: the deployment's name, the label of its objects, the namespace of those that name none. One that is declared is
    made where it is not there."""

    name: str
    part_of: str
    namespace: str
    is_declared: bool = False


class Hands:
    """Those of one run, in its turn. `check` raises once the run is ended, or may be another's."""

    def __init__(
        self, api: Api, where: Place, emit: Emit, check: Callable[[], None], *, timeout: float, force: bool = False
    ) -> None:
        self.api = api
        self.where = where
        self.emit = emit
        self.check = check
        self.timeout = timeout
        self.force = force

    def compare(self, manifests: Iterable[Manifest]) -> list[Change]:
        """What applying these would change."""
        return compare(self.api, place(self.api, manifests, self.where.namespace, self.where.part_of), force=self.force)

    def apply(self, changes: Sequence[Change]) -> None:
        """Applies what is new or other."""
        for change, _ in carry_out(self.api, changes, force=self.force, check=self.check):
            detail = "created" if change.action == "create" else "changed"
            self.emit(StepFinished(f"apply:{change.key}", "done", f"apply {change.key}", detail=detail))

    def follow(self, keys: Iterable[Key]) -> None:
        """Until all of these run. Raises RolloutError where one does not."""
        watch(self.api, keys, timeout=self.timeout, emit=self.emit, check=self.check)

    def delete(self, key: Key) -> None:
        """Removes an object, where it is there."""
        self.check()
        if self.api.delete(key):
            self.emit(StepFinished(f"delete:{key}", "done", f"delete {key}"))


def manifests_of(record: Record) -> list[Manifest]:
    """The objects of a release, as they were applied."""
    return [manifest_of(content, f"release {record.number}") for content in record.documents]
