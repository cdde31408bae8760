"""How the benchmarks measure: wall time and memory of a command, paired rounds, intervals, a table and a JSON file."""

from __future__ import annotations

import datetime
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

#: Commands of the Go distribution: they and all they start are go's own.
GO_PROGRAMS = frozenset({"go", "compile", "link", "asm", "cgo", "vet", "gofmt"})


class Run(msgspec.Struct, frozen=True):
    """One run of a command: seconds, and the peak of resident bytes of all its processes but go's own (0: not measured)."""

    seconds: float
    peak: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """Two contenders in paired rounds. `bar` is the greatest ratio that is asked for (0: none is)."""

    group: str
    name: str
    ours: str
    theirs: str
    our_runs: tuple[Run, ...]
    their_runs: tuple[Run, ...]
    bar: float = 0.0
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [a.seconds / b.seconds for a, b in zip(self.our_runs, self.their_runs, strict=True)]


def run(args: Sequence[str], *, cwd: Path, env: Mapping[str, str], memory: bool = False) -> Run:
    """Runs a command to its end; ends the benchmark with what it printed when it fails."""
    started = time.perf_counter()
    child = subprocess.Popen(args, cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sampler = _Sampler(child.pid) if memory and sys.platform == "linux" else None
    output, _ = child.communicate()
    seconds = time.perf_counter() - started
    peak = sampler.end() if sampler is not None else 0
    if child.returncode != 0:
        tail = output.decode("utf-8", "replace")[-3000:]
        raise SystemExit(f"{' '.join(args[:4])}... ended with {child.returncode}:\n{tail}")
    return Run(seconds, peak)


class _Sampler:
    """Looks at /proc every 10 ms and keeps the greatest sum of resident memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._ended.wait(0.01):
            self._peak = max(self._peak, _resident_pages(self._pid) * page)


def _resident_pages(root: int) -> int:
    processes: dict[int, tuple[int, str, int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            # proc(5): pid (comm) state ppid ... rss is the 24th field
            name = text[text.index("(") + 1 : text.rindex(")")]
            fields = text[text.rindex(")") + 2 :].split()
            processes[int(entry)] = (int(fields[1]), name, int(fields[21]))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        if pid in processes and processes[pid][1] not in GO_PROGRAMS:
            total += processes[pid][2]
            waiting += [child for child, (parent, _, _) in processes.items() if parent == pid]
    return total


def rounds(count: int, contenders: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Runs all contenders in each round, in an order that rotates, so that drift of the machine meets all alike."""
    made: dict[str, list[Run]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(count):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            measured = contenders[name]()
            made[name].append(measured)
            tell(
                f"  {number + 1}/{count} {name}: {measured.seconds:.3f} s"
                + (f", {measured.peak >> 20} MiB" * bool(measured.peak))
            )
    return made


def tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def median(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """The bootstrap interval of a median (10,000 resamples, the same ones each time)."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(10_000))
    low = int(len(medians) * (1 - share) / 2)
    return medians[low], medians[-1 - low]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least-squares slope of y over x."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def table(comparisons: Sequence[Comparison], facts: Sequence[tuple[str, str, str]]) -> str:
    """Ratios, then single figures; both with what is asked for."""
    rows = [("benchmark", "goctl", "other", "ratio", "95 % interval", "asked")]
    for each in comparisons:
        low, high = interval(each.ratios)
        asked = f"<= {each.bar:.3f}" if each.bar else ""
        rows.append(
            (
                f"{each.group}: {each.ours} / {each.theirs}",
                f"{median(each.our_runs):.3f} s",
                f"{median(each.their_runs):.3f} s",
                f"{statistics.median(each.ratios):.3f}",
                f"{low:.3f} .. {high:.3f}",
                asked,
            )
        )
    parts = [_columns(rows)] if len(rows) > 1 else []
    if facts:
        parts.append(_columns([("figure", "measured", "asked"), *facts]))
    return "\n\n".join(parts)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _figures(each: Comparison, name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """What one of two took, as pytest-benchmark writes it down."""
    from pytest_benchmark.stats import Stats

    stats: Any = Stats()  # type: ignore[no-untyped-call]
    for one in runs:
        stats.update(one.seconds)
    extra: dict[str, Any] = {"peak_bytes": max(one.peak for one in runs)}
    if name == each.ours:
        low, high = interval(each.ratios)
        extra |= {"against": each.theirs, "ratio": statistics.median(each.ratios), "interval": [low, high]}
    fields = {field: getattr(stats, field) for field in stats.fields}
    return {
        "group": each.group,
        "name": f"{each.group}[{name}-{each.name}]",
        "fullname": f"benchmarks/bench_release.py::{each.group}[{name}-{each.name}]",
        "params": None,
        "param": None,
        "extra_info": extra,
        "options": {"timer": "perf_counter", "min_rounds": len(runs), "warmup": False},
        "stats": {**fields, "data": [one.seconds for one in runs], "iterations": 1},
    }


def write_json(path: Path, comparisons: Sequence[Comparison], facts: Sequence[tuple[str, str, str]]) -> None:
    """A file that `pytest-benchmark compare` reads; ratios and their intervals stand in `extra_info`."""
    benchmarks = [
        _figures(each, name, runs)
        for each in comparisons
        for name, runs in ((each.ours, each.our_runs), (each.theirs, each.their_runs))
    ]
    document = {
        "machine_info": {
            "node": "",
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "python_version": platform.python_version(),
            "cpu": {"count": os.cpu_count()},
        },
        "commit_info": {"id": "", "dirty": False},
        "figures": [{"figure": name, "measured": measured, "asked": asked} for name, measured, asked in facts],
        "benchmarks": benchmarks,
        "datetime": datetime.datetime.now(datetime.UTC).isoformat(),
        "version": "5.2.0",
    }
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
