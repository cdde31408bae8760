"""What earlier runs leave behind for later ones: uploads that were begun, and what was learned of a host.

Nothing of it is believed. An upload is asked for its offset before it is gone on with, and a repository that is said to
hold a blob is asked to have it mounted; what is no longer true costs one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from goctl.contracts import Memo
from goctl.errors import StorageError
from goctl.values import Digest, from_json

if TYPE_CHECKING:
    from goctl.registry.sessions import Session
    from goctl.registry.upload import Abilities

_UPLOADS = "uploads"
_HOSTS = "hosts"
_HOLDERS = "holders"
#: Repositories that are remembered for each blob.
_MOST = 4


class Journal:
    """The journal of one registry. Safe to use from several threads: each upload has an entry of its own."""

    def __init__(self, memo: Memo, host: str) -> None:
        self._memo = memo
        self._host = host

    def unfinished(self, repository: str, digest: Digest) -> Session | None:
        """The upload of a blob that an earlier run began and did not end."""
        from goctl.registry.sessions import Session

        content = self._memo.get(_UPLOADS, self._key(repository, digest))
        try:
            return from_json(content, Session) if content else None
        except msgspec.DecodeError:
            return None

    def began(self, repository: str, digest: Digest, session: Session) -> None:
        self._put(_UPLOADS, self._key(repository, digest), msgspec.json.encode(session))

    def finished(self, repository: str, digest: Digest) -> None:
        """The upload ended, or is given up."""
        key = self._key(repository, digest)
        if self._memo.get(_UPLOADS, key):
            self._put(_UPLOADS, key, b"")

    def holders(self, digest: Digest) -> tuple[str, ...]:
        """Repositories that held a blob when they were last seen, the latest first."""
        content = self._memo.get(_HOLDERS, self._key("", digest))
        return tuple(content.decode().split()) if content else ()

    def held(self, repository: str, digest: Digest) -> None:
        known = self.holders(digest)
        if repository not in known:
            self._put(_HOLDERS, self._key("", digest), " ".join((repository, *known)[:_MOST]).encode())

    def recall(self, abilities: Abilities) -> None:
        """Fills in what is known of the host."""
        content = self._memo.get(_HOSTS, self._host)
        if content:
            try:
                known = from_json(content, type(abilities))
            except msgspec.DecodeError:
                return
            abilities.way, abilities.piece = known.way, max(2**20, known.piece)

    def learned(self, abilities: Abilities) -> None:
        self._put(_HOSTS, self._host, msgspec.json.encode(abilities))

    def _key(self, repository: str, digest: Digest) -> str:
        return f"{self._host} {repository} {digest}"

    def _put(self, kind: str, key: str, value: bytes) -> None:
        try:
            self._memo.put(kind, key, value)
        except StorageError:
            return  # a push does not fail for want of notes
