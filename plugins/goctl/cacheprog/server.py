"""The server that go commands talk to, in the process of the release: a thread for each go command, one for newcomers.

The go command starts a program and speaks with it over its standard streams. That program is `client.py`: it hands both
streams over, which systems with unix sockets can do, and has done its work; elsewhere it passes bytes on, by a port of
this machine that only those may use who know a word from a private file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from goctl.cacheprog.session import Build, Read, Session, Write

#: Whether open files can be handed from one process to another.
HANDS_OVER: Final = hasattr(socket, "send_fds") and hasattr(socket, "AF_UNIX")
#: Requests of all go commands that may wait for a remote level at once.
_WAITING: Final = 32
#: Bytes of a unix socket's path, by the smallest `sun_path` there is (macOS: 104).
_LONGEST_PATH: Final = 100
#: Seconds that a go command's program has to say who it is.
_HANDSHAKE: Final = 10.0
#: Seconds after which a thread of Python lets another one go on. go asks for one thing after the other while it loads
#: packages, and would wait for each until a thread that fetches has had its turn: five milliseconds, by default.
_TURN: Final = 0.0005


class Server:
    """Serves builds by number. `start` it before a go command runs, `close` it after the last one."""

    def __init__(self, *, hands_over: bool = HANDS_OVER) -> None:
        self._hands_over = hands_over
        self._builds: dict[int, Build] = {}
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._waiters = ThreadPoolExecutor(_WAITING, "go-cache-wait")
        self._folder = _private_folder()
        self._word = secrets.token_hex(16)
        self._listener = self._listen()
        self._turn_before = sys.getswitchinterval()
        sys.setswitchinterval(_TURN)
        threading.Thread(target=self._accept, name="go-cache", daemon=True).start()

    def _listen(self) -> socket.socket:
        # sys.platform tells mypy what there is.
        if sys.platform != "win32" and self._hands_over:
            self._address = str(self._folder / "s")
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.bind(self._address)
        else:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.bind(("127.0.0.1", 0))
            self._address = str(self._folder / "word")
            Path(self._address).write_text(f"{made.getsockname()[1]} {self._word}", encoding="ascii")
        made.listen(64)
        return made

    def command(self, number: int, build: Build) -> str | None:
        """GOCACHEPROG for a build; None where its words cannot be written there."""
        with self._lock:
            self._builds[number] = build
        how = "fds" if self._hands_over else "relay"
        client = str(Path(__file__).with_name("client.py"))
        # Without site and the environment python is there in a third of the time.
        return quoted((sys.executable, "-I", "-S", "-E", client, how, self._address, str(number)))

    def close(self) -> None:
        """Takes no more of anybody. A go command that still talks is told with its next request."""
        sys.setswitchinterval(self._turn_before)
        with contextlib.suppress(OSError):
            # A listener that is closed alone goes on waiting.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.end()
        self._waiters.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(connection,), name="go-cache-session", daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError, KeyError):
            connection.settimeout(_HANDSHAKE)
            if sys.platform != "win32" and self._hands_over:
                number, handles, _, _ = socket.recv_fds(connection, 64, 2)
                reader, writer = (os.fdopen(handle, mode, 0) for handle, mode in zip(handles, ("rb", "wb"), strict=True))
                with reader, writer:
                    connection.sendall(b"!")
                    self._serve(int(number), reader.read, writer.write)
            else:
                word, _, said = _line(connection).partition(" ")
                if secrets.compare_digest(word, self._word):
                    connection.settimeout(None)
                    self._serve(int(said), connection.recv, connection.send)

    def _serve(self, number: int, read: Read, write: Write) -> None:
        session = Session(self._builds[number], read, write, self._waiters)
        with self._lock:
            self._sessions.add(session)
        try:
            session.run()
        finally:
            with self._lock:
                self._sessions.discard(session)


def _line(connection: socket.socket) -> str:
    """The first line that somebody says."""
    said = b""
    while not said.endswith(b"\n") and len(said) < 128:
        piece = connection.recv(1)
        if not piece:
            break
        said += piece
    return said.decode("ascii").strip()


def _private_folder() -> Path:
    """A new folder for nobody else, with a path that a socket can have."""
    made = tempfile.mkdtemp(prefix="goctl.")
    if os.name != "nt" and len(made) > _LONGEST_PATH - 2:
        os.rmdir(made)
        made = tempfile.mkdtemp(prefix="goctl.", dir="/tmp")
    return Path(made)


def quoted(words: Sequence[str]) -> str | None:
    """Words as GOCACHEPROG has them (cmd/internal/quoted, Join); None where one cannot be written."""
    made = []
    for word in words:
        sign = "" if word and not any(c in " \t\n\r'\"" for c in word) else next((q for q in "'\"" if q not in word), None)
        if sign is None:
            return None
        made.append(f"{sign}{word}{sign}")
    return " ".join(made)
