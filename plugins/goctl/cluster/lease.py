"""One deployment at a time: a Lease in the cluster, renewed while a run is at work.

The clocks of two machines are never compared: who finds a Lease watches whether it is renewed, as client-go's leader
election does. A run that was killed is known by that it renews nothing for DURATION seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from goctl.cluster.api import Api, Object
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig, number
from goctl.errors import ClusterError

#: Seconds after which a Lease that is not renewed is anybody's, and between renewals.
DURATION = 10
RENEWAL = 2.5
_POLL = 0.5


def identity() -> str:
    """Who holds a Lease: for people, and like no other."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """`with Lease(...):` waits its turn and holds it. Raises ClusterError when `patience` seconds were not enough."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        part_of: str,
        *,
        patience: float,
        check: Callable[[], None] = lambda: None,
        waiting: Callable[[str], None] = lambda _: None,
    ) -> None:
        name = f"goctl.{part_of.replace('_', '-').lower()}"
        self._key = Key("coordination.k8s.io/v1", "Lease", namespace, name)
        self._api = api
        self._patience = patience
        self._check = check
        self._waiting = waiting
        self.holder = identity()
        self._held: Object = {}
        self._stop = threading.Event()
        self._renewed = time.monotonic()
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._acquire()
        self._keeper.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._keeper.join(RENEWAL)
        # One that cannot be given back is free in a moment all the same.
        with contextlib.suppress(ClusterError):
            self._api.replace(self._content("", self._held), self._key)

    def ensure(self) -> None:
        """Raises ClusterError once the Lease may be another's."""
        if time.monotonic() - self._renewed > DURATION:
            raise ClusterError(
                f"{self._api.context} could not be told for {DURATION} s that this run is at work; another may have begun",
                hint="run it again: it goes on from where this one ended",
            )

    def _acquire(self) -> None:
        started = seen_at = time.monotonic()
        seen: tuple[Any, Any] | None = None
        while True:
            self._check()
            live = self._api.get(self._key)
            if live is None or not dig(live, "spec", "holderIdentity"):
                if self._take(live):
                    return
                continue
            mark = (dig(live, "spec", "holderIdentity"), dig(live, "spec", "renewTime"))
            if mark != seen:
                if seen is None:
                    self._waiting(str(mark[0]))
                seen, seen_at = mark, time.monotonic()
            if time.monotonic() - seen_at > max(DURATION, number(live, "spec", "leaseDurationSeconds")):
                if self._take(live):
                    return
                continue
            if time.monotonic() - started > self._patience:
                raise ClusterError(
                    f"another deployment is under way: {mark[0]}", hint="wait for it to end, or give this one more timeout"
                )
            time.sleep(_POLL)

    def _take(self, live: Object | None) -> bool:
        """Whether it is ours now; somebody else may have been quicker."""
        content = self._content(self.holder, live or {})
        try:
            self._held = self._api.replace(content, self._key) if live else self._api.create(content, self._key)
        except ClusterError as error:
            if error.status != 409:
                raise
            return False
        self._renewed = time.monotonic()
        return True

    def _keep(self) -> None:
        while not self._stop.wait(RENEWAL):
            asked = time.monotonic()
            # What fails is tried again at the next turn; `ensure` tells when it failed for too long.
            with contextlib.suppress(ClusterError):
                self._held = self._api.replace(self._content(self.holder, self._held), self._key)
                self._renewed = asked

    def _content(self, holder: str, before: Object) -> Object:
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"leaseDurationSeconds": DURATION, "renewTime": stamp}
        if holder:
            spec["holderIdentity"] = holder
        metadata = {"name": self._key.name, "namespace": self._key.namespace}
        if version := dig(before, "metadata", "resourceVersion"):
            metadata["resourceVersion"] = version
        return {"apiVersion": self._key.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
