"""Listeners: events in; a console, plain lines or JSON lines out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Protocol, TextIO

from goctl.events import Event


class Reporter(Protocol):
    """A listener. `emit` is called from any thread; after `close` the terminal is as it was."""

    def emit(self, event: Event) -> None: ...

    def close(self) -> None: ...


def reporter(
    *,
    json: bool = False,
    out: TextIO | None = None,
    aside: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Reporter:
    """The listener that fits where the output goes: JSON lines on request, live progress on a terminal, else plain lines.

    With `aside` all goes to stderr but for documents, which others read from stdout.
    """
    if aside and not json:
        from goctl.report.aside import Aside

        return Aside(reporter(out=sys.stderr, environment=environment), out or sys.stdout)
    out = out or sys.stdout
    if json:
        from goctl.report.jsonlines import JsonLines

        return JsonLines(out)
    if is_live(out, environment):
        from goctl.report.live import Live

        return Live(out)
    from goctl.report.plain import Plain

    return Plain(out)


def is_live(out: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether somebody watches: a terminal that can move its cursor, and no CI system (they all set CI)."""
    return out.isatty() and not environment.get("CI") and environment.get("TERM") != "dumb"
