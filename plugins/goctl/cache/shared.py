"""The project's own store, with the levels of the cache behind it: what it lacks is looked for there, and what it is given
goes there too.

Records are shared only where their key covers all that the value depends on; `stat` records and the like stay at home.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from goctl.cache.chain import READERS, Chain
from goctl.cache.store import Blobs, Records, Writer, record_name
from goctl.values import Digest, from_json

#: The records that other checkouts and machines may use.
SHARED: Final = frozenset({"compile", "image", "layer", "base", "archive", "listing", "fields", "identity"})


class Labels(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """What is told of a result besides: by what it can be invalidated, and the seconds that it took."""

    project: str = ""
    target: str = ""
    platform: str = ""
    toolchain: str = ""
    seconds: float = 0.0


class Result(msgspec.Struct, frozen=True):
    """A record as levels keep it."""

    kind: str
    value: bytes
    labels: Labels = Labels()


def result_key(kind: str, key: str) -> str:
    """The key of a record in the space `result`."""
    return result_key_of(kind, record_name(key))


def result_key_of(kind: str, name: str) -> str:
    """The same, of a record by the name of its file."""
    return hashlib.sha256(f"{kind} {name}".encode()).hexdigest()


class SharedRecords:
    """contracts.Memo: the project's records, and the levels for those that can be shared."""

    def __init__(self, own: Records, chain: Chain) -> None:
        self._own = own
        self._chain = chain
        self._guard = threading.Lock()
        self._absent: set[tuple[str, str]] = set()
        #: What came from a level in this run: its name and what was told, by kind and key.
        self.found: dict[tuple[str, str], tuple[str, Labels]] = {}

    def get(self, kind: str, key: str) -> bytes | None:
        value = self._own.get(kind, key)
        if value is not None or kind not in SHARED:
            return value
        with self._guard:
            if (kind, key) in self._absent:
                return None
        result = self._look(kind, key)
        if result is None:
            with self._guard:
                self._absent.add((kind, key))
            return None
        self._own.put(kind, key, result.value)
        return result.value

    def get_many(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Looks for many at once, so that get() need not wait for each."""
        lacking = [pair for pair in wanted if pair[0] in SHARED and self._own.get(*pair) is None]
        if len(lacking) > 1:
            with ThreadPoolExecutor(min(READERS, len(lacking)), "levels") as pool:
                list(pool.map(lambda pair: self.get(*pair), lacking))

    def put(self, kind: str, key: str, value: bytes) -> None:
        self.publish(kind, key, value, Labels())

    def publish(self, kind: str, key: str, value: bytes, labels: Labels) -> None:
        """As put, and says more of it to others."""
        self._own.put(kind, key, value)
        if kind in SHARED:
            with self._guard:
                self._absent.discard((kind, key))
            self._chain.store("result", result_key(kind, key), msgspec.json.encode(Result(kind, value, labels)))

    def look_again(self, kind: str, key: str) -> bytes | None:
        """As get, although it was not there a moment ago."""
        with self._guard:
            self._absent.discard((kind, key))
        return self.get(kind, key)

    def count(self, kind: str, key: str) -> None:
        """Credits the level that a record came from with what making the thing took. Once for each record."""
        with self._guard:
            name, labels = self.found.pop((kind, key), ("", Labels()))
        if name:
            self._chain.saved(name, labels.seconds, f"{labels.project}:{labels.target}")

    def forget(self, kind: str, key: str) -> None:
        """As if it had never been known: here and in the levels."""
        self._own.forget(kind, key)
        self._chain.forget("result", result_key(kind, key))

    def _look(self, kind: str, key: str) -> Result | None:
        answer = self._chain.read("result", result_key(kind, key))
        if answer is None:
            return None
        try:
            result = from_json(answer[0], Result)
        except ValueError:
            return None
        if result.kind != kind:
            return None
        with self._guard:
            self.found[kind, key] = (answer[1], result.labels)
        return result


class SharedBlobs(Blobs):
    """contracts.BlobStore: the project's blobs, and what the levels have. What is asked for and is not here is brought."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        super().__init__(folder)
        self._chain = chain
        self._absent: set[str] = set()

    def has(self, digest: Digest, size: int) -> bool:
        return self.has_here(digest, size) or self._bring(digest, size)

    def writer(self) -> Writer:
        self._make()
        return _Telling(self._folder, self._fresh, self._told)

    def _told(self, digest: Digest) -> None:
        self._absent.discard(digest.hex)
        self._chain.store("blob", digest.hex, self.path(digest))

    def _bring(self, digest: Digest, size: int) -> bool:
        if digest.algorithm != "sha256" or digest.hex in self._absent or not self._chain.reads:
            return False
        if self._chain.fetch("blob", digest.hex, self.path(digest)) and super().has(digest, size):
            self._fresh.add(digest.hex)
            return True
        self._absent.add(digest.hex)
        return False


class _Telling(Writer):
    """A writer that says which blob is there."""

    def __init__(self, folder: Path, fresh: set[str], told: Callable[[Digest], None]) -> None:
        super().__init__(folder, fresh)
        self._told = told

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        made = super().commit(expected)
        self._told(made[0])
        return made
