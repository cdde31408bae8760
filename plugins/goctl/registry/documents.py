"""Manifests, indexes and configs as they are found in registries and layouts: what of them lists and looks need.

Entries of an index keep their own bytes: what goes into another index goes there as it was.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from goctl.errors import ImageError
from goctl.oci.manifests import CONFIG
from goctl.registry.client import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from goctl.values import Descriptor, Digest, from_json

T = TypeVar("T")

DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
#: How BuildKit marks what it has to say of an image in the image's own index, and of which image.
ATTESTATION: Final = "vnd.docker.reference.type"
ATTESTED: Final = "vnd.docker.reference.digest"


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of an index. `platform` may hold lists besides texts (os.features)."""

    media_type: str
    digest: Digest
    size: int
    platform: dict[str, Any] | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str = ""

    @property
    def attested(self) -> Digest | None:
        """The image that this entry is an attestation of; None for what is none."""
        told = self.annotations or {}
        if told.get(ATTESTATION) != "attestation-manifest":
            return None
        try:
            return Digest(told.get(ATTESTED, ""))
        except ValueError:
            return None


class Document(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest or an index. Which of the two it is, its fields tell: an index has `manifests`."""

    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[msgspec.Raw, ...] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    @property
    def is_index(self) -> bool:
        return self.manifests is not None

    @property
    def is_image(self) -> bool:
        return self.config is not None and self.config.media_type in (CONFIG, DOCKER_CONFIG)

    @property
    def kind(self) -> str:
        """Its media type, which OCI's documents may leave out."""
        return self.media_type or (OCI_INDEX if self.is_index else OCI_MANIFEST)

    def entries(self, name: str) -> list[tuple[Entry, msgspec.Raw]]:
        """An index's entries, each with its own bytes. Raises ImageError with the `name` of what cannot be read."""
        return [(decode(name, "entry of an index", bytes(raw), Entry), raw) for raw in self.manifests or ()]


class History(msgspec.Struct, frozen=True):
    """What made a layer, or only changed the config."""

    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[Digest, ...] = ()


class ImageConfig(msgspec.Struct, frozen=True):
    """An image's config: where it runs, when it was made, and by what."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    os_features: tuple[str, ...] = msgspec.field(name="os.features", default=())
    created: str | None = None
    history: tuple[History, ...] | None = None
    rootfs: RootFs = RootFs()

    @property
    def platform(self) -> dict[str, Any]:
        """The platform as an index spells it."""
        made: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            made["os.version"] = self.os_version
        if self.os_features:
            made["os.features"] = list(self.os_features)
        if self.variant:
            made["variant"] = self.variant
        return made


def parse(name: str, content: bytes) -> Document:
    """A manifest or an index. Raises ImageError; one that could be read as both is refused (CVE-2021-41190)."""
    found = decode(name, "manifest", content, Document)
    if found.schema_version != 2:
        raise ImageError(f"{name} has the old format of Docker's schema 1", hint="push it again with a current tool")
    if found.is_index == (found.config is not None or bool(found.layers)):
        raise ImageError(f"{name} is neither an image nor an index of images")
    allowed = (OCI_INDEX, DOCKER_LIST) if found.is_index else (OCI_MANIFEST, DOCKER_MANIFEST)
    if found.kind not in allowed:
        raise ImageError(f"{name} says of itself that it is {found.kind}, and has the fields of something else")
    return found


def decode(name: str, what: str, content: bytes, kind: type[T]) -> T:
    """Some JSON as a struct. Raises ImageError."""
    try:
        return from_json(content, kind)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{name}: its {what} cannot be read: {error}") from None


def spelled(platform: dict[str, Any] | None) -> str:
    """A platform of an index as one word, `os/architecture[/variant]`, with what else tells two of them apart.

    Empty where there is none. amd64/v1 and arm64/v8 are what goes without saying.
    """
    told = platform or {}
    system, machine, variant = (str(told.get(name) or "") for name in ("os", "architecture", "variant"))
    if not system or system == "unknown":
        return ""
    if (machine, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    if (machine, variant) == ("arm", ""):
        variant = "v7"
    more = [str(told["os.version"])] if told.get("os.version") else []
    more += [str(feature) for feature in told.get("os.features") or ()]
    return "/".join(filter(None, (system, machine, variant))) + (f" ({', '.join(more)})" if more else "")
