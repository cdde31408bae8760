"""Documents on stdout and nothing else there, for `| kubectl apply -f -`: how they came about is told elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from goctl.events import Document, Event

if TYPE_CHECKING:
    from goctl.report import Reporter


class Aside:
    """Writes documents as they are, and hands other events on."""

    def __init__(self, other: Reporter, out: TextIO) -> None:
        self._other = other
        self._out = out

    def emit(self, event: Event) -> None:
        if isinstance(event, Document):
            self._out.write(event.text if event.text.endswith("\n") else event.text + "\n")
            self._out.flush()
        else:
            self._other.emit(event)

    def close(self) -> None:
        self._other.close()
