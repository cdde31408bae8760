"""Upload sessions (distribution-spec, "Pushing blobs"): opened, mounted into, written whole or in pieces, asked how far
they are.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

import msgspec

from goctl.errors import RegistryError
from goctl.registry.client import Client, pull, push
from goctl.system.http import Body, Response
from goctl.values import Descriptor

#: Bytes a second that a registry is taken to store at least, where it does so before it answers.
_STORING: Final = 20_000_000
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


class Session(msgspec.Struct):
    """Where the next request of an upload goes, the bytes the registry has, and the fewest it takes in one piece."""

    url: str
    offset: int = 0
    least: int = 0


def open_session(client: Client, repository: str) -> Session:
    """A new upload. Raises RegistryError."""
    response = client.request(
        f"push to {repository}",
        "POST",
        f"/v2/{repository}/blobs/uploads/",
        scopes=push(repository),
        expected=(201, 202),
    )
    session = _session(client, response)
    if session is None:
        raise RegistryError(f"{client.host} names no place to send a layer of {repository} to", status=response.status)
    return session


def mount(client: Client, repository: str, blob: Descriptor, source: str) -> tuple[bool, Session | None]:
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
        return False, None  # who may not mount may still push
    return response.status == 201, _session(client, response) if response.status == 202 else None


def put(client: Client, repository: str, session: Session, blob: Descriptor, body: Body, size: int) -> None:
    """Ends an upload, with the content's last `size` bytes, or all of it. Sent once: repeating is up to the caller."""
    client.request(
        f"push a layer of {repository}",
        "PUT",
        session.url + ("&" if "?" in session.url else "?") + urlencode({"digest": blob.digest}),
        scopes=push(repository),
        expected=(200, 201, 204),
        headers={**_OCTETS, "Content-Length": str(size)},
        body=body,
        retries=0,
        timeout=client.timeout + blob.size / _STORING,
    )


def patch(client: Client, repository: str, session: Session, body: Body, size: int) -> None:
    """Sends the next `size` bytes, once, and moves the session on. Raises RegistryError."""
    end = session.offset + size
    response = client.request(
        f"push a layer of {repository}",
        "PATCH",
        session.url,
        scopes=push(repository),
        expected=(200, 201, 202, 204),
        headers={**_OCTETS, "Content-Length": str(size), "Content-Range": f"{session.offset}-{end - 1}"},
        body=body,
        retries=0,
    )
    told = _held(response)
    if told is not None and told != end:
        raise RegistryError(f"{client.host} has {told} bytes of a layer of {repository} after {end} were sent", status=416)
    session.offset = end
    session.url = _location(client, response) or session.url


def ask(client: Client, repository: str, session: Session, retries: int | None) -> int | None:
    """The bytes that the registry has, by its own account; None where it knows nothing (any more). Never raises for a no."""
    response = client.request(
        f"ask for the state of an upload to {repository}",
        "GET",
        session.url,
        scopes=push(repository),
        expected=(200, 202, 204, 400, 403, 404, 405, 410, 416),
        retries=retries,
    )
    if response.status >= 300:
        return None
    session.url = _location(client, response) or session.url
    return _held(response)


def cancel(client: Client, repository: str, session: Session) -> None:
    """Gives an upload up, so that the registry need not keep it. Whether it listens does not matter."""
    try:
        client.request("end an upload", "DELETE", session.url, scopes=push(repository), expected=(202, 204), retries=0)
    except RegistryError:
        return


def _held(response: Response) -> int | None:
    """Bytes of a `Range: 0-LAST`. `0-0` is what registries say of nothing: that of a single byte is not to be told apart."""
    match = _RANGE.fullmatch((response.headers.get("Range") or "").strip())
    if match is None:
        return None
    last = int(match[1])
    return last + 1 if last else 0


def _session(client: Client, response: Response) -> Session | None:
    url = _location(client, response)
    least = response.headers.get("OCI-Chunk-Min-Length") or ""
    return Session(url, least=int(least) if least.isascii() and least.isdigit() else 0) if url else None


def _location(client: Client, response: Response) -> str:
    location = response.headers.get("Location")
    return client.resolve(location, response) if location else ""
