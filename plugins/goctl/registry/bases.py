"""Base images in registries: looked up, pinned by digest, and their layers fetched once into the blob store."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, TypeVar

import msgspec

from goctl.contracts import Host
from goctl.errors import ImageError, RegistryError, StorageError
from goctl.plan.facts import Base
from goctl.registry.client import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from goctl.registry.flights import Flights
from goctl.registry.mirrors import Source, source
from goctl.values import ByteSize, Descriptor, Digest, ImageRef, Platform, from_json

T = TypeVar("T")

#: Bytes of the largest config that is read.
MAX_CONFIG = 16 * 2**20
#: Layers fetched at once.
WIDTH = 4
_UNPINNED = "goctl.lock pins no digest for it"
_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One image of an index. `platform` may hold lists besides texts (os.features)."""

    media_type: str
    digest: Digest
    size: int
    platform: dict[str, Any] | None = None

    def descriptor(self) -> Descriptor:
        words = {name: word for name, word in (self.platform or {}).items() if isinstance(word, str)}
        return Descriptor(self.media_type, self.digest, self.size, words or None)


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An image manifest or an index, in OCI's or Docker's form: what of it matters here."""

    schema_version: int = 0
    media_type: str = ""
    manifests: tuple[_Entry, ...] | None = None
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[Digest, ...] = ()


class _ImageConfig(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str = ""
    rootfs: _RootFs = _RootFs()


class RegistryBases:
    """Looks up base images, and fetches their content. Safe to use from several threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._guard = threading.Lock()
        self._sources: dict[str, Source] = {}
        self._flights: Flights[None] = Flights(WIDTH, host.check)

    def resolve(self, reference: ImageRef, pinned: Digest | None, platform: Platform) -> tuple[Digest, Base]:
        """The digest that a reference names now (that of the index, where it names one), and its image for a platform.

        With `pinned` that digest is meant, whatever the reference's tag names by now; the registry is not asked for what
        the blob store has. Manifest and config are in the store afterwards. Raises RegistryError where it cannot be had,
        and ImageError where there is no image for the platform.
        """
        known = pinned or reference.digest
        found, content = self._manifest(reference, known, str(known) if known else reference.tag)
        manifest = _parse(reference, content)
        if manifest.manifests is None:
            return found, self._base(reference, found, manifest, platform, chosen=False)
        from goctl.oci.select import select

        chosen = select([entry.descriptor() for entry in manifest.manifests], platform, name=str(reference))
        digest, content = self._manifest(reference, chosen.digest, chosen.digest)
        if len(content) != chosen.size:
            raise RegistryError(f"{reference}: the size of the manifest for {platform} is not what its index says")
        return found, self._base(reference, digest, _parse(reference, content), platform, chosen=True)

    def resolve_pinned(self, reference: ImageRef, pinned: Digest, platform: Platform) -> Base:
        """The image for a platform of what a digest names; without any request where the store has it."""
        return self.resolve(reference, pinned, platform)[1]

    def fetch(self, base: Base) -> None:
        """Brings the config and all layers of a base into the blob store."""
        reference = ImageRef.parse(base.reference)
        self._fetch(reference, (base.config, *base.layers))

    def _fetch(self, reference: ImageRef, blobs: tuple[Descriptor, ...]) -> None:
        store = self._host.blobs
        wanted = {blob.digest: blob for blob in blobs if not store.has(blob.digest, blob.size)}
        if not wanted:
            return
        self._may_ask(reference, ", ".join(f"{blob.digest} ({ByteSize(blob.size)})" for blob in wanted.values()))
        registry = self._source(reference.host)

        def fetch(blob: Descriptor) -> None:
            registry.fetch_blob(reference.repository, blob, store, lambda _: None)

        self._flights.wait([self._flights.start(digest, partial(fetch, blob))[0] for digest, blob in wanted.items()])

    def _may_ask(self, reference: ImageRef, missing: str) -> None:
        if self._host.offline:
            raise ImageError(
                f"the base {reference} is not all on this machine; missing is {missing}",
                hint="run it once without --offline",
            )

    def _source(self, registry: str) -> Source:
        with self._guard:
            if registry not in self._sources:
                self._sources[registry] = source(self._host, registry)
            return self._sources[registry]

    def _manifest(self, reference: ImageRef, known: Digest | None, target: str) -> tuple[Digest, bytes]:
        """A manifest by digest or tag, from the store or the registry; its digest and content."""
        if known is not None:
            try:
                return known, self._host.blobs.read(known)
            except StorageError:
                pass  # not there: the registry has it
        self._may_ask(reference, f"the manifest of {target}" if known else f"what {target} names: {_UNPINNED}")
        content = self._source(reference.host).get_manifest(reference.repository, target)
        if content is None:
            raise RegistryError(
                f"{reference.host} has no {reference.repository}:{target}",
                status=404,
                hint="check the name, and whether it is still there: `invoke base.update` looks it up anew",
            )
        return known or Digest.of(content), self._keep(content, known)

    def _keep(self, content: bytes, known: Digest | None) -> bytes:
        if known is None or known.algorithm == "sha256":
            self._host.blobs.add(content)
        return content

    def _base(self, reference: ImageRef, digest: Digest, manifest: _Manifest, platform: Platform, *, chosen: bool) -> Base:
        if manifest.config is None or manifest.layers is None:
            raise ImageError(f"{reference} is no image: its manifest names no config or no layers")
        if any(blob.digest.algorithm != "sha256" or blob.size < 0 for blob in (manifest.config, *manifest.layers)):
            raise ImageError(f"{reference}: its content is not named by sha256 digests, and others are not kept")
        if manifest.config.size > MAX_CONFIG:
            raise ImageError(f"{reference}: a config of {manifest.config.size} bytes is too large to be one")
        self._fetch(reference, (manifest.config,))
        config = _decode(reference, "config", self._host.blobs.read(manifest.config.digest), _ImageConfig)
        if not chosen and not _runs_on(config, platform):
            raise ImageError(
                f"{reference} has no image for {platform}: it is one for {config.os}/{config.architecture} alone",
                hint='name a base for several platforms, or one for each in [platforms."OS/ARCH"]',
            )
        if len(config.rootfs.diff_ids) != len(manifest.layers):
            raise ImageError(f"{reference}: its config and its manifest do not have the same number of layers")
        return Base(
            reference=str(reference),
            digest=digest,
            config=_plain(manifest.config),
            layers=tuple(_plain(layer) for layer in manifest.layers),
            diff_ids=config.rootfs.diff_ids,
        )


def _plain(descriptor: Descriptor) -> Descriptor:
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)


def _runs_on(config: _ImageConfig, platform: Platform) -> bool:
    if not config.os or not config.architecture:
        return True  # it does not say
    try:
        made_for = Platform.parse("/".join(filter(None, (config.os, config.architecture, config.variant))))
    except ValueError:
        return False
    from goctl.oci.select import select

    words = {"os": made_for.os, "architecture": made_for.architecture, "variant": made_for.variant}
    one = Descriptor(OCI_MANIFEST, Digest.of(b""), 0, {name: word for name, word in words.items() if word})
    try:
        select((one,), platform)
    except ImageError:
        return False
    return True


def _parse(reference: ImageRef, content: bytes) -> _Manifest:
    """A manifest or an index. One that could be read as both is refused (image-spec: CVE-2021-41190)."""
    manifest = _decode(reference, "manifest", content, _Manifest)
    if manifest.schema_version != 2:
        raise ImageError(f"{reference} has the old format of Docker's schema 1", hint="push it again with a current tool")
    is_index = manifest.manifests is not None
    if is_index == (manifest.config is not None or manifest.layers is not None):
        raise ImageError(f"{reference} is neither an image nor an index of images")
    if manifest.media_type and manifest.media_type not in (_INDEXES if is_index else _MANIFESTS):
        raise ImageError(f"{reference} is no image: its type is {manifest.media_type}")
    return manifest


def _decode(reference: ImageRef, what: str, content: bytes, kind: type[T]) -> T:
    try:
        return from_json(content, kind)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{reference}: its {what} cannot be read: {error}") from None
