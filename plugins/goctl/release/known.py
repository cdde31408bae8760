"""What is known already: artifacts by the keys of their steps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from goctl.cache.shared import Labels, Result, result_key
from goctl.contracts import Archive, Binary, Image, Index
from goctl.plan.model import AnyStep, ArchiveStep, ChecksumsStep, CompileStep, ImageStep
from goctl.system.files import inside, move, storage_errors, umask
from goctl.system.ledger import Ledger
from goctl.values import Digest, from_json, to_json

if TYPE_CHECKING:
    from goctl.release.session import Session

#: What is brought from a level has the mode of what is made here, but for the umask.
PROGRAM_MODE, FILE_MODE = 0o777, 0o666
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

    def has_older(self, step: CompileStep) -> bool:
        """Whether something else lies where a program belongs: an older one, which would be taken for what was released."""
        return any((self._session.root / output).exists() for output in step.outputs)

    def told(self, step: CompileStep) -> Binary | None:
        """What a compile step made, wherever: the program need not be on this machine."""
        return self._artifact("compile", step.input, Binary)

    def arrived(self, step: CompileStep) -> bool:
        """Whether a program that was not known is by now, made by another run."""
        shared = self._session.stores.shared
        return shared is not None and step.input is not None and shared.look_again("compile", step.input) is not None

    def bring(self, step: CompileStep) -> bool:
        """Brings a program that is known, and not here, from a level of the cache to its first place; whether it did."""
        binary = self.told(step)
        return binary is not None and self._fetch(step.outputs[0], binary.digest, PROGRAM_MODE)

    def bring_archive(self, step: ArchiveStep, key: Digest | None) -> bool:
        """Brings an archive that is known, and not here, from a level of the cache; whether it is there."""
        archive = self._artifact("archive", key, Archive)
        return archive is not None and self._fetch(step.path, archive.digest, FILE_MODE)

    def _fetch(self, path: str, digest: Digest, mode: int) -> bool:
        levels, place = self._session.stores.levels, self._session.root / path
        if levels is None or self._session.look_only:
            return False
        inside(self._session.root, path, what="what a level of the cache holds")
        with storage_errors(str(place)):
            self._session.scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="level.", dir=self._session.scratch) as folder:
                beside = Path(folder, place.name)
                if not levels.fetch("blob", digest.hex, beside):
                    return False
                beside.chmod(mode & ~umask())
                place.parent.mkdir(parents=True, exist_ok=True)
                move(beside, place)
        self._ledger.made(place, digest)
        return True

    def count(self, step: CompileStep) -> None:
        """Credits the level that knew a program, if it was one, with what that saved."""
        shared = self._session.stores.shared
        if shared is not None and step.input is not None:
            shared.count("compile", step.input)

    def slot(self, step: AnyStep) -> str:
        """What the fields of a step's last success are found by, on any machine."""
        return f"{step.project or self._session.config.project.name} {step.id}"

    def is_here(self, step: CompileStep | ImageStep | ArchiveStep, key: Digest) -> bool:
        """Whether a step's result is known, and all that it holds is on this machine, brought from a level if need be."""
        match step:
            case CompileStep():
                return self.program(step) is not None
            case ImageStep():
                image = self.image(key)
                return image is not None and self.is_complete(image)
        return self.archive(step, key) is not None or self.bring_archive(step, key)

    def offer(self, step: CompileStep | ImageStep | ArchiveStep, key: Digest) -> bool:
        """Sends a step's result, and what it holds, to levels that lack it; whether it is known."""
        levels, kind = self._session.stores.levels, {"build": "compile"}.get(step.stage, step.stage)
        value = self._session.memo.get(kind, key)
        if levels is None or value is None or not self.is_here(step, key):
            return value is not None
        content = msgspec.json.encode(Result(kind, value, self._labels(step, 0.0)))
        levels.offer("result", result_key(kind, key), content)
        match step:
            case CompileStep():
                self._offer(step.outputs[0], self.told(step))
            case ArchiveStep():
                self._offer(step.path, self.archive(step, key))
            case ImageStep():
                image = self.image(key)
                blobs = (image.manifest, image.config, *image.layers) if image is not None else ()
                for blob in blobs:
                    levels.offer("blob", blob.digest.hex, self._session.state / "blobs" / "sha256" / blob.digest.hex)
        return True

    def _offer(self, path: str, made: Binary | Archive | None) -> None:
        if made is not None and self._session.stores.levels is not None:
            self._session.stores.levels.offer("blob", made.digest.hex, self._session.root / path)

    def forget(self, step: CompileStep) -> None:
        """As if a compile step's result had never been known."""
        shared = self._session.stores.shared
        if shared is not None and step.input is not None:
            shared.forget("compile", step.input)

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

    def learn_program(self, step: CompileStep, binary: Binary, seconds: float = 0.0) -> None:
        """Remembers what a compile step brought forth, and which files hold it. `seconds` is what that took."""
        for output in step.outputs:
            self._ledger.made(self._session.root / output, binary.digest)
        if step.input is not None:
            self._publish("compile", step.input, to_json(binary), step, seconds)
            self._keep(self._session.root / step.outputs[0], binary.digest)
        # What explain compares: the fields of the step's last success.
        self._session.memo.put("last", step.id, to_json(step.fields))

    def _publish(self, kind: str, key: Digest, value: bytes, step: AnyStep, seconds: float) -> None:
        """Remembers a result; where there are levels, for others too."""
        shared = self._session.stores.shared
        if shared is None:
            self._session.memo.put(kind, key, value)
            return
        shared.publish(kind, key, value, self._labels(step, seconds))
        shared.put("fields", self.slot(step), to_json(getattr(step, "fields", {})))

    def _labels(self, step: AnyStep, seconds: float) -> Labels:
        targets = step.targets if isinstance(step, CompileStep) else (getattr(step, "target", ""),)
        fields: dict[str, str] = getattr(step, "fields", {})
        return Labels(
            project=step.project or self._session.config.project.name,
            target=",".join(targets),
            platform=str(getattr(step, "platform", "")),
            toolchain=fields.get("toolchain", ""),
            seconds=round(seconds, 3),
        )

    def _keep(self, path: Path, digest: Digest) -> None:
        if self._session.stores.levels is not None:
            self._session.stores.levels.store("blob", digest.hex, path)

    def learn_image(self, key: Digest | None, image: Image, step: ImageStep, seconds: float = 0.0) -> None:
        if key is not None:
            self._publish("image", key, to_json(image), step, seconds)
        self._session.memo.put("last", step.id, to_json(step.fields))

    def learn_index(self, key: Digest | None, index: Index) -> None:
        if key is not None:
            self._session.memo.put("index", key, to_json(index))

    def learn_archive(self, key: Digest | None, archive: Archive, step: ArchiveStep, seconds: float = 0.0) -> None:
        self._ledger.made(self._session.root / archive.path, archive.digest)
        if key is not None:
            self._publish("archive", key, to_json(archive), step, seconds)
            self._keep(self._session.root / archive.path, archive.digest)
        self._session.memo.put("last", step.id, to_json(step.fields))

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
