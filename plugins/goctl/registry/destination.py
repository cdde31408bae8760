"""A distribution-API registry as a destination: `host[:port]/path` in a `[registries]` table."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ConfigError, RegistryError
from goctl.registry.client import Client, connect
from goctl.values import DOCKER_HUB, Descriptor, Digest, is_host, is_repository

if TYPE_CHECKING:
    from concurrent.futures import Future

    from goctl.registry.flights import Flights

#: Requests under way at once, over all targets and platforms.
WIDTH = 6


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
        if isinstance(content, Image):
            return self._upload_image(full, content, progress)
        sent = sum(self._upload_image(full, image, progress) for image in content.images)
        return sent + self._put(full, content.descriptor)

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        """Names the index. The registry must hold it already."""
        full = self._repository(repository)
        content = self._blobs.read(index.digest)
        for tag in tags:
            self._check()
            self._client.put_manifest(full, tag, content, index.descriptor.media_type, index.digest)

    def _repository(self, repository: str) -> str:
        full = f"{self._path}/{repository}" if self._path else repository
        if not is_repository(full):
            raise ConfigError(f"registries.{self._name}: {full!r} cannot be the name of a repository")
        return full

    def _upload_image(self, repository: str, image: Image, progress: Progress) -> int:
        if (repository, image.digest) in self._held:
            return 0
        sent = self._send_blobs(repository, image, progress)
        try:
            return sent + self._put(repository, image.manifest)
        except RegistryError as error:
            if error.code not in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
                raise
        # The registry lost since what it had before, to a cleaner perhaps: what is remembered no longer counts.
        with self._guard:
            self._held -= {(repository, blob.digest) for blob in (image.config, *image.layers)}
        sent += self._send_blobs(repository, image, progress)
        return sent + self._put(repository, image.manifest)

    def _send_blobs(self, repository: str, image: Image, progress: Progress) -> int:
        blobs = {blob.digest: blob for blob in (image.config, *image.layers)}
        count = _Count(sum(blob.size for blob in blobs.values()), progress)
        flights = self._in_flight()
        mine: list[Future[int]] = []
        others: list[Future[int]] = []
        for digest, blob in blobs.items():
            if (repository, digest) in self._held:
                count.add(blob.size)
                continue
            future, is_mine = flights.start((repository, digest), partial(self._send_blob, repository, blob, count))
            (mine if is_mine else others).append(future)
        flights.wait([*mine, *others])
        return sum(future.result() for future in mine)

    def _send_blob(self, repository: str, blob: Descriptor, count: _Count) -> int:
        from goctl.registry.upload import send_blob

        source = self._seen_in.get(blob.digest, "")
        sent = send_blob(self._client, repository, blob, self._blobs, count.add, source)
        with self._guard:
            self._held.add((repository, blob.digest))
            self._seen_in.setdefault(blob.digest, repository)
        return sent

    def _put(self, repository: str, manifest: Descriptor) -> int:
        if (repository, manifest.digest) in self._held:
            return 0
        self._check()
        content = self._blobs.read(manifest.digest)
        self._client.put_manifest(repository, manifest.digest, content, manifest.media_type, manifest.digest)
        with self._guard:
            self._held.add((repository, manifest.digest))
        return manifest.size

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
