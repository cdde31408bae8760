"""The digest of a file, read anew only when the file may have changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from goctl.contracts import Memo
from goctl.errors import StorageError
from goctl.system.files import Identity, clock, identity
from goctl.values import Digest


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    identity: Identity
    digest: str
    settled: bool


_DECODE = msgspec.msgpack.Decoder(_Entry).decode
_ENCODE = msgspec.msgpack.encode


class Ledger:
    """Digests of files below a root, remembered by path together with the identity that the content had.

    Where an identity cannot tell (a write in the same tick as the note, or Windows) the content is read. `scratch` is a
    folder of goctl's own: times are compared with its clock, so that nothing is written among the user's files.
    """

    def __init__(self, memo: Memo, root: Path, scratch: Path, *, write: bool = True) -> None:
        self._memo = memo
        self._root = root
        self._scratch = scratch
        self._write = write

    def digest(self, path: Path) -> Digest | None:
        """The sha256 of the file as it is now; None where there is none."""
        found = identity(path)
        if found is None:
            return None
        entry = self._entry(path)
        if entry is not None and entry.settled and entry.identity == found:
            return Digest(entry.digest)
        digest = digest_of(path)
        self.note(path, digest, found)
        return digest

    def made(self, path: Path, digest: Digest) -> None:
        """Notes that a step has just made this file, and with which content."""
        self.note(path, digest)
        self._memo.put("made", self._name(path), digest.encode())

    def untouched(self, path: Path) -> Digest | None:
        """The digest of a file that still is what a step made it; None for a file that somebody else wrote to."""
        made = self._memo.get("made", self._name(path))
        digest = self.digest(path) if made is not None else None
        return digest if digest is not None and digest.encode() == made else None

    def note(self, path: Path, digest: Digest, found: Identity | None = None) -> None:
        """Remembers a digest that was just computed. `found` is the identity from before the content was read."""
        found = found or identity(path)
        if found is not None and self._write:
            entry = _Entry(found, str(digest), self._is_settled(path, found))
            self._memo.put("file", self._name(path), _ENCODE(entry))

    def _is_settled(self, path: Path, found: Identity) -> bool:
        now = clock(self._scratch)
        # Another disk, or another server, has a clock of its own: the content decides there.
        return os.stat(path.parent).st_dev == os.stat(self._scratch).st_dev and found.is_settled(now)

    def _entry(self, path: Path) -> _Entry | None:
        content = self._memo.get("file", self._name(path))
        if content is None:
            return None
        try:
            return _DECODE(content)
        except msgspec.MsgspecError:
            return None

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self._root).replace(os.sep, "/")


def digest_of(path: str | os.PathLike[str]) -> Digest:
    """The sha256 of a file's content, read in pieces."""
    try:
        with open(path, "rb") as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
