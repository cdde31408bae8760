"""The fake registry's side of the OCI distribution-spec."""

from __future__ import annotations

import json
import re
import secrets
from typing import IO

from goctl.testing.connection import Connection, Refused
from goctl.testing.holdings import Repository
from goctl.values import Digest, is_tag

#: Bytes a manifest may have (distribution-spec: registries should accept 4 MiB).
_MAX_MANIFEST = 4 * 2**20


class Handler(Connection):
    """The verbs: `_VERB_ROUTE`, called with the parts of the path. HEAD is GET without a body."""

    # Blobs

    def _get_blob(self, repository: str, digest: str) -> None:
        holdings = self.registry.holdings
        size = holdings.contents.size(digest)
        if size is None or digest not in holdings.repository(repository).blobs:
            raise Refused(404, "BLOB_UNKNOWN")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        if self.fault.content is not None:
            self.answer(200, self.fault.content, headers)
            return
        start, status = 0, 200
        if (match := re.match(r"bytes=(\d+)-$", self.headers.get("Range") or "")) and int(match[1]) < size:
            start, status = int(match[1]), 206
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.head(status, size - start, headers)
        if self.command == "HEAD":
            return
        with holdings.contents.open(digest) as file:
            file.seek(start)
            sent = 0
            while part := file.read(2**18):
                self.send_part(part, sent)
                sent += len(part)

    def _delete_blob(self, repository: str, digest: str) -> None:
        holdings = self.registry.holdings
        with holdings.guard:
            if digest not in holdings.repository(repository).blobs:
                raise Refused(404, "BLOB_UNKNOWN")
            holdings.repository(repository).blobs.discard(digest)
            holdings.save()
        self.answer(202)

    def _post_uploads(self, repository: str) -> None:
        holdings = self.registry.holdings
        mount, source = (self.query.get(name, [""])[0] for name in ("mount", "from"))
        if mount and source and mount in holdings.repository(source).blobs:
            self._hold(repository, mount)
            return
        session = secrets.token_hex(16)
        self.registry.uploads[session] = holdings.contents.begin()
        if "digest" in self.query:
            self._put_upload(repository, session)
            return
        self.answer(202, headers=self._session_headers(repository, session))

    def _session_headers(self, repository: str, session: str) -> dict[str, str]:
        end = max(0, self.registry.uploads[session].tell() - 1)
        return {"Location": f"/v2/{repository}/blobs/uploads/{session}", "Range": f"0-{end}", "Docker-Upload-UUID": session}

    def _upload_of(self, session: str) -> IO[bytes]:
        if session not in self.registry.uploads:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN")
        return self.registry.uploads[session]

    def _get_upload(self, repository: str, session: str) -> None:
        self._upload_of(session)
        self.answer(204, headers=self._session_headers(repository, session))

    def _delete_upload(self, repository: str, session: str) -> None:
        self._upload_of(session)
        del self.registry.uploads[session], repository
        self.answer(204)

    def _patch_upload(self, repository: str, session: str) -> None:
        self._receive(repository, session)
        self.answer(202, headers=self._session_headers(repository, session))

    def _receive(self, repository: str, session: str) -> IO[bytes]:
        file = self._upload_of(session)
        match = re.match(r"(?:bytes )?(\d+)-", self.headers.get("Content-Range") or "")
        if match and int(match[1]) != file.tell():
            raise Refused(416, "BLOB_UPLOAD_INVALID", self._session_headers(repository, session))
        for part in self.body():
            file.write(part)
        return file

    def _put_upload(self, repository: str, session: str) -> None:
        file = self._receive(repository, session)
        digest = self.query.get("digest", [""])[0]
        del self.registry.uploads[session]
        if not self.registry.holdings.contents.commit(file, digest):
            raise Refused(400, "DIGEST_INVALID")
        self._hold(repository, digest)

    def _hold(self, repository: str, digest: str) -> None:
        holdings = self.registry.holdings
        with holdings.guard:
            holdings.repository(repository).blobs.add(digest)
            holdings.save()
        self.answer(201, headers={"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})

    # Manifests and tags

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
        self.answer(200, content, {"Content-Type": found.manifests[digest], "Docker-Content-Digest": digest})

    def _put_manifest(self, repository: str, reference: str) -> None:
        content = b"".join(self.body())
        if len(content) > _MAX_MANIFEST:
            raise Refused(413, "SIZE_INVALID")
        digest = Digest.of(content)
        if not is_tag(reference) and reference != digest:
            raise Refused(400, "DIGEST_INVALID")
        media_type = self.headers.get("Content-Type") or ""
        holdings = self.registry.holdings
        with holdings.guard:
            found = holdings.repository(repository)
            self._check_references(found, content, media_type)
            file = holdings.contents.begin()
            file.write(content)
            holdings.contents.commit(file, digest)
            found.manifests[digest] = media_type
            if is_tag(reference):
                found.tags[reference] = digest
            holdings.save()
        self.answer(201, headers={"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest})

    def _check_references(self, found: Repository, content: bytes, media_type: str) -> None:
        try:
            manifest = json.loads(content)
            blobs = [entry["digest"] for entry in (manifest.get("config"), *manifest.get("layers", ())) if entry]
            children = [entry["digest"] for entry in manifest.get("manifests", ())]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refused(400, "MANIFEST_INVALID") from None
        if manifest.get("mediaType", media_type) != media_type:
            raise Refused(400, "MANIFEST_INVALID")
        if not (set(blobs) <= found.blobs and set(children) <= found.manifests.keys()):
            raise Refused(404, "MANIFEST_BLOB_UNKNOWN")

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

    def _get_tags(self, repository: str) -> None:
        if repository not in self.registry.holdings.repositories:
            raise Refused(404, "NAME_UNKNOWN")
        last = self.query.get("last", [""])[0]
        tags = sorted(tag for tag in self.registry.tags(repository) if tag > last)
        headers = {"Content-Type": "application/json"}
        count = self.query.get("n", [""])[0]
        if count.isdigit() and int(count) < len(tags):
            tags = tags[: int(count)]
            if tags:
                headers["Link"] = f'</v2/{repository}/tags/list?n={count}&last={tags[-1]}>; rel="next"'
        self.answer(200, json.dumps({"name": repository, "tags": tags}).encode(), headers)
