"""What was deployed: every release, with all of its manifests, in Secrets of the cluster itself.

Secrets and not ConfigMaps, for manifests hold Secrets. One that was begun and has no end was cut short: the next run goes on
from there. The last good one is what a failed one is taken back to, whoever made it, from whichever machine.
"""

from __future__ import annotations

import base64
import datetime
import gzip
from typing import Any, Literal

import msgspec

from goctl.cluster.api import Api
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig, name_of
from goctl.errors import ClusterError
from goctl.values import from_json

#: The labels of a record: whose it is, its number, and how it ended.
HISTORY, NUMBER, STATE = "goctl/history", "goctl/number", "goctl/state"
TYPE = "goctl/release.v1"
#: Releases that are kept besides the last good one.
KEPT = 10
#: Bytes the API server takes for one Secret (1 MiB), less what is around the content.
MOST_BYTES = 1_000_000

#: Why a release failed whose run was killed.
CUT_SHORT = "cut short"

State = Literal["pending", "good", "failed"]


class Record(msgspec.Struct, frozen=True, rename="kebab", kw_only=True):
    """One release: the images by target, and the objects as they were applied. `ended` is empty while it is under way.
    `is_undone` says of one that failed that the last good one ran again after it, and nothing else."""

    number: int
    state: State
    version: str = ""
    images: dict[str, str] = {}
    documents: tuple[dict[str, Any], ...] = ()
    by: str = ""
    started: str = ""
    ended: str = ""
    reason: str = ""
    is_undone: bool = False


class History:
    """The records of one deployment. Their order is that of their numbers."""

    def __init__(self, api: Api, namespace: str, part_of: str) -> None:
        self._api = api
        self._namespace = namespace
        self._part_of = part_of

    def records(self) -> list[Record]:
        """All of them, the oldest first. One that cannot be read is as good as none."""
        labels = {HISTORY: self._part_of}
        found = [_record(secret) for secret in self._api.objects("v1", "Secret", self._namespace, labels=labels)]
        return sorted((one for one in found if one is not None), key=lambda one: one.number)

    def begin(self, record: Record, after: int) -> Record:
        """Writes a new record with the next free number above `after`."""
        for number in range(after + 1, after + 100):
            made = msgspec.structs.replace(record, number=number, started=now())
            try:
                self._api.create(self._secret(made), self._key(number))
            except ClusterError as error:
                if error.status != 409:
                    raise
            else:
                return made
        raise ClusterError(f"{self._part_of}: others are writing its history all the time")

    def end(self, record: Record, state: State, reason: str = "", *, undone: bool = False) -> Record:
        """Writes down how a release ended."""
        return self._write(msgspec.structs.replace(record, state=state, reason=reason[:2000], ended=now(), is_undone=undone))

    def undo(self, record: Record) -> Record:
        """Writes down that nothing is left of a release that failed."""
        return self._write(msgspec.structs.replace(record, is_undone=True))

    def _write(self, record: Record) -> Record:
        self._api.apply(self._secret(record), self._key(record.number), force=True)
        return record

    def trim(self, records: list[Record]) -> None:
        """Removes the oldest records. The last good one stays, whatever its age."""
        good = last_good(records)
        for record in records[:-KEPT]:
            if good is None or record.number != good.number:
                self._api.delete(self._key(record.number))

    def _key(self, number: int) -> Key:
        return Key("v1", "Secret", self._namespace, f"goctl.{self._part_of.replace('_', '-').lower()}.v{number}")

    def _secret(self, record: Record) -> dict[str, Any]:
        content = gzip.compress(msgspec.json.encode(record), mtime=0)
        if len(content) * 4 // 3 > MOST_BYTES:
            raise ClusterError("these manifests are too large to be kept in the cluster (1 MB, compressed)")
        labels = {HISTORY: self._part_of, NUMBER: str(record.number), STATE: record.state}
        key = self._key(record.number)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
            "type": TYPE,
            "data": {"release": base64.b64encode(content).decode("ascii")},
        }


def last_good(records: list[Record]) -> Record | None:
    """The newest that ran."""
    return next((one for one in reversed(records) if one.state == "good"), None)


def unsettled(records: list[Record]) -> list[Record]:
    """Releases of which something may be left: those since the last that ran, or of which nothing is; the oldest first."""
    ends = [number for number, one in enumerate(records, 1) if one.state == "good" or one.is_undone]
    return records[max(ends, default=0) :]


def now() -> str:
    """The time in UTC, to the second, as people and programs read it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record(secret: dict[str, Any]) -> Record | None:
    try:
        content = gzip.decompress(base64.b64decode(str(dig(secret, "data", "release"))))
        record = from_json(content, Record)
    except (ValueError, OSError, EOFError, msgspec.MsgspecError):
        return None
    return record if name_of(secret).endswith(f".v{record.number}") else None
