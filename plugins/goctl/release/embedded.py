"""The embedded engine: the host's Go toolchain compiles, images are assembled in this process. No Docker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from goctl.contracts import Artifact, Host, Outcome
from goctl.errors import GoctlError, Interrupted
from goctl.plan.model import CompileStep, ImageStep, IndexStep, Step


class EmbeddedOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """The embedded engine has no settings of its own."""


class EmbeddedEngine:
    """Compiles with `golang/`, assembles with `oci/`."""

    Options = EmbeddedOptions
    kinds: ClassVar[frozenset[str]] = frozenset({"compile", "image", "index"})

    def __init__(self, options: EmbeddedOptions, host: Host) -> None:
        del options
        self._host = host

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        compiles = [step for step in steps if isinstance(step, CompileStep)]
        if compiles:
            from goctl.golang.compile import Compiler

            yield from Compiler(self._host).run(compiles, inputs)
        for step in steps:
            if isinstance(step, ImageStep | IndexStep):
                yield self._assemble(step, inputs)

    def _assemble(self, step: ImageStep | IndexStep, inputs: Mapping[str, Artifact]) -> Outcome:
        from goctl.oci.assemble import Assembler

        started = time.perf_counter()
        assembler = Assembler(self._host)
        try:
            artifact = assembler.image(step, inputs) if isinstance(step, ImageStep) else assembler.index(step, inputs)
        except Interrupted:
            raise
        except GoctlError as error:
            return Outcome(step.id, error=error, seconds=time.perf_counter() - started)
        return Outcome(step.id, artifact, seconds=time.perf_counter() - started)
