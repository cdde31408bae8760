"""Two releases to the same place at once: one after the other, or one says that it has to wait; never a mix of both."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from goctl.cluster.api import Api
from tests.go.project import Project
from tests.integration.load import MANIFESTS
from tests.integration.shop import answer, edit, history, shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("saved")]

STRATEGIES = {
    "rolling": "",
    "blue-green": 'strategy = { kind = "blue-green" }\n',
    "canary": 'strategy = { kind = "canary", steps = ["50%"], pause = "2s" }\n',
}
#: An object besides the Deployment, which says whose release it is.
SETTINGS = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{version: "{version}"}}\n'


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    """Two machines' own checkouts of one project."""
    return [Project(tmp_path_factory.mktemp("shop")) for _ in range(2)]


@pytest.fixture(params=STRATEGIES)
def projects(request: pytest.FixtureRequest, checkouts: list[Project], toml: str) -> list[Project]:
    toml = toml.replace('"60s"', '"120s"') + STRATEGIES[request.param] + 'manifests = ["api.yaml", "settings.yaml"]\n'
    for project, version in zip(checkouts, ("left", "right"), strict=True):
        settings = SETTINGS.format(version=f"{request.param} {version}")
        shop(project.root, toml, **{"api.yaml": MANIFESTS, "settings.yaml": settings})
        edit(project, f"{request.param} {version}")
        project.invoke("push")
    return checkouts


def start(project: Project, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", "deploy"], cwd=project.root, stdout=file, stderr=subprocess.STDOUT
        )


@pytest.mark.parametrize("apart", [0.0, pytest.param(3.0, marks=pytest.mark.long)])
def test_they_take_turns_and_leave_one_version(
    projects: list[Project], api: Api, name: str, tmp_path: Path, apart: float
) -> None:
    known = {one["number"] for one in history(projects[0])}
    runs = []
    for number, project in enumerate(projects):
        runs.append(start(project, tmp_path / f"{number}.log"))
        time.sleep(apart)
    codes = [run.wait(400) for run in runs]
    logs = [(tmp_path / f"{number}.log").read_text(encoding="utf-8") for number in range(2)]
    assert codes == [0, 0], "\n".join(logs)
    new = [one for one in history(projects[0]) if one["number"] not in known]
    # One that is where it wants to be when its turn comes has nothing to write down.
    assert {one["state"] for one in new} <= {"good"}
    (settings,) = [one for one in api.objects("v1", "ConfigMap", f"goctl-{name}") if one["metadata"]["name"] == "settings"]
    deadline = time.monotonic() + 60
    while len(answers := {answer(api, name) for _ in range(10)}) > 1 and time.monotonic() < deadline:
        time.sleep(1)  # Pods that were told to end may still answer
    assert answers == {settings["data"]["version"]}
    winner = next(project for project in projects if f'"{settings["data"]["version"]}"' in _said(project))
    # The other may have moved the tag after the winner's push: who pushed last need not have deployed last.
    outcomes = {step: outcome for step, outcome in winner.outcomes("deploy").items() if not step.startswith("push:")}
    assert set(outcomes.values()) == {"cached"}, outcomes


def _said(project: Project) -> str:
    return (project.root / "cmd/api/version.go").read_text(encoding="utf-8")
