"""A server of files for tests: GET, PUT, DELETE and, where it is asked to be strict, MKCOL, as WebDAV has them."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """`strict` refuses to write into a folder that nobody made; `status` is what every request is answered with instead;
    `delay` is waited before an answer, in seconds; `requests` are method and path."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of those who have read enough, and hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.strict = False
        self.status = 0
        self.delay = 0.0
        self.authorization = ""
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def _begin(self) -> Path | None:
        server = self.server
        server.requests.append((self.command, self.path))
        time.sleep(server.delay)
        if server.authorization and self.headers.get("Authorization") != server.authorization:
            self._answer(401)
            return None
        if server.status:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(server.status)
            return None
        return server.folder / self.path.strip("/")

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked has gone
            self.wfile.write(content)

    def do_GET(self) -> None:
        path = self._begin()
        if path is not None:
            self._answer(200, path.read_bytes()) if path.is_file() else self._answer(404)

    def do_PUT(self) -> None:
        path = self._begin()
        if path is None:
            return
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not path.parent.is_dir():
            if self.server.strict:
                self._answer(409)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._answer(201)

    def do_DELETE(self) -> None:
        path = self._begin()
        if path is not None:
            there = path.is_file()
            if there:
                path.unlink()
            self._answer(204 if there else 404)

    def do_MKCOL(self) -> None:
        path = self._begin()
        if path is not None:
            self._answer(405 if path.is_dir() else 409 if not path.parent.is_dir() else 201)
            path.mkdir(exist_ok=True)


def wipe(server: Server) -> None:
    shutil.rmtree(server.folder)
    server.folder.mkdir()
