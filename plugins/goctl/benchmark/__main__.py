"""`python -m goctl.benchmark [STATE...]`: measures a night and reports it; what `nox -s bench` runs.

Ends with 13 where a state is slower than it may be, else as goctl's errors do.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from goctl.benchmark.run import Outcome, Request, bench
from goctl.errors import GoctlError, Interrupted
from goctl.report.benchmark import console
from goctl.system.files import write_atomic
from goctl.system.process import children

#: A state is slower than it may be: no error of goctl's, and none of the release's.
SLOWER = 13


def arguments(words: list[str]) -> argparse.Namespace:
    """The command line as values."""
    parser = argparse.ArgumentParser(
        prog="nox -s bench --",
        description="Measures releases in declared states of a machine, and compares with a baseline.",
    )
    parser.add_argument("states", nargs="*", help="states to measure (default: those of [benchmark])")
    parser.add_argument("--file", type=Path, default=Path("goctl.toml"), help="the project's goctl.toml")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each state (default: as [benchmark] has it)")
    parser.add_argument("--accept", action="store_true", help="make this night the baseline, whatever it took")
    parser.add_argument("--scaling", action="store_true", help="measure parts of the targets and of the platforms too")
    parser.add_argument(
        "--peers", action="store_true", help="measure ko, plain `go build` and buildx bake beside it, where they are there"
    )
    parser.add_argument("--buildkit", action="store_true", help="measure the BuildKit engine too, with [buildkit] builder")
    parser.add_argument("--report", type=Path, default=None, help="a folder for reports (default: dist/benchmark)")
    parser.add_argument(
        "--work", type=Path, default=None, help="an empty folder to work in, kept (default: a temporary one)"
    )
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Measures, reports, and says by the exit code whether it may pass."""
    asked = arguments(words)
    signal.signal(signal.SIGTERM, _interrupt)
    request = Request(
        file=asked.file.absolute(),
        states=tuple(asked.states),
        count=asked.rounds,
        accept=asked.accept,
        scaling=asked.scaling,
        peers=asked.peers,
        buildkit=asked.buildkit,
        work=asked.work,
    )
    try:
        found = bench(request, lambda line: console.tell(sys.stderr, line))
        report(found, asked.report)
    except KeyboardInterrupt:
        children.end()
        return 130
    except GoctlError as error:
        children.end() if isinstance(error, Interrupted) else None
        console.tell(sys.stderr, f"error: {error}")
        if error.hint:
            console.tell(sys.stderr, f"hint: {error.hint}")
        return error.exit_code
    return SLOWER if found.judgement.failed else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def report(found: Outcome, folder: Path | None) -> None:
    """All reports: console, Markdown (and the summary of a GitHub job), HTML, and where [metrics] says so, Prometheus."""
    from goctl.report.benchmark import prometheus
    from goctl.report.benchmark.html import page
    from goctl.report.benchmark.markdown import markdown

    night, judgement, loaded = found.night, found.judgement, found.loaded
    folder = folder or loaded.root / loaded.config.release.dist / "benchmark"
    console.show(sys.stdout, night, judgement)
    text = markdown(night, judgement)
    write_atomic(folder / "summary.md", text.encode())
    write_atomic(folder / "index.html", page(night, judgement, found.baselines, found.history).encode())
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)
    console.tell(sys.stderr, f"kept as {found.file}")
    console.tell(sys.stderr, f"reports: {folder / 'index.html'}, {folder / 'summary.md'}")
    metrics = loaded.config.metrics
    if metrics.textfile:
        prometheus.write_textfile(loaded.root / metrics.textfile, night, judgement)
    if metrics.pushgateway:
        prometheus.push(prometheus.address_of(metrics.pushgateway, os.environ), night, judgement)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
