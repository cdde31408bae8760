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
from goctl.cluster.history import CUT_SHORT, History, Record, last_good
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig
from goctl.cluster.rollout import restart_stuck
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
        resumes = bool(records) and records[-1].reason == CUT_SHORT and records[-1].documents == record.documents
        try:
            self._bring(changes, good, resumes=resumes)
        except ClusterError as error:
            self._check()
            self._take_back(error, record, records, changes, history)
        self._drop(changes, good)
        if self._rules.prune:
            self.prune(changes, records)
        done = history.end(record, "good")
        history.trim([*records, done])
        return done

    def _bring(self, changes: Sequence[Change], good: Record | None, *, resumes: bool) -> None:
        """Brings the release to run, and requests to it."""
        strategy = self._rules.strategy
        if isinstance(strategy, BlueGreen):
            bluegreen.switch(self.hands, changes, strategy)
            return
        if isinstance(strategy, Canary) and strategy.routes is not None:
            routes.shift(self.hands, changes, strategy.steps, strategy.judgement, strategy.routes, resumes=resumes)
            return
        before = self._alone(changes, good) if strategy is not None or _has_versions(good) else []
        if strategy is not None:
            canary.shift(self.hands, changes, before, strategy, resumes=resumes)
            return
        self.hands.apply(changes)
        self.hands.follow(change.key for change in changes)

    def _alone(self, changes: Sequence[Change], good: Record | None) -> list[Change]:
        """Leaves no version that gets requests but those of this release and of the last good one, whose Deployments these
        are as they should be: a run that was killed may have left others, and Services will lead to all that there are."""
        if good is None:
            return []
        manifests = [one for one in manifests_of(good) if one.kind == "Deployment"]
        before = self.hands.compare(manifests)
        strays = outdated(self._api, changes, good.documents, self._where.part_of)
        if strays:
            self.hands.apply(before)
            self.hands.follow(change.key for change in before)
            self._clear(changes, good.documents)
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
            back = self.hands.compare(manifests_of(good))
            self.hands.apply(back)
            kept = {change.key.slot for change in back}
            for change in changes:
                # A version beside others goes when these serve again.
                if change.action == "create" and change.key.slot not in kept and not version_of(change.placed.content):
                    self.hands.delete(change.key)
            restart_stuck(self._api, [change.key for change in back])
            self.hands.follow(change.key for change in back)
            if self._rules.routes is not None:
                if any(routes.is_route(change.placed.content) and change.action != "same" for change in back):
                    bluegreen.drain(self._check)
                routes.drop(self.hands, back)
            if any(version_of(change.placed.content) for change in changes):
                self._clear(back, [content for one in records if one.state == "good" for content in one.documents])
        except ClusterError as second:
            history.end(record, "failed", f"{error}\ngoing back to release {good.number} failed: {second}")
            raise _with(error, f"going back to release {good.number} failed too: {second}") from None
        history.end(record, "failed", str(error))
        raise _with(error, f"release {good.number} runs again") from None

    def _drop(self, changes: Sequence[Change], before: Record | None) -> None:
        """Removes versions that no request goes to; the one before stays where it is kept."""
        strategy = self._rules.strategy
        if strategy is None and not _has_versions(before):
            return
        kept: Sequence[dict[str, Any]] = ()
        if isinstance(strategy, BlueGreen):
            kept = before.documents if before is not None and strategy.keep else ()
            if strategy.smoke is not None:
                bluegreen.drop_idle(self.hands, changes)
        old = outdated(self._api, changes, kept, self._where.part_of)
        if old and self._rules.is_pinned:
            bluegreen.drain(self._check)
        if self._rules.routes is not None:
            routes.drop(self.hands, changes)
        for key in old:
            self.hands.delete(key)

    def _clear(self, changes: Sequence[Change], kept: Sequence[dict[str, Any]]) -> None:
        """Removes versions besides those of this release and those `kept`, where no Service leads to them alone."""
        used = in_use(changes)
        for key in outdated(self._api, changes, kept, self._where.part_of):
            if not any(key.namespace == namespace and key.name.endswith(f"-{version}") for namespace, version in used):
                self.hands.delete(key)

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


def _has_versions(record: Record | None) -> bool:
    return record is not None and any(version_of(content) for content in record.documents)


def _with(error: ClusterError, more: str) -> ClusterError:
    kind = RolloutError if isinstance(error, RolloutError) else ClusterError
    return kind(f"{error}\n{more}", status=error.status, reason=error.reason, hint=error.hint)
