"""A distribution-API registry as a destination: `host[:port]/path` in a `[registries]` table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ConfigError, RegistryError
from goctl.registry.client import Client, connect
from goctl.registry.journal import Journal
from goctl.values import DOCKER_HUB, Descriptor, Digest, ImageRef, is_host, is_repository

if TYPE_CHECKING:
    from concurrent.futures import Future

    from goctl.registry.flights import Flights
    from goctl.registry.upload import Sending

#: Requests under way at once, over all targets and platforms.
WIDTH = 8
#: Repositories that are asked to give a blob before it is sent.
MOST_SOURCES = 2


class NoOptions(msgspec.Struct, frozen=True):
    """No settings of its own: those of every `[registries]` table are all it needs."""


class RegistryDestination:
    """Pushes to one registry. All that is known to be there is remembered for the length of the run."""

    Options = NoOptions

    def __init__(self, name: str, settings: Registry, address: str, options: NoOptions, host: Host) -> None:
        registry, _, path = address.rstrip("/").partition("/")
        if not is_host(registry) or (path and not is_repository(path)):
            raise ConfigError(f"registries.{name}.url: {address!r} is not `host[:port]/path` in lower case")
        if registry in ("index.docker.io", "registry-1.docker.io"):
            registry = DOCKER_HUB
        self._name = name
        self._path = path
        self._blobs = host.blobs
        self._check = host.check
        self._client: Client = connect(host, registry, settings)
        self._guard = threading.Lock()
        self._flights: Flights[int] | None = None
        self._journal = Journal(host.memo, registry)
        self._shared: Sending | None = None
        self._held: set[tuple[str, Digest]] = set()
        self._seen_in: dict[Digest, str] = {}

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        """The name to pull it by."""
        name = f"{self._client.host}/{self._repository(repository)}"
        return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        """The tags that do not name this index, found with one HEAD each."""
        full, asked = self._repository(repository), tuple(tags)

        def is_missing(tag: str) -> int:
            return self._client.head_manifest(full, tag, writing=True) != index.digest

        if len(asked) == 1:  # no thread is started for what most runs with nothing to do need
            return asked if is_missing(asked[0]) else ()
        flights = self._in_flight()
        answers = [flights.start(("tag", full, tag, index.digest), partial(is_missing, tag))[0] for tag in asked]
        flights.wait(answers)
        return tuple(tag for tag, answer in zip(asked, answers, strict=True) if answer.result())

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        """Brings content to the registry, blobs before manifests before the index; the bytes sent for it."""
        full = self._repository(repository)
        images = (content,) if isinstance(content, Image) else content.images
        wanting = [image for image in images if (full, image.digest) not in self._held]
        sent = self._send_images(full, wanting, progress) if wanting else 0
        return sent if isinstance(content, Image) else sent + self._put(full, content.descriptor)

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        """Names the index. The registry must hold it already."""
        full = self._repository(repository)
        content = self._blobs.read(index.digest)

        def name(tag: str) -> int:
            self._client.put_manifest(full, tag, content, index.descriptor.media_type, index.digest)
            return index.descriptor.size

        self._each("name", full, {tag: partial(name, tag) for tag in tags})

    def held_elsewhere(self, reference: str, blobs: Iterable[Descriptor]) -> None:
        """Tells where blobs may be mounted from, should that repository be one of this registry."""
        try:
            place = ImageRef.parse(reference)
        except ValueError:
            return  # no image in a registry
        if place.host == self._client.host:
            with self._guard:
                for blob in blobs:
                    self._seen_in.setdefault(blob.digest, place.repository)

    def _repository(self, repository: str) -> str:
        full = f"{self._path}/{repository}" if self._path else repository
        if not is_repository(full):
            raise ConfigError(f"registries.{self._name}: {full!r} cannot be the name of a repository")
        return full

    def _send_images(self, repository: str, images: Sequence[Image], progress: Progress) -> int:
        sent = self._send_blobs(repository, images, progress)
        try:
            return sent + self._put_all(repository, images)
        except RegistryError as error:
            if error.code not in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
                raise
        # The registry lost since what it had before, to a cleaner perhaps: what is remembered no longer counts.
        with self._guard:
            self._held -= {(repository, blob.digest) for image in images for blob in (image.config, *image.layers)}
        sent += self._send_blobs(repository, images, progress)
        return sent + self._put_all(repository, images)

    def _put_all(self, repository: str, images: Sequence[Image]) -> int:
        return self._each("put", repository, {i.digest: partial(self._put, repository, i.manifest) for i in images})

    def _send_blobs(self, repository: str, images: Sequence[Image], progress: Progress) -> int:
        """Asks for all layers at once, then sends what lacks. A config names its layers: where one lacks, so does it."""
        blobs = {blob.digest: blob for image in images for blob in (image.config, *image.layers)}
        count = _Count(sum(blob.size for blob in blobs.values()), progress)
        self._look_for(repository, (layer for image in images for layer in image.layers))
        there = (image for image in images if all((repository, layer.digest) in self._held for layer in image.layers))
        self._look_for(repository, (image.config for image in there))
        flights = self._in_flight()
        mine: list[Future[int]] = []
        others: list[tuple[Future[int], Descriptor]] = []
        for digest, blob in blobs.items():
            if (repository, digest) in self._held:
                count.add(blob.size)
                continue
            future, is_mine = flights.start((repository, digest), partial(self._send_blob, repository, blob, count))
            mine.append(future) if is_mine else others.append((future, blob))
        flights.wait([*mine, *(future for future, _ in others)])
        for _, blob in others:
            count.add(blob.size)
        return sum(future.result() for future in mine)

    def _look_for(self, repository: str, blobs: Iterable[Descriptor]) -> None:
        """Asks for blobs, all at once, unless they are known to be there."""
        asking = {blob.digest: blob for blob in blobs if (repository, blob.digest) not in self._held}
        self._each("ask", repository, {digest: partial(self._look, repository, blob) for digest, blob in asking.items()})

    def _look(self, repository: str, blob: Descriptor) -> int:
        if self._client.has_blob(repository, blob):
            self._holds(repository, blob.digest)
        return 0

    def _send_blob(self, repository: str, blob: Descriptor, count: _Count) -> int:
        from goctl.registry.upload import send_blob

        if (repository, blob.digest) in self._held:  # another image's, sent since
            count.add(blob.size)
            return 0
        seen = (self._seen_in.get(blob.digest, ""), *self._journal.holders(blob.digest))
        sources = tuple(dict.fromkeys(source for source in seen if source and source != repository))
        sent = send_blob(self._sending(), repository, blob, count.add, sources[:MOST_SOURCES])
        self._holds(repository, blob.digest)
        self._journal.held(repository, blob.digest)
        return sent

    def _holds(self, repository: str, digest: Digest) -> None:
        with self._guard:
            self._held.add((repository, digest))
            self._seen_in.setdefault(digest, repository)

    def _put(self, repository: str, manifest: Descriptor) -> int:
        if (repository, manifest.digest) in self._held:
            return 0
        self._check()
        content = self._blobs.read(manifest.digest)
        self._client.put_manifest(repository, manifest.digest, content, manifest.media_type, manifest.digest)
        with self._guard:
            self._held.add((repository, manifest.digest))
        return manifest.size

    def _each(self, verb: str, repository: str, work: Mapping[str, Callable[[], int]]) -> int:
        """Does all at once, within the width; the sum of what came out. A single piece needs no thread."""
        if len(work) == 1:
            return next(iter(work.values()))()
        flights = self._in_flight()
        started = [flights.start((verb, repository, key), one) for key, one in work.items()]
        flights.wait([future for future, _ in started])
        return sum(future.result() for future, is_mine in started if is_mine)

    def _sending(self) -> Sending:
        with self._guard:
            if self._shared is None:
                from goctl.registry.upload import Sending, fresh

                abilities = fresh()
                self._journal.recall(abilities)
                self._shared = Sending(self._client, self._blobs, self._journal, abilities)
            return self._shared

    def _in_flight(self) -> Flights[int]:
        with self._guard:
            if self._flights is None:
                from goctl.registry.flights import Flights

                self._flights = Flights(WIDTH, self._check)
            return self._flights


class _Count:
    """Bytes done of bytes in all, told as they change, from any thread."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self._guard = threading.Lock()

    def add(self, count: int) -> None:
        with self._guard:
            self._done += count
            self._progress(self._done, self._total)
