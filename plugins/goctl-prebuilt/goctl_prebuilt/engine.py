"""The engine `prebuilt`: programs that were compiled elsewhere take the place of those that goctl would compile."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from goctl.contracts import Artifact, Binary, Host, Outcome
from goctl.errors import BuildError, ConfigError, GoctlError, Interrupted
from goctl.plan.model import CompileStep, Step
from goctl.system.files import inside, replace, storage_errors
from goctl.values import Digest

NAMES = ("target", "platform", "name")
_NAME = re.compile(r"\{([^{}]*)\}")
_CHUNK = 1 << 20


class PrebuiltOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """`[engines.prebuilt]`. `path` says where programs lie, from goctl.toml's folder."""

    path: str = "prebuilt/{target}/{platform}/{name}"


class PrebuiltEngine:
    """Takes programs over, and leaves them below dist/ like compiled ones. It never links: who replaces the program that
    was handed in does not change what was released.
    """

    Options: ClassVar[type[PrebuiltOptions]] = PrebuiltOptions
    kinds: ClassVar[frozenset[str]] = frozenset({"compile"})

    def __init__(self, options: PrebuiltOptions, host: Host) -> None:
        unknown = [name for name in _NAME.findall(options.path) if name not in NAMES]
        if unknown:
            raise ConfigError(
                f"engines.prebuilt.path: {{{unknown[0]}}} stands for nothing here",
                hint="{target}, {platform} and {name} are filled in",
            )
        self._template = options.path
        self._host = host

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        """An Outcome for each compile step, in their order. Raises Interrupted when the run is being ended."""
        for step in steps:
            if isinstance(step, CompileStep):
                yield self._outcome(step)

    def _outcome(self, step: CompileStep) -> Outcome:
        started = time.perf_counter()
        artifact: Binary | None = None
        failed: GoctlError | None = None
        try:
            artifact = self._take(step)
        except Interrupted:
            raise
        except GoctlError as error:
            failed = error
        return Outcome(step.id, artifact, failed, time.perf_counter() - started)

    def _take(self, step: CompileStep) -> Binary:
        pairs = zip(step.targets, step.outputs, strict=True)
        taken = [self._place(self._source(step, target), output) for target, output in pairs]
        if len({binary.digest for binary in taken}) != 1:
            raise BuildError(f"{step.title}: its targets have different programs: {', '.join(step.targets)}")
        return taken[0]

    def _source(self, step: CompileStep, target: str) -> Path:
        # In a workspace targets are told with their project: the template's {target} is the target alone.
        values = {"target": target.rpartition(":")[2], "platform": step.platform.slug, "name": step.file_name}
        relative = _NAME.sub(lambda found: values[found[1]], self._template)
        path = inside(self._host.root, relative, what="engines.prebuilt.path")
        if not path.is_file():
            raise BuildError(
                f"{step.title}: there is no program at {relative}", hint="put it there, or set engines.prebuilt.path"
            )
        return path

    def _place(self, source: Path, output: str) -> Binary:
        """Copies a program to where the step wants it; its digest is that of what was copied, read once."""
        home = self._host.root / output
        with storage_errors(str(home)):
            home.parent.mkdir(parents=True, exist_ok=True)
            self._host.scratch.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix="prebuilt.", dir=self._host.scratch)
        try:
            with os.fdopen(handle, "wb") as target_file:
                digest, size = self._copy(source, target_file.write)
            with storage_errors(str(home)):
                os.chmod(beside, 0o755)  # noqa: S103 - a program is there to be run
                replace(beside, home)
        finally:
            Path(beside).unlink(missing_ok=True)
        return Binary(output, digest, size)

    def _copy(self, source: Path, write: Callable[[bytes], object]) -> tuple[Digest, int]:
        made, size = hashlib.sha256(), 0
        with storage_errors(f"a copy of {source}"), source.open("rb") as program:
            while chunk := program.read(_CHUNK):
                self._host.check()
                made.update(chunk)
                write(chunk)
                size += len(chunk)
        return Digest(f"sha256:{made.hexdigest()}"), size
