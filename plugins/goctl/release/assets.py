"""The digests of assets, read anew only where a file or a folder may have changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.errors import ImageError
from goctl.system.files import Identity, clock, identity, inside
from goctl.values import Digest, from_msgpack

if TYPE_CHECKING:
    from goctl.release.session import Session


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """What a tree was: the identity of each file and folder in it, and the digest of names and contents."""

    parts: dict[str, Identity]
    digest: str


class AssetLedger:
    """Asset digests of one project, by their path in goctl.toml."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def digest(self, source: str) -> Digest:
        """The digest of a file's or a tree's names and contents. Raises ImageError where it cannot be read."""
        path = inside(self._session.root, source, what="assets")
        found = identity(path)
        if found is None:
            raise ImageError(f"the asset {source!r} does not exist", hint="make it before the release, or mend image.assets")
        record = self._recall(path)
        if record is not None and all(identity(part) == known for part, known in record.parts.items()):
            return Digest(record.digest)
        return self._read(path)

    def _recall(self, path: Path) -> _Record | None:
        content = self._session.memo.get("asset", str(path))
        if content is None:
            return None
        try:
            return from_msgpack(content, _Record)
        except msgspec.MsgspecError:
            return None

    def _read(self, path: Path) -> Digest:
        from goctl.oci.assets import asset_digest

        if self._session.look_only:
            return asset_digest(path)
        before = _parts(path)
        digest = asset_digest(path)
        at = clock(self._session.state)
        if before == _parts(path) and all(known.is_settled(at) for known in before.values()):
            self._session.memo.put("asset", str(path), msgspec.msgpack.encode(_Record(before, str(digest))))
        return digest


def _parts(path: Path) -> dict[str, Identity]:
    """The identities of a file, or of a folder and everything below it, links followed where they end."""
    paths = [path]
    if path.is_dir():
        paths += path.rglob("*")
        # rglob does not enter linked folders; oci/assets does, within the tree, where their content is listed once more.
    return {str(part): found for part in paths if (found := identity(part)) is not None}
