"""goctl beside ko and plain `go build`: the same program, base, registry and machine, as ratios in one run.

    python benchmarks/bench_release.py [--only nothing,edit,cold,list,targets] [--rounds N]
    python benchmarks/bench_release.py --checkout DIR --packages ./cmd/... --edit internal/core/core.go

Without --checkout, benchmarks/program.py makes the program. ko and crane are taken from PATH or made with `go install`.
All work is done in a folder of its own (--work), the registry listens on a loopback port. Each measured case:

    nothing   nothing changed since the last release
    edit      a file was edited that most packages import; push included
    cold      Go's build cache empty, modules there, push included; a smaller program
    list      `invoke --list` beside `invoke --list` of a tasks.py with one empty task
    targets   what each further target and platform adds to a release with nothing to do
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import contenders as who
import measure
import program
from contenders import PLATFORMS, Bench
from measure import Run, tell

CASES = ("list", "targets", "nothing", "edit", "cold")


def nothing(bench: Bench) -> None:
    folder = bench.checkout()
    packages = bench.packages(folder)
    bench.configure(folder, packages, "goctl")
    contenders: dict[str, Callable[[], Run]] = {
        "goctl": lambda: bench.goctl(folder),
        "go build": lambda: bench.go_build(folder, packages, bench.work / "out"),
        "empty": lambda: bench.empty("nothing"),
    }
    if not bench.args.no_ko:
        contenders["ko"] = lambda: bench.ko(folder, packages)
    _warm(contenders)
    made = measure.rounds(bench.args.rounds or 7, contenders)
    bench.compare("nothing", made, "go build", 1 / 6)
    if "ko" in made:
        bench.compare("nothing", made, "ko", 1 / 50)
    above = [a.seconds - b.seconds for a, b in zip(made["goctl"], made["empty"], strict=True)]
    low, high = measure.interval(above)
    bench.fact(
        "nothing: above invoke's own start", f"{statistics.median(above):.3f} s ({low:.3f} .. {high:.3f})", "<= 0.15 s"
    )
    bench.fact("nothing: goctl's peak memory", _mib(bench.goctl(folder, memory=True).peak), "<= 150 MB")


def edit(bench: Bench) -> None:
    folder = bench.checkout()
    packages = bench.packages(folder)
    bench.configure(folder, packages, "goctl")
    measured: dict[str, Callable[[], Run]] = {
        "goctl": lambda: bench.goctl(folder, memory=True),
        "go build": lambda: bench.go_build(folder, packages, bench.work / "out"),
    }
    if not bench.args.no_ko:
        measured["ko"] = lambda: bench.ko(folder, packages, memory=True)
    _warm(measured)

    def edited(contender: Callable[[], Run]) -> Callable[[], Run]:
        def after() -> Run:
            bench.edit(folder)
            return contender()

        return after

    made = measure.rounds(bench.args.rounds or 5, {name: edited(each) for name, each in measured.items()})
    bench.compare("edit", made, "go build", 1.15)
    bench.fact("edit: goctl's peak memory, without go's own", _mib(max(run.peak for run in made["goctl"])), "<= 150 MB")
    if "ko" in made:
        bench.compare("edit", made, "ko", 0.75)
        bench.fact("edit: ko's peak memory, without go's own", _mib(max(run.peak for run in made["ko"])))


def cold(bench: Bench) -> None:
    folder = bench.checkout(small=True)
    packages = bench.packages(folder)
    caches = bench.work / "cold"

    def ours() -> Run:
        # A repository of its own for each run, for the registry must not hold the layers yet.
        bench.configure(folder, packages, f"cold{next(bench.numbers)}")
        for leftover in (folder / ".goctl", folder / "dist", caches):
            shutil.rmtree(leftover, ignore_errors=True)
        return bench.goctl(folder, memory=True, GOCACHE=str(caches))

    def theirs() -> Run:
        for leftover in (caches, bench.work / "cold-out"):
            shutil.rmtree(leftover, ignore_errors=True)
        return bench.go_build(folder, packages, bench.work / "cold-out", GOCACHE=str(caches))

    made = measure.rounds(bench.args.rounds or 5, {"goctl": ours, "go build": theirs})
    bench.compare("cold", made, "go build", 1.10, name="small")
    bench.fact("cold: goctl's peak memory, without go's own", _mib(max(run.peak for run in made["goctl"])), "<= 150 MB")


def listing(bench: Bench) -> None:
    folder = bench.work / "listing"
    folder.mkdir(exist_ok=True)
    bench.configure(folder, ["./cmd/one"], "listing")
    contenders: dict[str, Callable[[], Run]] = {
        "goctl": lambda: bench.goctl(folder, "--list"),
        "empty": lambda: bench.empty("--list"),
    }
    _warm(contenders)
    bench.compare("list", measure.rounds(bench.args.rounds or 21, contenders), "empty", 1.5, name="invoke")


def targets(bench: Bench) -> None:
    folder = bench.work / "targets"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "go.mod").write_text(f"module example.com/many\n\ngo {program.GO}\n", encoding="utf-8")
    packages = [f"./cmd/t{number:03}" for number in range(100)]
    for package in packages:
        path = folder / package / "main.go"
        path.parent.mkdir(parents=True)
        path.write_text(f'package main\n\nfunc main() {{ println("{package}") }}\n', encoding="utf-8")
    counts = (1, 25, 50, 100)
    sizes = [count * len(PLATFORMS) for count in counts]
    points: list[list[float]] = [[] for _ in counts]
    for at, count in enumerate(counts):
        bench.configure(folder, packages[:count], "many")
        bench.goctl(folder)
        for number in range(bench.args.rounds or 9):
            points[at].append(bench.goctl(folder).seconds)
            tell(f"  {sizes[at]} targets and platforms, {number + 1}: {points[at][-1]:.3f} s")
    each = [measure.slope([*zip(sizes, row, strict=True)]) * 1000 for row in zip(*points, strict=True)]
    low, high = measure.interval(each)
    shown = ", ".join(f"{size}: {statistics.median(row):.3f} s" for size, row in zip(sizes, points, strict=True))
    bench.fact(f"targets: each adds ({shown})", f"{statistics.median(each):.2f} ms ({low:.2f} .. {high:.2f})", "< 2 ms")


def _warm(contenders: dict[str, Callable[[], Run]]) -> None:
    for name, contender in contenders.items():
        tell(f"  first {name}: {contender().seconds:.1f} s")
        contender()


def _mib(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size else "not measured on this system"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each case (default: as many as the case needs)")
    parser.add_argument("--commands", type=int, default=8, help="how many commands the program has, smallest first")
    parser.add_argument("--checkout", type=Path, help="release this Go checkout instead (it is copied)")
    parser.add_argument("--packages", nargs="+", default=["./cmd/..."], help="the checkout's main packages")
    parser.add_argument("--edit", default="", help="with --checkout: the file to edit, relative to it")
    parser.add_argument("--registry", default="", help="host:port of a registry to use (default: one of its own)")
    parser.add_argument("--no-ko", action="store_true", help="leave ko out")
    parser.add_argument("--work", type=Path, help="the folder to work in, kept afterwards (default: a temporary one)")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"), help="where the figures are written")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    wanted = args.only.split(",")
    if unknown := set(wanted) - set(CASES):
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    work = (args.work or Path(tempfile.mkdtemp(prefix="goctl-bench-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    port = who.free_port()
    bench = Bench(work, args.registry or f"127.0.0.1:{port}", args)
    crane = bench.tool("crane", "github.com/google/go-containerregistry/cmd/crane@latest")
    server = None if args.registry else who.serve(work, crane, port)
    steps = {"nothing": nothing, "edit": edit, "cold": cold, "list": listing, "targets": targets}
    try:
        who.push_base(bench, crane)
        for case in CASES:
            if case in wanted:
                tell(case)
                steps[case](bench)
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
        bench.report()


if __name__ == "__main__":
    main()
