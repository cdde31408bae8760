"""Sending one blob: mounted where it may be, whole where that goes well, in pieces where it does not.

One request with the whole content is the fastest way, and the one that every registry knows. When it breaks, the session is
asked how much of it arrived, and the rest follows in pieces; after another break at most one piece is sent again. A host
that keeps nothing of a broken request, or refuses one for its size, is sent pieces from the start from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from goctl.errors import RegistryError, StorageError
from goctl.registry import sessions
from goctl.registry.client import Client
from goctl.registry.journal import Journal
from goctl.registry.sessions import Session
from goctl.values import Descriptor, Digest

if TYPE_CHECKING:
    from goctl.system.sending import FilePart

Tick = Callable[[int], None]

#: Bytes of a piece. What is no larger is sent whole whatever happens.
PIECE: Final = 8 * 2**20
#: Bytes between two looks at whether the run is to end.
_AT_ONCE: Final = 2**20
#: Where a proxy finds pieces too large, they are halved down to this.
LEAST: Final = 2**20


class Abilities(msgspec.Struct):
    """What was learned of a host: how to send, and in pieces of how many bytes."""

    way: Literal["whole", "pieces", "only-whole"]
    piece: int


def fresh() -> Abilities:
    """What is taken for granted of a host that nothing is known of."""
    return Abilities("whole", PIECE)


class Contents(Protocol):
    """Where blobs are sent from: a BlobStore, or another registry."""

    def open(self, digest: Digest) -> IO[bytes]: ...


class Sending(msgspec.Struct, frozen=True):
    """All that the blobs of one registry share.

    What is sent from the own store is verified by the registry, which must, and by us when it finds fault. With `verify`
    it is hashed on the way too, for contents that nobody has looked at before.
    """

    client: Client
    store: Contents
    journal: Journal
    abilities: Abilities
    verify: bool = False


def send_blob(sending: Sending, repository: str, blob: Descriptor, tick: Tick, sources: tuple[str, ...] = ()) -> int:
    """Brings a blob that a repository lacks into it; the bytes that were sent for it (0: it was mounted).

    `tick` is called with bytes as they are dealt with, negative ones when they have to be sent again. `sources` are other
    repositories of this registry that hold the blob, as far as is known. Raises RegistryError, and StorageError for a blob
    that is not whole.
    """
    upload = _Upload(sending, repository, blob, tick)
    session = upload.earlier()
    for source in () if session is not None else sources:
        mounted, session = sessions.mount(sending.client, repository, blob, source)
        if mounted:
            tick(blob.size)
            return 0
        if session is not None:
            break  # another source would open another session
    return upload.run(session)


class _Upload:
    """One blob on its way. `session.offset` is what the registry has for certain."""

    def __init__(self, sending: Sending, repository: str, blob: Descriptor, tick: Tick) -> None:
        self._client = sending.client
        self._journal = sending.journal
        self._abilities = sending.abilities
        self._repository = repository
        self._blob = blob
        self._content = _Content(sending, blob, tick)
        self._session: Session | None = None
        self._resumed = False
        self._stalls = 0

    def earlier(self) -> Session | None:
        """What an earlier run began, where the registry says that it may be gone on with."""
        if self._blob.size <= PIECE:
            return None
        session = self._journal.unfinished(self._repository, self._blob.digest)
        held = None if session is None else self._ask(session)
        if session is None or not held or held > self._blob.size:
            return None
        session.offset = held
        self._resumed = True
        return session

    def run(self, session: Session | None) -> int:
        attempt, before = 0, 0
        self._session = session
        while True:
            session = self._session or self._open()
            try:
                self._advance(session)
                break
            except RegistryError as error:
                self._stalls += error.stalled
                if session.offset - before >= LEAST:  # an attempt that got on is no failed one
                    attempt, before = 0, session.offset
                if not self._may_try_again(error, session) or attempt >= self._client.patience.retries:
                    self._give_up(error, session)
                    raise
                self._client.patience.back_off(attempt)
                attempt += 1
                if self._has_arrived():
                    break
                self._session = self._after(error, session)
        self._content.tell(self._blob.size)
        if self._blob.size > PIECE:
            self._journal.finished(self._repository, self._blob.digest)
        return self._blob.size

    def _open(self) -> Session:
        self._content.tell(0)
        return sessions.open_session(self._client, self._repository)

    def _advance(self, session: Session) -> None:
        """Sends what lacks. Raises RegistryError."""
        if self._blob.size > PIECE:
            self._journal.began(self._repository, self._blob.digest, session)
        if not session.offset and not self._in_pieces():
            self._put(session, 0)
            return
        piece = max(self._abilities.piece, session.least)
        while session.offset < self._blob.size:
            length = min(piece, self._blob.size - session.offset)
            body = self._content.opener(session.offset, length)
            sessions.patch(self._client, self._repository, session, body, length)
            self._journal.began(self._repository, self._blob.digest, session)
        self._put(session, self._blob.size)

    def _put(self, session: Session, offset: int) -> None:
        left = self._blob.size - offset
        body = self._content.opener(offset, left) if left else None
        sessions.put(self._client, self._repository, session, self._blob, body, left)

    def _in_pieces(self) -> bool:
        return self._abilities.way == "pieces" and self._blob.size > self._abilities.piece

    def _may_try_again(self, error: RegistryError, session: Session) -> bool:
        """Whether another request may end better: a fault that passes, a session that is gone, another way to send."""
        if self._stalls > 1:
            return False
        gone = error.status in (404, 416) or error.code.startswith("BLOB_UPLOAD_")
        muddled = error.code == "DIGEST_INVALID" and self._content.is_whole() and self._resumed
        return error.temporary or gone or muddled or self._learn(error, session)

    def _learn(self, error: RegistryError, session: Session) -> bool:
        """Whether a refusal says that this host is to be sent to in another way."""
        abilities = self._abilities
        if error.status == 413 and self._blob.size > LEAST:
            if abilities.piece == LEAST and self._in_pieces():
                return False
            size = abilities.piece if self._in_pieces() else min(2 * abilities.piece, self._blob.size)
            abilities.way, abilities.piece = "pieces", max(LEAST, size // 2)
        elif error.status in (400, 405, 501) and self._in_pieces() and not session.offset:
            abilities.way = "only-whole"
        else:
            return False
        self._journal.learned(abilities)
        return True

    def _has_arrived(self) -> bool:
        """Whether everything came and only the answer was lost."""
        return self._client.has_blob(self._repository, self._blob, retries=0 if self._stalls else None)

    def _after(self, error: RegistryError, session: Session) -> Session | None:
        """The session to go on with, at the offset the registry names; None for a new one, where that is of no use."""
        sent, large = self._content.told, self._blob.size > self._abilities.piece
        if not large or error.status == 404 or error.code == "DIGEST_INVALID":
            self._resumed = False
            return None
        held = self._ask(session)
        if held is None:
            return None
        if not session.offset <= held <= sent or (error.status == 416 and held == session.offset):
            sessions.cancel(self._client, self._repository, session)
            return None
        if not held and sent > self._abilities.piece and self._abilities.way == "whole":
            self._abilities.way = "pieces"  # what broke was lost to the last byte
            self._journal.learned(self._abilities)
        session.offset = held
        self._resumed = self._resumed or held > 0
        return session

    def _ask(self, session: Session) -> int | None:
        return sessions.ask(self._client, self._repository, session, 0 if self._stalls else None)

    def _give_up(self, error: RegistryError, session: Session) -> None:
        self._content.tell(0)
        if not error.temporary and not error.stalled:
            sessions.cancel(self._client, self._repository, session)


class _Content:
    """A blob to send from anywhere on. `told` is how many bytes the progress says are there."""

    def __init__(self, sending: Sending, blob: Descriptor, tick: Tick) -> None:
        self._check = sending.client.patience.check
        self._store = sending.store
        self._blob = blob
        self._tick = tick
        self._hashed = (0, hashlib.new(blob.digest.algorithm)) if sending.verify else None
        self.told = 0

    def is_whole(self) -> bool:
        """Whether the content is what it should be. Raises StorageError where it is not."""
        if self._hashed is None:
            with self._store.open(self._blob.digest) as file:
                self._compare(_hash_until(file, self._blob.size, self._blob.digest))
        return True

    def tell(self, done: int) -> None:
        if done != self.told:
            self._tick(done - self.told)
            self.told = done

    def opener(self, start: int, length: int) -> Callable[[], _Reader | _Pieces]:
        """A body of `length` bytes, opened anew for each time that it is sent."""
        return lambda: self._open(start, length)

    def _open(self, start: int, length: int) -> _Reader | _Pieces:
        self.tell(start)
        file = self._store.open(self._blob.digest)
        if self._hashed is None:
            return _Pieces(self, file, start, length)
        position, hasher = self._hashed
        if position != start:  # after a break: what is sent no more is read once more
            hasher = _hash_until(file, start, self._blob.digest)
        self._hashed = (start, hasher)
        file.seek(start)
        return _Reader(self, file, start, length, hasher.copy())

    def passed(self, position: int, hasher: hashlib._Hash | None = None) -> None:
        """So much was given away, or is about to be."""
        self._check()
        self.tell(position)
        if position == self._blob.size and hasher is not None:
            self._compare(hasher)

    def _compare(self, hasher: hashlib._Hash) -> None:
        if hasher.hexdigest() != self._blob.digest.hex:
            raise StorageError(f"the blob {self._blob.digest.short} is damaged", hint="run `invoke clean`")

    def read_whole(self, position: int, hasher: hashlib._Hash) -> None:
        """A reader that hashes gave all that it was opened for."""
        self._hashed = (position, hasher)


class _Pieces:
    """A file's bytes, piece by piece, for the kernel to send."""

    def __init__(self, content: _Content, file: IO[bytes], start: int, length: int) -> None:
        self._content = content
        self._file = file
        self._position = start
        self._end = start + length

    def __iter__(self) -> Iterator[FilePart]:
        from goctl.system.sending import FilePart

        while left := self._end - self._position:
            part = FilePart(self._file, self._position, min(left, _AT_ONCE))
            self._position += part.count
            # Told before: what a registry says that it has may be part of what is on its way.
            self._content.passed(self._position)
            yield part

    def close(self) -> None:
        self._file.close()


class _Reader:
    """Exactly as many bytes as announced, or an error: too few would leave both sides waiting for each other. The last ones
    are given away only when the whole has the right digest.
    """

    def __init__(self, content: _Content, file: IO[bytes], start: int, length: int, hasher: hashlib._Hash) -> None:
        self._content = content
        self._file = file
        self._position = start
        self._left = length
        self._hasher = hasher

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left:
            raise StorageError("a blob is shorter than it was", hint="run `invoke clean`")
        if data:
            self._left -= len(data)
            self._position += len(data)
            self._hasher.update(data)
            self._content.passed(self._position, self._hasher)
            if not self._left:
                self._content.read_whole(self._position, self._hasher)
        return data

    def close(self) -> None:
        self._file.close()


def _hash_until(file: IO[bytes], end: int, digest: Digest) -> hashlib._Hash:
    hasher = hashlib.new(digest.algorithm)
    file.seek(0)
    while left := end - file.tell():
        part = file.read(min(left, 2**20))
        if not part:
            raise StorageError(f"the blob {digest.short} is shorter than it was", hint="run `invoke clean`")
        hasher.update(part)
    return hasher
