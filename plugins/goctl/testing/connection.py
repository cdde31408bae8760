"""One connection to the fake registry: requests, answers, faults, and who may ask."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from goctl.testing.registry import Fault, Request

if TYPE_CHECKING:
    from goctl.testing.registry import Registry

_ROUTES: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"/v2/?$", "base"),
        (r"/token$", "token"),
        (r"/v2/(?P<repository>.+)/tags/list$", "tags"),
        (r"/v2/(?P<repository>.+)/referrers/(?P<digest>[^/]+)$", "referrers"),
        (r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)$", "manifest"),
        (r"/v2/(?P<repository>.+)/blobs/uploads/?$", "uploads"),
        (r"/v2/(?P<repository>.+)/blobs/uploads/(?P<session>[^/]+)$", "upload"),
        (r"/v2/(?P<repository>.+)/blobs/(?P<digest>[^/]+)$", "blob"),
    )
)
_WRITING: Final = frozenset({"POST", "PUT", "PATCH"})


class Refused(Exception):
    """An error answer (distribution-spec, "Error Codes")."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


class Broken(Exception):
    """The connection is to be ended without an answer."""


class Connection(BaseHTTPRequestHandler):
    """One connection. Bodies are read to their end before anything is answered, so that the connection stays usable."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def registry(self) -> Registry:
        return cast("Any", self.server).registry  # type: ignore[no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded, not printed."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self.fault = self.registry.take_fault(self.command, parts.path, self._announced()) or Fault()
        begun = time.monotonic()
        self._status = self._received = 0
        self._body_read = False
        self._mute = False
        try:
            if self.fault.expire:
                self.registry.expire_tokens()
            self._pause("start")
            if self.fault.status:
                self._drain()
                self.answer(self.fault.status, self.fault.content or b"", self.fault.headers)
            else:
                self._mute = self.fault.lose_response
                self._route(parts.path)
        except Refused as refused:
            self._drain()
            body = json.dumps({"errors": [{"code": refused.code, "message": refused.code.lower().replace("_", " ")}]})
            self.answer(refused.status, body.encode(), {"Content-Type": "application/json", **refused.headers})
        except (Broken, OSError):
            self.close_connection = True
        self.registry.record(
            Request(
                self.command,
                parts.path,
                parts.query,
                self._status,
                self.headers.get("Authorization") or "",
                time.monotonic(),
                begun,
                self._received,
                self.headers.get("Content-Range") or "",
            )
        )
        if not self.close_connection:
            self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _route(self, path: str) -> None:
        for pattern, name in _ROUTES:
            if match := pattern.match(path):
                places = match.groupdict()
                if name != "token":
                    self._authorize(places.get("repository"))
                method = "GET" if self.command == "HEAD" else self.command
                verb = getattr(self, f"_{method.lower()}_{name}", None)
                if verb is None:
                    raise Refused(405, "UNSUPPORTED")
                verb(**places)
                return
        raise Refused(404, "NAME_UNKNOWN")

    # Requests and answers

    def body(self) -> Iterator[bytes]:
        """The request's body in pieces, as long as announced, or chunked. A fault may cut it."""
        self._body_read = True
        left = self.fault.cut if self.fault.cut is not None and self.command in _WRITING else None
        for number, part in enumerate(self._pieces()):
            if number == 1:
                self._pause("request")
            if left is not None and len(part) >= left:
                raise Broken
            left = None if left is None else left - len(part)
            yield part

    def _pieces(self) -> Iterator[bytes]:
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            # Small pieces where a fault counts bytes.
            part = self.rfile.read(min(size, 2**18 if self.fault.cut is None and not self.fault.delay else 1024))
            if not part:
                raise Broken
            size -= len(part)
            self._received += len(part)
            yield part

    def _announced(self) -> int | None:
        """The length of the body of a request that writes; None where it is not said, or not to be cut."""
        length = self.headers.get("Content-Length") or ""
        return int(length) if self.command in _WRITING and length.isdigit() else None

    def _pause(self, at: str) -> None:
        if self.fault.delay and self.fault.at == at:
            time.sleep(self.fault.delay)

    def _drain(self) -> None:
        if not self._body_read:
            for _ in self.body():
                pass

    def answer(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """An answer with a small body."""
        self.head(status, len(content), headers)
        if content:
            self.send_part(content, 0)

    def head(self, status: int, size: int, headers: Mapping[str, str] | None = None) -> None:
        self._drain()
        if self._mute:
            raise Broken
        self._status = status
        self.send_response(status)
        if self.fault.delay and self.fault.at == "headers":
            self.flush_headers()
            self.wfile.flush()
            self._pause("headers")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def send_part(self, content: bytes, sent: int) -> None:
        """A piece of a body, after `sent` bytes; a fault may spoil it, wait in it, or cut it."""
        if self.command == "HEAD":
            return
        fault = self.fault
        if fault.corrupt is not None and sent <= fault.corrupt < sent + len(content):
            at = fault.corrupt - sent
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        if fault.delay and fault.at == "body" and not sent:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._pause("body")
            content = content[len(content) // 2 :]
        if fault.cut is not None and self.command not in _WRITING and sent + len(content) > fault.cut:
            self.wfile.write(content[: max(0, fault.cut - sent)])
            self.wfile.flush()
            raise Broken
        # The last byte stays in the buffer until the request is recorded: who has the whole answer finds it there.
        self.wfile.write(content[:-1])
        self.wfile.write(content[-1:])

    # Who asks

    def _authorize(self, repository: str | None) -> None:
        registry = self.registry
        if not registry.auth:
            return
        scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
        action = "pull" if self.command in ("GET", "HEAD") else "delete" if self.command == "DELETE" else "push"
        needed = f"repository:{repository}:{action}" if repository else ""
        if registry.auth == "basic":
            if scheme == "Basic" and self._is_login(value):
                return
            challenge = 'Basic realm="registry"'
        else:
            if scheme == "Bearer" and registry.use_token(value, needed):
                return
            realm = registry.realm or f"http://{registry.address}/token"
            scope = needed.replace(":push", ":pull,push")
            challenge = f'Bearer realm="{realm}",service="registry"' + (f',scope="{scope}"' if scope else "")
        raise Refused(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})

    def _is_login(self, encoded: str) -> bool:
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return secrets.compare_digest(pair, f"{self.registry.username}:{self.registry.password}")

    def _get_token(self) -> None:
        scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if scheme != "Basic" or not self._is_login(value):
            raise Refused(401, "UNAUTHORIZED")
        self._give_token("token", self.query.get("scope", []))

    def _post_token(self) -> None:
        form = parse_qs(b"".join(self.body()).decode())
        known = self.registry.identity_token
        if not known or form.get("refresh_token") != [known] or form.get("grant_type") != ["refresh_token"]:
            raise Refused(401, "UNAUTHORIZED")
        self._give_token("access_token", form.get("scope", [""])[0].split())

    def _give_token(self, name: str, scopes: list[str]) -> None:
        token = self.registry.issue_token(frozenset(scopes))
        self.answer(200, json.dumps({name: token, "expires_in": 300}).encode(), {"Content-Type": "application/json"})

    def _get_base(self) -> None:
        self.answer(200, b"{}", {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"})
