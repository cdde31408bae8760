"""The embedded engine: the host's Go toolchain compiles, images are assembled in this process. No Docker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from goctl.contracts import Artifact, HasCompileCache, Host, Outcome
from goctl.errors import GoctlError, Interrupted
from goctl.plan.model import ArchiveStep, ChecksumsStep, CompileStep, ImageStep, IndexStep, Step


class EmbeddedOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """The embedded engine has no settings of its own."""


class EmbeddedEngine:
    """Compiles with `golang/`, assembles and packs with `oci/`."""

    Options = EmbeddedOptions
    kinds: ClassVar[frozenset[str]] = frozenset({"compile", "image", "index", "archive"})

    def __init__(self, options: EmbeddedOptions, host: Host) -> None:
        del options
        self._host = host

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        compiles = [step for step in steps if isinstance(step, CompileStep)]
        if compiles:
            from goctl.golang.compile import Compiler

            cache = self._host.compile_cache if isinstance(self._host, HasCompileCache) else None
            yield from Compiler(self._host, cache).run(compiles, inputs)
        for step in steps:
            if not isinstance(step, CompileStep):
                yield self._timed(step, inputs)

    def _timed(self, step: Step, inputs: Mapping[str, Artifact]) -> Outcome:
        started = time.perf_counter()
        try:
            artifact = self._made(step, inputs)
        except Interrupted:
            raise
        except GoctlError as error:
            return Outcome(step.id, error=error, seconds=time.perf_counter() - started)
        return Outcome(step.id, artifact, seconds=time.perf_counter() - started)

    def _made(self, step: Step, inputs: Mapping[str, Artifact]) -> Artifact | None:
        from goctl.oci.archives import Archiver
        from goctl.oci.assemble import Assembler

        match step:
            case ImageStep():
                return Assembler(self._host).image(step, inputs)
            case IndexStep():
                return Assembler(self._host).index(step, inputs)
            case ArchiveStep():
                return Archiver(self._host).archive(step, inputs)
            case ChecksumsStep():
                return Archiver(self._host).checksums(step, inputs)
        return None
