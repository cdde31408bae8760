"""Nights as files: pytest-benchmark's JSON in pytest-benchmark's layout, with what it has no place for in `extra_info`.

.benchmarks/FINGERPRINT/0001_COMMIT_20260102T030405.json     a night; `pytest-benchmark compare` and `--histogram` read it
.benchmarks/FINGERPRINT/baseline-STATE.json                  what that state is compared with on such a machine
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from goctl.benchmark.statistics import stats
from goctl.errors import StorageError
from goctl.measures import CONTROL, Machine, Night, Point, Sample
from goctl.system.files import write_atomic
from goctl.values import from_json, to_json

_FORMAT = "goctl benchmark 1"
_NAME = re.compile(r"(\d{4,})_.*\.json\Z")


def this_machine() -> Machine:
    """What of this machine decides how long a release takes.

    The versions of tools are no part of it: they may be the reason for a slowdown.
    """
    import psutil

    processor = _processor()
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    # What the kernel keeps for itself differs by a little: half a GiB tells machines apart.
    memory = round(psutil.virtual_memory().total / 2**29) * 2**29
    described = (platform.system(), platform.machine(), processor, str(cores), str(memory))
    fingerprint = hashlib.sha256("\0".join(described).encode()).hexdigest()[:12]
    return Machine(fingerprint, platform.system(), platform.machine(), processor, cores, memory)


def _processor() -> str:
    """The model's name; empty where it cannot be had without another program."""
    if sys.platform == "linux":
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        found = re.search(r"^(?:model name|Hardware|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
        return found[1].strip() if found else ""
    else:  # noqa: RET505 - mypy takes what follows a check of the system for unreachable
        return platform.processor()


class Results:
    """The nights that one project measured, below one folder."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder = folder / machine.fingerprint

    def nights(self) -> list[Night]:
        """All nights on such a machine, oldest first. Files that are none of ours, or damaged, are left out."""
        found = [(int(match[1]), path) for path in self._files() if (match := _NAME.match(path.name))]
        nights = [read(path) for _, path in sorted(found)]
        return [night for night in nights if night is not None]

    def baselines(self, states: Iterable[str]) -> dict[str, Night]:
        """What each state is compared with: the night it was measured in then. Those that have none are left out."""
        found = {state: read(self._baseline(state)) for state in states}
        return {state: night for state, night in found.items() if night is not None and night.samples.get(state)}

    def save(self, night: Night) -> Path:
        """Keeps a night. The file."""
        numbers = [int(match[1]) for path in self._files() if (match := _NAME.match(path.name))]
        stamp = re.sub(r"[^0-9T]", "", night.date)[:15]
        name = f"{max(numbers, default=0) + 1:04}_{night.commit[:12] or 'none'}_{stamp}.json"
        write_atomic(self.folder / name, document(night))
        return self.folder / name

    def accept(self, night: Night, states: Iterable[str]) -> None:
        """Makes a night the baseline of some of its states."""
        for state in states:
            samples = {name: night.samples[name] for name in (state, CONTROL) if name in night.samples}
            only = msgspec.structs.replace(night, samples=samples, scaling=())
            write_atomic(self._baseline(state), document(only))

    def _baseline(self, state: str) -> Path:
        return self.folder / f"baseline-{state.replace('/', '-beside-')}.json"

    def _files(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"cannot read {self.folder}: {error.strerror or error}") from error


class _Extra(msgspec.Struct, frozen=True):
    format: str
    project: str
    branch: str
    versions: dict[str, str]
    machine: Machine
    samples: dict[str, tuple[Sample, ...]]
    scaling: tuple[Point, ...]


def document(night: Night) -> bytes:
    """A night as a file that pytest-benchmark reads too."""
    machine = night.machine
    info = {
        "node": machine.fingerprint,
        "processor": machine.processor,
        "machine": machine.architecture,
        "system": machine.system,
        "python_version": night.versions.get("python", ""),
        "python_implementation": platform.python_implementation(),
        "cpu": {"brand_raw": machine.processor, "count": machine.cores},
    }
    extra = _Extra(_FORMAT, night.project, night.branch, night.versions, machine, night.samples, night.scaling)
    content: dict[str, Any] = {
        "machine_info": info,
        "commit_info": {"id": night.commit, "time": night.date, "dirty": night.dirty, "branch": night.branch},
        "benchmarks": [_benchmark(night.project, state, samples) for state, samples in night.samples.items() if samples],
        "datetime": night.date,
        "version": "5.3.1",
        "goctl": extra,
    }
    return to_json(content, indent=1) + b"\n"


def _benchmark(project: str, state: str, samples: tuple[Sample, ...]) -> dict[str, Any]:
    last = samples[-1]
    extra = {"cpu": last.cpu, "memory": last.memory, "moved": last.moved, "hits": last.hits, "steps": last.steps}
    return {
        "group": None,
        "name": f"{state}[{project}]",
        "fullname": f"goctl.benchmark::{state}[{project}]",
        "params": None,
        "param": project,
        "extra_info": extra,
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": len(samples), "warmup": False},
        "stats": stats([sample.seconds for sample in samples]),
    }


class _Document(msgspec.Struct, frozen=True):
    commit_info: dict[str, Any]
    datetime: str
    goctl: _Extra


def read(path: Path) -> Night | None:
    """A night from its file; None for what is not there, or is none of ours."""
    try:
        found = from_json(path.read_bytes(), _Document)
    except (OSError, ValueError):
        return None
    extra = found.goctl
    if extra.format != _FORMAT:
        return None
    commit = found.commit_info
    return Night(
        project=extra.project,
        commit=str(commit.get("id", "")),
        date=found.datetime,
        machine=extra.machine,
        samples=extra.samples,
        dirty=bool(commit.get("dirty", False)),
        branch=extra.branch,
        versions=extra.versions,
        scaling=extra.scaling,
    )
