"""What is known already: artifacts by the keys of their steps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from goctl.contracts import Archive, Binary, Image, Index
from goctl.plan.model import ArchiveStep, ChecksumsStep, CompileStep
from goctl.system.files import move, storage_errors
from goctl.system.ledger import Ledger
from goctl.values import Digest, from_json, to_json

if TYPE_CHECKING:
    from goctl.release.session import Session

A = TypeVar("A", Binary, Image, Index, Archive)


class Known:
    """The memory of earlier runs, a workspace's for all of its projects. A damaged entry is as good as none."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ledger = Ledger(session.memo, session.root, session.scratch, write=not session.look_only)

    def program(self, step: CompileStep) -> Binary | None:
        """The program of a compile step, when its key is known and a file below dist/ is still that program."""
        binary = self._artifact("compile", step.input, Binary)
        if binary is None:
            return None
        lacking = [output for output in step.outputs if not self._holds(output, binary)]
        if lacking and not self._holds(binary.path, binary):
            return None
        if not self._session.look_only:
            for output in lacking:
                self._copy(binary, output)
        return msgspec.structs.replace(binary, path=step.outputs[0])

    def _holds(self, path: str, binary: Binary) -> bool:
        return self._ledger.digest(self._session.root / path) == binary.digest

    def _copy(self, binary: Binary, output: str) -> None:
        """Brings a program to one more place: another target, or another project, compiled the same before."""
        place = self._session.root / output
        with storage_errors(str(place)):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._session.scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="copy.", dir=self._session.scratch) as folder:
                beside = Path(folder, place.name)
                shutil.copy2(self._session.root / binary.path, beside)
                move(beside, place)
        self._ledger.made(place, binary.digest)

    def image(self, key: Digest | None) -> Image | None:
        return self._artifact("image", key, Image)

    def index(self, key: Digest | None) -> Index | None:
        return self._artifact("index", key, Index)

    def archive(self, step: ArchiveStep, key: Digest | None) -> Archive | None:
        """The archive of a step, when its key is known and the file below dist/ is still that archive."""
        archive = self._artifact("archive", key, Archive)
        if archive is None or self._ledger.digest(self._session.root / step.path) != archive.digest:
            return None
        return msgspec.structs.replace(archive, path=step.path)

    def checksums(self, step: ChecksumsStep, digests: Mapping[str, Digest]) -> Archive | None:
        """The file of checksums, when it says of the archives with these digests (by step id) what it should."""
        from goctl.oci.checksums import checksums

        if any(need not in digests for need in step.needs):
            return None
        path = self._session.root / step.path
        text = checksums(self._session, step, digests)
        return Archive.of(self._session.root, path, text) if self._ledger.digest(path) == Digest.of(text) else None

    def is_complete(self, image: Image) -> bool:
        """Whether the whole content of an image is in the blob store."""
        blobs = (image.manifest, image.config, *image.layers)
        return all(self._session.blobs.has(blob.digest, blob.size) for blob in blobs)

    def learn_program(self, step: CompileStep, binary: Binary) -> None:
        """Remembers what a compile step brought forth, and which files hold it."""
        for output in step.outputs:
            self._ledger.made(self._session.root / output, binary.digest)
        if step.input is not None:
            self._session.memo.put("compile", step.input, to_json(binary))
        # What explain compares: the fields of the step's last success.
        self._session.memo.put("last", step.id, to_json(step.fields))

    def learn_image(self, key: Digest | None, image: Image, id: str, fields: dict[str, str]) -> None:
        if key is not None:
            self._session.memo.put("image", key, to_json(image))
        self._session.memo.put("last", id, to_json(fields))

    def learn_index(self, key: Digest | None, index: Index) -> None:
        if key is not None:
            self._session.memo.put("index", key, to_json(index))

    def learn_archive(self, key: Digest | None, archive: Archive, id: str, fields: dict[str, str]) -> None:
        self._ledger.made(self._session.root / archive.path, archive.digest)
        if key is not None:
            self._session.memo.put("archive", key, to_json(archive))
        self._session.memo.put("last", id, to_json(fields))

    def learn_checksums(self, file: Archive) -> None:
        self._ledger.note(self._session.root / file.path, file.digest)

    def last_fields(self, id: str) -> dict[str, str] | None:
        """The fields a step had when it last ended well; None when it never did."""
        content = self._session.memo.get("last", id)
        if content is None:
            return None
        try:
            return from_json(content, dict[str, str])
        except ValueError:
            return None

    def _artifact(self, kind: str, key: Digest | None, type: type[A]) -> A | None:
        content = self._session.memo.get(kind, key) if key is not None else None
        if content is None:
            return None
        try:
            return from_json(content, type)
        except ValueError:
            return None
