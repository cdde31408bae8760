"""The go command's side of GOCACHEPROG, as cmd/go/internal/cache/prog.go speaks it, and levels that misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from goctl.errors import StorageError


def id_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def request(number: int, command: str, action: bytes = b"", content: bytes | None = None) -> bytes:
    """A request as go writes it: an object, an empty line, and a body in quotes on a line of its own."""
    fields: dict[str, Any] = {"ID": number, "Command": command}
    if action:
        fields["ActionID"] = base64.b64encode(action).decode()
    if content is not None:
        fields["OutputID"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
        if content:
            fields["BodySize"] = len(content)
    line = json.dumps(fields).encode() + b"\n\n"
    return line + (b'"' + base64.b64encode(content) + b'"\n' if content else b"")


class GoCommand:
    """A go command that has started the program."""

    def __init__(self, command: str) -> None:
        self._program = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number = 0
        self.hello = self.answer()

    def send(self, data: bytes) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(data)
        self._program.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer; an empty one at the end."""
        assert self._program.stdout is not None
        line = self._program.stdout.readline()
        return dict(json.loads(line)) if line else {}

    def ask(self, command: str, action: bytes = b"", content: bytes | None = None) -> dict[str, Any]:
        self._number += 1
        self.send(request(self._number, command, action, content))
        answer = self.answer()
        assert answer.get("ID") == self._number, answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.stdout.close()
        self._program.wait(10)


class Shelf:
    """A level in a folder of a test. `delay` is how long each request takes; `down` has them all fail; `before` is called
    with the space of each."""

    name = "shelf"
    writes = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delay = 0.0
        self.down = False
        self.before: Callable[[str], object] = lambda space: None
        self.hangs = threading.Event()
        self.hangs.set()
        self.requests: list[tuple[str, str, str]] = []

    def read(self, space: str, key: str, most: int) -> bytes | None:
        self._asked("read", space, key)
        path = self.folder / space / key
        return path.read_bytes() if path.exists() and path.stat().st_size <= most else None

    def store(self, space: str, key: str, content: bytes) -> None:
        self._asked("store", space, key)
        path = self.folder / space / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def forget(self, space: str, key: str) -> None:
        self._asked("forget", space, key)
        (self.folder / space / key).unlink(missing_ok=True)

    def _asked(self, *what: str) -> None:
        self.requests.append(what)  # type: ignore[arg-type]
        self.hangs.wait(60)
        self.before(what[1])
        time.sleep(self.delay)
        if self.down:
            raise StorageError("the shelf is down")

    def keys(self, space: str) -> set[str]:
        return {path.name for path in self.folder.joinpath(space).glob("*")}

    def asked(self, verb: str) -> list[tuple[str, str, str]]:
        return [each for each in self.requests if each[0] == verb]
