"""What a deployment takes beside ko, kind and kubectl, in a kind cluster that is there.

    python benchmarks/bench_deploy.py --cluster NAME --registry HOST:PORT [--rounds N] [--only edit,rollout,nothing]

`kind`, `docker`, `kubectl`, `go`, and for the first case `ko` and `crane`, have to be on PATH, and the nodes pull from the
registry. KUBECONFIG holds the context kind-NAME. What is made in the cluster is removed at the end. Cases:

    edit      one file of a program of 14 MB is edited: `invoke push` until all nodes have its image, beside `ko build` and
              `kind load docker-image`
    rollout   a Deployment of two Pods is changed: from connecting to the cluster to its last Pod, beside `kubectl apply` and
              `kubectl rollout status` of the same manifest
    nothing   `invoke release` with nothing to do, with a deployment and without one
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import program
from goctl.cluster import api
from goctl.cluster.deployment import Deployment, Place, Rules, Wanted
from goctl.cluster.manifests import Key, Manifest
from measure import Comparison, Run, tell

MAIN = """package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "here") })
	fmt.Println(http.ListenAndServe(":8080", nil))
}
"""
TOML = """[project]
name = "bench"
version = "1"
[platforms]
default = ["linux/{architecture}"]
[image]
base = "scratch"
[targets.api]
packages = ["{package}"]
[targets.api.image]
ports = ["8080"]
user = "65532"
[registries.there]
url = "{url}"
[deploy.there]
cluster = {{ context = "kind-{cluster}" }}
namespace = "{space}"
replicas = 2
"""
#: Of those in program.py, one with a server, metrics and gRPC.
PROGRAM = "./cmd/rpc"
#: Seconds that a deployment may add to a release with nothing to do, and goctl's rollout to kubectl's.
NOTHING, ROLLOUT = 0.4, 1.0
EDIT = 0.5
TIMEOUT = 120.0


class Bench:
    """A project, the cluster, and who brings the one into the other."""

    def __init__(self, root: Path, cluster: str, registry: str) -> None:
        self.root = root
        self.cluster = cluster
        self.registry = registry
        self.context = f"kind-{cluster}"
        self.space = f"goctl-bench-{os.getpid()}"
        self.facts: list[tuple[str, str, str]] = []
        self.comparisons: list[Comparison] = []
        self._number = time.time_ns()
        self.architecture = subprocess.run(
            ["go", "env", "GOARCH"], capture_output=True, text=True, check=True
        ).stdout.strip()

    def project(self, name: str, url: str, package: str = ".") -> Path:
        """A folder with a goctl.toml that brings this package there, or else a program that serves."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
        words = {"architecture": self.architecture, "cluster": self.cluster, "space": self.space, "package": package}
        (folder / "goctl.toml").write_text(TOML.format(url=url, **words))
        if package == ".":
            (folder / "go.mod").write_text("module example.com/bench\n\ngo 1.22\n")
            (folder / "main.go").write_text(MAIN)
        return folder

    def edit(self, folder: Path) -> None:
        """Makes the program another one than ever before."""
        self._number += 1
        program.edit(folder, self._number)

    def invoke(self, folder: Path, *words: str) -> Run:
        return measure.run([sys.executable, "-m", "invoke", *words], cwd=folder, env=program.environment())

    def end(self) -> None:
        subprocess.run(
            ["kubectl", "--context", self.context, "delete", "namespace", self.space, "--ignore-not-found", "--wait=false"],
            check=False,
        )


def edit(bench: Bench, rounds: int) -> None:
    """From an edit to every node that has the image."""
    ours, theirs = bench.root / "edit", bench.root / "edit-ko"
    program.write(ours, program.commands()[:4])
    shutil.copytree(ours, theirs)
    bench.project("edit", f"kind:{bench.cluster}", PROGRAM)
    env = {**program.environment(), "KO_DOCKER_REPO": "ko.local", "KOCACHE": str(bench.root / "kocache")}
    env |= {"KO_DEFAULTBASEIMAGE": _empty_base(bench)}

    def goctl() -> Run:
        bench.edit(ours)
        return bench.invoke(ours, "push")

    def ko() -> Run:
        bench.edit(theirs)
        started = time.perf_counter()
        built = subprocess.run(
            ["ko", "build", "--sbom=none", PROGRAM], cwd=theirs, env=env, capture_output=True, text=True, check=False
        )
        if built.returncode:
            raise SystemExit(f"ko build: {built.stderr[-2000:]}")
        name = built.stdout.strip()
        subprocess.run(["kind", "load", "docker-image", name, "--name", bench.cluster], capture_output=True, check=True)
        seconds = time.perf_counter() - started
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
        return Run(seconds)

    contenders: dict[str, Callable[[], Run]] = {"goctl": goctl, "ko": ko}
    _warm(contenders)
    made = measure.rounds(rounds, contenders)
    group = "edit, to the image on every node"
    pair = (tuple(made["goctl"]), tuple(made["ko"]))
    bench.comparisons.append(Comparison(group, "ko", "goctl", "ko build and kind load", *pair, bar=EDIT))


def _empty_base(bench: Bench) -> str:
    """A base with nothing in it, as goctl's is, in the registry."""
    name = f"{bench.registry}/goctl-bench/empty:latest"
    layer = bench.root / "layer.tar"
    layer.write_bytes(bytes(1024))
    for args in (
        ("append", "--oci-empty-base", "--insecure", "--new_layer", str(layer), "--new_tag", name),
        ("mutate", "--insecure", "--set-platform", f"linux/{bench.architecture}", "--tag", name, name),
    ):
        subprocess.run(["crane", *args], check=True, capture_output=True)
    return name


def rollout(bench: Bench, rounds: int) -> None:
    """A change of a Deployment, until all of its Pods are those of the change."""
    folder = bench.project("rollout", f"{bench.registry}/goctl-bench")
    bench.invoke(folder, "release", "--deploy", "there")
    connected = api.connect(bench.context)
    live = connected.get(Key("apps/v1", "Deployment", bench.space, "api"))
    connected.close()
    if live is None:
        raise SystemExit("the release made no Deployment")

    def ours() -> Run:
        document = _changed(live, "ours")
        started = time.perf_counter()
        connected = api.connect(bench.context)
        place = Place(name="ours", part_of="bench.ours", namespace=bench.space, is_declared=True)
        deployment = Deployment(connected, place, emit=lambda _: None)
        deployment.deploy(Wanted(manifests=(Manifest(document, "bench"),)), Rules(timeout=TIMEOUT))
        deployment.close()
        return Run(time.perf_counter() - started)

    def kubectl() -> Run:
        document = _changed(live, "theirs")
        kubectl = ["kubectl", "--context", bench.context, "--namespace", bench.space]
        started = time.perf_counter()
        subprocess.run([*kubectl, "apply", "-f", "-"], input=json.dumps(document).encode(), capture_output=True, check=True)
        waiting = [*kubectl, "rollout", "status", "deployment/theirs", f"--timeout={TIMEOUT:.0f}s"]
        subprocess.run(waiting, capture_output=True, check=True)
        return Run(time.perf_counter() - started)

    contenders: dict[str, Callable[[], Run]] = {"goctl": ours, "kubectl": kubectl}
    _warm(contenders)
    made = measure.rounds(rounds, contenders)
    pair = (tuple(made["goctl"]), tuple(made["kubectl"]))
    bench.comparisons.append(Comparison("rollout of a change", "kubectl", "goctl", "kubectl", *pair))
    bench.facts.append(_difference("rollout: longer than kubectl apply and rollout status", *pair, ROLLOUT))


def _changed(live: dict[str, Any], name: str) -> dict[str, Any]:
    """A manifest like that of what runs, with a name of its own and something in its Pods that is new."""
    spec = copy.deepcopy(live["spec"])
    labels = {"app": name}
    spec["selector"] = {"matchLabels": labels}
    spec["template"]["metadata"] = {"labels": labels, "annotations": {"bench": str(time.time_ns())}}
    metadata = {"name": name, "namespace": live["metadata"]["namespace"]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def nothing(bench: Bench, rounds: int) -> None:
    """A release with nothing to do, and what a deployment adds."""
    folder = bench.project("nothing", f"{bench.registry}/goctl-bench")
    spent: dict[str, list[float]] = {"with": [], "without": []}

    def measured(name: str, *words: str) -> Run:
        before = os.times()
        made = bench.invoke(folder, "release", *words)
        after = os.times()
        spent[name].append(sum(after[2:4]) - sum(before[2:4]))
        return made

    contenders: dict[str, Callable[[], Run]] = {
        "with": lambda: measured("with", "--deploy", "there"),
        "without": lambda: measured("without"),
    }
    _warm(contenders)
    made = measure.rounds(rounds, contenders)
    pair = (tuple(made["with"]), tuple(made["without"]))
    bench.comparisons.append(Comparison("nothing to do", "deploy", "with a deployment", "without", *pair))
    bench.facts.append(_difference("nothing to do: what a deployment adds", *pair, NOTHING))
    # Where others are at work, this tells more than the clock does. Windows does not count it.
    processor = statistics.median(one - other for one, other in zip(spent["with"], spent["without"], strict=True))
    bench.facts.append(("nothing to do: processor time that a deployment adds", f"{processor:.3f} s", ""))


def _difference(name: str, ours: tuple[Run, ...], theirs: tuple[Run, ...], bar: float) -> tuple[str, str, str]:
    seconds = [one.seconds - other.seconds for one, other in zip(ours, theirs, strict=True)]
    low, high = measure.interval(seconds)
    return name, f"{statistics.median(seconds):.3f} s ({low:.3f} .. {high:.3f})", f"<= {bar:.1f} s"


def _warm(contenders: dict[str, Callable[[], Run]]) -> None:
    for name, contender in contenders.items():
        tell(f"  first {name}: {contender().seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--only", default="edit,rollout,nothing")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    cases = {"edit": edit, "rollout": rollout, "nothing": nothing}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), args.cluster, args.registry)
        try:
            for case in args.only.split(","):
                tell(case)
                cases[case](bench, args.rounds)
        finally:
            bench.end()
    print(measure.table(bench.comparisons, bench.facts))
    if args.json is not None:
        measure.write_json(args.json, bench.comparisons, bench.facts)


if __name__ == "__main__":
    main()
