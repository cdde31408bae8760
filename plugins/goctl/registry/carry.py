"""A blob that a repository lacks: mounted from another repository of the registry where that may be, else sent whole.

What comes from another registry goes by way of the blob store, where it is verified before anything of it is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlencode

from goctl.contracts import BlobStore
from goctl.errors import RegistryError
from goctl.registry.client import Client, pull, push
from goctl.registry.sources import Repository
from goctl.system.http import Response
from goctl.values import Descriptor


def carry(blob: Descriptor, source: Repository, target: Repository, store: BlobStore) -> int:
    """Makes sure that the target holds a blob of the source; the bytes that were sent. Raises RegistryError."""
    if target.client.has_blob(target.repository, blob):
        return 0
    session = ""
    if source.client.host == target.client.host:
        mounted, session = _mount(target.client, target.repository, blob, source.repository)
        if mounted:
            return 0
    source.client.fetch_blob(source.repository, blob, store, lambda _: None)
    return send(target, blob, lambda: store.open(blob.digest), session)


def send(target: Repository, blob: Descriptor, content: Callable[[], BinaryIO], session: str = "") -> int:
    """Sends a blob, unless it is there; the bytes that were sent. `content` is opened for each attempt."""
    client = target.client
    if not session and client.has_blob(target.repository, blob):
        return 0
    for attempt in range(client.patience.retries + 1):
        try:
            session = session or _open_session(client, target.repository)
            _put(client, session, target.repository, blob, content)
            return blob.size
        except RegistryError as error:
            # A session that was written to cannot be written to from the start again: the next attempt has its own.
            if attempt == client.patience.retries or not (error.temporary or error.status in (404, 416)):
                raise
        session = ""
        client.patience.back_off(attempt)
        if client.has_blob(target.repository, blob):
            return blob.size
    raise AssertionError("unreachable")


def _mount(client: Client, repository: str, blob: Descriptor, source: str) -> tuple[bool, str]:
    """Whether the blob came, and else the session that was opened in its place."""
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
    return response.status == 201, _location(client, response) if response.status == 202 else ""


def _open_session(client: Client, repository: str) -> str:
    path = f"/v2/{repository}/blobs/uploads/"
    response = client.request(f"push to {repository}", "POST", path, scopes=push(repository), expected=(201, 202))
    session = _location(client, response)
    if not session:
        raise RegistryError(f"{client.host} names no place to send a layer of {repository} to", status=response.status)
    return session


def _location(client: Client, response: Response) -> str:
    location = response.headers.get("Location")
    return client.resolve(location, response) if location else ""


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
