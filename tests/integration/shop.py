"""A project whose program serves in a cluster, and says which version it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from goctl.cluster.api import Api
from tests.go.conftest import write
from tests.go.project import TASKS, Project

MAIN = """package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	fmt.Println("version", version)
	if mode == "crash" {
		fmt.Println("no database: giving up")
		os.Exit(2)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if mode == "unready" {
			http.Error(w, "not yet", 503)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, version) })
	fmt.Println(http.ListenAndServe(":8080", nil))
}
"""
TOML = """
[project]
name = "shop"
version = "1.0"
[platforms]
default = ["linux/amd64"]
[registries.local]
url = "{registry}/goctl-{name}"
[targets.api]
packages = ["./cmd/api"]
image = {{ ports = [8080] }}
[deploy.local]
cluster = {{ context = "{context}" }}
namespace = "goctl-{name}"
replicas = 2
probe = "/healthz"
timeout = "60s"
"""


def shop(root: Path, toml: str, **files: str) -> Project:
    """The project, in a folder. `files` are further ones, and others in the place of its own, by their paths."""
    own = {"go.mod": "module example.com/shop\n\ngo 1.24\n", "cmd/api/main.go": MAIN, "tasks.py": TASKS, "goctl.toml": toml}
    write(root, {**own, **files})
    return Project(root)


def edit(project: Project, version: str, mode: str = "") -> None:
    write(project.root, {"cmd/api/version.go": f'package main\n\nconst version, mode = "{version}", "{mode}"\n'})


def release(project: Project, version: str, mode: str = "", *, code: int = 0) -> str:
    edit(project, version, mode)
    return project.invoke("deploy", code=code)


def history(project: Project) -> list[dict[str, Any]]:
    """The releases that the cluster knows of, the newest first."""
    return next(event["data"] for event in project.events("deploy.history") if event["event"] == "document")  # type: ignore[no-any-return]


def answer(api: Api, name: str) -> str:
    """What the Service answers, by way of the API server."""
    path = f"/api/v1/namespaces/goctl-{name}/services/api:8080/proxy/"
    return str(api._client._client._client.get(path).text)


def serves(api: Api, name: str, *versions: str) -> None:
    """Requires that the Service answers with one of these versions. Pods that were told to end are asked until the cluster
    has taken them from the Service, and answer while their `preStop` lasts: that is waited for, some seconds."""
    deadline = time.monotonic() + 10
    while (found := answer(api, name)) not in versions and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found in versions
