"""A shelf in a registry, so that a team needs no server besides the one it has: an artifact for each entry, found by a tag.

The entry is the only layer of a manifest, whose config is empty (image-spec, "Guidelines for Artifact Usage"). A small one
is an annotation of its manifest, which it takes one request to read then, and one to write: most of them are a line about
what was made. The tag is `SPACE-KEY`. The registry's own clean-up of what no tag names does the rest.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from goctl.config.model import Login, Registry
from goctl.contracts import Host, Sealed, SealedBytes
from goctl.errors import LevelError, RegistryError
from goctl.registry.client import OCI_MANIFEST, Client, connect, pull, push, table_of
from goctl.registry.keychain import Keychain
from goctl.system.http import BLOCK
from goctl.system.transport import TransportError
from goctl.values import Descriptor, Digest, from_json, to_json

ARTIFACT: Final = "application/vnd.goctl.cache.v1"
_EMPTY: Final = b"{}"
_EMPTY_BLOB: Final = Descriptor("application/vnd.oci.empty.v1+json", Digest.of(_EMPTY), len(_EMPTY))
_LAYER: Final = "application/octet-stream"
#: No tag is longer (distribution-spec); longer names are told by their digest.
_LONGEST: Final = 128
#: The annotation that holds a small entry, in base64, and the bytes of the largest: registries take manifests of 4 MiB.
_CONTENT: Final = "vnd.goctl.cache.content"
_LARGEST_ANNOTATION: Final = 32 * 1024


class ArtifactShelf:
    """contracts.Shelf. `address` is `HOST/REPOSITORY`; without a `login` it is found as for pushes there."""

    def __init__(self, address: str, host: Host, *, login: Login | None = None, timeout: int = 10) -> None:
        registry, _, self._repository = address.rstrip("/").partition("/")
        settings = table_of(host.config, registry) or Registry(url=registry)
        settings = msgspec.structs.replace(settings, timeout=max(2, timeout))
        find = Keychain(host.emit, login=login).find if login is not None else None
        self._client: Client = connect(host, registry, settings, find=find, retries=1)
        self._has_empty = False

    def read(self, name: str) -> Iterator[bytes] | None:
        try:
            entry = _entry(self._client.get_manifest(self._repository, _tag(name)))
            if entry is None:
                return None
            if isinstance(entry, bytes):
                return iter((entry,))
            response = self._client.request(
                "read an entry of the cache",
                "GET",
                f"/v2/{self._repository}/blobs/{entry.digest}",
                scopes=pull(self._repository),
                expected=(200, 404),
                stream=True,
            )
        except RegistryError as error:
            raise _failure(error) from None
        if response.status == 404:
            response.close()
            return None

        def pieces() -> Iterator[bytes]:
            try:
                yield from response.chunks()
            except TransportError as error:
                raise LevelError(f"{self._client.host}: {error}") from None

        return pieces()

    def write(self, name: str, content: Sealed) -> None:
        small = _whole(content) if content.size <= _LARGEST_ANNOTATION else None
        layer = _EMPTY_BLOB if small is not None else Descriptor(_LAYER, _digest(content), content.size)
        manifest = to_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": ARTIFACT,
                "config": _EMPTY_BLOB,
                "layers": [layer],
                **({"annotations": {_CONTENT: base64.b64encode(small).decode()}} if small is not None else {}),
            }
        )
        try:
            if not self._has_empty:
                if not self._client.has_blob(self._repository, _EMPTY_BLOB, retries=0):
                    self._upload(_EMPTY_BLOB, SealedBytes(_EMPTY))
                self._has_empty = True
            if small is None:
                self._upload(layer, content)
            self._client.put_manifest(self._repository, _tag(name), manifest, OCI_MANIFEST, Digest.of(manifest))
        except RegistryError as error:
            raise _failure(error) from None

    def _upload(self, blob: Descriptor, content: Sealed) -> None:
        """In one piece: entries are no images, and what fails is only not kept. Whether it is there is not asked, for an
        entry says when it was stored: it never is."""
        doing, scopes = "write an entry of the cache", push(self._repository)
        ask = functools.partial(self._client.request, doing, scopes=scopes, retries=0)
        opened = ask("POST", f"/v2/{self._repository}/blobs/uploads/", expected=(202,))
        location = self._client.resolve(opened.headers.get("Location", ""), opened)
        ask(
            "PUT",
            f"{location}{'&' if '?' in location else '?'}digest={blob.digest}",
            headers={"Content-Length": str(content.size), "Content-Type": _LAYER},
            body=content.open,
            expected=(201, 204),
        )

    def remove(self, name: str) -> None:
        """By the tag's own manifest. A registry that deletes nothing keeps the entry, and says so."""
        try:
            digest = self._client.head_manifest(self._repository, _tag(name))
            if digest is not None:
                self._client.request(
                    "delete an entry of the cache",
                    "DELETE",
                    f"/v2/{self._repository}/manifests/{digest}",
                    scopes=(f"repository:{self._repository}:delete,pull", *push(self._repository)),
                    expected=(200, 202, 404),
                    retries=0,
                )
        except RegistryError as error:
            raise _failure(error) from None


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    artifact_type: str = ""
    layers: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = {}


def _tag(name: str) -> str:
    tag = name.replace("/", "-")
    return tag if len(tag) <= _LONGEST else "x-" + hashlib.sha256(name.encode()).hexdigest()


def _entry(manifest: bytes | None) -> bytes | Descriptor | None:
    """The content of one of our artifacts, or the layer that has it; None for what is none."""
    try:
        document = from_json(manifest or b"", _Manifest)
        if document.artifact_type != ARTIFACT or len(document.layers) != 1:
            return None
        small = document.annotations.get(_CONTENT)
        return document.layers[0] if small is None else base64.b64decode(small, validate=True)
    except (ValueError, binascii.Error):
        return None


def _whole(content: Sealed) -> bytes:
    with content.open() as file:
        return file.read()


def _digest(content: Sealed) -> Digest:
    with content.open() as file:
        hasher = hashlib.sha256()
        while piece := file.read(BLOCK):
            hasher.update(piece)
    return Digest("sha256:" + hasher.hexdigest())


def _failure(error: RegistryError) -> LevelError:
    return LevelError(error.message)
