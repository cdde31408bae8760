"""goctl's BuildKit engine beside a hand-written Dockerfile and plain `docker buildx bake`, on one builder, as ratios.

    python benchmarks/bench_buildkit.py --builder NAME --registry localhost:5000 --go-image localhost:5000/golang:1.26
        [--only cold,edit,targets,nothing,unrelated,packages] [--rounds N] [--commands 4]

The Dockerfile has what its best practice asks for: several stages, the build platform's Go, cache mounts for modules and
builds. Both sides push programs without debug information to the same registry, for three platforms. The program needs
nothing but Go's standard library, so that no builder has to reach a module proxy. Each measured case:

    cold       the builder's cache and Go's empty
    edit       a file was edited that the command imports
    targets    as edit, for all commands at once
    nothing    nothing changed since
    unrelated  a package was edited that the command does not import: nothing may be built
    packages   `compile = "buildkit"` beside itself, with a level of the cache that has what another builder compiled and
               without: on an empty builder, and for an edit on a warm one
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import contenders as who
import measure
from contenders import Bench
from measure import Comparison, Run, tell

CASES = ("cold", "edit", "targets", "nothing", "unrelated", "packages")
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
MODES = ("host", "buildkit")
BY_HAND = """FROM --platform=$BUILDPLATFORM {go} AS build
WORKDIR /src
COPY go.mod ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH TARGETVARIANT COMMAND
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \\
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${{TARGETVARIANT#v}} \\
    go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/app ./cmd/$COMMAND
FROM scratch
COPY --from=build /out/app /usr/local/bin/app
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/app"]
"""
CORE = """// Package core is what every command imports.
package core

import (
\t"crypto/tls"
\t"encoding/json"
\t"net/http"
)

// Edition is edited.
const Edition = "{number}"

// Serve answers with what is asked for.
func Serve(name string) error {{
\tserver := &http.Server{{Addr: ":8080", TLSConfig: &tls.Config{{MinVersion: tls.VersionTLS13}}}}
\tserver.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {{
\t\t_ = json.NewEncoder(w).Encode(map[string]string{{"name": name, "edition": Edition}})
\t}})
\treturn server.ListenAndServe()
}}
"""
MAIN = 'package main\n\nimport "example.com/baked/internal/core"\n\nfunc main() {{\n\t_ = core.Serve("{name}")\n}}\n'


class Bakery:
    """A program in two checkouts: one with goctl.toml, one with what a person would write."""

    def __init__(self, bench: Bench, count: int) -> None:
        self.bench = bench
        self.args = bench.args
        self.commands = [f"command{number}" for number in range(count)]
        self.folders = {name: bench.work / name for name in (*MODES, "by hand")}
        for name, folder in self.folders.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "go.mod").write_text("module example.com/baked\n\ngo 1.24\n", encoding="utf-8")
            for command in self.commands:
                self.put(folder, f"cmd/{command}/main.go", MAIN.format(name=command))
            self.put(folder, "internal/other/other.go", "package other\n")
            self.put(folder, "internal/core/core.go", CORE.format(number=0))
            self.put(folder, "tasks.py", who.OUR_TASKS)
            self.write(name, 1, "first")

    def put(self, folder: Path, name: str, text: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write(self, name: str, count: int, space: str, *, level: bool = False) -> None:
        """Says what is to be built, where it is pushed to, and whether packages are shared."""
        folder = self.folders[name]
        place = f"{self.bench.registry}/baked/{name.replace(' ', '-')}/{space}"
        if name == "by hand":
            self.put(folder, "Dockerfile", BY_HAND.format(go=self.args.go_image))
            self.put(folder, ".dockerignore", ".git\ndocker-bake.json\n")
            shared = {"context": ".", "platforms": list(PLATFORMS), "output": ["type=registry"]}
            shared["attest"] = ["type=provenance,disabled=true"]
            made = {
                command: {**shared, "args": {"COMMAND": command}, "tags": [f"{place}/{command}:1"]}
                for command in self.commands[:count]
            }
            document = {"group": {"default": {"targets": list(made)}}, "target": made}
            self.put(folder, "docker-bake.json", json.dumps(document))
            return
        lines = ["[project]", 'name = "baked"', 'version = "1"', "[platforms]", f"default = {json.dumps(PLATFORMS)}"]
        lines += ["[image]", 'engine = "buildkit"', 'base = "scratch"', 'user = "65532:65532"']
        for command in self.commands[:count]:
            lines += [f"[targets.{command}]", f'packages = ["./cmd/{command}"]', 'ldflags = ["-s", "-w"]']
            lines += [f"[targets.{command}.image]", f'compile = "{name}"']
        lines += ["[registries.there]", f'url = "{place}"', "[publish]", 'tags = ["1"]']
        lines += ["[buildkit]", f'builder = "{self.args.builder}"', f'go-image = "{self.args.go_image}"']
        lines += ["[cache.team]", f'url = "file:{(self.bench.work / "level").as_posix()}"'] if level else []
        self.put(folder, "goctl.toml", "\n".join(lines) + "\n")

    def run(self, name: str) -> Run:
        if name == "by hand":
            args = ["docker", "buildx", "bake", "--builder", self.args.builder, "--progress", "plain"]
            return measure.run(args, cwd=self.folders[name], env=self.bench.env)
        return self.bench.goctl(self.folders[name], GOCACHE=str(self.bench.work / f"gocache-{name}"))

    def edit(self, name: str, what: str = "core") -> None:
        number = next(self.bench.numbers)
        text = CORE.format(number=number) if what == "core" else f"package other\n\nconst Edition = {number}\n"
        self.put(self.folders[name], f"internal/{what}/{what}.go", text)

    def empty(self, name: str) -> None:
        """Empties every cache that a contender has, the builder's among them."""
        folder = self.folders[name]
        for leftover in (folder / ".goctl", folder / "dist", self.bench.work / f"gocache-{name}"):
            shutil.rmtree(leftover, ignore_errors=True)
        prune = ["docker", "buildx", "prune", "--builder", self.args.builder, "--all", "--force"]
        subprocess.run(prune, check=True, capture_output=True)


def measured(bakery: Bakery, group: str, bars: dict[str, float], before: Callable[[str], None], rounds: int) -> None:
    """Runs all three in turn, after what a case does before each, and compares goctl's two with the one by hand."""

    def contender(name: str) -> Callable[[], Run]:
        def work() -> Run:
            before(name)
            return bakery.run(name)

        return work

    made = measure.rounds(bakery.args.rounds or rounds, {name: contender(name) for name in bakery.folders})
    for mode in MODES:
        pair = (tuple(made[mode]), tuple(made["by hand"]))
        bakery.bench.comparisons.append(Comparison(group, f'compile = "{mode}"', "goctl", "by hand", *pair, bar=bars[mode]))


def cold(bakery: Bakery) -> None:
    def before(name: str) -> None:
        bakery.empty(name)
        bakery.write(name, 1, f"cold{next(bakery.bench.numbers)}")

    measured(bakery, "cold", {"host": 0.85, "buildkit": 1.0}, before, 3)


def warm(bakery: Bakery, count: int) -> None:
    for name in bakery.folders:
        bakery.write(name, count, "warm")
        tell(f"  first {name}: {bakery.run(name).seconds:.1f} s")
        bakery.run(name)


def edit(bakery: Bakery) -> None:
    warm(bakery, 1)
    measured(bakery, "edit", {"host": 0.8, "buildkit": 1.0}, bakery.edit, 5)


def targets(bakery: Bakery) -> None:
    warm(bakery, len(bakery.commands))
    measured(bakery, f"edit, {len(bakery.commands)} targets", dict.fromkeys(MODES, 0.6), bakery.edit, 5)


def nothing(bakery: Bakery) -> None:
    warm(bakery, 1)
    measured(bakery, "nothing", dict.fromkeys(MODES, 1.0), lambda _: None, 7)


def unrelated(bakery: Bakery) -> None:
    warm(bakery, 1)
    for mode in MODES:
        bakery.edit(mode, "other")
        args = [bakery.bench.invoke, "release", "--json"]
        told = subprocess.run(
            args, cwd=bakery.folders[mode], env=bakery.bench.env, capture_output=True, text=True, check=True
        )
        events = [json.loads(line) for line in told.stdout.splitlines()]
        done = [one["step"] for one in events if one["event"] == "step-finished" and one["outcome"] == "done"]
        bakery.bench.fact(f'unrelated, compile = "{mode}": steps carried out', str(len(done)), "0")
    measured(bakery, "unrelated", dict.fromkeys(MODES, 1.0), lambda name: bakery.edit(name, "other"), 5)


def packages(bakery: Bakery) -> None:
    """Programs are edited before each round: no result is known, and what they are made of is."""
    name = "buildkit"
    shutil.rmtree(bakery.bench.work / "level", ignore_errors=True)
    bakery.empty(name)
    bakery.write(name, 1, "packages", level=True)
    bakery.run(name)

    def contender(what: Callable[[], None], *, level: bool) -> Callable[[], Run]:
        def work() -> Run:
            what()
            bakery.write(name, 1, f"packages{next(bakery.bench.numbers)}", level=level)
            bakery.edit(name)
            return bakery.run(name)

        return work

    def warm() -> None:
        bakery.write(name, 1, "warm", level=True)
        bakery.edit(name)
        bakery.run(name)

    for group, what, bar in (("empty builder", lambda: bakery.empty(name), 0.5), ("warm builder, an edit", warm, 1.1)):
        names = {"shared": contender(what, level=True), "alone": contender(what, level=False)}
        made = measure.rounds(bakery.args.rounds or 3, names)
        pair = (tuple(made["shared"]), tuple(made["alone"]))
        bakery.bench.comparisons.append(Comparison(group, "compiled packages", "shared", "alone", *pair, bar=bar))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builder", required=True, help="the builder of buildx; the case `cold` empties its cache")
    parser.add_argument("--registry", required=True, help="host:port of a registry that the builder pushes to")
    parser.add_argument("--go-image", required=True, help="an image with Go that the builder can pull")
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each case (default: as many as the case needs)")
    parser.add_argument("--commands", type=int, default=4, help="how many commands the program has")
    parser.add_argument("--work", type=Path, help="the folder to work in, kept afterwards (default: a temporary one)")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"), help="where the figures are written")
    return parser.parse_args(words)


def main() -> None:
    args = arguments()
    wanted = args.only.split(",")
    if unknown := set(wanted) - set(CASES):
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    work = (args.work or Path(tempfile.mkdtemp(prefix="goctl-bench-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(work, args.registry, args)
    bakery = Bakery(bench, args.commands)
    steps = dict(zip(CASES, (cold, edit, targets, nothing, unrelated, packages), strict=True))
    try:
        for case in CASES:
            if case in wanted:
                tell(case)
                steps[case](bakery)
    finally:
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
        bench.report()


if __name__ == "__main__":
    main()
