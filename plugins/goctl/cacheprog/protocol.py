"""The messages of GOCACHEPROG (cmd/go/internal/cacheprog): JSON values that follow each other, bodies as base64 strings.

The go command writes requests and reads answers, in any order; the first message is the program's, and says what it can do.
Whatever does not follow the protocol raises ProtocolError: nobody knows then where the next message begins.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

#: Bytes of an action's or an output's id.
ID_SIZE: Final = 32
#: Bytes of the longest request, its body aside. Those of the go command have about 200.
LONGEST_REQUEST: Final = 1 << 16
#: Bytes of a body that are decoded at once.
_PIECE: Final = 1 << 18
_BLANK = b" \t\r\n"


class ProtocolError(Exception):
    """What came is no message of the protocol."""


class Request(msgspec.Struct, frozen=True):
    """`Command` is get, put or close; a body of `BodySize` bytes follows a put."""

    ID: int
    Command: str
    ActionID: bytes = b""
    OutputID: bytes = b""
    BodySize: int = 0


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to the request of that ID. `Time` is when the entry was made, RFC 3339."""

    ID: int
    Err: str = ""
    KnownCommands: tuple[str, ...] = ()
    Miss: bool = False
    OutputID: bytes = b""
    Size: int = 0
    Time: str = ""
    DiskPath: str = ""

    def line(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"


HELLO: Final = Response(0, KnownCommands=("get", "put", "close"))

_decoder = msgspec.json.Decoder(Request)


def moment(nanoseconds: int) -> str:
    """A time since the epoch as the protocol writes it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:09d}Z"


class Stream:
    """Requests out of a stream of bytes. `read` is asked for at most so many bytes; none are the end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = bytearray()

    def request(self) -> Request | None:
        """The next request; None at the end. The body of a put is to be read before the next one."""
        line = b""
        while not line:
            end = self._buffer.find(b"\n")
            while end < 0:
                if len(self._buffer) > LONGEST_REQUEST:
                    raise ProtocolError("a request without an end")
                known = len(self._buffer)
                if not self._more():
                    if self._buffer.strip(_BLANK):
                        raise ProtocolError("it ends in the middle of a request")
                    return None
                end = self._buffer.find(b"\n", known)
            line = bytes(self._buffer[:end]).strip(_BLANK)
            del self._buffer[: end + 1]
        try:
            return _checked(_decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"no request: {error}") from None

    def body(self, size: int) -> Iterator[bytes]:
        """The pieces of a body that has `size` bytes. Where one was begun it has to be read to the end."""
        if not size:
            return
        self._expect(b'"')
        left = (size + 2) // 3 * 4
        got = 0
        while left:
            count = min(len(self._buffer), left, _PIECE) & ~3
            if not count:
                if not self._more():
                    raise ProtocolError("it ends in the middle of a body")
                continue
            left -= count
            try:
                piece = binascii.a2b_base64(memoryview(self._buffer)[:count], strict_mode=True)
            except ValueError as error:
                raise ProtocolError(f"a body that is no base64: {error}") from None
            del self._buffer[:count]
            got += len(piece)
            # Padding is the end of a body, and stands nowhere else.
            if (got != size) if not left else (len(piece) != count // 4 * 3):
                raise ProtocolError(f"a body of another size than {size}")
            yield piece
        self._expect(b'"')

    def _expect(self, sign: bytes) -> None:
        while True:
            found = self._buffer.lstrip(_BLANK)
            if found:
                break
            self._buffer.clear()
            if not self._more():
                raise ProtocolError("it ends where a body should be")
        if found[:1] != sign:
            raise ProtocolError("a body that is no text")
        del self._buffer[: len(self._buffer) - len(found) + 1]

    def _more(self) -> bool:
        piece = self._read(_PIECE)
        self._buffer += piece
        return bool(piece)


def _checked(request: Request) -> Request:
    if request.BodySize < 0 or request.ID < 0:
        raise ProtocolError("a number below zero")
    if request.BodySize and request.Command != "put":
        raise ProtocolError("a body of no put")
    return request
