"""A monorepo of forty projects: what it costs to list it, to release it with nothing to do, and to release an edit.

    python benchmarks/bench_monorepo.py [--only list,nothing,edit,ko,shards] [--rounds N] [--work DIR]

The repository is made by benchmarks/monorepo.py: 40 projects with 3 targets each, for three platforms. Measured cases:

    list      `invoke --list` beside that of five projects
    nothing   a release with nothing to do
    edit      the package that one project alone imports was edited: what is built, and how long the plan takes
    ko        one edited of forty commands for two platforms, beside ko with its cache on
    shards    a cold build by four machines, simulated one after the other, beside one; of tiny programs, in which the
              standard library is nearly all, and of services with code of their own (minutes)
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import contenders as who
import measure
import monorepo
from contenders import Bench
from goctl.release import costs as costs_file
from measure import Run, tell

CASES = ("list", "nothing", "edit", "ko", "shards")
SHARDS = 4
#: Packages of a service's own: some 19,000 lines.
WEIGHT = 8


def repository(bench: Bench, name: str, **sizes: int) -> Path:
    folder = bench.work / name
    if not folder.exists():
        platforms = monorepo.PLATFORMS if name != "two" else who.PLATFORMS
        monorepo.generate(folder, platforms=platforms, **sizes)
    return folder


def listing(bench: Bench) -> None:
    many, few = repository(bench, "forty"), repository(bench, "five", projects=5)
    contenders: dict[str, Callable[[], Run]] = {
        "goctl": lambda: bench.goctl(many, "--list"),
        "five": lambda: bench.goctl(few, "--list"),
    }
    bench.compare("list", measure.rounds(bench.args.rounds or 21, contenders), "five", 1.5, name="40 projects")


def nothing(bench: Bench) -> None:
    folder = repository(bench, "forty")
    tell(f"  first release: {bench.goctl(folder).seconds:.1f} s")
    bench.goctl(folder)
    made = [bench.goctl(folder).seconds for _ in range(bench.args.rounds or 9)]
    low, high = measure.interval(made)
    shown = f"{statistics.median(made):.2f} s ({low:.2f} .. {high:.2f})"
    bench.fact("nothing to do: 40 projects, 120 targets, 3 platforms", shown, "<= 1.2 s")


def edit(bench: Bench) -> None:
    folder = repository(bench, "forty")
    bench.goctl(folder)
    planning, built = [], 0
    for _ in range(bench.args.rounds or 5):
        monorepo.edit(folder, next(bench.numbers))
        planning.append(bench.goctl(folder, "plan", "--json").seconds - bench.empty("nothing").seconds)
        built = _compiled(bench, folder)
    low, high = measure.interval(planning)
    bench.fact("one leaf edited: programs built of 360", str(built), "9: its importers")
    bench.fact(
        "one leaf edited: planning, without invoke's start",
        f"{statistics.median(planning):.2f} s ({low:.2f} .. {high:.2f})",
        "< 0.5 s",
    )


def _compiled(bench: Bench, folder: Path) -> int:
    args = [bench.invoke, "release", "--json"]
    done = subprocess.run(args, cwd=folder, env=bench.env, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = [event for event in events if event["event"] == "step-finished" and event["step"].startswith("compile:")]
    return sum(event["outcome"] == "done" for event in ended)


def ko(bench: Bench) -> None:
    folder = repository(bench, "two", projects=40, targets=1)
    toml = folder / "goctl.toml"
    text = toml.read_text(encoding="utf-8").partition("[registries")[0]
    image = f'[image]\nbase = "{bench.registry}/base/static:latest"\n'
    toml.write_text(f'{text}{image}[registries.loopback]\nurl = "{bench.registry}/mono"\n', encoding="utf-8")
    packages = [f"./services/s{number:02}/cmd/s{number:02}-0" for number in range(40)]

    def edited(contender: Callable[[], Run]) -> Callable[[], Run]:
        def after() -> Run:
            monorepo.edit(folder, next(bench.numbers))
            return contender()

        return after

    measured: dict[str, Callable[[], Run]] = {
        "goctl": lambda: bench.goctl(folder),
        "ko": lambda: bench.ko(folder, packages),
    }
    for name, contender in measured.items():
        tell(f"  first {name}: {contender().seconds:.1f} s")
    made = measure.rounds(bench.args.rounds or 3, {name: edited(each) for name, each in measured.items()})
    bench.compare("one of 40 edited", made, "ko", 0.1, name="2 platforms")


def shards(bench: Bench) -> None:
    _sharded(bench, repository(bench, "forty"), "a dozen lines each", "")
    _sharded(bench, repository(bench, "services", weight=WEIGHT), f"services with {WEIGHT} packages each", "<= 0.3")


def _sharded(bench: Bench, folder: Path, name: str, asked: str) -> None:
    """A cold build by one machine, and by several as it measured the costs; each with nothing in its caches."""
    state = folder / ".goctl"

    def cold(costs: bytes, *words: str) -> float:
        for leftover in (state, folder / "dist", bench.work / "cold"):
            shutil.rmtree(leftover, ignore_errors=True)
        state.mkdir()
        if costs:
            (state / costs_file.NAME).write_bytes(costs)
        return bench.goctl(folder, "image", *words, GOCACHE=str(bench.work / "cold")).seconds

    whole = cold(b"")
    measured, costs = costs_file.read(state), (state / costs_file.NAME).read_bytes()
    parts = [cold(costs, "--shard", f"{number}/{SHARDS}") for number in range(1, SHARDS + 1)]
    tell(f"  whole {whole:.1f} s; parts {', '.join(f'{part:.1f}' for part in parts)} s")
    platforms = {
        platform: (shared, sum(own for slot, own in measured.own.items() if slot.endswith(f"@{platform}")))
        for platform, shared in measured.shared.items()
    }
    for platform, (shared, own) in platforms.items():
        tell(f"  {platform}: {shared:.1f} s that all share, {own:.1f} s of their own")
    least = least_slowest(list(platforms.values()), SHARDS) / sum(sum(each) for each in platforms.values())
    bench.fact(
        f"sharded over four machines, the slowest of them: 120 targets, {name}",
        f"{max(parts) / whole:.2f} of {whole:.0f} s (no split under {least:.2f})",
        asked,
    )


def least_slowest(platforms: list[tuple[float, float]], count: int) -> float:
    """Seconds of the slowest of `count` machines, were targets divisible at will: (shared, own) seconds by platform.

    Either the machines hang together by platforms that two of them compile for: then the cuts between them, one fewer than
    machines, cost at least the cheapest shared part each. Or they fall into groups, each with platforms of its own.
    """
    together = (sum(sum(each) for each in platforms) + (count - 1) * min(shared for shared, _ in platforms)) / count
    first, *others = platforms
    found = [together]
    for size in range(len(others)):
        for beside in itertools.combinations(range(len(others)), size):
            group = [first, *(others[at] for at in beside)]
            rest = [each for at, each in enumerate(others) if at not in beside]
            found += [max(least_slowest(group, k), least_slowest(rest, count - k)) for k in range(1, count)]
    return min(found)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each case (default: as many as the case needs)")
    parser.add_argument("--work", type=Path, help="the folder to work in, kept afterwards (default: a temporary one)")
    parser.add_argument("--json", type=Path, default=Path("benchmark-monorepo.json"), help="where the figures are written")
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
    steps = {"list": listing, "nothing": nothing, "edit": edit, "ko": ko, "shards": shards}
    server = None
    try:
        if "ko" in wanted:
            crane = bench.tool("crane", "github.com/google/go-containerregistry/cmd/crane@latest")
            server = who.serve(work, crane, port)
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
