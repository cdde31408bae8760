"""What a registry lets us do, found out without leaving anything behind: sessions are opened and cancelled, what is asked to
be deleted does not exist.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

import msgspec

from goctl.errors import RegistryError
from goctl.registry.client import ACCEPT, Client, pull, push
from goctl.system.http import Response
from goctl.values import Digest, from_json

Answer = Literal["yes", "no", "unknown"]
#: Statuses of a registry that does not know a verb, or not yet.
_UNSUPPORTED: Final = frozenset({400, 404, 405, 415, 501})
_SESSION_ENDS: Final = (200, 202, 204, 400, 404, 405)


class Probe(msgspec.Struct, frozen=True):
    """What was found. `login` says who we are there; `refusal` why nothing may be pushed, empty where it may.

    `features` are mount, referrers, chunked and delete; unknown is what only content that is there could show. `through` are
    the other hosts that have a part in it: token services, storages.
    """

    login: str
    refusal: RegistryError | None
    features: dict[str, Answer]
    through: tuple[str, ...]


class _Sample(msgspec.Struct, frozen=True):
    """A manifest that is there, and a blob of it."""

    manifest: Digest
    blob: Digest


class _Entry(msgspec.Struct, frozen=True):
    digest: str = ""


class _Manifest(msgspec.Struct, frozen=True):
    manifests: tuple[_Entry, ...] = ()
    config: _Entry | None = None


class _Tags(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


def probe(client: Client, repository: str) -> Probe:
    """Looks at a registry by way of a repository, which need not exist. Raises RegistryError where it cannot be reached,
    does not take our login, or sends us somewhere that cannot be reached.
    """
    return _Prober(client, repository).run()


class _Prober:
    def __init__(self, client: Client, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = f"/v2/{repository}"
        self._through: list[str] = []

    def run(self) -> Probe:
        self._note(self._client.ping("be let in"))
        sample = self._sample()
        features: dict[str, Answer] = {}
        refusal = None
        try:
            session = self._open()
        except RegistryError as error:
            if not error.status or error.temporary:
                raise
            refusal = error
        else:
            features["mount"] = self._mount(sample)
            features["chunked"] = self._chunk(session)
            features["delete"] = self._delete()
        features["referrers"] = self._referrers(sample)
        if sample is not None:
            self._read(sample)
        return Probe(self._login(), refusal, features, self._others())

    def _login(self) -> str:
        authorizer = self._client.authorizer
        shown = authorizer.shown
        if not shown:
            return "nobody asked who we are" if not authorizer.scheme else "anonymous"
        who = f"as {shown.username}" if shown.username else "with a token"
        return f"logged in {who}, from {shown.source} ({authorizer.scheme})"

    def _others(self) -> tuple[str, ...]:
        own = urlsplit(self._client.address).netloc
        places = [*self._client.authorizer.realms, *self._through]
        return tuple(dict.fromkeys(name for place in places if (name := urlsplit(place).netloc) and name != own))

    def _note(self, response: Response) -> None:
        self._through += [*response.hops, response.url]

    def _ask(self, method: str, path: str, expected: Iterable[int], scopes: tuple[str, ...], **more: str) -> Response:
        headers = {"Accept": ACCEPT} if method == "GET" else {name.replace("_", "-"): value for name, value in more.items()}
        body = b"\0" if method == "PATCH" else None
        response = self._client.request(
            "be looked at", method, path, scopes=scopes, expected=tuple(expected), headers=headers, body=body
        )
        self._note(response)
        return response

    def _open(self, query: str = "") -> Response:
        doing = f"push to {self._repository}"
        path = f"{self._path}/blobs/uploads/{query}"
        response = self._client.request(doing, "POST", path, scopes=push(self._repository), expected=(201, 202))
        self._note(response)
        return response

    def _cancel(self, session: Response) -> None:
        """A session that cannot be cancelled ends by itself after some days."""
        location = session.headers.get("Location")
        if session.status == 202 and location:
            self._ask("DELETE", self._client.resolve(location, session), _SESSION_ENDS, push(self._repository))

    def _chunk(self, session: Response) -> Answer:
        location = session.headers.get("Location")
        if not location:
            return "unknown"
        url = self._client.resolve(location, session)
        headers = {"Content_Type": "application/octet-stream", "Content_Range": "0-0", "Content_Length": "1"}
        after = self._ask("PATCH", url, (202, 204, *_UNSUPPORTED), push(self._repository), **headers)
        if after.status in _UNSUPPORTED:
            self._cancel(session)
            return "no"
        self._cancel(after if after.status == 202 and after.headers.get("Location") else session)
        return "yes"

    def _mount(self, sample: _Sample | None) -> Answer:
        # A mount that is refused opens a session, and so does one that is not known: only a blob that is there tells.
        if sample is None:
            return "unknown"
        session = self._open("?" + urlencode({"mount": sample.blob, "from": self._repository}))
        self._cancel(session)
        return "yes" if session.status == 201 else "no"

    def _delete(self) -> Answer:
        nothing = Digest.of(secrets.token_bytes(32))
        scopes = (f"repository:{self._repository}:delete,pull,push",)
        try:
            answer = self._ask("DELETE", f"{self._path}/manifests/{nothing}", (202, 404), scopes)
        except RegistryError as error:
            if not error.status or error.temporary:
                raise
            return "no"
        return "yes" if answer.status in (202, 404) else "no"

    def _referrers(self, sample: _Sample | None) -> Answer:
        digest = sample.manifest if sample is not None else Digest.of(b"")
        try:
            answer = self._ask("GET", f"{self._path}/referrers/{digest}", (200, 404), pull(self._repository))
        except RegistryError as error:
            if not error.status or error.temporary:
                raise
            return "no" if error.status in _UNSUPPORTED else "unknown"
        if answer.status == 404 and sample is None and b"NAME_UNKNOWN" in answer.content:
            return "unknown"
        return "yes" if answer.status == 200 else "no"

    def _sample(self) -> _Sample | None:
        """Something that is there, by the first tag; None where nothing is, or nothing may be read."""
        try:
            answer = self._ask("GET", f"{self._path}/tags/list?n=1", (200,), pull(self._repository))
            tags = from_json(answer.content, _Tags).tags
            reference = tags[0] if tags else ""
            for _ in range(2):  # an index, and an image of it
                content = self._client.get_manifest(self._repository, reference) if reference else None
                if content is None:
                    return None
                manifest = from_json(content, _Manifest)
                if manifest.config is not None:
                    return _Sample(Digest.of(content), Digest(manifest.config.digest))
                reference = manifest.manifests[0].digest if manifest.manifests else ""
        except (ValueError, RegistryError):
            pass
        return None

    def _read(self, sample: _Sample) -> None:
        response = self._client.request(
            "read a config",
            "GET",
            f"{self._path}/blobs/{sample.blob}",
            scopes=pull(self._repository),
            expected=(200,),
            stream=True,
        )
        self._note(response)
        response.close()
