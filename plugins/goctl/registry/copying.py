"""Images from one repository to another, and new names for them: byte for byte, layers mounted or streamed, never kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, Final, cast

import msgspec

from goctl.contracts import Host
from goctl.errors import RegistryError
from goctl.registry.client import OCI_INDEX, OCI_MANIFEST, Client, connect, pull
from goctl.registry.flights import Flights
from goctl.registry.journal import Journal
from goctl.registry.refusals import unreachable
from goctl.registry.upload import Sending, fresh, send_blob
from goctl.system.http import BLOCK, Response
from goctl.system.transport import TransportError
from goctl.values import Descriptor, Digest, ImageRef, from_json

#: Layers under way at once.
WIDTH: Final = 6
#: Indexes in indexes.
_DEEPEST: Final = 4


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a manifest or an index names."""

    media_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] | None = None

    @property
    def kind(self) -> str:
        return self.media_type or (OCI_MANIFEST if self.manifests is None else OCI_INDEX)


class Copied(msgspec.Struct, frozen=True):
    """What came of a copy: the digest, the bytes that were sent, and those that were there, or mounted."""

    digest: Digest
    sent: int
    known: int


def retag(host: Host, reference: ImageRef, tags: Sequence[str]) -> Digest:
    """Gives what a reference names further tags in its repository. Raises RegistryError."""
    client = connect(host, reference.host)
    digest, content, manifest = _read(client, reference.repository, str(reference.digest or reference.tag))
    for tag in tags:
        client.put_manifest(reference.repository, tag, content, manifest.kind, digest)
    return digest


def copy(host: Host, source: ImageRef, target: ImageRef, progress: Callable[[int, int], None]) -> Copied:
    """Copies an image, or an index with its images, and gives it the target's tag, if it has one. Raises RegistryError."""
    return _Copy(host, source, target, progress).run()


class _Copy:
    def __init__(self, host: Host, source: ImageRef, target: ImageRef, progress: Callable[[int, int], None]) -> None:
        self._source, self._target = source, target
        self._from = connect(host, source.host)
        self._to = connect(host, target.host) if target.host != source.host else self._from
        self._flights: Flights[int] = Flights(WIDTH, host.check)
        journal, abilities = Journal(host.memo, target.host), fresh()
        journal.recall(abilities)
        self._sizes: dict[Digest, Descriptor] = {}
        self._sending = Sending(
            self._to, _Remote(self._from, source.repository, self._sizes), journal, abilities, verify=True
        )
        self._guard = threading.Lock()
        self._progress = progress
        self._done = self._total = 0

    def run(self) -> Copied:
        source, target = self._source, self._target
        digest, content, manifest = _read(self._from, source.repository, str(source.digest or source.tag))
        if target.tag and self._to.head_manifest(target.repository, target.tag, writing=True) == digest:
            return Copied(digest, 0, len(content))
        sent = self._children(manifest, 0)
        for name in (str(digest), target.tag) if target.tag else (str(digest),):
            self._to.put_manifest(target.repository, name, content, manifest.kind, digest)
        return Copied(digest, sent, self._total - sent)

    def _children(self, manifest: _Manifest, depth: int) -> int:
        """Sees to it that the target holds all that a manifest names."""
        if depth > _DEEPEST:
            raise RegistryError(f"{self._source}: its indexes are nested too deeply")
        sent = 0
        for child in manifest.manifests or ():
            digest, content, below = _read(self._from, self._source.repository, str(child.digest))
            sent += self._children(below, depth + 1)
            self._to.put_manifest(self._target.repository, digest, content, below.kind, digest)
        wanted = {blob.digest: blob for blob in (manifest.config, *manifest.layers) if blob and not _is_elsewhere(blob)}
        new = {digest: blob for digest, blob in wanted.items() if digest not in self._sizes}
        self._sizes.update(new)
        self._total += sum(blob.size for blob in new.values())
        futures = [self._flights.start(digest, partial(self._blob, blob))[0] for digest, blob in new.items()]
        self._flights.wait(futures)
        return sent + sum(future.result() for future in futures)

    def _blob(self, blob: Descriptor) -> int:
        if self._to.has_blob(self._target.repository, blob):
            self._tick(blob.size)
            return 0
        same = self._to is self._from and self._source.repository != self._target.repository
        sources = (self._source.repository,) if same else ()
        return send_blob(self._sending, self._target.repository, blob, self._tick, sources)

    def _tick(self, count: int) -> None:
        with self._guard:
            self._done += count
            self._progress(self._done, self._total)


def _read(client: Client, repository: str, reference: str) -> tuple[Digest, bytes, _Manifest]:
    content = client.get_manifest(repository, reference)
    if content is None:
        raise RegistryError(f"{client.host} has no {repository}:{reference}", status=404, hint="check the name")
    try:
        manifest = from_json(content, _Manifest)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{client.host}/{repository}:{reference} is no image: {error}") from None
    return Digest(reference) if ":" in reference else Digest.of(content), content, manifest


def _is_elsewhere(blob: Descriptor) -> bool:
    """Layers that may not be distributed stay where they are."""
    return ".nondistributable." in blob.media_type or ".foreign." in blob.media_type


class _Remote:
    """Blobs of a repository, opened as streams."""

    def __init__(self, client: Client, repository: str, known: dict[Digest, Descriptor]) -> None:
        self._client = client
        self._repository = repository
        self._known = known

    def open(self, digest: Digest) -> IO[bytes]:
        return cast("IO[bytes]", _Stream(self._client, self._repository, self._known[digest]))


class _Stream:
    """A blob that is asked for when it is read, from where it is read. `seek` makes the next read a request of its own."""

    def __init__(self, client: Client, repository: str, blob: Descriptor) -> None:
        self._client = client
        self._repository = repository
        self._blob = blob
        self._position = 0
        self._response: Response | None = None
        self._parts: Iterator[bytes] = iter(())
        self._rest = b""

    def seek(self, position: int) -> int:
        if position != self._position:
            self.close()
            self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self._response is None and self._position < self._blob.size:
            self._ask()
        try:
            data = self._rest or next(self._parts, b"")
        except TransportError as error:
            raise unreachable(f"read {self._blob.digest.short} of {self._repository}", self._client.host, error) from None
        if not data and self._position < self._blob.size:
            raise RegistryError(f"{self._client.host} ended {self._blob.digest.short} too early", temporary=True)
        if 0 <= size < len(data):
            data, self._rest = data[:size], data[size:]
        else:
            self._rest = b""
        self._position += len(data)
        return data

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response, self._parts, self._rest = None, iter(()), b""

    def _ask(self) -> None:
        response = self._client.request(
            f"read {self._blob.digest.short} of {self._repository}",
            "GET",
            f"/v2/{self._repository}/blobs/{self._blob.digest}",
            scopes=pull(self._repository),
            expected=(200, 206),
            headers={"Range": f"bytes={self._position}-"} if self._position else {},
            stream=True,
        )
        self._response, self._parts = response, response.chunks(BLOCK)
        left = self._position if response.status == 200 else 0  # a registry without ranges begins at the start
        while left:
            part = next(self._parts, b"")
            if not part:
                raise RegistryError(f"{self._client.host} ended {self._blob.digest.short} too early", temporary=True)
            left, self._rest = left - min(left, len(part)), part[left:]
