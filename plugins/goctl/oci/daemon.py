"""`docker-daemon:[PREFIX]` as a destination: Docker's engine on this machine, or where DOCKER_HOST and contexts say.

The engine takes one platform: its own, where the release has it. What is sent is a stream; no copy is made on the way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import msgspec

from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ConfigError, RegistryError
from goctl.oci.bundle import Named, blobs_of, choose, stream
from goctl.oci.engine import asking, connect, is_missing
from goctl.values import Descriptor, Digest, Platform, is_repository


class DaemonOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """`platform` is that of the image which the engine gets. Default: the engine's own."""

    platform: str = ""


class DaemonDestination:
    """Loads images into Docker's engine; `docker-daemon:corp.example.com` names them below that prefix."""

    Options: ClassVar[type[DaemonOptions]] = DaemonOptions

    def __init__(self, name: str, settings: Registry, address: str, options: DaemonOptions, host: Host) -> None:
        del settings
        self._host = host
        self._prefix = f"{address.rstrip('/')}/" if address else ""
        _, _, path = address.partition("/")
        if path and not is_repository(path.rstrip("/")):
            raise ConfigError(
                f"registries.{name}.url: {address!r} cannot be part of a name", hint="write HOST/PATH, or nothing"
            )
        try:
            self._wanted = Platform.parse(options.platform) if options.platform else None
        except ValueError as error:
            raise ConfigError(f"registries.{name}.options.platform: {error}") from error
        self._guard = threading.RLock()
        self._client: Any = None
        self._own: Platform | None = None

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        """The name for `docker run`. The engine knows no digest of what it was handed."""
        return f"{self._prefix}{repository}" + (f":{tag}" if tag else "")

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        known = _ids(self._choose(index))
        return tuple(tag for tag in tags if self._id(self.reference(repository, tag)) not in known)

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        if isinstance(content, Image):
            return 0  # which one the engine gets is known when all are
        named = Named(self._choose(content))
        total, sent = sum(blob.size for blob in blobs_of((named,))), 0
        if self._held(named.images[0]):
            progress(total, total)
            return 0

        def body() -> Iterator[bytes]:
            nonlocal sent
            for data in stream((named,), self._open, docker=True):
                self._host.check()
                sent += len(data)
                progress(min(sent, total), total)
                yield data

        with asking("load an image"):
            for line in self._engine().load_image(body()):
                if "error" in line:
                    raise RegistryError(f"Docker's engine refused an image of {repository}: {line['error']}")
        if not self._held(named.images[0]):
            raise RegistryError(f"Docker's engine took an image of {repository}, and does not know it")
        return sent

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        found = self._held(self._choose(index))
        for tag in tags:
            with asking("name an image"):
                self._engine().tag(found, f"{self._prefix}{repository}", tag, force=True)

    def _choose(self, index: Index) -> Image:
        return choose(index, self._wanted, here=self._platform())

    def _held(self, image: Image) -> str:
        """The id by which the engine knows an image; empty where it does not. Engines differ in which digest they take."""
        return next((name for name in _ids(image) if self._id(name)), "")

    def _id(self, name: str) -> str:
        with asking("look up an image"):
            engine = self._engine()
            try:
                return str(engine.inspect_image(name)["Id"])
            except Exception as error:
                if not is_missing(error):
                    raise
                return ""

    @contextlib.contextmanager
    def _open(self, blob: Descriptor) -> Iterator[Any]:
        with self._host.blobs.open(blob.digest) as file:
            yield file

    def _platform(self) -> Platform:
        with self._guard:
            if self._own is None:
                with asking("tell its version"):
                    told = self._engine().version()
                self._own = Platform.parse(f"{told['Os']}/{told['Arch']}")
            return self._own

    def _engine(self) -> Any:
        with self._guard:
            if self._client is None:
                self._client = connect("docker-daemon:")
            return self._client


def _ids(image: Image) -> tuple[str, str]:
    """Docker's own store names images by their config, containerd's by their manifest."""
    return str(image.config.digest), str(image.manifest.digest)
