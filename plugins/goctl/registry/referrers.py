"""Referrers: manifests that say which image they are about (distribution-spec 1.1, "Listing Referrers").

A registry that knows them answers a manifest with a subject by naming it in `OCI-Subject`, and lists them. For all
others there is the tag schema: the tag `sha256-<hex>` in the image's repository names an index of its referrers, which
clients keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from goctl.errors import RegistryError
from goctl.registry.client import OCI_INDEX, OCI_MANIFEST, pull, push
from goctl.registry.documents import decode, parse
from goctl.registry.sources import Repository
from goctl.registry.tags import MOST_PAGES, next_page, tag_of
from goctl.system.http import Response
from goctl.values import Descriptor, Digest, to_json

EMPTY: Final = b"{}"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
TITLE: Final = "org.opencontainers.image.title"
#: How often the index behind a tag is written before others are too many.
_ATTEMPTS: Final = 8


class Referrer(msgspec.Struct, frozen=True, rename="camel"):
    """A descriptor in a list of referrers."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


class _List(msgspec.Struct, frozen=True):
    manifests: tuple[msgspec.Raw, ...] = ()


def artifact(subject: Descriptor, artifact_type: str, files: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    """The manifest of files that are about an image (image-spec, manifest.md, "Guidelines for Artifact Usage").

    It holds no time: to attach the same files twice gives one referrer.
    """
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": Descriptor(EMPTY_TYPE, Digest.of(EMPTY), len(EMPTY)),
        "layers": list(files),
        "subject": subject,
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return to_json(document)


def attach(place: Repository, manifest: bytes) -> Digest:
    """Stores a manifest with a subject, whose blobs are there, and sees to it that it is listed. Raises RegistryError."""
    document = parse(place.name, manifest)
    digest = Digest.of(manifest)
    if document.subject is None:
        raise ValueError("a referrer has a subject")
    response = _put(place, digest, document.kind, manifest)
    if response.headers.get("OCI-Subject") != document.subject.digest:
        kind = document.artifact_type or (document.config.media_type if document.config else "")
        entry = Referrer(document.kind, digest, len(manifest), kind, document.annotations)
        _enter(place, document.subject.digest, entry)
    return digest


def _put(place: Repository, digest: Digest, kind: str, manifest: bytes) -> Response:
    for attempt in range(_ATTEMPTS):
        try:
            return place.client.request(
                f"push {place.repository}@{digest}",
                "PUT",
                f"/v2/{place.repository}/manifests/{digest}",
                scopes=push(place.repository),
                expected=(200, 201, 202),
                headers={"Content-Type": kind},
                body=manifest,
            )
        except RegistryError as error:
            # Every attached manifest has the same empty config. distribution 2.8 writes its link anew for each that sends
            # it, and finds it empty while it does: a digest of no form, it says then.
            if error.code != "DIGEST_INVALID" or attempt == _ATTEMPTS - 1:
                raise
            place.client.patience.back_off(attempt)
    raise AssertionError("unreachable")


def referrers(place: Repository, subject: Digest, artifact_type: str = "") -> list[Referrer]:
    """The referrers of a digest, of one type where one is given. Raises RegistryError."""
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    path = f"/v2/{place.repository}/referrers/{subject}{query}"
    found: list[Referrer] = []
    for _ in range(MOST_PAGES):
        response = place.client.request(
            f"list the referrers of {place.repository}@{subject}",
            "GET",
            path,
            scopes=pull(place.repository),
            # 404 says that there is no such API; some that do not know it say it in other ways.
            expected=(200, 400, 404, 405, 406, 501),
            headers={"Accept": OCI_INDEX},
        )
        if response.status != 200:
            found = [_read(place, raw) for raw in _by_tag(place, subject)[0]]
            break
        found += [_read(place, raw) for raw in decode(place.name, "list of referrers", response.content, _List).manifests]
        path = next_page(response.headers.get("Link") or "", response.url)
        if not path:
            break
    return [one for one in found if not artifact_type or one.artifact_type == artifact_type]


def _read(place: Repository, raw: msgspec.Raw) -> Referrer:
    return decode(place.name, "entry of a list of referrers", bytes(raw), Referrer)


def _by_tag(place: Repository, subject: Digest) -> tuple[list[msgspec.Raw], dict[str, str]]:
    """The entries of the index behind the tag, and the header that lets a request change this state of it and no other
    (RFC 9110, 13.1), if there is one."""
    response = place.client.request(
        f"read {place.repository}:{tag_of(subject)}",
        "GET",
        f"/v2/{place.repository}/manifests/{tag_of(subject)}",
        scopes=pull(place.repository),
        expected=(200, 404),
        headers={"Accept": OCI_INDEX},
    )
    if response.status == 404:
        return [], {"If-None-Match": "*"}
    entries = decode(place.name, "index of referrers", response.content, _List).manifests
    etag = response.headers.get("ETag")
    return list(entries), {"If-Match": etag} if etag else {}


def _enter(place: Repository, subject: Digest, entry: Referrer) -> None:
    """Adds an entry to the index behind the tag.

    Others may do so at the same time, and the last one wins (the specification leaves that to clients): who has written
    looks again a moment later, and writes anew where the entry was lost. Conditions keep them apart where they are heeded.
    """
    for attempt in range(_ATTEMPTS):
        entries, condition = _by_tag(place, subject)
        if entry.digest in [_read(place, raw).digest for raw in entries]:
            return
        _write(place, subject, [*entries, msgspec.Raw(to_json(_as_entry(entry)))], condition)
        place.client.patience.back_off(attempt)
    raise RegistryError(
        f"{place.client.host}: {place.repository}:{tag_of(subject)} is written to by too many at once", hint="try again"
    )


def _as_entry(entry: Referrer) -> dict[str, Any]:
    made = {"mediaType": entry.media_type, "digest": entry.digest, "size": entry.size, "artifactType": entry.artifact_type}
    return made | ({"annotations": entry.annotations} if entry.annotations else {})


def _write(place: Repository, subject: Digest, entries: Sequence[msgspec.Raw], condition: Mapping[str, str]) -> None:
    content = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})
    place.client.request(
        f"push {place.repository}:{tag_of(subject)}",
        "PUT",
        f"/v2/{place.repository}/manifests/{tag_of(subject)}",
        scopes=push(place.repository),
        # 412: somebody was faster.
        expected=(200, 201, 202, 412),
        headers={"Content-Type": OCI_INDEX, **condition},
        body=content,
    )
