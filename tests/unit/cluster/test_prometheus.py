"""A Prometheus query as a judge: what passes, and what of all that it may answer does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from goctl.cluster.judging import Trial
from goctl.cluster.manifests import Key
from goctl.cluster.prometheus import Query, judge
from goctl.errors import ClusterError
from goctl.system.http import Http

TRIAL = Trial("api", Key("apps/v1", "Deployment", "shop", "api-0123456789"), "0123456789", 10)


class Server:
    """Answers each query with what the test says, as Prometheus does."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                """Says nothing."""

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                outer.asked.append((parse_qs(address.query)["query"][0], self.headers.get("Authorization")))
                code, content = outer.answer if address.path == "/prom/api/v1/query" else (404, b"")
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/prom/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def says(self, *values: str, kind: str = "vector") -> None:
        result: Any = [{"metric": {}, "value": [1.5, value]} for value in values]
        result = [1.5, values[0]] if kind == "scalar" else result
        data = {"resultType": kind, "result": result}
        self.answer = (200, json.dumps({"status": "success", "data": data}).encode())


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def ask(server: Server, text: str = "errors", **bounds: Any) -> None:
    judge(Http(), Query(url=server.url, text=text, **({"at_most": 0.5} | bounds)), TRIAL)


def test_what_is_within_its_bounds_passes(server: Server) -> None:
    server.says("0.5", "0")
    ask(server)
    ask(server, at_most=None, at_least=0.0)
    server.says("0.25", kind="scalar")
    ask(server, at_least=0.25)


def test_the_query_names_the_version_and_the_token_goes_along(server: Server) -> None:
    server.says("0")
    ask(server, '{v="$version",d="$deployment",n="$name",s="$namespace",r=~"a$"}', token=lambda: "secret-1")
    expected = '{v="0123456789",d="api-0123456789",n="api",s="shop",r=~"a$"}'
    assert server.asked == [(expected, "Bearer secret-1")]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("0.1", "0.6"), r"errors is 0\.6, more than 0\.5"),
        (("+Inf",), "is inf, more than"),
        (("0.1", "0.05"), r"errors is 0\.05, less than 0\.1"),
        (("NaN",), "errors is no number"),
        ((), "errors finds nothing"),
    ],
)
def test_what_is_not_does_not(server: Server, values: tuple[str, ...], said: str) -> None:
    server.says(*values)
    with pytest.raises(ClusterError, match=said):
        ask(server, at_least=0.1)


@pytest.mark.parametrize(
    ("code", "content", "said"),
    [
        (
            400,
            b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected }"}',
            "400 to errors: parse error",
        ),
        (200, b'{"status":"error","error":"late"}', "late"),
        (401, b"<html>", "answers 401"),
        (200, b"", "answers 200 to errors: no reason given"),
        (200, b"[" * 10_000, "no reason given"),
        (200, b'{"status":"success"}', "is none of Prometheus"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "finds a matrix"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"value":[1]}]}}', "no value"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}', "no value"),
        (200, b'{"status":"success","data":{"resultType":"scalar","result":5}}', "no value"),
    ],
)
def test_what_is_no_answer_does_not_either(server: Server, code: int, content: bytes, said: str) -> None:
    server.answer = (code, content)
    with pytest.raises(ClusterError, match=said):
        ask(server)


def test_a_server_that_is_not_there_does_not_either(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goctl.cluster.prometheus.RETRIES", 0)
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(ClusterError, match="Prometheus does not answer"):
        ask(server)
