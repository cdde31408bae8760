"""Compiling: one `go build` for all packages that share platform, flags and environment; platforms side by side.

The folder that go writes to holds, before it starts, links to the programs of the last run, so that go itself sees which
are up to date and links only the others. What comes out moves to `dist/TARGET/PLATFORM/` by rename. A program that somebody
edited below dist/ is not linked in: it would be taken for up to date.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from goctl.contracts import Artifact, Binary, CompileCache, Host, Outcome
from goctl.errors import BuildError, GoctlError
from goctl.events import Output, StepProgress, StepStarted
from goctl.golang.cgo import environment
from goctl.golang.diagnose import diagnose
from goctl.golang.elsewhere import built
from goctl.golang.environment import cache_folder
from goctl.plan.facts import ListingKey
from goctl.plan.goenv import GOGC_WHERE_ROOMY, ROOMY
from goctl.plan.model import CompileStep
from goctl.system import memory
from goctl.system.files import move, storage_errors
from goctl.system.lease import lease
from goctl.system.ledger import Ledger, digest_of
from goctl.system.process import Completed, run
from goctl.values import Digest, Platform

#: How often the folder is looked at for programs that are linked.
_POLL_SECONDS = 0.1


class _Seed(NamedTuple):
    """A program of the last run that was linked in: its inode, time and digest."""

    inode: int
    modified: int
    digest: Digest


class Compiler:
    """Carries out compile steps with the host's Go toolchain."""

    def __init__(self, host: Host, cache: CompileCache | None = None) -> None:
        self._host = host
        self._cache = cache
        self._ledger = Ledger(host.memo, host.root, host.scratch)

    def run(self, steps: Sequence[CompileStep], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        """Yields each program as soon as it is linked; of each go build, steps that failed come last."""
        platforms = [*chains(steps)]
        width = min(len(platforms), self._host.jobs)
        ended: queue.SimpleQueue[Outcome | Future[None]] = queue.SimpleQueue()
        with ThreadPoolExecutor(width or 1, "platform") as pool:
            running = set()
            for number, chain in enumerate(platforms):
                # The last platforms share all cores when fewer are left than can be built at once.
                beside = width if number < len(platforms) - len(platforms) % width else len(platforms) % width
                running.add(pool.submit(self._chain, chain, -(-self._host.jobs // beside), ended.put))
            for future in running:
                future.add_done_callback(ended.put)
            while running:
                match ended.get():
                    case Future() as future:
                        running.discard(future)
                        future.result()
                    case outcome:
                        yield outcome

    def _chain(self, chain: list[list[CompileStep]], parallel: int, put: Callable[[Outcome], None]) -> None:
        for batch in chain:
            with storage_errors(str(self._host.scratch)):
                self._host.scratch.mkdir(parents=True, exist_ok=True)
                folder = Path(tempfile.mkdtemp(prefix="build.", dir=self._host.scratch))
            try:
                for outcome in _Build(self._host, self._cache, self._ledger, batch, folder, parallel).run():
                    put(outcome)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def chains(steps: Sequence[CompileStep]) -> Iterator[list[list[CompileStep]]]:
    """Batches of one platform, which follow each other: side by side they would compile the same packages twice, for the go
    command does not wait for another one that makes what it needs. Platforms share nothing, and one fills the cores that
    another leaves idle while it loads packages or links its last program.
    """
    found: dict[Platform, list[list[CompileStep]]] = {}
    for batch in batches(steps):
        found.setdefault(batch[0].platform, []).append(batch)
    yield from found.values()


def batches(steps: Sequence[CompileStep]) -> list[list[CompileStep]]:
    """Steps that one go build can do together, in their order. Two programs of one name are kept apart: the second would
    overwrite the first."""
    found: dict[tuple[str, int], dict[str, CompileStep]] = {}
    for step in steps:
        number = 0
        # Names are compared as a case-insensitive disk would.
        while step.file_name.lower() in found.get((step.group, number), {}):
            number += 1
        found.setdefault((step.group, number), {})[step.file_name.lower()] = step
    return [list(batch.values()) for batch in found.values()]


class _Build:
    """One go build."""

    def __init__(
        self,
        host: Host,
        cache: CompileCache | None,
        ledger: Ledger,
        steps: list[CompileStep],
        folder: Path,
        parallel: int,
    ) -> None:
        self._host = host
        self._cache = cache
        self._parallel = parallel
        self._ledger = ledger
        self._steps = steps
        self._out = folder / "out"
        self._tmp = folder / "tmp"
        self._seeds: dict[str, _Seed] = {}
        self._started = time.perf_counter()
        self._pending = {step.id: step for step in steps}

    def run(self) -> Iterator[Outcome]:
        with storage_errors(str(self._out)):
            self._out.mkdir()
            self._tmp.mkdir()
            for step in self._steps:
                self._seed(step)
        for step in self._steps:
            self._host.emit(StepStarted(step.id, step.title, ",".join(step.targets), str(step.platform)))
        with ThreadPoolExecutor(1, "go-build") as pool:
            building = pool.submit(self._build)
            yield from self._watch(building)
        completed = building.result()
        # A failed build leaves the programs of the last run where they are: they are nobody's result.
        fresh_only = completed.code != 0
        for step in list(self._pending.values()):
            if self._is_there(step, fresh_only=fresh_only):
                yield self._take(step)
        if self._pending:
            yield from self._failures(completed)

    def _seed(self, step: CompileStep) -> None:
        """Links the program of the last run in, when it is still what was compiled."""
        path = self._host.root / step.outputs[0]
        digest = self._ledger.untouched(path)
        if digest is None:
            return
        target = self._out / step.linked_name
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)
        found = target.stat()
        self._seeds[step.id] = _Seed(found.st_ino, found.st_mtime_ns, digest)

    def _build(self) -> Completed:
        first = self._steps[0]
        toolchain = self._host.toolchain()
        env = environment(self._host, ListingKey(first.platform, env=first.env, cgo=first.cgo))
        if not first.cgo:
            # On the same disk, so that go moves a finished program by rename: it is whole as soon as it can be seen. A C
            # compiler, though, writes its folder into programs, and go disguises one below the module as part of it.
            env["GOTMPDIR"] = str(self._tmp)
        # Each go build has its share of the cores: a compiler that tries to use all of them only waits for the others.
        env.setdefault("GOMAXPROCS", str(self._parallel))
        share = memory.available() // self._host.jobs
        if share >= ROOMY and not env.keys() & {"GOGC", "GOMEMLIMIT"}:
            env |= {"GOGC": GOGC_WHERE_ROOMY, "GOMEMLIMIT": f"{share // 2 >> 20}MiB"}
        command = (toolchain.command, "build", "-trimpath", "-buildvcs=false", f"-p={self._parallel}", *first.flags)
        what = ("-o", str(self._out) + os.sep, "--", *(step.import_path for step in self._steps))

        def build(environment: Mapping[str, str], flags: Sequence[str]) -> Completed:
            return run((*command, *flags, *what), cwd=self._host.module, env=environment, on_stderr=self._heard)

        with lease(cache_folder(env)):
            return built(self._host, self._cache, self._steps, env, self._tmp, build)

    def _heard(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self._host.emit(Output("go", line))

    def _watch(self, building: Future[Completed]) -> Iterator[Outcome]:
        """Takes programs as they appear, where go puts them there by rename."""
        renames = sys.platform != "win32" and not self._out.stat().st_mode & 0o2000 and not self._steps[0].cgo
        while not building.done():
            wait((building,), _POLL_SECONDS)
            self._host.check()
            if not renames:
                continue
            for step in list(self._pending.values()):
                if self._is_there(step, fresh_only=True):
                    yield self._take(step)
            done = len(self._steps) - len(self._pending)
            if done and self._pending:
                for step in self._pending.values():
                    self._host.emit(StepProgress(step.id, done, len(self._steps), "programs"))

    def _is_there(self, step: CompileStep, *, fresh_only: bool) -> bool:
        """Whether the step's program is there; with `fresh_only`, and not the one that was linked in."""
        try:
            found = os.stat(self._out / step.linked_name)
        except FileNotFoundError:
            return False
        seed = self._seeds.get(step.id)
        return seed is None or not fresh_only or (found.st_ino, found.st_mtime_ns) != seed[:2]

    def _take(self, step: CompileStep) -> Outcome:
        """Moves a finished program to where each target expects it."""
        del self._pending[step.id]
        made = self._out / step.linked_name
        found = made.stat()
        seed = self._seeds.get(step.id)
        is_seed = seed is not None and (found.st_ino, found.st_mtime_ns) == seed[:2]
        try:
            digest = seed.digest if is_seed and seed is not None else digest_of(made)
            self._place(step, made)
        except GoctlError as error:
            return Outcome(step.id, error=error, seconds=time.perf_counter() - self._started)
        binary = Binary(step.outputs[0], digest, found.st_size)
        return Outcome(step.id, binary, seconds=time.perf_counter() - self._started)

    def _place(self, step: CompileStep, made: Path) -> None:
        first, *others = (self._host.root / output for output in step.outputs)
        with storage_errors(str(first)):
            first.parent.mkdir(parents=True, exist_ok=True)
            move(made, first)
            for other in others:
                other.parent.mkdir(parents=True, exist_ok=True)
                # A copy, not a link: a person who edits one target's program must not edit the other's.
                move(Path(shutil.copy2(first, self._tmp / "copy")), other)

    def _failures(self, completed: Completed) -> Iterator[Outcome]:
        seconds = time.perf_counter() - self._started
        error = diagnose(completed.errors, self._steps[0].platform, self._host.module)
        for number, step in enumerate(self._pending.values()):
            # One go build failed, not each of its packages: its words are told once.
            told = error if number == 0 else BuildError(error.message, diagnostics=error.diagnostics, hint=error.hint)
            yield Outcome(step.id, error=told, seconds=seconds)
