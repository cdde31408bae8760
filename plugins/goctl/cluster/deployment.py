"""One deployment: compare, write down, apply, follow; at its end the new release runs, or the one before does again.

Whenever a run is killed, what is in the cluster is a release that is rolled out or on its way, and each keeps the Pods of
the one before until its own are ready. The record is written before anything is changed, so that the next run knows of it;
and as applying twice is applying once, that run simply goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from goctl.cluster import defaults, routes
from goctl.cluster.api import Api
from goctl.cluster.apply import Change, Placed, compare, place
from goctl.cluster.beside import plain, versioned
from goctl.cluster.bluegreen import BlueGreen
from goctl.cluster.canary import Canary, check_scaled
from goctl.cluster.hands import Place, manifests_of
from goctl.cluster.history import CUT_SHORT, History, Record, last_good
from goctl.cluster.lease import Lease, identity
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.objects import dig
from goctl.cluster.pulling import Login, with_login
from goctl.cluster.rollout import WATCHED, running, status
from goctl.cluster.running import Rules, Run, extra
from goctl.errors import ClusterError, ConfigError
from goctl.events import Deployed, Emit, Notice, StepFinished

if TYPE_CHECKING:
    from goctl.cluster.verification import Subject, Verdict

__all__ = ["Deployment", "Place", "Rules", "Standing", "Wanted"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run: manifests with digests in them, the images by target, and who pulls them. Each of `subjects` is run
    and has to tell its architecture before anything is changed."""

    manifests: tuple[Manifest, ...]
    version: str = ""
    images: dict[str, str] = {}
    login: Login | None = None
    subjects: tuple[Subject, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """An object of a release as it is now; `ready` is `2/3` where it has Pods."""

    key: Key
    ready: str
    state: str

    @property
    def is_well(self) -> bool:
        return self.state in ("runs", "is there")


class Deployment:
    """A project in a namespace of a cluster."""

    def __init__(self, api: Api, where: Place, *, emit: Emit, check: Callable[[], None] = lambda: None) -> None:
        self._api = api
        self._where = where
        self._emit = emit
        self._check = check
        self.history = History(api, where.namespace, where.part_of)

    def close(self) -> None:
        """Closes the connections to the cluster."""
        self._api.close()

    def deploy(self, wanted: Wanted, rules: Rules) -> tuple[Record, bool]:
        """Brings what is wanted to run; its record, and whether that is new. Every object is looked up live; where all is as
        it should be, nothing is written.

        Raises RolloutError when it does not run, once what ran before does again; ClusterError for everything else.
        """
        started = time.monotonic()
        wanted = msgspec.structs.replace(wanted, manifests=self._beside(wanted.manifests, rules))
        placed = self.placed(wanted)
        with ThreadPoolExecutor(1, "history") as pool:
            asked = pool.submit(self.history.records)
            changes = self.compare(placed, rules)
            records = asked.result()
        if self._is_done(wanted, changes, records, rules):
            self._tell(changes, records[-1], "unchanged", started)
            return records[-1], False
        self._make_namespace()
        with self._turn(rules) as lease:
            known, records = records, self.history.records()
            if known != records:  # who had its turn meanwhile may have changed all of this
                changes = self.compare(placed, rules)
            if records and records[-1].state == "pending":
                cut = records[-1].number
                self._emit(Notice(f"release {cut} was cut short", level="info"))
                records[-1] = self.history.end(records[-1], "failed", CUT_SHORT)
            self._log_in(wanted)

            def check() -> None:
                self._check()
                lease.ensure()

            self._prove(wanted, rules, check)
            if rules.is_pinned and self._pin(records, rules, check):
                records, changes = self.history.records(), self.compare(placed, rules)
            record = self._roll_out(wanted, placed, changes, records, rules, check)
            self._tell(changes, record, "deployed", started)
            return record, True

    def _roll_out(
        self,
        wanted: Wanted,
        placed: Sequence[Placed],
        changes: Sequence[Change],
        records: list[Record],
        rules: Rules,
        check: Callable[[], None],
    ) -> Record:
        record = self.history.begin(self._record(wanted, placed), after=records[-1].number if records else 0)
        return Run(self._api, self._where, rules, self._emit, check).roll_out(record, records, changes, self.history)

    def _beside(self, manifests: tuple[Manifest, ...], rules: Rules) -> tuple[Manifest, ...]:
        """Manifests as the strategy needs them. Raises ConfigError where it cannot be had, ClusterError where it cannot be
        had in this cluster."""
        if rules.strategy is None:
            return plain(manifests)
        made = versioned(manifests, pinned=rules.is_pinned)
        if isinstance(rules.strategy, Canary):
            if rules.strategy.routes is not None:
                routes.ensure(self._api, made)
            else:
                check_scaled(made)
        return made

    def _pin(self, records: list[Record], rules: Rules, check: Callable[[], None]) -> bool:
        """Has the Services lead to the version that runs and to no other, before there is one that nobody has tried; as a
        release of its own. Whether that was to be done."""
        good = last_good(records)
        if good is None:
            return False
        try:
            manifests = versioned(manifests_of(good), pinned=True)
        except ConfigError:
            return False  # there was no Service then
        if [one.content for one in manifests] == list(good.documents):
            return False
        self._emit(Notice(f"release {good.number} gets a version first, for its Service leads to any", level="info"))
        rules = msgspec.structs.replace(rules, strategy=BlueGreen(keep=False), prune=False)
        wanted = Wanted(manifests=manifests, version=good.version, images=good.images)
        placed = self.placed(wanted)
        self._roll_out(wanted, placed, self.compare(placed, rules), records, rules, check)
        return True

    def fitted(self, made: Sequence[Manifest]) -> list[Manifest]:
        """Manifests that goctl made, as this cluster can have them; a Notice where that is less than was asked for."""
        version = self._api.version() or defaults.SLEEP
        fitted = defaults.fitted(made, version)
        if fitted != list(made):
            has = ".".join(map(str, version))
            self._emit(
                Notice(
                    f"{self._api.context} has Kubernetes {has}, where Pods cannot wait before they end: it takes 1.30",
                    hint='have programs serve on for some seconds after SIGTERM, and set drain = "0s"',
                )
            )
        return fitted

    def verify(self, wanted: Wanted, rules: Rules) -> list[Verdict]:
        """Runs each platform's image by itself, and no more; what each said of its architecture."""
        self._make_namespace()
        self._log_in(wanted)
        return self._verify(wanted, rules, self._check)

    def _prove(self, wanted: Wanted, rules: Rules, check: Callable[[], None]) -> None:
        """Has each platform's image tell its architecture, where that is asked for. Raises RolloutError."""
        if verdicts := self._verify(wanted, rules, check):
            from goctl.cluster.verification import judge

            judge(verdicts)

    def _verify(self, wanted: Wanted, rules: Rules, check: Callable[[], None]) -> list[Verdict]:
        if not wanted.subjects:
            return []
        from goctl.cluster.verification import verify

        return verify(
            self._api,
            self._where.namespace,
            wanted.subjects,
            pull_secret=self._pull_secret.name if wanted.login is not None else "",
            timeout=rules.timeout,
            emit=self._emit,
            check=check,
        )

    def apply(self, wanted: Wanted, rules: Rules) -> None:
        """Applies what is wanted, and no more: nothing is followed or written down. Raises ClusterError."""
        started = time.monotonic()
        changes = self.compare(self.placed(wanted), rules)
        self._make_namespace()
        self._log_in(wanted)
        run = Run(self._api, self._where, rules, self._emit, self._check)
        run.hands.apply(changes)
        if rules.prune:
            run.prune(changes, self.history.records())
        done = all(change.action == "same" for change in changes)
        self._tell(
            changes, Record(number=0, state="good", images=wanted.images), "unchanged" if done else "applied", started
        )

    def roll_back(self, number: int, rules: Rules) -> tuple[Record, bool]:
        """Makes an earlier release run again: that number, or 0 for the last that ran before the newest. It becomes a new
        release of its own. Raises ClusterError where there is none."""
        records = self.history.records()
        newest = records[-1].number if records else 0
        good = [one for one in records if one.state == "good"]
        chosen = [one for one in good if one.number == number or (not number and one.number < newest)]
        if not chosen:
            shown = ", ".join(str(one.number) for one in good) or "none"
            what = f"release {number} is none that ran" if number else "no earlier release ran"
            raise ClusterError(f"{self._where.name}: {what}", hint=f"those that did: {shown}; see `invoke deploy.history`")
        old = chosen[-1]
        manifests = tuple(manifests_of(old))
        if rules.strategy is not None:
            rules = msgspec.structs.replace(rules, strategy=rules.strategy.without_trial)
        self._emit(Notice(f"going back to release {old.number} ({old.version or 'no version'}, {old.ended})", level="info"))
        return self.deploy(Wanted(manifests=manifests, version=old.version, images=old.images), rules)

    def status(self, record: Record) -> list[Standing]:
        """How each object of a release is now: there and unchanged, and running if it can."""
        changes = self.compare(self.placed(Wanted(manifests=tuple(manifests_of(record)))), Rules(timeout=0, force=True))
        return [_standing(change) for change in changes]

    def placed(self, wanted: Wanted) -> list[Placed]:
        """The objects, as they are applied."""
        manifests = wanted.manifests
        if wanted.login is not None:
            manifests = tuple(with_login(one, self._pull_secret.name, wanted.images.values()) for one in manifests)
        return place(self._api, manifests, self._where.namespace, self._where.part_of)

    def compare(self, placed: Sequence[Placed], rules: Rules) -> list[Change]:
        """What would change. Changes nothing."""
        made = [self._where.namespace] if self._where.is_declared else []
        return compare(self._api, placed, force=rules.force, made=made)

    @property
    def _pull_secret(self) -> Key:
        return Key("v1", "Secret", self._where.namespace, f"goctl-pull.{self._where.part_of.replace('_', '-')}")

    def _is_done(self, wanted: Wanted, changes: Sequence[Change], records: Sequence[Record], rules: Rules) -> bool:
        last = records[-1] if records else None
        if last is None or last.state != "good" or any(change.action != "same" for change in changes):
            return False
        if [change.placed.content for change in changes] != list(last.documents):
            return False
        if wanted.login is not None:
            secret = wanted.login.secret(self._pull_secret.name, self._pull_secret.namespace)
            if dig(self._api.get(self._pull_secret), "data") != secret["data"]:
                return False
        if rules.prune and any(extra(self._api, self._where, changes, records, rules)):
            return False
        return running((change.key, change.live) for change in changes)

    def _turn(self, rules: Rules) -> Lease:
        def waiting(holder: str) -> None:
            self._emit(Notice(f"another deployment is under way ({holder}); waiting for it to end", level="info"))

        return Lease(
            self._api,
            self._where.namespace,
            self._where.part_of,
            patience=rules.timeout,
            check=self._check,
            waiting=waiting,
        )

    def _make_namespace(self) -> None:
        """Records and the Lease are in the namespace too, so that it has to be there first."""
        key = Key("v1", "Namespace", "", self._where.namespace)
        if not self._where.is_declared:
            return
        try:
            if self._api.get(key) is None:
                content = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": key.name}}
                self._api.create(content, key)
                self._emit(Notice(f"made the namespace {key.name}", level="info"))
        except ClusterError as error:
            # Who may not look at namespaces may well work in one; and another run may have been quicker.
            if error.status not in (403, 409):
                raise

    def _log_in(self, wanted: Wanted) -> None:
        if wanted.login is not None:
            key = self._pull_secret
            self._api.apply(wanted.login.secret(key.name, key.namespace), key, force=True)

    def _record(self, wanted: Wanted, placed: Sequence[Placed]) -> Record:
        documents = tuple(one.content for one in placed)
        by = identity().partition(":")[0]
        return Record(number=0, state="pending", version=wanted.version, images=wanted.images, documents=documents, by=by)

    def _tell(self, changes: Sequence[Change], record: Record, outcome: str, started: float) -> None:
        counts = {action: sum(change.action == action for change in changes) for action in ("create", "change", "same")}
        for change in changes:
            if change.action == "same":
                self._emit(StepFinished(f"apply:{change.key}", "cached", f"apply {change.key}", detail="as it was"))
        self._emit(
            Deployed(
                deployment=self._where.name,
                context=self._api.context,
                namespace=self._where.namespace,
                release=record.number,
                outcome=outcome,
                images=record.images,
                created=counts["create"],
                changed=counts["change"],
                unchanged=counts["same"],
                seconds=time.monotonic() - started,
            )
        )


def _standing(change: Change) -> Standing:
    if change.live is None:
        return Standing(change.key, "-", "is missing")
    if change.key.kind not in WATCHED:
        return Standing(change.key, "-", "is there" if change.action == "same" else "was changed by others")
    found = status(change.live)
    state = "was changed by others" if change.action != "same" else "runs" if found.is_complete else "does not run"
    return Standing(change.key, f"{found.done}/{found.total}", state)
