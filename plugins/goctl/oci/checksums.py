"""What the file of checksums says. Alone, so that a release with nothing to do need not load what packs archives."""

from __future__ import annotations

from collections.abc import Mapping

from goctl.contracts import Host
from goctl.plan.model import ChecksumsStep
from goctl.system.ledger import Ledger
from goctl.values import Digest


def checksums(host: Host, step: ChecksumsStep, digests: Mapping[str, Digest]) -> bytes:
    """What `sha256sum` would print for these archives (digests by step id), and for those of earlier runs that this one
    was not asked for, as long as nobody but goctl wrote to them.
    """
    found = dict(zip(step.names, (digests[need] for need in step.needs), strict=True))
    ledger = Ledger(host.memo, host.root, host.scratch, write=False)
    folder = (host.root / step.path).parent
    for name in step.others:
        digest = ledger.untouched(folder / name)
        if digest is not None:
            found[name] = digest
    return "".join(f"{found[name].hex}  {name}\n" for name in sorted(found)).encode()
