"""One release on its way: applied, followed, and the one before again where it does not run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from goctl.cluster import bluegreen
from goctl.cluster.api import Api
from goctl.cluster.apply import Change, carry_out, compare, left_over, manifest_of, place
from goctl.cluster.bluegreen import VERSION, BlueGreen
from goctl.cluster.history import History, Record, last_good
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig
from goctl.cluster.rollout import POLL, restart_stuck, watch
from goctl.errors import ClusterError, RolloutError
from goctl.events import Emit, Notice, StepFinished


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How it is done: seconds a rollout has, and what was allowed. With `prune`, objects go that a release no longer has;
    with `blue_green` requests are switched from one version to the other."""

    timeout: float
    rollback: bool = True
    force: bool = False
    prune: bool = False
    blue_green: BlueGreen | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where: the deployment's name, the label of its objects, the namespace of those that name none. One that is declared is
    made where it is not there."""

    name: str
    part_of: str
    namespace: str
    is_declared: bool = False


class Run:
    """One release on its way, in its turn. `check` raises once the run is ended, or may be another's."""

    def __init__(self, api: Api, where: Place, rules: Rules, emit: Emit, check: Callable[[], None]) -> None:
        self._api = api
        self._where = where
        self._rules = rules
        self._emit = emit
        self._check = check

    def roll_out(self, record: Record, records: list[Record], changes: Sequence[Change], history: History) -> Record:
        """Applies and follows a release that is written down; its record at the end. Raises what it failed with, once what
        ran before does again."""
        blue_green = self._rules.blue_green
        try:
            if blue_green is None:
                self.apply(changes)
                self._follow(changes)
            else:
                self._switch(changes, blue_green)
        except ClusterError as error:
            self._check()
            self._take_back(error, record, last_good(records), changes, history)
        if blue_green is not None:
            self._drop(changes, last_good(records), blue_green)
        if self._rules.prune:
            self.prune(changes, records)
        done = history.end(record, "good")
        history.trim([*records, done])
        return done

    def _take_back(
        self, error: ClusterError, record: Record, good: Record | None, changes: Sequence[Change], history: History
    ) -> None:
        """Makes the last good release run again, and raises why."""
        if good is None or not self._rules.rollback:
            why = "no release ran here before" if good is None else "rollback = false"
            history.end(record, "failed", str(error))
            raise _with(error, f"release {record.number} is left as it is: {why}") from None
        self._emit(Notice(f"release {record.number} does not run; going back to release {good.number}", level="warning"))
        try:
            manifests = [manifest_of(content, f"release {good.number}") for content in good.documents]
            back = compare(
                self._api,
                place(self._api, manifests, self._where.namespace, self._where.part_of),
                force=self._rules.force,
            )
            self.apply(back)
            kept = {change.key.slot for change in back}
            for change in changes:
                if change.action == "create" and change.key.slot not in kept:
                    self._delete(change.key)
            restart_stuck(self._api, [change.key for change in back])
            self._follow(back)
        except ClusterError as second:
            history.end(record, "failed", f"{error}\ngoing back to release {good.number} failed: {second}")
            raise _with(error, f"going back to release {good.number} failed too: {second}") from None
        history.end(record, "failed", str(error))
        raise _with(error, f"release {good.number} runs again") from None

    def apply(self, changes: Sequence[Change]) -> None:
        """Applies what is new or other."""
        for change, _ in carry_out(self._api, changes, force=self._rules.force, check=self._check):
            detail = "created" if change.action == "create" else "changed"
            self._emit(StepFinished(f"apply:{change.key}", "done", f"apply {change.key}", detail=detail))

    def _switch(self, changes: Sequence[Change], how: BlueGreen) -> None:
        """Brings the new version to run beside the old one, has it tried, and only then gives it the requests."""
        switches = [change for change in changes if bluegreen.is_switch(change)]
        others = [change for change in changes if not bluegreen.is_switch(change)]
        self.apply(others)
        self._follow(others)
        bluegreen.try_out(self._api, switches, how, self._where.part_of, self._emit, self._check)
        self.apply(switches)

    def _drop(self, changes: Sequence[Change], before: Record | None, how: BlueGreen) -> None:
        """Removes versions that no request goes to; the one before stays where it is kept."""
        kept = before.documents if before is not None and how.keep else ()
        old = bluegreen.outdated(self._api, changes, kept, self._where.part_of)
        ends = time.monotonic() + (bluegreen.DRAIN if old else 0.0)
        while time.monotonic() < ends:  # nodes learn of the switch in their time, and what is asked has yet to be answered
            self._check()
            time.sleep(POLL)
        for key in old:
            self._delete(key)

    def prune(self, changes: Sequence[Change], records: Sequence[Record]) -> None:
        """Removes what bears the deployment's label and is no part of it any more."""
        for key in extra(self._api, self._where, changes, records, self._rules):
            self._delete(key)

    def _follow(self, changes: Sequence[Change]) -> None:
        keys = [change.key for change in changes]
        watch(self._api, keys, timeout=self._rules.timeout, emit=self._emit, check=self._check)

    def _delete(self, key: Key) -> None:
        self._check()
        if self._api.delete(key):
            self._emit(StepFinished(f"delete:{key}", "done", f"delete {key}"))


def extra(api: Api, where: Place, changes: Sequence[Change], records: Sequence[Record], rules: Rules) -> list[Key]:
    """Objects of this deployment that its newest release has no more: of the kinds that any release had."""
    kept = [change.key for change in changes]
    kinds = {(key.api_version, key.kind, key.namespace) for key in kept}
    for record in records:
        for content in record.documents:
            namespace = str(dig(content, "metadata", "namespace") or "")
            kinds.add((str(content["apiVersion"]), str(content["kind"]), namespace))
            if rules.blue_green is not None and VERSION in (dig(content, "metadata", "labels") or {}):
                kept.append(manifest_of(content, "").key)  # when versions go is the strategy's to say
    return left_over(api, kinds, kept, where.part_of)


def _with(error: ClusterError, more: str) -> ClusterError:
    kind = RolloutError if isinstance(error, RolloutError) else ClusterError
    return kind(f"{error}\n{more}", status=error.status, reason=error.reason, hint=error.hint)
