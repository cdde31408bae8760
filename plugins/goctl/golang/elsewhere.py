"""What other machines compiled, for one go build: whether it is asked for, and what becomes of a build that lost it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from goctl.contracts import PART, CompileCache, Host, Served
from goctl.golang.environment import cache_folder, effective
from goctl.golang.versions import meets
from goctl.plan.goenv import ACTIONS_FLAG
from goctl.plan.model import CompileStep
from goctl.system.process import Completed
from goctl.values import from_json, name_of

#: The first go that asks a program for what it has compiled (it could before, as an experiment with other words).
_SINCE = ">=1.24"


def built(
    host: Host,
    cache: CompileCache | None,
    steps: Sequence[CompileStep],
    environment: Mapping[str, str],
    scratch: Path,
    build: Callable[[Mapping[str, str], Sequence[str]], Completed],
) -> Completed:
    """Runs a go build with what a cache has, where that is of use. Where the cache is lost meanwhile, builds without it.

    `build` is handed the environment and flags; `scratch` is a folder for what go tells of its work.
    """
    served = None if cache is None else _serve(host, cache, steps, environment)
    if served is None:
        return build(environment, ())
    told = scratch / "actions.json"
    try:
        completed = build({**environment, **served.environment}, (f"{ACTIONS_FLAG}={told}",))
    except BaseException:
        served.end(well=False)
        raise
    served.end(well=completed.code == 0, parts=parts(told))
    if completed.code and ("GOCACHEPROG" in completed.errors or ACTIONS_FLAG in completed.errors):
        # A later go may not know the flag.
        # What it had compiled is in go's own cache.
        return build(environment, ())
    return completed


class _Action(msgspec.Struct, rename="pascal"):
    """One of go's actions (cmd/go/internal/work, actionJSON)."""

    id: int = msgspec.field(name="ID")
    action_id: str = msgspec.field(name="ActionID", default="")
    mode: str = ""
    package: str = ""
    deps: list[int] = []


def parts(file: Path) -> dict[str, frozenset[bytes]] | None:
    """Of each program that go linked, or found linked, the packages that it is made of: the first bytes of their actions'
    ids. None where the file does not tell."""
    try:
        actions = {action.id: action for action in from_json(file.read_bytes(), list[_Action])}
        return {
            action.package: frozenset(_head(own) for dep in action.deps if (own := actions[dep].action_id))
            for action in actions.values()
            if action.mode == "link"
        }
    except (OSError, ValueError, KeyError):
        return None


def _head(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)[:PART]


def _serve(host: Host, cache: CompileCache, steps: Sequence[CompileStep], environment: Mapping[str, str]) -> Served | None:
    toolchain = host.toolchain()
    folder = cache_folder(environment)
    # A person's own program comes first; and who has go verify what it keeps means what go itself reads.
    if folder is None or effective("GOCACHEPROG", environment) or "gocacheverify=1" in effective("GODEBUG", environment):
        return None
    if not meets(toolchain.version, _SINCE):
        return None
    return cache.begin(folder, toolchain.goroot, kind_of(toolchain.version, steps[0]), programs_of(steps))


def kind_of(toolchain: str, step: CompileStep) -> str:
    """What is equal for programs whose packages are compiled alike, by that `toolchain`."""
    # Flags of the linker change nothing that go keeps.
    flags = [flag for flag in step.flags if not flag.startswith(("-ldflags", "--ldflags"))]
    # Nor does the module: what others import too is compiled once for all.
    return name_of(toolchain, str(step.platform), step.cgo, *flags, *(f"{k}={v}" for k, v in step.env))


def programs_of(steps: Iterable[CompileStep]) -> dict[str, str]:
    """Programs by import path, each with what covers all that it is made from."""
    return {step.import_path: str(step.input) for step in steps}
