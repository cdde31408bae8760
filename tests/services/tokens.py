"""A token service as distribution's docs/spec/auth describes it: signed tokens for who knows the password."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenService:
    """Gives out tokens to `user` with `password`, or for the identity token. `asked` holds method and scopes of each."""

    def __init__(
        self, signer: tuple[Path, Path], tls: ssl.SSLContext, *, password: str, identity: str = "", answers: str = "token"
    ) -> None:
        self._certificate = x509.load_pem_x509_certificate(signer[0].read_bytes())
        self._key: Any = serialization.load_pem_private_key(signer[1].read_bytes(), None)
        self.password, self.identity, self.answers = password, identity, answers
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.seconds = 300
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                pair = base64.b64encode(f"user:{service.password}".encode()).decode()
                self._answer(self.headers.get("Authorization") == f"Basic {pair}", query.get("scope", []))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                known = bool(service.identity) and form.get("refresh_token") == [service.identity]
                self._answer(known, form.get("scope", [""])[0].split())

            def _answer(self, known: bool, scopes: list[str]) -> None:
                service.asked.append((self.command, tuple(scopes)))
                content = json.dumps({service.answers: service.sign(scopes)} if known else {"details": "no"}).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    @property
    def realm(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/token"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sign(self, scopes: list[str]) -> str:
        """A token (RFC 7519, ES256) for scopes, good for `seconds`."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        now = int(time.time())
        claims = {"iss": "tests", "sub": "user", "aud": "registry", "jti": secrets.token_hex(8), "access": access}
        claims |= {"iat": now - 60, "nbf": now - 60, "exp": now + self.seconds}
        signed = f"{_text(json.dumps({'typ': 'JWT', 'alg': 'ES256', 'x5c': chain}).encode())}."
        signed += _text(json.dumps(claims).encode())
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
