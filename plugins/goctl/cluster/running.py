"""One release on its way: applied, followed, and the one before again where it does not run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from goctl.cluster import bluegreen, canary, routes
from goctl.cluster.api import Api
from goctl.cluster.apply import Change, left_over, manifest_of
from goctl.cluster.beside import in_use, outdated, version_of
from goctl.cluster.bluegreen import BlueGreen
from goctl.cluster.canary import Canary
from goctl.cluster.hands import Hands, Place, manifests_of
from goctl.cluster.history import CUT_SHORT, History, Record, last_good, unsettled
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig
from goctl.cluster.restoring import has_versions, remove, restore
from goctl.cluster.routes import Routes
from goctl.errors import ClusterError, RolloutError
from goctl.events import Emit, Notice


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How it is done: seconds a rollout has, and what was allowed. With `prune`, objects go that a release no longer has;
    `strategy` says how requests get from one version to another, None: as each workload does by itself."""

    timeout: float
    rollback: bool = True
    force: bool = False
    prune: bool = False
    strategy: BlueGreen | Canary | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether Services lead to one version at a time."""
        return isinstance(self.strategy, BlueGreen) or self.routes is not None

    @property
    def routes(self) -> Routes | None:
        """What is asked of routes, where these share out requests."""
        return self.strategy.routes if isinstance(self.strategy, Canary) else None


class Run:
    """One release on its way, in its turn. `check` raises once the run is ended, or may be another's."""

    def __init__(self, api: Api, where: Place, rules: Rules, emit: Emit, check: Callable[[], None]) -> None:
        self._api = api
        self._where = where
        self._rules = rules
        self._emit = emit
        self._check = check
        self.hands = Hands(api, where, emit, check, timeout=rules.timeout, force=rules.force)

    def roll_out(self, record: Record, records: list[Record], changes: Sequence[Change], history: History) -> Record:
        """Applies and follows a release that is written down; its record at the end. Raises what it failed with, once what
        ran before does again."""
        good = last_good(records)
        left = unsettled(records)
        is_same = all(one.documents == record.documents for one in left)
        resumes = bool(left) and left[-1].reason == CUT_SHORT and is_same
        try:
            if good is not None and left and not resumes and has_versions(record, good, *left):
                self._undo(left, good, records, history)
                changes = self.hands.compare(manifests_of(record))
            self._bring(changes, good, resumes=resumes)
        except ClusterError as error:
            self._check()
            self._take_back(error, record, records, changes, history)
        self._drop(changes, record, records)
        if self._rules.prune:
            self.prune(changes, records)
        done = history.end(record, "good")
        history.trim([*records, done])
        return done

    def _undo(self, left: Sequence[Record], good: Record, records: list[Record], history: History) -> None:
        """Undoes what others left that were cut short, or left as they were: requests would go to their versions, and to the
        next one before it was tried."""
        numbers = ", ".join(str(one.number) for one in left)
        self._emit(Notice(f"going back to release {good.number} first, for release {numbers} has no end", level="info"))
        try:
            restore(self.hands, good, left, kept=_good_contents(records))
        except RolloutError as error:
            # It is no reason to keep out a release that may well run.
            self._emit(Notice(f"release {good.number} does not run any more: {error}", hint=error.hint))
            return
        for one in left:
            history.undo(one)

    def _bring(self, changes: Sequence[Change], good: Record | None, *, resumes: bool) -> None:
        """Brings the release to run, and requests to it."""
        strategy = self._rules.strategy
        if isinstance(strategy, BlueGreen):
            bluegreen.switch(self.hands, changes, strategy)
            return
        if isinstance(strategy, Canary) and strategy.routes is not None:
            routes.shift(self.hands, changes, strategy.steps, strategy.judgement, strategy.routes, resumes=resumes)
            return
        before = self._alone(changes, good) if good is not None and (strategy is not None or has_versions(good)) else []
        if strategy is not None:
            canary.shift(self.hands, changes, before, strategy, resumes=resumes)
            return
        self.hands.apply(changes)
        self.hands.follow(change.key for change in changes)

    def _alone(self, changes: Sequence[Change], good: Record) -> list[Change]:
        """Leaves no version but those of this release and of the last good one, whose Deployments these are as they should
        be: Services will lead to all that there are, and blue-green keeps one."""
        before = self.hands.compare([one for one in manifests_of(good) if one.kind == "Deployment"])
        strays = outdated(self._api, changes, good.documents, self._where.part_of)
        if strays:
            self.hands.apply(before)
            self.hands.follow(change.key for change in before)
        used = in_use(changes)
        for key in strays:
            if not any(key.namespace == namespace and key.name.endswith(f"-{version}") for namespace, version in used):
                self.hands.delete(key)
        return before

    def _take_back(
        self, error: ClusterError, record: Record, records: list[Record], changes: Sequence[Change], history: History
    ) -> None:
        """Makes the last good release run again, and raises why."""
        good = last_good(records)
        if good is None or not self._rules.rollback:
            why = "no release ran here before" if good is None else "rollback = false"
            history.end(record, "failed", str(error))
            raise _with(error, f"release {record.number} is left as it is: {why}") from None
        self._emit(Notice(f"release {record.number} does not run; going back to release {good.number}", level="warning"))
        try:
            names = {one.key.slot for one in manifests_of(good)}
            # A version beside others goes when these serve again.
            created = [
                change.key
                for change in changes
                if change.action == "create" and change.key.slot not in names and not version_of(change.placed.content)
            ]
            restore(self.hands, good, [*unsettled(records), record], kept=_good_contents(records), created=created)
        except ClusterError as second:
            history.end(record, "failed", f"{error}\ngoing back to release {good.number} failed: {second}")
            raise _with(error, f"going back to release {good.number} failed too: {second}") from None
        history.end(record, "failed", str(error), undone=True)
        raise _with(error, f"release {good.number} runs again") from None

    def _drop(self, changes: Sequence[Change], record: Record, records: list[Record]) -> None:
        """Removes versions that no request goes to, and what led to them on trial; the one before stays where it is kept."""
        if not has_versions(record, *records):
            return
        strategy, before = self._rules.strategy, last_good(records)
        keeps = isinstance(strategy, BlueGreen) and strategy.keep and before is not None
        remove(self.hands, changes, before.documents if before is not None and keeps else (), drains=self._rules.is_pinned)

    def prune(self, changes: Sequence[Change], records: Sequence[Record]) -> None:
        """Removes what bears the deployment's label and is no part of it any more."""
        for key in extra(self._api, self._where, changes, records, self._rules):
            self.hands.delete(key)


def extra(api: Api, where: Place, changes: Sequence[Change], records: Sequence[Record], rules: Rules) -> list[Key]:
    """Objects of this deployment that its newest release has no more: of the kinds that any release had."""
    kept = [change.key for change in changes]
    kinds = {(key.api_version, key.kind, key.namespace) for key in kept}
    for record in records:
        for content in record.documents:
            namespace = str(dig(content, "metadata", "namespace") or "")
            kinds.add((str(content["apiVersion"]), str(content["kind"]), namespace))
            if rules.strategy is not None and version_of(content):
                kept.append(manifest_of(content, "").key)  # when versions go is the strategy's to say
    return left_over(api, kinds, kept, where.part_of)


def _good_contents(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [content for one in records if one.state == "good" for content in one.documents]


def _with(error: ClusterError, more: str) -> ClusterError:
    kind = RolloutError if isinstance(error, RolloutError) else ClusterError
    return kind(f"{error}\n{more}", status=error.status, reason=error.reason, hint=error.hint)
