"""A cache level behind go's own cache: actions and outputs brought from there, verified, and sent there.

In the level's space `action` lie records and lists of what builds asked for, in `output` the larger outputs, compressed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from goctl.cacheprog import records
from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.records import INLINE, Known, Record
from goctl.contracts import ActionLevel

#: How hard outputs are compressed: as fast as the disk, to less than half.
_LEVEL: Final = 1
_PIECE: Final = 1 << 20
#: An index of a package's files (cmd/go/internal/modindex): it is keyed by the folder and the times of one machine.
_OF_THIS_MACHINE: Final = b"go index v"


class Remote:
    """One level for one GOCACHE. `scratch` is a folder for what is under way."""

    def __init__(self, level: ActionLevel, folder: Folder, scratch: Path) -> None:
        self._level = level
        self._folder = folder
        self._scratch = scratch

    def known(self, name: str) -> Known:
        """The list of that name: what the last builds asked for, on any machine."""
        data = self._small("action", _list_key(name), records.LARGEST)
        return records.known(None if data is None else _decompressed(data, records.LARGEST))

    def keep(self, name: str, known: Known) -> None:
        self._store("action", _list_key(name), _compressed(known.encoded()))

    def fetch(self, action: bytes) -> bool:
        """Brings an action of which nothing is known into the folder; whether it was there."""
        data = self._small("action", action.hex(), records.LARGEST)
        if data is None:
            return False
        record = records.decode(action, data)
        if record is None:
            self._level.forget("action", action.hex())
            return False
        return self.bring(action, record)

    def bring(self, action: bytes, record: Record) -> bool:
        """Brings an action into the folder whose record is known; whether its output was there."""
        entry = record.entry
        if self._folder.output(entry) is None:
            try:
                there = self._inline(record) if record.content is not None else self._fetch_output(entry)
            except ValueError:
                # Damaged, or somebody else's. What is named by its content has another name then.
                self._level.forget(*(("output", entry.output.hex()) if record.content is None else ("action", action.hex())))
                return False
            if not there:
                return False
        self._folder.note(action, entry)
        return True

    def send(self, action: bytes, entry: Entry) -> int:
        """Stores an action of the folder; the bytes that went there, 0 for what is of no use elsewhere."""
        path = self._folder.output(entry)
        if path is None:
            return 0
        sent = 0
        record = self.record(entry)
        if record is None:
            return 0
        sent = 0
        if record.content is None:
            with self._temporary() as target:
                _compress(path, target, entry.size)
                sent = target.stat().st_size
                self._level.store("output", entry.output.hex(), target)
        line = record.encoded(action)
        self._store("action", action.hex(), line)
        return sent + len(line)

    def record(self, entry: Entry) -> Record | None:
        """The record of an entry of the folder; None where its output has gone, or is of no use elsewhere."""
        path = self._folder.output(entry)
        if path is None:
            return None
        with open(path, "rb") as file:
            head = file.read(INLINE if entry.size <= INLINE else len(_OF_THIS_MACHINE))
        if head.startswith(_OF_THIS_MACHINE):
            return None
        return Record(entry, head if entry.size <= INLINE else None)

    def _inline(self, record: Record) -> bool:
        with self._folder.writer(record.entry.output, record.entry.size) as writer:
            writer.write(record.content or b"")
            writer.commit()
        return True

    def _fetch_output(self, entry: Entry) -> bool:
        with self._temporary() as source:
            if not self._level.fetch("output", entry.output.hex(), source):
                return False
            with self._folder.writer(entry.output, entry.size) as writer:
                for piece in _pieces(source, entry.size):
                    writer.write(piece)
                writer.commit()
        return True

    def _small(self, space: str, key: str, most: int) -> bytes | None:
        with self._temporary() as path:
            if not self._level.fetch(space, key, path) or path.stat().st_size > most:
                return None
            return path.read_bytes()

    def _store(self, space: str, key: str, content: bytes) -> None:
        with self._temporary() as path:
            path.write_bytes(content)
            self._level.store(space, key, path)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """The path of a file that is not there yet, and will not be any more."""
        folder = tempfile.mkdtemp(dir=self._scratch)
        path = Path(folder, "x")
        try:
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                os.rmdir(folder)


def _list_key(name: str) -> str:
    return f"asked-{name}"


def _compressed(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


def _decompressed(data: bytes, most: int) -> bytes | None:
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        return zstandard.ZstdDecompressor().decompress(data) if 0 <= size <= most else None
    except zstandard.ZstdError:
        return None


def _compress(path: str, target: Path, size: int) -> None:
    import zstandard

    with open(path, "rb") as source, open(target, "wb") as made:
        zstandard.ZstdCompressor(level=_LEVEL).copy_stream(source, made, size=size)


def _pieces(source: Path, size: int) -> Iterator[bytes]:
    """The content of a compressed file, and no more of it than it should have."""
    import zstandard

    with open(source, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        got = 0
        try:
            while piece := reader.read(_PIECE):
                got += len(piece)
                if got > size:
                    raise ValueError("more than there should be")
                yield piece
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
