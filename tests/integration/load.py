"""A constant load of requests on a Service of a real cluster, of which none may be lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from goctl.cluster.api import Api
from goctl.cluster.objects import each
from tests.go.project import Project

#: A Deployment and its Service. Pods that are told to end serve on until every node knows of it.
MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: api
        image: goctl://api
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 8}}}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  type: NodePort
  selector: {app: api}
  ports: [{port: 8080}]
"""


class Load:
    """Requests to a Service by way of a node, one after the other, each with a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.answers: list[str] = []
        self.lost: list[str] = []
        self._where = (host, port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins when the node leads to the Service, which it learns of in its own time."""
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self.answers and time.monotonic() < deadline:
            time.sleep(0.05)
        self.lost.clear()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            asked = time.monotonic()
            connection = http.client.HTTPConnection(*self._where, timeout=30)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                (self.answers if answer.status == 200 else self.lost).append(answer.read().decode())
            except (OSError, http.client.HTTPException) as error:
                took = time.monotonic() - asked
                self.lost.append(f"{error!r} in {took:.1f} s, after {self.answers[-1:]}, {len(self.answers)} answers")
            finally:
                connection.close()

    def settle(self, version: str) -> None:
        """Waits until only this version answers: nodes learn of a switch in their own time."""
        deadline = time.monotonic() + 10
        while set(self.answers[-50:]) != {version} and time.monotonic() < deadline:
            time.sleep(0.1)

    @property
    def versions(self) -> list[str]:
        """The versions that answered, each as often as it began to."""
        return [one for one, before in zip(self.answers, ["", *self.answers], strict=False) if one != before]


def on_service(api: Api, namespace: str) -> Load:
    """A load on the only Service of a namespace that nodes have a port for."""
    node = api.objects("v1", "Node")[0]
    host = next(one["address"] for one in each(node, "status", "addresses") if one["type"] == "InternalIP")
    (service,) = [one for one in api.objects("v1", "Service", namespace) if one["spec"]["type"] == "NodePort"]
    return Load(host, service["spec"]["ports"][0]["nodePort"])


@contextlib.contextmanager
def lossless(api: Api, namespace: str) -> Iterator[Load]:
    """A load for as long as this lasts, of which nothing is lost."""
    made = on_service(api, namespace)
    made.start()
    yield made
    made.stop()
    assert made.lost == []
    assert len(made.answers) > 50


def killed_at(project: Project, title: str) -> None:
    """A run that is killed when it tells of the step with this title."""
    command = [sys.executable, "-m", "invoke", "deploy", "--json"]
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if json.loads(line).get("title", "").startswith(title):
                break
        else:
            pytest.fail(f"it ended without {title!r}")
        run.kill()
