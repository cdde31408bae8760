"""Messages of GOCACHEPROG: read as go writes them, in any pieces; what is none is told apart from the end."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goctl.cacheprog.protocol import HELLO, LONGEST_REQUEST, ProtocolError, Request, Response, Stream, moment
from goctl.cacheprog.server import quoted
from tests.cacheprog.gocommand import id_of, request

ACTION = id_of("action")


def stream(data: bytes, piece: int = 1 << 16) -> Stream:
    source = io.BytesIO(data)
    return Stream(lambda count: source.read(min(count, piece)))


def read(messages: Stream) -> list[tuple[Request, bytes]]:
    found = []
    while (each := messages.request()) is not None:
        found.append((each, b"".join(messages.body(each.BodySize))))
    return found


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=3000)), max_size=6), st.integers(1, 5000))
def test_requests_are_read_in_any_pieces(contents: list[bytes | None], piece: int) -> None:
    sent = [request(n, "get" if content is None else "put", ACTION, content) for n, content in enumerate(contents)]
    found = read(stream(b"".join(sent), piece))
    assert [(each.ID, each.ActionID, body) for each, body in found] == [
        (n, ACTION, content or b"") for n, content in enumerate(contents)
    ]


def test_a_large_body_comes_in_pieces() -> None:
    content = bytes(range(256)) * 10_000
    messages = stream(request(1, "put", ACTION, content))
    made = messages.request()
    assert made is not None
    pieces = list(messages.body(made.BodySize))
    assert len(pieces) > 5
    assert b"".join(pieces) == content


PUT = request(1, "put", ACTION, b"four")


@pytest.mark.parametrize(
    "data",
    [
        b"{}\n",
        b"null\n",
        b"nonsense\n",
        b'{"ID": "1", "Command": "get"}\n',
        b'{"ID": -1, "Command": "get"}\n',
        b'{"ID": 1, "Command": "get", "ActionID": "***"}\n',
        b'{"ID": 1, "Command": "get", "BodySize": 5}\n',
        b'{"ID": 1, "Command": "put", "BodySize": -5}\n',
        b'{"ID": 1, "Command": "put", "BodySize": 99999999999999999999}\n',
        b"[" * 5000 + b"\n",
        b"\xff\xfe\n",
        b'{"ID": 1, "Comm',
        b" " * (LONGEST_REQUEST + 2),
        PUT[:-4],
        PUT[:-1].replace(b'"Zm91cg=="', b'"Zm91cmZvdXI="'),
        PUT.replace(b'"Zm91cg=="', b'"Zm9="'),
        PUT.replace(b'"Zm91cg=="', b'"Zm9*cg=="'),
        PUT.replace(b'"Zm91cg=="', b'"Zg==cg=="'),
        PUT.replace(b'"Zm91cg=="', b"Zm91cg=="),
        PUT.replace(b'"Zm91cg=="', b""),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(stream(data))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        read(stream(data))


def test_answers_say_what_go_reads() -> None:
    assert json.loads(HELLO.line()) == {"ID": 0, "KnownCommands": ["get", "put", "close"]}
    assert json.loads(Response(7, Miss=True).line()) == {"ID": 7, "Miss": True}
    assert Response(1).line().endswith(b"}\n")
    assert moment(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("a", "b"), "a b"),
        (("C:\\x y\\python.exe",), "'C:\\x y\\python.exe'"),
        (("it's",), '"it\'s"'),
        (("",), "''"),
        (("'\"",), None),
    ],
)
def test_words_are_quoted_as_go_reads_them(words: tuple[str, ...], text: str | None) -> None:
    assert quoted(words) == text
