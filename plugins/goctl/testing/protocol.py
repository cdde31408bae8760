"""The fake registry's side of the OCI distribution-spec: blobs. What it does with manifests stands in its base class."""

from __future__ import annotations

import re
import secrets
from typing import IO

from goctl.testing.connection import Broken, Refused
from goctl.testing.manifests import Manifests


class Handler(Manifests):
    """The verbs: `_VERB_ROUTE`, called with the parts of the path. HEAD is GET without a body."""

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
        # Without a source, any will do (distribution-spec, end-11).
        sources = [holdings.repository(source)] if source else list(holdings.repositories.values())
        if mount and any(mount in one.blobs for one in sources):
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
        before = file.tell()
        try:
            for part in self.body():
                file.write(part)
        except (OSError, Broken):
            if not self.registry.keeps_partial:
                file.seek(before)
                file.truncate()
            raise
        return file

    def _put_upload(self, repository: str, session: str) -> None:
        file = self._receive(repository, session)
        digest = self.query.get("digest", [""])[0]
        self.registry.uploads.pop(session, None)
        if not self.registry.holdings.contents.commit(file, digest):
            raise Refused(400, "DIGEST_INVALID")
        self._hold(repository, digest)

    def _hold(self, repository: str, digest: str) -> None:
        holdings = self.registry.holdings
        with holdings.guard:
            holdings.repository(repository).blobs.add(digest)
            holdings.save()
        self.answer(201, headers={"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})
