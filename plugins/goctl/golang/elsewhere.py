"""What other machines compiled, for one go build: whether it is asked for, and what becomes of a build that lost it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from goctl.contracts import CompileCache, Host, Served
from goctl.golang.environment import cache_folder, effective
from goctl.golang.modfiles import module_path
from goctl.golang.versions import meets
from goctl.plan.model import CompileStep
from goctl.system.process import Completed

#: The first go that asks a program for what it has compiled (it could before, as an experiment with other words).
_SINCE = ">=1.24"


def built(
    host: Host,
    cache: CompileCache | None,
    steps: Sequence[CompileStep],
    environment: Mapping[str, str],
    build: Callable[[Mapping[str, str]], Completed],
) -> Completed:
    """Runs a go build with what a cache has, where that is of use. Where the cache is lost meanwhile, builds without it."""
    served = None if cache is None else _serve(host, cache, steps, environment)
    if served is None:
        return build(environment)
    try:
        completed = build({**environment, **served.environment})
    except BaseException:
        served.end(well=False)
        raise
    served.end(well=completed.code == 0)
    if completed.code and "GOCACHEPROG" in completed.errors:
        # What it had compiled is in go's own cache.
        return build(environment)
    return completed


def _serve(host: Host, cache: CompileCache, steps: Sequence[CompileStep], environment: Mapping[str, str]) -> Served | None:
    toolchain = host.toolchain()
    folder = cache_folder(environment)
    # A person's own program comes first; and who has go verify what it keeps means what go itself reads.
    if folder is None or effective("GOCACHEPROG", environment) or "gocacheverify=1" in effective("GODEBUG", environment):
        return None
    if not meets(toolchain.version, _SINCE):
        return None
    first = steps[0]
    # Flags of the linker change nothing that go keeps.
    flags = [flag for flag in first.flags if not flag.startswith(("-ldflags", "--ldflags"))]
    module = module_path(str(host.module / "go.mod")) or first.import_path
    kind = (toolchain.version, str(first.platform), first.cgo, module, *flags, *(f"{k}={v}" for k, v in first.env))
    keys = sorted(f"{step.import_path} {step.input}" for step in steps)
    return cache.begin(folder, _digest(kind), _digest(keys))


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:40]
