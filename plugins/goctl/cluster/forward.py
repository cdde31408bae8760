"""A Service of the cluster as an address on this machine, by way of the API server: what a smoke test asks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from goctl.cluster.api import Api
from goctl.cluster.manifests import Key
from goctl.errors import ClusterError

#: Headers of a request that go on; a login is the API server's, and no program's.
_PASSED = ("accept", "content-type", "user-agent")


@contextlib.contextmanager
def forwarded(api: Api, service: Key, port: int) -> Iterator[str]:
    """The URL that leads to a port of a Service, for as long as this lasts; for HTTP without a login."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Says nothing."""

        def _pass(self) -> None:
            address = urlsplit(self.path)
            if ".." in unquote(unquote(address.path)).replace("\\", "/").split("/"):
                self._answer(400, "text/plain", b"no way up\n")  # it would lead to other objects of the API server
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name in _PASSED if (value := self.headers.get(name))}
            try:
                self._answer(*api.through(service, port, self.command, self.path, headers, body))
            except ClusterError as error:
                self._answer(502, "text/plain", f"{error}\n".encode())

        def _answer(self, code: int, kind: str, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names are http.server's

    with _serving(Handler) as own:
        yield f"http://127.0.0.1:{own}"


@contextlib.contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server on this machine, for as long as this lasts; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="forward", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
