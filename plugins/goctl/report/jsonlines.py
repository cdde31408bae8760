"""One JSON object a line, flushed as it is written, for programs that follow a run."""

from __future__ import annotations

import threading
from typing import TextIO

from goctl.events import Event
from goctl.values import to_json


class JsonLines:
    """Writes every event. What is not JSON never reaches its stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        line = to_json(event).decode()
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()

    def close(self) -> None:
        """Nothing is held back."""
