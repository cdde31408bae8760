"""The fake registry's side of the OCI distribution-spec: manifests, tags and referrers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from goctl.testing.connection import Connection, Refused
from goctl.testing.holdings import Repository
from goctl.values import Digest, is_tag

#: Bytes a manifest may have (distribution-spec: registries should accept 4 MiB).
_MAX_MANIFEST = 4 * 2**20
_INDEX = "application/vnd.oci.image.index.v1+json"


class Manifests(Connection):
    """The verbs on manifests, tags and referrers."""

    def _find(self, repository: str, reference: str) -> tuple[Repository, str]:
        found = self.registry.holdings.repository(repository)
        digest = found.tags.get(reference, reference)
        if digest not in found.manifests:
            raise Refused(404, "MANIFEST_UNKNOWN")
        return found, digest

    def _get_manifest(self, repository: str, reference: str) -> None:
        found, digest = self._find(repository, reference)
        content = self.fault.content
        if content is None:
            with self.registry.holdings.contents.open(digest) as file:
                content = file.read()
        self.answer(
            200, content, {"Content-Type": found.manifests[digest], "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
        )

    def _put_manifest(self, repository: str, reference: str) -> None:
        content = b"".join(self.body())
        if len(content) > _MAX_MANIFEST:
            raise Refused(413, "SIZE_INVALID")
        tags = self.query.get("tag", [])
        if not all(map(is_tag, tags)):
            raise Refused(400, "TAG_INVALID")
        digest = _digest_like(reference, content)
        if not is_tag(reference) and reference != digest:
            raise Refused(400, "DIGEST_INVALID")
        media_type = self.headers.get("Content-Type") or ""
        holdings = self.registry.holdings
        with holdings.guard:
            found = holdings.repository(repository)
            expected = self.headers.get("If-Match")
            if expected and expected != f'"{found.tags.get(reference, reference)}"':
                raise Refused(412, "DENIED")
            if self.headers.get("If-None-Match") == "*" and reference in found.tags:
                raise Refused(412, "DENIED")
            manifest = self._check_references(found, content, media_type)
            file = holdings.contents.begin()
            file.write(content)
            holdings.contents.commit(file, digest)
            found.manifests[digest] = media_type
            for tag in (reference, *tags) if is_tag(reference) else tags:
                found.tags[tag] = digest
            holdings.save()
        headers = {"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest}
        if (subject := manifest.get("subject")) and self.registry.referrers:
            headers["OCI-Subject"] = str(subject["digest"])
        if tags:
            headers["OCI-Tag"] = ", ".join(tags)
        self.answer(201, headers=headers)

    def _check_references(self, found: Repository, content: bytes, media_type: str) -> dict[str, Any]:
        """The manifest, when all that it names is there. Layers that say that they are not to be distributed need not be."""
        try:
            manifest = json.loads(content)
            entries = [entry for entry in (manifest.get("config"), *manifest.get("layers", ())) if entry]
            blobs = [entry["digest"] for entry in entries if not _is_elsewhere(entry)]
            children = [entry["digest"] for entry in manifest.get("manifests", ())]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refused(400, "MANIFEST_INVALID") from None
        if manifest.get("mediaType", media_type) != media_type:
            raise Refused(400, "MANIFEST_INVALID")
        if self.registry.strict and not (set(blobs) <= found.blobs and set(children) <= found.manifests.keys()):
            raise Refused(404, "MANIFEST_BLOB_UNKNOWN")
        return dict(manifest)

    def _delete_manifest(self, repository: str, reference: str) -> None:
        holdings = self.registry.holdings
        with holdings.guard:
            found, digest = self._find(repository, reference)
            if reference in found.tags:
                del found.tags[reference]
            else:
                del found.manifests[digest]
                found.tags = {tag: named for tag, named in found.tags.items() if named != digest}
            holdings.save()
        self.answer(202)

    def _get_referrers(self, repository: str, digest: str) -> None:
        if not self.registry.referrers:
            raise Refused(404, "NAME_UNKNOWN")
        try:
            Digest(digest)
        except ValueError:
            raise Refused(400, "DIGEST_INVALID") from None
        wanted = self.query.get("artifactType", [""])[0]
        found = self.registry.holdings.repository(repository)
        entries = []
        for name, media_type in sorted(found.manifests.items()):
            with self.registry.holdings.contents.open(name) as file:
                content = file.read()
            manifest = json.loads(content)
            if (manifest.get("subject") or {}).get("digest") == digest:
                entries.append(_referrer(manifest, media_type, name, len(content)))
        if wanted:
            entries = [entry for entry in entries if entry["artifactType"] == wanted]
        headers = {"Content-Type": _INDEX} | ({"OCI-Filters-Applied": "artifactType"} if wanted else {})
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
        self.answer(200, json.dumps(document).encode(), headers)

    def _get_tags(self, repository: str) -> None:
        if repository not in self.registry.holdings.repositories:
            raise Refused(404, "NAME_UNKNOWN")
        last = self.query.get("last", [""])[0]
        tags = sorted(tag for tag in self.registry.tags(repository) if tag > last)
        headers = {"Content-Type": "application/json"}
        asked = self.query.get("n", [""])[0]
        count = min(int(asked) if asked.isdigit() else len(tags), self.registry.page or len(tags))
        if count < len(tags):
            tags = tags[:count]
            if tags:
                headers["Link"] = f'</v2/{repository}/tags/list?n={count}&last={tags[-1]}>; rel="next"'
        self.answer(200, json.dumps({"name": repository, "tags": tags}).encode(), headers)


def _digest_like(reference: str, content: bytes) -> str:
    """The content's digest, by the algorithm of a reference."""
    if reference.startswith("sha512:"):
        return f"sha512:{hashlib.sha512(content).hexdigest()}"
    return Digest.of(content)


def _is_elsewhere(layer: dict[str, Any]) -> bool:
    return bool(layer.get("urls")) or "nondistributable" in layer.get("mediaType", "") or "foreign" in layer["mediaType"]


def _referrer(manifest: dict[str, Any], media_type: str, digest: str, size: int) -> dict[str, Any]:
    kind = manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType", "")
    entry: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size, "artifactType": kind}
    if manifest.get("annotations"):
        entry["annotations"] = manifest["annotations"]
    return entry
