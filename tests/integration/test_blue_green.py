"""Blue-green in a real cluster, under a constant load of requests of which none may be lost."""

from __future__ import annotations

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
from tests.go.conftest import write
from tests.go.project import TASKS, Project
from tests.integration.test_deploy import MAIN, TOML, api, context, edit, name, release, served

__all__ = ["api", "context", "name"]
pytestmark = [pytest.mark.integration, pytest.mark.slow]

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
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  type: NodePort
  selector: {app: api}
  ports: [{port: 8080}]
"""
SMOKE = """
import os, sys, urllib.request
said = urllib.request.urlopen(os.environ["GOCTL_URL"], timeout=10).read().decode()
print("tried", said)
sys.exit("bad" in said)
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
            connection = http.client.HTTPConnection(*self._where, timeout=10)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                (self.answers if answer.status == 200 else self.lost).append(answer.read().decode())
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{error!r} after {self.answers[-1:]}, {len(self.answers)} answers")
            finally:
                connection.close()

    @property
    def versions(self) -> list[str]:
        """The versions that answered, each as often as it began to."""
        return [one for one, before in zip(self.answers, ["", *self.answers], strict=False) if one != before]


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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, registry_address: str, context: str, name: str, api: Api) -> Project:
    root = tmp_path_factory.mktemp("shop")
    strategy = f'strategy = {{ kind = "blue-green", smoke = {json.dumps([sys.executable, "smoke.py"])} }}\n'
    toml = TOML.format(registry=registry_address, name=name, context=context, timeout=40)
    files = {
        "go.mod": "module example.com/shop\n\ngo 1.24\n",
        "cmd/api/main.go": MAIN,
        "tasks.py": TASKS,
        "smoke.py": SMOKE,
        "api.yaml": MANIFESTS,
        "goctl.toml": toml + strategy + 'manifests = ["api.yaml"]\n',
    }
    write(root, files)
    release(Project(root), "one")
    return Project(root)


@pytest.fixture
def load(project: Project, api: Api, name: str) -> Iterator[Load]:
    node = api.objects("v1", "Node")[0]
    host = next(one["address"] for one in each(node, "status", "addresses") if one["type"] == "InternalIP")
    (service,) = api.objects("v1", "Service", f"goctl-{name}")
    made = Load(host, service["spec"]["ports"][0]["nodePort"])
    made.start()
    yield made
    made.stop()
    assert made.lost == []
    assert len(made.answers) > 50


def deployments(api: Api, name: str) -> int:
    return len(api.objects("apps/v1", "Deployment", f"goctl-{name}"))


def test_the_new_version_is_tried_and_gets_all_requests_at_once(project: Project, api: Api, name: str, load: Load) -> None:
    assert "smoke: tried two" in release(project, "two")
    time.sleep(1)
    assert load.versions == ["one", "two"]
    assert deployments(api, name) == 2  # the one before is kept
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
    assert set(project.outcomes("deploy").values()) == {"cached"}
    project.invoke("deploy.rollback")
    assert served(api, name) == "one"
    release(project, "three")
    time.sleep(1)
    assert load.versions == ["one", "two", "one", "three"]
    assert deployments(api, name) == 2


@pytest.mark.parametrize("mode", ["", "unready"])
def test_a_version_that_does_not_do_gets_no_request(project: Project, api: Api, name: str, load: Load, mode: str) -> None:
    release(project, "good")
    before = len(load.answers)
    text = release(project, f"bad{mode}", mode, code=15)
    assert "runs again" in text
    assert set(load.answers[before + 20 :]) == {"good"}
    assert "bad" not in "".join(load.answers)
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
    project.invoke("deploy.status")


@pytest.mark.parametrize("step", ["roll out Deployment/api-", "try api-idle", "apply Service/api"])
def test_a_run_that_is_killed_loses_nothing_and_the_next_goes_on(
    project: Project, api: Api, name: str, load: Load, step: str
) -> None:
    before, after = f"before {step}", f"after {step}"
    release(project, before)
    edit(project, after)
    killed_at(project, step)
    assert load.answers[-1] in (before, after)
    release(project, after)
    time.sleep(1)
    assert load.versions[-2:] == [before, after]
    assert deployments(api, name) == 2
    assert [one["metadata"]["name"] for one in api.objects("v1", "Service", f"goctl-{name}")] == ["api"]
