"""Archives for people: a target's programs and some files of the project, as tar.gz, tar.zst or zip."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goctl.contracts import Archive, Artifact, Binary, Host
from goctl.errors import ImageError
from goctl.oci.checksums import checksums
from goctl.oci.compress import PIECE, compress
from goctl.oci.tar import Entry, archive, pieces
from goctl.oci.zip import zip_archive
from goctl.plan.model import ArchiveStep, ChecksumsStep
from goctl.system.files import inside, move, storage_errors, sync_folder, write_atomic
from goctl.values import Digest

#: What is unpacked can be replaced by its owner, and run where it is a program or a script. The content tells, for Windows
#: keeps no execute bit, and a umask is the affair of whoever unpacks.
PROGRAM_MODE, FILE_MODE = 0o755, 0o644
_COMPRESSION = {"tar.gz": "gzip", "tar.zst": "zstd"}
_MOST_WORKERS = 4


class Archiver:
    """Writes archives below dist/. Each is whole or not there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def archive(self, step: ArchiveStep, inputs: Mapping[str, Artifact]) -> Archive:
        """One target's archive for one platform. Raises ImageError when a file is not what the plan says it is."""
        path = self._host.root / step.path
        entries = sorted(self._entries(step, inputs), key=lambda entry: entry.name.encode("utf-8", "surrogateescape"))
        content = self._content(step, entries)
        with storage_errors(str(path)):
            self._host.scratch.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="archive.", dir=self._host.scratch) as folder:
                unfinished = Path(folder, "archive")
                digest, size = _write(unfinished, content)
                move(unfinished, path)
            sync_folder(path.parent)
        return Archive(path.relative_to(self._host.root).as_posix(), digest, size)

    def checksums(self, step: ChecksumsStep, inputs: Mapping[str, Artifact]) -> Archive:
        """The file that `sha256sum -c` reads, from the folder of the archives."""
        text = checksums(self._host, step, {need: inputs[need].digest for need in step.needs})
        path = self._host.root / step.path
        write_atomic(path, text)
        return Archive.of(self._host.root, path, text)

    def _entries(self, step: ArchiveStep, inputs: Mapping[str, Artifact]) -> Iterator[Entry]:
        above = f"{step.folder}/" if step.folder else ""
        for program in step.programs:
            binary = inputs[program.step]
            if not isinstance(binary, Binary):
                raise ImageError(f"{program.step} gave no program for {step.path}")
            yield Entry(
                name=above + program.path,
                source=self._host.root / binary.path,
                expected=binary.digest,
                mode=PROGRAM_MODE,
                time=step.created,
            )
        for file in step.files:
            source = inside(self._host.root, file.path, what="archive.files")
            mode = PROGRAM_MODE if _is_script(source) else FILE_MODE
            yield Entry(name=above + file.place, source=source, expected=file.digest, mode=mode, time=step.created)

    def _content(self, step: ArchiveStep, entries: list[Entry]) -> Iterator[bytes]:
        if step.format == "zip":
            for piece in zip_archive(entries, step.compression_level):
                self._host.check()
                yield piece
            return
        workers = min(_MOST_WORKERS, os.cpu_count() or 1)
        kind = _COMPRESSION[step.format]
        with ThreadPoolExecutor(workers, "compress") as executor:
            for piece in compress(kind, step.compression_level, pieces(archive(entries), PIECE), executor, workers + 2):
                self._host.check()
                yield piece


def _is_script(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def _write(path: Path, content: Iterator[bytes]) -> tuple[Digest, int]:
    hasher, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for piece in content:
            hasher.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return Digest("sha256:" + hasher.hexdigest()), size
