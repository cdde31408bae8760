"""What a project keeps: content by digest, and what is known by key; and how that reaches other machines."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self, runtime_checkable

import msgspec

from goctl.values import Digest


@runtime_checkable
class BlobWriter(Protocol):
    """A blob in the making: `write` bytes, then `commit`. Left without a commit, it never existed."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Verify, make durable and visible; the digest and the size in bytes."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@runtime_checkable
class BlobStore(Protocol):
    """Content by digest, on this machine."""

    def has(self, digest: Digest, size: int) -> bool:
        """Whether the whole content is there (its size is compared, its digest was when it came in)."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """The content; raises StorageError where it is not there."""
        ...

    def read(self, digest: Digest) -> bytes:
        """A small content, its digest verified."""
        ...

    def add(self, content: bytes) -> Digest: ...

    def writer(self) -> BlobWriter: ...


@runtime_checkable
class Memo(Protocol):
    """What is known about keys: small values by key, kept between runs. A damaged entry is a miss."""

    def get(self, kind: str, key: str) -> bytes | None: ...

    def put(self, kind: str, key: str, value: bytes) -> None: ...


@runtime_checkable
class Sharing(Protocol):
    """A memo whose records reach other checkouts and machines (optional): then it is worth while to write down for them
    what this one knows by other means."""

    def get_many(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Looks for many records at once, by kind and key, so that get() need not wait for each."""
        ...


class CacheLevel(Protocol):
    """One place that keeps entries, named by space and key, for other checkouts and machines.

    A space is `result`, `blob`, `action`, `output`, `module` or `base`; a key lower-case hex or another safe name. All
    methods may be called from several threads, and raise LevelError where the place is down, slow, full, or refuses.
    """

    @property
    def name(self) -> str: ...

    def fetch(self, space: str, key: str, into: Path, *, after: float = 0.0) -> bool:
        """Writes the verified content to a new file; False for a miss. What was stored before `after` (seconds since the
        epoch) is one."""
        ...

    def read(self, space: str, key: str, most: int, *, after: float = 0.0) -> bytes | None:
        """As fetch, into memory: the verified content, of at most so many bytes; None for a miss."""
        ...

    def store(self, space: str, key: str, source: Path | bytes) -> None:
        """Keeps content, of a file or in memory: whole, or not at all."""
        ...

    def forget(self, space: str, key: str) -> None: ...


class Carrier(Protocol):
    """All levels of a run as one (optional): the nearest that has an entry answers, and all that may keep one."""

    def fetch(self, space: str, key: str, into: Path) -> str:
        """Writes the verified content to a new file; the level that had it, or nothing."""
        ...

    def store(self, space: str, key: str, source: Path) -> None:
        """Keeps a file, in the background: it has to stay where it is."""
        ...

    def offer(self, space: str, key: str, source: Path) -> None:
        """As store, but only where there is no such entry."""
        ...


class Sealed(Protocol):
    """Content on its way to a shelf."""

    @property
    def size(self) -> int: ...

    def open(self) -> BinaryIO:
        """The content from its start; may be called again where a request is repeated."""
        ...


class SealedBytes:
    """A Sealed of some bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)


class Shelf(Protocol):
    """Bytes by name: what a level is built on. Names are `SPACE/KEY`. Raises LevelError as a level does."""

    def read(self, name: str) -> Iterator[bytes] | None:
        """The content in pieces; None where there is none."""
        ...

    def write(self, name: str, content: Sealed) -> None: ...

    def remove(self, name: str) -> None:
        """Makes sure that there is none."""
        ...


class Held(msgspec.Struct, frozen=True):
    """An entry that a shelf holds: `size` in bytes, `used` is when it was last read or written, as far as is known."""

    name: str
    size: int
    used: float


@runtime_checkable
class Listing(Protocol):
    """A shelf that can say what it holds (optional)."""

    def held(self) -> Iterator[Held]: ...


@runtime_checkable
class Conditional(Protocol):
    """A shelf that can write a name only where there is none (optional): what leases between machines are made of."""

    def create(self, name: str, content: bytes) -> bool:
        """Whether it was written; False where somebody was first."""
        ...


@runtime_checkable
class Roomy(Protocol):
    """A shelf that knows how much room is left where it is (optional)."""

    def free(self) -> int:
        """Bytes."""
        ...
