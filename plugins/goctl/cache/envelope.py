"""What a level keeps for an entry: a line that says what follows, a header in JSON, a line break, and the content.

The header names space and key, so that content under a wrong name is known for what it is; size and digest, so that
damage shows; when it was stored; and, where the level is signed, an HMAC over all of this. What does not hold on reading is
foreign: it is as good as none, and to be removed.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from goctl.errors import LevelError
from goctl.values import from_json

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC: Final = b"goctl cache 1\n"
#: No header is longer.
_MOST: Final = 4096
PIECE: Final = 1 << 20


class Foreign(Exception):
    """An entry that is damaged, not signed by us, or not what its name says."""


class Header(msgspec.Struct, frozen=True):
    """What stands before the content. `created` is seconds since the epoch; `mac` is empty where nobody signed."""

    space: str
    key: str
    size: int
    sha256: str
    created: float
    mac: str = ""


class Envelope:
    """Content that is sealed for a level, of a file or in memory (contracts.Sealed)."""

    def __init__(self, header: Header, source: Path | bytes, check: Callable[[], None]) -> None:
        self.header = header
        self._head = MAGIC + msgspec.json.encode(header) + b"\n"
        self._source = source
        self._check = check

    @property
    def size(self) -> int:
        return len(self._head) + self.header.size

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Joined(self._head, self._source, self._check), PIECE)


def seal(
    space: str, key: str, source: Path | bytes, secret: bytes = b"", check: Callable[[], None] = lambda: None
) -> Envelope:
    """The envelope of some content; `check` is called while it is read, and may raise.

    Raises Foreign for a blob that is not what its key says: somebody edited the file. LevelError where it cannot be read.
    """
    try:
        with _opened(source) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = source if isinstance(source, Path) else "what is in memory"
        raise LevelError(f"{what} cannot be read: {error.strerror or error}") from error
    if space == "blob" and digest != key:
        raise Foreign
    header = Header(space, key, size, digest, time.time())
    return Envelope(msgspec.structs.replace(header, mac=_mac(header, secret)) if secret else header, source, check)


def unseal(pieces: Iterator[bytes], space: str, key: str, secret: bytes = b"") -> tuple[Header, Iterator[bytes]]:
    """The header of an entry that was asked for by this name, and its content, which raises Foreign at its end when it is
    damaged. Raises Foreign for what is none of ours."""
    head = b""
    for piece in pieces:
        head += piece
        if b"\n" in head[len(MAGIC) :] or len(head) > _MOST:
            break
    text, line, rest = head[len(MAGIC) :].partition(b"\n")
    if not head.startswith(MAGIC) or not line or len(text) > _MOST:
        raise Foreign
    try:
        header = from_json(text, Header)
    except ValueError:
        raise Foreign from None
    if (header.space, header.key) != (space, key):
        raise Foreign
    if secret and not hmac.compare_digest(header.mac, _mac(header, secret)):
        raise Foreign
    return header, _verified(header, rest, pieces)


def _verified(header: Header, first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    hasher = hashlib.sha256(first)
    size = len(first)
    if first:
        yield first
    for piece in pieces:
        size += len(piece)
        if size > header.size:
            raise Foreign
        hasher.update(piece)
        yield piece
    # Content that names itself is compared with its name too.
    expected = header.key if header.space == "blob" else header.sha256
    if size != header.size or hasher.hexdigest() != header.sha256 or header.sha256 != expected:
        raise Foreign


def _mac(header: Header, secret: bytes) -> str:
    plain = msgspec.json.encode(msgspec.structs.replace(header, mac=""))
    return hmac.new(secret, MAGIC + plain, hashlib.sha256).hexdigest()


def _opened(source: Path | bytes) -> io.BytesIO | io.FileIO:
    return io.BytesIO(source) if isinstance(source, bytes) else io.FileIO(source)


class _Joined(io.RawIOBase):
    """A header and content, one after the other. Clients of object stores go to the end and back, to learn the size."""

    def __init__(self, head: bytes, source: Path | bytes, check: Callable[[], None]) -> None:
        self._head = memoryview(head)
        self._check = check
        self._at = 0
        self._file = _opened(source)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._head) + self._file.seek(0, os.SEEK_END)}
        self._at = max(0, start[whence] + offset)
        self._file.seek(max(0, self._at - len(self._head)))
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._check()
        view = memoryview(buffer).cast("B")
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(view)]
            view[: len(part)] = part
            self._at += len(part)
            return len(part)
        count = self._file.readinto(view) or 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
