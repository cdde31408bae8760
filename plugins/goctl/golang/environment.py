"""The environment of a child go: the person's own, without what would make their machine part of the result."""

from __future__ import annotations

import os
from collections.abc import Mapping

from goctl.config.model import Go
from goctl.plan.goenv import VARIANT_VARIABLES, go_environment
from goctl.values import Platform

#: What goctl alone decides.
SCRUBBED = frozenset({"GOOS", "GOARCH", "CGO_ENABLED", "GOBIN", *(name for name, _ in VARIANT_VARIABLES.values())})


def child_environment(go: Go, extra: Mapping[str, str], platform: Platform | None = None) -> dict[str, str]:
    """os.environ for a go command, with `[go]`'s settings, those in `extra`, and the platform's variables."""
    made = {name: value for name, value in os.environ.items() if name not in SCRUBBED}
    if go.proxy:
        made["GOPROXY"] = ",".join(go.proxy)
    if go.private:
        made["GOPRIVATE"] = ",".join(go.private)
    made |= extra
    if platform is not None:
        made |= go_environment(platform)
    return made
