"""A blob that a repository lacks: mounted from another repository of the registry where that may be, else sent whole.

What comes from another registry goes by way of the blob store, where it is verified before anything of it is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlencode

from goctl.contracts import BlobStore
from goctl.errors import RegistryError
from goctl.registry.client import Client, push
from goctl.registry.sessions import Session, mount, open_session
from goctl.registry.sources import Repository
from goctl.values import Descriptor


def carry(blob: Descriptor, source: Repository, target: Repository, store: BlobStore) -> int:
    """Makes sure that the target holds a blob of the source; the bytes that were sent. Raises RegistryError."""
    if target.client.has_blob(target.repository, blob):
        return 0
    session = None
    if source.client.host == target.client.host:
        mounted, session = mount(target.client, target.repository, blob, source.repository)
        if mounted:
            return 0
    source.client.fetch_blob(source.repository, blob, store, lambda _: None)
    return send(target, blob, lambda: store.open(blob.digest), session)


def send(target: Repository, blob: Descriptor, content: Callable[[], BinaryIO], session: Session | None = None) -> int:
    """Sends a blob, unless it is there; the bytes that were sent. `content` is opened for each attempt."""
    client = target.client
    if session is None and client.has_blob(target.repository, blob):
        return 0
    for attempt in range(client.patience.retries + 1):
        try:
            session = session or open_session(client, target.repository)
            _put(client, session.url, target.repository, blob, content)
            return blob.size
        except RegistryError as error:
            # A session that was written to cannot be written to from the start again: the next attempt has its own.
            if attempt == client.patience.retries or not (error.temporary or error.status in (404, 416)):
                raise
        session = None
        client.patience.back_off(attempt)
        if client.has_blob(target.repository, blob):
            return blob.size
    raise AssertionError("unreachable")


def _put(client: Client, session: str, repository: str, blob: Descriptor, content: Callable[[], BinaryIO]) -> None:
    client.request(
        f"push a layer of {repository}",
        "PUT",
        session + ("&" if "?" in session else "?") + urlencode({"digest": blob.digest}),
        scopes=push(repository),
        expected=(200, 201, 204),
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
        body=content,
        retries=0,
    )
