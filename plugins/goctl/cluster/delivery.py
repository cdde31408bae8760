"""`kind:NAME` as a destination: images straight into the nodes of a kind cluster.

Each node is asked what its containerd holds, and is sent the rest of its own platform's image as one stream, all nodes at
the same time. What they hold then is called by the released digest, which is the index's, and each image in it by its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

import msgspec

from goctl.cluster import nodes
from goctl.cluster.nodes import Node
from goctl.config.model import Registry
from goctl.contracts import Host, Image, Index, Progress
from goctl.errors import ClusterError, ConfigError, ImageError
from goctl.oci.bundle import layout_of
from goctl.oci.layout import CONTAINERD_NAME
from goctl.oci.select import select
from goctl.values import Descriptor, Digest, Platform, is_host, is_repository

#: What stands before names, as users of ko have it. No registry is called so: what is not there is not looked for elsewhere.
PREFIX: Final = "kind.local"
#: Nodes that are sent something at the same time.
_AT_ONCE: Final = 8


class KindOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """A cluster is declared in `[deploy]`; here it is only named."""


class KindDestination:
    """`kind:NAME`, or `kind:NAME/PREFIX` where images are to be called otherwise than `kind.local/REPOSITORY`."""

    Options: ClassVar[type[KindOptions]] = KindOptions
    works_offline = True

    def __init__(self, name: str, settings: Registry, address: str, options: KindOptions, host: Host) -> None:
        del settings, options
        self._host = host
        self._cluster, _, prefix = address.partition("/")
        self._prefix = prefix.rstrip("/") or PREFIX
        first, _, path = self._prefix.partition("/")
        if not self._cluster or not is_host(first) or (path and not is_repository(path)):
            raise ConfigError(
                f"registries.{name}.url: {address!r} is no cluster", hint="write kind:NAME or kind:NAME/PREFIX"
            )
        # containerd, as Docker, takes a first part for a host when it looks like one.
        if not ("." in first or ":" in first or first == "localhost"):
            raise ConfigError(f"registries.{name}.url: {first!r} does not look like a host", hint=f"write {PREFIX}/{first}")
        self._guard = threading.Lock()
        self._known: list[Node] | None = None

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        """The name for a Pod."""
        return f"{self._prefix}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    def prepare(self) -> None:
        """Asks the nodes what they hold. That takes as long as to build a small program."""
        self._nodes()

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        wanted = {tag: self.reference(repository, tag) for tag in tags}

        def absent(node: Node) -> set[str]:
            if self._lacking(node, repository, index).is_something:
                return set(wanted)
            return {tag for tag, name in wanted.items() if node.names.get(name) != index.digest}

        found = set().union(*_at_once(absent, self._nodes()))
        return tuple(tag for tag in wanted if tag in found)

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        """Sends each node what it lacks; the bytes of content that were sent, to all of them."""
        if isinstance(content, Image):
            return 0  # what a node's platform is served best by is known when all images are
        parcels = [parcel for one in self._nodes() if (parcel := self._lacking(one, repository, content)).is_something]
        total, sent = sum(parcel.size for parcel in parcels), 0
        guard = threading.Lock()

        def count(size: int) -> None:
            nonlocal sent
            with guard:
                sent += size
            progress(min(sent, total), total)

        def send(parcel: _Parcel) -> None:
            try:
                self._send(parcel, count)
            except ClusterError:
                # What a node held may have been thrown away since it was asked: it is asked once more.
                parcel.node.look()
                again = self._lacking(parcel.node, repository, content)
                if again == parcel:
                    raise
                self._send(again, count)

        _at_once(send, parcels)
        return sent

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        names = [self.reference(repository, tag) for tag in tags]
        if not names:
            return

        def name(node: Node) -> None:
            self._send(_Parcel(node, [(name, index.descriptor) for name in names], []), lambda _: None)

        _at_once(name, self._nodes())

    def _nodes(self) -> list[Node]:
        """The nodes: asked once for what they hold."""
        with self._guard:
            if self._known is None:
                self._known = _at_once(nodes.Node, nodes.nodes_of(self._cluster))
            return self._known

    def _lacking(self, node: Node, repository: str, index: Index) -> _Parcel:
        """What a node has to be sent of an index, and of the images in it that it can run."""
        images = self._images(node.platform, index)
        contents = [index.descriptor, *(image.manifest for image in images)]
        named = [(self.reference(repository, digest=one.digest), one) for one in contents]
        blobs = [blob for image in images for blob in (image.manifest, image.config, *image.layers)]
        unique = {blob.digest: blob for blob in (index.descriptor, *blobs)}
        lacking = [blob for digest, blob in unique.items() if digest not in node.content]
        # containerd takes no content that no name leads to.
        return _Parcel(node, [(name, one) for name, one in named if lacking or node.names.get(name) != one.digest], lacking)

    def _images(self, own: Platform, index: Index) -> list[Image]:
        """The image for a node's own platform, and those that it is declared to run besides."""
        by_digest = {image.digest: image for image in index.images}
        entries = [msgspec.structs.replace(image.manifest, platform=_words(image.platform)) for image in index.images]
        chosen = [select(entries, own, name="the release").digest]
        for deploy in self._host.config.deploy.values():
            for text in deploy.cluster.platforms if deploy.cluster.kind == self._cluster else ():
                with contextlib.suppress(ImageError):  # not every target is for every platform
                    chosen.append(select(entries, Platform.parse(text), name="the release").digest)
        return [by_digest[digest] for digest in dict.fromkeys(chosen)]

    def _send(self, parcel: _Parcel, count: Callable[[int], None]) -> None:
        entries = [
            {"mediaType": one.media_type, "digest": one.digest, "size": one.size, "annotations": {CONTAINERD_NAME: name}}
            for name, one in parcel.names
        ]

        size, parts = layout_of(entries, parcel.blobs, self._open)

        def stream() -> Iterator[bytes]:
            for data in parts:
                self._host.check()
                yield data
                count(len(data))

        names = {name: str(one.digest) for name, one in parcel.names}
        parcel.node.take(stream(), size, [blob.digest for blob in parcel.blobs], names)

    @contextlib.contextmanager
    def _open(self, blob: Descriptor) -> Iterator[Any]:
        with self._host.blobs.open(blob.digest) as file:
            yield file


class _Parcel(msgspec.Struct, frozen=True):
    """Names and content for one node."""

    node: Node
    names: list[tuple[str, Descriptor]]
    blobs: list[Descriptor]

    @property
    def is_something(self) -> bool:
        return bool(self.names or self.blobs)

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


def _words(platform: Platform) -> dict[str, str]:
    words = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    return {name: word for name, word in words.items() if word}


def _at_once(verb: Callable[[Any], Any], things: Sequence[Any]) -> list[Any]:
    """Does one thing with all, side by side; what came of each. All are tried before the first error is raised."""
    if len(things) < 2:
        return [verb(one) for one in things]
    with ThreadPoolExecutor(min(len(things), _AT_ONCE), "node") as pool:
        futures = [pool.submit(verb, one) for one in things]
        errors = [error for future in futures if (error := future.exception()) is not None]
        # What is no fault of a node, an interrupt for one, is told before what is.
        errors.sort(key=lambda error: isinstance(error, ClusterError))
        if errors:
            raise errors[0]
        return [future.result() for future in futures]
