"""Sending one blob: asked for first, mounted where it may be, else sent whole in one request (distribution-spec, "Push")."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlencode

from goctl.contracts import BlobStore
from goctl.errors import RegistryError, StorageError
from goctl.registry.client import Client, pull, push
from goctl.system.http import Response
from goctl.values import Descriptor

Tick = Callable[[int], None]


def send_blob(client: Client, repository: str, blob: Descriptor, store: BlobStore, tick: Tick, source: str = "") -> int:
    """Makes sure a repository holds a blob; the bytes that were sent for it.

    `tick` is called with bytes as they are dealt with, negative ones when they have to be sent again. `source` is another
    repository of this registry that holds the blob. Raises RegistryError, and StorageError for a blob that is not whole.
    """
    if client.has_blob(repository, blob):
        tick(blob.size)
        return 0
    session = ""
    if source and source != repository:
        mounted, session = _mount(client, repository, blob, source)
        if mounted:
            tick(blob.size)
            return 0
    content = _Content(client, store, blob, tick)
    for attempt in range(client.patience.retries + 1):
        session = session or _open_session(client, repository)
        try:
            _put(client, session, repository, blob, content)
            return blob.size
        except RegistryError as error:
            content.forget()
            if attempt == client.patience.retries or not _may_try_again(error):
                raise
        client.patience.back_off(attempt)
        session = ""
        # The blob may have arrived and only the answer been lost.
        if client.has_blob(repository, blob):
            tick(blob.size)
            return blob.size
    raise AssertionError("unreachable")


def _may_try_again(error: RegistryError) -> bool:
    """Whether a new session may end better: a fault that passes, or a session that the registry no longer knows."""
    return error.temporary or error.status in (404, 416) or error.code in ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID")


def _mount(client: Client, repository: str, blob: Descriptor, source: str) -> tuple[bool, str]:
    """Asks for a blob out of another repository; whether it came, and else the session that was opened in its place."""
    try:
        response = client.request(
            f"mount a layer in {repository}",
            "POST",
            f"/v2/{repository}/blobs/uploads/?{urlencode({'mount': blob.digest, 'from': source})}",
            scopes=push(repository) + pull(source),
            expected=(201, 202),
        )
    except RegistryError as error:
        if error.temporary or error.status == 0:
            raise
        return False, ""  # who may not mount may still push
    return response.status == 201, _session(client, response) if response.status == 202 else ""


def _open_session(client: Client, repository: str) -> str:
    response = client.request(
        f"push to {repository}",
        "POST",
        f"/v2/{repository}/blobs/uploads/",
        scopes=push(repository),
        expected=(201, 202),
    )
    session = _session(client, response)
    if not session:
        raise RegistryError(f"{client.host} names no place to send a layer of {repository} to", status=response.status)
    return session


def _session(client: Client, response: Response) -> str:
    location = response.headers.get("Location")
    return client.resolve(location, response) if location else ""


def _put(client: Client, session: str, repository: str, blob: Descriptor, content: _Content) -> None:
    client.request(
        f"push a layer of {repository}",
        "PUT",
        session + ("&" if "?" in session else "?") + urlencode({"digest": blob.digest}),
        scopes=push(repository),
        expected=(200, 201, 204),
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
        body=content.open,
        # A session that was written to cannot be written to from the start again: what is repeated is all of it.
        retries=0,
    )


class _Content:
    """A blob to send, opened anew for each attempt."""

    def __init__(self, client: Client, store: BlobStore, blob: Descriptor, tick: Tick) -> None:
        self._client = client
        self._store = store
        self._blob = blob
        self._tick = tick
        self._sent = 0

    def open(self) -> _Reader:
        self.forget()
        return _Reader(self._store.open(self._blob.digest), self._blob, self._on_bytes)

    def forget(self) -> None:
        """What was sent was sent for nothing."""
        if self._sent:
            self._tick(-self._sent)
            self._sent = 0

    def _on_bytes(self, count: int) -> None:
        self._client.patience.check()
        self._sent += count
        self._tick(count)


class _Reader:
    """Exactly as many bytes as announced, or an error: too few would leave both sides waiting for each other."""

    def __init__(self, file: BinaryIO, blob: Descriptor, tick: Tick) -> None:
        self._file = file
        self._blob = blob
        self._left = blob.size
        self._tick = tick

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left:
            raise StorageError(f"the blob {self._blob.digest.short} is shorter than it was", hint="run `invoke clean`")
        self._left -= len(data)
        self._tick(len(data))
        return data

    def close(self) -> None:
        self._file.close()
