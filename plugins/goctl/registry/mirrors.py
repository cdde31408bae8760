"""Reading by way of mirrors: asked in order, believed only as far as a digest goes, and the registry itself at the end.

What a tag names is looked up in the same order. From then on it is pinned by digest, and no mirror can change it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from goctl.contracts import BlobStore, Host
from goctl.errors import RegistryError
from goctl.events import Emit, Notice
from goctl.registry.client import Client, connect, table_of
from goctl.values import Descriptor

T = TypeVar("T")

#: How often a mirror is asked again: there is another place to ask.
RETRIES: Final = 1


class Source(Protocol):
    """Where manifests and blobs are read from: a client does, and so does a registry with its mirrors."""

    def get_manifest(self, repository: str, reference: str) -> bytes | None: ...

    def fetch_blob(self, repository: str, blob: Descriptor, store: BlobStore, progress: Callable[[int], None]) -> None: ...


class _Mirror(msgspec.Struct, frozen=True):
    """A mirror, and what stands before the names of repositories there."""

    client: Client
    prefix: str

    @property
    def name(self) -> str:
        return f"{self.client.host}/{self.prefix}".rstrip("/")


class Mirrored:
    """A registry behind its mirrors. Safe to use from several threads."""

    def __init__(self, origin: Client, mirrors: Sequence[_Mirror], emit: Emit) -> None:
        self._origin = origin
        self._mirrors = mirrors
        self._emit = emit
        self._guard = threading.Lock()
        self._told: set[str] = set()
        self._silent: set[str] = set()

    def get_manifest(self, repository: str, reference: str) -> bytes | None:
        """As Client.get_manifest: from the first that has it."""

        def read(client: Client, name: str) -> bytes | None:
            return client.get_manifest(name, reference)

        return self._first(repository, read)

    def fetch_blob(self, repository: str, blob: Descriptor, store: BlobStore, progress: Callable[[int], None]) -> None:
        """As Client.fetch_blob: from the first that gives the right bytes."""

        def fetch(client: Client, name: str) -> bool:
            client.fetch_blob(name, blob, store, progress)
            return True

        self._first(repository, fetch)

    def _first(self, repository: str, read: Callable[[Client, str], T | None]) -> T | None:
        for mirror in self._mirrors:
            if mirror.name in self._silent:
                continue
            try:
                found = read(mirror.client, f"{mirror.prefix}/{repository}".lstrip("/"))
            except RegistryError as error:
                if error.status != 404:
                    self._note(mirror, error)
                continue
            if found is not None:
                return found
        return read(self._origin, repository)

    def _note(self, mirror: _Mirror, error: RegistryError) -> None:
        """Tells, once, that a mirror is no help; one that does not answer is not asked again."""
        with self._guard:
            is_news = mirror.name not in self._told
            self._told.add(mirror.name)
            if not error.status and error.temporary:
                self._silent.add(mirror.name)
        if is_news:
            self._emit(Notice(f"the mirror {mirror.name} is gone without: {error}", hint=error.hint))


def source(host: Host, registry: str) -> Source:
    """Where to read what is named after a registry: from its mirrors and itself, as its `[registries]` table says."""
    origin = connect(host, registry)
    table = table_of(host.config, registry)
    if table is None or not table.mirrors:
        return origin
    places = [mirror.rstrip("/").partition("/") for mirror in table.mirrors]
    mirrors = [_Mirror(connect(host, place, retries=RETRIES), prefix) for place, _, prefix in places]
    return Mirrored(origin, mirrors, host.emit)
