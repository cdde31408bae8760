from __future__ import annotations

import email.utils
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from goctl.errors import Interrupted
from goctl.system import http as door
from goctl.system.addresses import is_loopback, leads_inward
from goctl.system.http import Http
from goctl.system.patience import Patience, TooLong, retry_after
from goctl.system.proxies import proxy_for
from goctl.system.tls import Trust
from goctl.system.transport import TransportError

NOW = 1_800_000_000.0


def date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 400}, 1e9),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\u0663"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
        ({"Retry-After": date(NOW + 30)}, 30),
        ({"Retry-After": date(NOW - 30)}, 0),
        ({"Retry-After": date(NOW + 86400 + 30), "Date": date(NOW + 86400)}, 30),
        ({"Retry-After": "Fri, 31 Feb 2026 99:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers, seconds):
    assert retry_after(headers, NOW) == seconds


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_place_stays_closed_as_long_as_it_asked():
    clock = Clock()
    patience = Patience(clock=clock, sleep=clock.sleep)
    patience.note("a", {"Retry-After": "5"})
    patience.note("a", {"Retry-After": "2"})
    patience.admit("b")
    assert clock.now == 0
    patience.admit("a")
    assert 5 <= clock.now <= 5.6


def test_too_long_a_wait_is_not_begun():
    clock = Clock()
    patience = Patience(clock=clock, sleep=clock.sleep)
    patience.note("a", {"Retry-After": "3600"})
    with pytest.raises(TooLong):
        patience.admit("a")
    assert clock.now == 0


def test_backing_off_grows_with_jitter_and_has_an_end():
    def waits(attempt: int) -> list[float]:
        found = []
        for _ in range(200):
            clock = Clock()
            Patience(clock=clock, sleep=clock.sleep).back_off(attempt)
            found.append(clock.now)
        return found

    for attempt, most in ((0, 0.25), (3, 2.0), (11, 15.0)):
        found = waits(attempt)
        assert 0.8 * most < max(found) <= most + 0.001
        assert min(found) < 0.2 * most


def test_waiting_ends_with_the_run():
    clock = Clock()

    def check() -> None:
        if clock.now > 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        Patience(check=check, clock=clock, sleep=clock.sleep).pause(60)
    assert clock.now < 1.3


@pytest.mark.parametrize(("met", "tries"), [(False, 3), (True, 7)])
def test_who_was_never_there_is_not_waited_for_long(met, tries):
    """A registry that is down for good ends a release in seconds; one that restarts while it is used is waited for."""
    waits = []
    patience = Patience(7, sleep=lambda _: None)
    patience.back_off = waits.append
    client = Http(patience)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    address = f"http://127.0.0.1:{server.server_address[1]}/v2/"
    if met:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert client.request("GET", address).status == 501
    server.server_close()
    with pytest.raises(TransportError, match="refused"):
        client.request("GET", address)
    assert waits == list(range(tries))


class Echo(BaseHTTPRequestHandler):
    """Answers as its path says: /status/N, /to/CODE/URL, /slow, /big."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization"), body))
        _, kind, *rest = self.path.split("/", 3)
        status = int(rest[0]) if rest else 200
        content = b"x" * 1000 if kind == "big" else b""
        self.send_response(status)
        if kind == "to":
            self.send_header("Location", rest[1])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as running:
        running.seen = []
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def client():
    clock = Clock()
    made = Http(Patience(3, clock=clock, sleep=clock.sleep))
    yield made
    for pool in made._pools.values():
        pool.clear()


def at(server: ThreadingHTTPServer, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_address[1]}{path}"


LOGIN = {"Authorization": "Basic c2VjcmV0"}


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirected_upload_keeps_method_body_and_on_the_same_host_the_login(server, client, code):
    response = client.request("PUT", at(server, f"/to/{code}//status/201"), headers=LOGIN, body=b"content")
    assert response.status == 201
    assert server.seen[1] == ("PUT", "/status/201", LOGIN["Authorization"], b"content")


@pytest.mark.parametrize("code", [301, 302, 303])
def test_an_upload_never_turns_into_a_get(server, client, code):
    assert client.request("PUT", at(server, f"/to/{code}//status/200"), body=b"content").status == code
    assert len(server.seen) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_login_stays_with_its_host(server, client, code):
    elsewhere = at(server, "/status/200", "localhost")
    assert client.request("GET", at(server, f"/to/{code}/{elsewhere}"), headers=LOGIN).url == elsewhere
    assert [seen[2] for seen in server.seen] == [LOGIN["Authorization"], None]


def test_redirects_end(server, client):
    loop = "/to/307/" + at(server, "/to/307/")
    with pytest.raises(TransportError, match="more than 5"):
        client.request("GET", at(server, loop + loop * 8), headers=LOGIN)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.com/", "http://", "https://[bad/", "http://a:99999/"]
)
def test_a_redirect_to_no_web_address_is_refused(server, client, target):
    with pytest.raises(TransportError):
        client.request("GET", at(server, f"/to/307/{target}"))


def test_a_public_host_leads_nowhere_inside():
    for inside in (
        "http://169.254.169.254/",
        "http://127.0.0.1/",
        "https://10.1.2.3/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
    ):
        with pytest.raises(TransportError, match="not public"):
            door._headers_after("GET", "https://93.184.216.34/", inside, dict(LOGIN))
    assert door._headers_after("GET", "https://93.184.216.34/", "https://1.1.1.1/", dict(LOGIN)) == {}
    assert door._headers_after("GET", "https://1.1.1.1/", "http://1.1.1.1/", dict(LOGIN)) == {}
    with pytest.raises(TransportError, match="plain http"):
        door._headers_after("PUT", "https://1.1.1.1/", "http://1.1.1.1/", dict(LOGIN))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "a.localhost", "LOCALHOST."])
def test_this_machine_is_known_by_its_spelling(host):
    assert is_loopback(host)


def test_other_machines_are_not_this_one():
    assert not any(is_loopback(host) for host in ("localhost.example.com", "10.0.0.1", "128.0.0.1", "example.com", ""))
    assert leads_inward("93.184.216.34", "127.1")
    assert not leads_inward("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_temporary_answers_are_asked_for_again_as_often_as_told(server, client, status):
    opened = []

    def content():
        import io

        opened.append(1)
        return io.BytesIO(b"content")

    response = client.request("POST", at(server, f"/status/{status}"), headers={"Content-Length": "7"}, body=content)
    assert response.status == status
    assert [seen[3] for seen in server.seen] == [b"content"] * 4
    assert len(opened) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
def test_other_answers_are_final(server, client, status):
    assert client.request("GET", at(server, f"/status/{status}")).status == status
    assert len(server.seen) == 1


def test_an_answer_too_large_for_memory_is_left(server, client, monkeypatch):
    monkeypatch.setattr(door.Response.load, "__defaults__", (999,))
    with pytest.raises(TransportError, match="larger"):
        client.request("GET", at(server, "/big"))


def test_a_broken_off_stream_does_not_spoil_the_next_request(server, client):
    response = client.request("GET", at(server, "/big"), stream=True)
    next(response.chunks(10))
    response.close()
    assert client.request("GET", at(server, "/status/204")).status == 204


def test_plain_http_makes_no_tls(server, client, monkeypatch):
    monkeypatch.setattr(door, "context", lambda *_, **__: pytest.fail("TLS for plain http"))
    assert client.request("HEAD", at(server, "/status/200")).status == 200


def test_certificates_that_cannot_be_read_are_named(tmp_path):
    wrong = tmp_path / "corp.pem"
    wrong.write_text("none")
    for path in (wrong, tmp_path / "gone.pem"):
        with pytest.raises(TransportError, match=path.name):
            Http(trust=Trust((path,))).request("GET", "https://registry.example.com/")


def test_proxies_come_from_the_environment(monkeypatch):
    assert proxy_for("https", "r.example.com", 443) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://upper.example.com:3128")
    assert proxy_for("https", "r.example.com", 443) == "http://upper.example.com:3128"
    monkeypatch.setenv("https_proxy", "lower.example.com:3128")
    monkeypatch.setenv("NO_PROXY", ".corp.example.com,10.0.0.0/8,one.example.com:8443")
    assert proxy_for("https", "r.example.com", 443) == "http://lower.example.com:3128"
    for host, port in (
        ("a.corp.example.com", 443),
        ("10.2.3.4", 443),
        ("one.example.com", 8443),
        ("localhost", 443),
        ("::1", 1),
    ):
        assert proxy_for("https", host, port) is None
    assert proxy_for("https", "one.example.com", 443)
    assert proxy_for("http", "r.example.com", 80) is None


def test_a_request_goes_through_its_proxy(server, client, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:pa%20ss@127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr(Echo, "answer", None)
    seen = []

    def answer(self) -> None:
        seen.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_response(204)
        self.end_headers()

    monkeypatch.setattr(Echo, "do_GET", answer)
    assert client.request("GET", "http://r.example.com/v2/").status == 204
    assert seen == [("http://r.example.com/v2/", "Basic dXNlcjpwYSBzcw==")]
