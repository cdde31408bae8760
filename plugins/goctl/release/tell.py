"""Steps and results as events."""

from __future__ import annotations

from goctl.contracts import Archive, Binary
from goctl.events import BuiltArchive, BuiltBinary, Emit, StepFinished
from goctl.plan.model import AnyStep, ArchiveStep, ChecksumsStep, CompileStep


def tell_step(emit: Emit, step: AnyStep, outcome: str, *, seconds: float = 0.0, size: int = 0, detail: str = "") -> None:
    """Says how a step ended: done, cached, skipped or failed."""
    target = ",".join(step.targets) if isinstance(step, CompileStep) else step.target
    platform = str(getattr(step, "platform", ""))
    emit(StepFinished(step.id, outcome, step.title, target, platform, seconds, size, detail))


def tell_programs(emit: Emit, step: CompileStep, binary: Binary, *, cached: bool) -> None:
    """A row for each file below dist/ that holds a step's program."""
    for target, output in zip(step.targets, step.outputs, strict=True):
        emit(BuiltBinary(target, str(step.platform), output, binary.digest, binary.size, cached=cached))


def tell_archive(emit: Emit, step: ArchiveStep | ChecksumsStep, archive: Archive, *, cached: bool) -> None:
    """A row for an archive, or for the file of their checksums."""
    platform = str(step.platform) if isinstance(step, ArchiveStep) else ""
    emit(BuiltArchive(step.target, platform, archive.path, archive.digest, archive.size, cached=cached))
