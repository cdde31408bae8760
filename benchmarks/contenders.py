"""Who is compared: goctl, plain `go build`, ko, an empty tasks.py; and the registry and base that all of them share."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import measure
import program
from measure import Comparison, Run, tell

PLATFORMS = ("linux/amd64", "linux/arm64")
EMPTY_TASKS = "from invoke import task\n\n\n@task\ndef nothing(context):\n    pass\n"
OUR_TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'


class Bench:
    """Where things are, and the commands of each contender."""

    def __init__(self, work: Path, registry: str, args: argparse.Namespace) -> None:
        self.work = work
        self.registry = registry
        self.args = args
        self.env = program.environment()
        goroot = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
        # The go command itself rather than a wrapper of it, for all contenders alike.
        self.env["PATH"] = os.pathsep.join((str(Path(goroot, "bin")), str(Path(sys.executable).parent), os.environ["PATH"]))
        self.invoke = shutil.which("invoke", path=self.env["PATH"]) or "invoke"
        self.numbers = itertools.count(int(time.time()))
        self.comparisons: list[Comparison] = []
        self.facts: list[tuple[str, str, str]] = []
        (work / "empty").mkdir(parents=True, exist_ok=True)
        (work / "empty" / "tasks.py").write_text(EMPTY_TASKS, encoding="utf-8")

    def tool(self, name: str, package: str) -> str:
        """The path of a Go tool: on PATH, where `go install` puts it, or installed now."""
        places = os.pathsep.join((self.env["PATH"], str(Path.home() / "go" / "bin"), str(self.work / "bin")))
        found = shutil.which(name, path=places)
        if found is None:
            tell(f"go install {package}")
            env = {**self.env, "GOBIN": str(self.work / "bin")}
            subprocess.run(["go", "install", package], check=True, env=env, cwd=self.work)
            found = str(self.work / "bin" / name)
        return found

    def checkout(self, *, small: bool = False) -> Path:
        """A copy of the program, for goctl.toml and tasks.py are put into it."""
        folder = self.work / ("small" if small else "program")
        if folder.exists():
            return folder
        if self.args.checkout is not None:
            shutil.copytree(
                self.args.checkout, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", "dist", ".goctl")
            )
        else:
            tell("making the program (its modules are downloaded the first time)")
            program.write(folder, program.commands()[: 4 if small else self.args.commands])
        return folder

    def packages(self, folder: Path) -> list[str]:
        """The main packages, as `./` paths."""
        listed = subprocess.run(
            ["go", "list", "-f", '{{if eq .Name "main"}}{{.Dir}}{{end}}', *self.args.packages],
            cwd=folder, env=self.env, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        return ["./" + os.path.relpath(path, os.path.realpath(folder)).replace(os.sep, "/") for path in listed]

    def configure(self, folder: Path, packages: Sequence[str], space: str) -> None:
        """tasks.py and goctl.toml: a target for each package, one registry."""
        lines = ["[project]", 'name = "measure"', 'version = "1"', "[platforms]"]
        lines += [f"default = [{', '.join(repr(name) for name in PLATFORMS)}]"]
        lines += ["[image]", f'base = "{self.registry}/base/static:latest"']
        for package in packages:
            name = re.sub(r"[^a-z0-9-]", "-", package.removeprefix("./").removeprefix("cmd/").lower())
            lines += [f"[targets.{name}]", f'packages = ["{package}"]']
        lines += ["[registries.loopback]", f'url = "{self.registry}/{space}"', "[publish]", 'tags = ["latest"]']
        (folder / "goctl.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "tasks.py").write_text(OUR_TASKS, encoding="utf-8")

    def goctl(self, folder: Path, *words: str, memory: bool = False, **env: str) -> Run:
        return measure.run([self.invoke, *(words or ("release",))], cwd=folder, env={**self.env, **env}, memory=memory)

    def empty(self, word: str) -> Run:
        return measure.run([self.invoke, word], cwd=self.work / "empty", env=self.env)

    def go_build(self, folder: Path, packages: Sequence[str], output: Path, **env: str) -> Run:
        """Plain `go build -o DIR/` of all packages, platform after platform."""
        seconds = 0.0
        for platform in PLATFORMS:
            system, _, architecture = platform.partition("/")
            where = output / architecture
            where.mkdir(parents=True, exist_ok=True)
            chosen = {**self.env, "CGO_ENABLED": "0", "GOOS": system, "GOARCH": architecture, **env}
            args = ["go", "build", "-trimpath", "-o", f"{where}{os.sep}", *packages]
            seconds += measure.run(args, cwd=folder, env=chosen).seconds
        return Run(seconds)

    def ko(self, folder: Path, packages: Sequence[str], *, memory: bool = False) -> Run:
        """`ko build` with its cache on, without a bill of materials, which goctl does not make either."""
        env = {
            **self.env,
            "KO_DOCKER_REPO": f"{self.registry}/ko",
            "KO_DEFAULTBASEIMAGE": f"{self.registry}/base/static:latest",
            "KOCACHE": str(self.work / "kocache"),
        }
        args = [self.tool("ko", "github.com/google/ko@v0.18.0"), "build", f"--platform={','.join(PLATFORMS)}"]
        args += ["--base-import-paths", "--sbom=none", "--tags=latest", *packages]
        return measure.run(args, cwd=folder, env=env, memory=memory)

    def edit(self, folder: Path) -> None:
        """Makes the file that most packages import another one than ever before."""
        number = next(self.numbers)
        if self.args.checkout is None:
            program.edit(folder, number)
            return
        if not self.args.edit:
            raise SystemExit("--edit FILE is needed: the file that most packages import")
        path = folder / self.args.edit
        text = path.read_text(encoding="utf-8").split("\n// benchmark\n")[0]
        # An exported variable that something reads would be best; an unused one is not linked, but recompiles all the same.
        path.write_text(f'{text}\n// benchmark\nvar BenchmarkEdit = "{number}"\n', encoding="utf-8")

    def compare(self, group: str, made: dict[str, list[Run]], theirs: str, bar: float, name: str = "program") -> None:
        pair = (tuple(made["goctl"]), tuple(made[theirs]))
        self.comparisons.append(Comparison(group, name, "goctl", theirs, *pair, bar=bar))

    def fact(self, name: str, measured: str, asked: str = "") -> None:
        self.facts.append((name, measured, asked))

    def report(self) -> None:
        """Prints what was measured, and writes it to the file of --json."""
        if self.comparisons or self.facts:
            print(measure.table(self.comparisons, self.facts))
            measure.write_json(self.args.json, self.comparisons, self.facts)


def serve(bench_work: Path, crane: str, port: int) -> subprocess.Popen[bytes]:
    """A registry on a loopback port, its content on disk."""
    disk = bench_work / "registry"
    disk.mkdir(parents=True, exist_ok=True)
    args = [crane, "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(disk)]
    server = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            with urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1):
                return server
        except (URLError, OSError):
            time.sleep(0.05)
    server.terminate()
    raise SystemExit("the registry did not start")


def push_base(bench: Bench, crane: str) -> None:
    """A base of one small layer for both platforms, so that all contenders start from the same."""
    layer = bench.work / "base.tar"
    with tarfile.open(layer, "w") as archive:
        folder = tarfile.TarInfo("etc")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    name = f"{bench.registry}/base/static"
    tags = []
    for platform in PLATFORMS:
        tags.append(f"{name}:{platform.replace('/', '-')}")
        _quiet(crane, "append", "--oci-empty-base", "--new_layer", str(layer), "--new_tag", tags[-1])
        _quiet(crane, "mutate", "--set-platform", platform, "--tag", tags[-1], tags[-1])
    manifests = [word for tag in tags for word in ("--manifest", tag)]
    _quiet(crane, "index", "append", "--tag", f"{name}:latest", *manifests)


def _quiet(*args: str) -> None:
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(args[:3])} ended with {done.returncode}: {done.stderr}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
