"""What levels of a cache are worth: a machine that has nothing beside a warm level, and what the level costs meanwhile.

    python benchmarks/bench_cache.py [--only fresh,leaf,actions,targets] [--rounds N] [--level URL] [--work DIR]

The level is a registry on loopback that a warm machine has written to, or the one that --level names. A machine is a home
directory, Go's caches and a checkout of its own. Measured cases:

    fresh     a release on a machine that has nothing, beside the same without a level
    leaf      as fresh, but a file was edited that one package holds; beside the same edit on a machine that has everything
    actions   a cold build that fills a level with what Go compiles, beside the same with Go's own cache alone
    targets   200 targets for three platforms, nothing changed
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import contenders as who
import measure
import monorepo
import program
from contenders import Bench
from goctl.golang.advice import machine as this
from goctl.golang.advice.situation import MEMORY
from measure import Run, tell

CASES = ("fresh", "leaf", "actions", "targets")
#: Where machines go that are no more, until everything is measured.
GONE = "gone"


class Machine:
    """A machine: what is in its folder is all that it has. `level` is the URL of a level, or none."""

    def __init__(self, bench: Bench, name: str, level: str = "") -> None:
        self.bench = bench
        self.root = bench.work / name
        self.checkout = self.root / "program"
        self.level = level

    def begin(self) -> None:
        """Takes all from it but the sources, as they are in the repository.

        What it had is only put aside: for minutes after many files were deleted, file systems look long for a place for each
        new one (ext4 leaves alone what was freed lately), and that would be measured too. On a memory disk it is removed:
        there new memory is what takes long, where the machine is a virtual one that has to get it first.
        """
        if self.root.exists() and this.folder(str(self.root), wsl=False).kind == MEMORY:
            _remove(self.root)
        elif self.root.exists():
            gone = self.bench.work / GONE
            gone.mkdir(exist_ok=True)
            self.root.rename(gone / f"{self.root.name}-{next(self.bench.numbers)}")
        shutil.copytree(self.bench.checkout(small=True), self.checkout)
        space = f"{self.bench.registry}/released"
        lines = ["[project]", 'name = "measure"', 'version = "1"', "[platforms]", 'default = ["linux/amd64", "linux/arm64"]']
        lines += ["[release]", 'stages = ["mod", "build", "image", "push"]', "[image]", 'base = "scratch"']
        for package in sorted((self.checkout / "cmd").iterdir()):
            lines += [f"[targets.{package.name}]", f'packages = ["./cmd/{package.name}"]', 'ldflags = ["-s", "-w"]']
        lines += ["[registries.loopback]", f'url = "{space}"', "[publish]", 'tags = ["latest"]']
        if self.level:
            lines += ["[cache]", 'levels = ["team"]', "[cache.team]", f'url = "{self.level}"']
        (self.checkout / "goctl.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.checkout / "tasks.py").write_text(who.OUR_TASKS, encoding="utf-8")

    def release(self, *words: str) -> Run:
        """A release by it, or another task."""
        home, compiled, modules = (str(self.root / name) for name in ("home", "gocache", "modules"))
        return self.bench.goctl(self.checkout, *words, HOME=home, GOCACHE=compiled, GOMODCACHE=modules)


def _remove(folder: Path) -> None:
    # Go's module cache is read-only, so that nobody edits it.
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


def _warm(bench: Bench) -> Machine:
    """A machine that has everything, and a level that has what it made."""
    machine = Machine(bench, "warm", bench.args.level)
    machine.begin()
    tell(f"  first release: {machine.release().seconds:.1f} s")
    machine.release("cache.warm")
    return machine


def fresh(bench: Bench) -> None:
    _warm(bench)
    alone, beside = Machine(bench, "alone"), Machine(bench, "beside", bench.args.level)

    def begun(machine: Machine) -> Run:
        machine.begin()
        return machine.release()

    made = measure.rounds(bench.args.rounds or 3, {"goctl": lambda: begun(beside), "cold": lambda: begun(alone)})
    bench.compare("a fresh machine beside a warm level", made, "cold", 0.05)


def leaf(bench: Bench) -> None:
    warm = _warm(bench)
    # The file is there before: what is edited, and not what is new, for which every machine lists packages anew.
    program.edit_leaf(warm.checkout, 0)
    warm.release()
    other = Machine(bench, "beside", bench.args.level)

    def here() -> Run:
        program.edit_leaf(warm.checkout, next(bench.numbers))
        return warm.release()

    def there() -> Run:
        other.begin()
        program.edit_leaf(other.checkout, next(bench.numbers))
        return other.release()

    made = measure.rounds(bench.args.rounds or 3, {"goctl": there, "warm": here})
    bench.compare("one leaf edited, on a fresh machine", made, "warm", 1.3)


def actions(bench: Bench) -> None:
    alone = Machine(bench, "alone")

    def filling() -> Run:
        machine = Machine(bench, "filling", f"{bench.args.level}-{next(bench.numbers)}")
        machine.begin()
        machine.release("mod.download")
        return machine.release("build")

    def plain() -> Run:
        alone.begin()
        alone.release("mod.download")
        return alone.release("build")

    made = measure.rounds(bench.args.rounds or 3, {"goctl": filling, "go's cache": plain})
    bench.compare("a cold build that fills a level", made, "go's cache", 1.1)


def targets(bench: Bench) -> None:
    folder = bench.work / "many"
    if not folder.exists():
        monorepo.generate(folder, projects=1, targets=200)
    tell(f"  first release: {bench.goctl(folder).seconds:.1f} s")
    bench.goctl(folder)
    made = [bench.goctl(folder).seconds for _ in range(bench.args.rounds or 9)]
    low, high = measure.interval(made)
    bench.fact(
        "nothing to do: 200 targets, 3 platforms", f"{statistics.median(made):.2f} s ({low:.2f} .. {high:.2f})", "<= 1.5 s"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each case (default: as many as the case needs)")
    parser.add_argument("--level", default="", help="the URL of the level (default: a registry of its own)")
    parser.add_argument("--work", type=Path, help="the folder to work in, kept afterwards (default: a temporary one)")
    parser.add_argument("--json", type=Path, default=Path("benchmark-cache.json"), help="where the figures are written")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    args.checkout = None
    wanted = args.only.split(",")
    if unknown := set(wanted) - set(CASES):
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    work = (args.work or Path(tempfile.mkdtemp(prefix="goctl-bench-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    port = who.free_port()
    bench = Bench(work, f"127.0.0.1:{port}", args)
    args.level = args.level or f"oci://{bench.registry}/cache"
    steps = {"fresh": fresh, "leaf": leaf, "actions": actions, "targets": targets}
    crane = bench.tool("crane", "github.com/google/go-containerregistry/cmd/crane@latest")
    server = who.serve(work, crane, port)
    try:
        for case in CASES:
            if case in wanted:
                tell(case)
                steps[case](bench)
    finally:
        server.terminate()
        server.wait()
        for folder in (work,) if args.work is None else (work / GONE,):
            if folder.exists():
                _remove(folder)
        bench.report()


if __name__ == "__main__":
    main()
