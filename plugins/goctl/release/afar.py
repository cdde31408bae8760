"""What levels of the cache know of a plan: which programs need not be on this machine at all, and those that are brought.

A program is only needed for an image or an archive that is made from it, or for its own sake where nothing is. Where levels
know what came of all that a program goes into, it is neither compiled nor brought, unless an older one lies in its place;
`invoke build` brings it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from goctl.cache.chain import READERS
from goctl.contracts import Binary
from goctl.plan.model import AnyStep, ArchiveStep, CompileStep, ImageStep
from goctl.values import Digest

if TYPE_CHECKING:
    from goctl.cache.shared import SharedRecords
    from goctl.release.known import Known


def look_up(shared: SharedRecords, steps: Iterable[CompileStep]) -> None:
    """Asks the levels for all programs at once."""
    shared.get_many([("compile", str(step.input)) for step in steps if step.input is not None])


def spared(
    shared: SharedRecords, known: Known, lacking: Sequence[CompileStep], here: Mapping[str, Digest], steps: Iterable[AnyStep]
) -> dict[str, Binary]:
    """Of the compile steps whose programs are `lacking`, those that need not be here: what they made, by id. Those that are
    needed are brought where a level has them.

    `here` holds the digests of the programs that are on this machine, by step id.
    """
    told = {step.id: binary for step in lacking if (binary := known.told(step)) is not None}
    if not told:
        return {}
    digests = {**here, **{id: binary.digest for id, binary in told.items()}}
    using = [step for step in steps if isinstance(step, ImageStep | ArchiveStep) and not told.keys().isdisjoint(step.needs)]
    keys = {step.id: step.key(digests) for step in using}
    shared.get_many([(step.stage, str(key)) for step in using if (key := keys[step.id]) is not None])
    needed = set(told) - {need for step in using for need in step.needs}
    needed |= {step.id for step in lacking if step.id in told and known.has_older(step)}
    with ThreadPoolExecutor(READERS, "bring") as pool:
        done = pool.map(lambda step: _is_done(known, step, keys[step.id]), using)
        for step, is_done in zip(using, done, strict=True):
            needed |= set() if is_done else set(step.needs) & told.keys()
    bring(known, [step for step in lacking if step.id in needed])
    return {id: binary for id, binary in told.items() if id not in needed}


def _is_done(known: Known, step: ImageStep | ArchiveStep, key: Digest | None) -> bool:
    if isinstance(step, ImageStep):
        return known.image(key) is not None
    return known.archive(step, key) is not None or known.bring_archive(step, key)


def bring(known: Known, steps: Sequence[CompileStep]) -> None:
    """Brings programs from levels to where they belong below dist/, as far as levels have them."""
    if steps:
        with ThreadPoolExecutor(min(READERS, len(steps)), "bring") as pool:
            list(pool.map(known.bring, steps))
