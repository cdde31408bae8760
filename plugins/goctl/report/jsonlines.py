"""One JSON object a line, flushed as it is written, for programs that follow a run."""

from __future__ import annotations

import threading
from typing import TextIO

import msgspec

from goctl.events import Event
from goctl.values import to_json


class JsonLines:
    """Writes every event. What is not JSON never reaches its stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        line = self._line(event)
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()

    def _line(self, event: Event) -> str:
        try:
            line = to_json(event).decode()
            line.encode(self._out.encoding or "utf-8")
        except UnicodeEncodeError:
            # A stream that is not UTF-8 (Windows, when piped), or a file's name that is no text: escapes are JSON too.
            import json

            return json.dumps(msgspec.to_builtins(event, enc_hook=lambda raw: json.loads(bytes(raw))))
        return line

    def close(self) -> None:
        """Nothing is held back."""
