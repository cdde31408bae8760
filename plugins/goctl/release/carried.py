"""`cache.export` and `cache.import`: what a project knows as one file, for the cache of a CI that keeps files.

The file is a tar of envelopes, as a level in a folder has them, compressed with zstandard. What is taken in becomes a
folder's level of the project, which every run reads first.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from goctl.cache.folder import FolderShelf
from goctl.cache.shared import SHARED, Labels, Result, result_key, result_key_of
from goctl.cache.shelved import SPACES, ShelvedLevel, place
from goctl.cache.store import Records
from goctl.contracts import Binary
from goctl.errors import ConfigError, LevelError, StorageError
from goctl.events import Notice
from goctl.release.levels import IMPORTED
from goctl.system.files import move, storage_errors
from goctl.values import ByteSize, from_json

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.session import Session

_MOST_NAME: Final = 200


def export(crew: Crew, file: Path, *, dry: bool) -> None:
    """Writes all results that the project knows, with the blobs and programs they speak of."""
    session = crew.first
    if dry:
        session.emit(Notice(f"would write {file}", level="info"))
        return
    file = Path(os.path.abspath(file))
    with session.lock(), session.folder("export.") as folder:
        level = ShelvedLevel("export", FolderShelf(folder / "level", shared=True))
        count = _results(session, level, folder / "value") + _blobs(session, level)
        count += _listings(crew, level, folder / "value")
        packed = folder / "packed"
        with storage_errors(str(file)):
            _pack(folder / "level", packed)
            size = packed.stat().st_size
            file.parent.mkdir(parents=True, exist_ok=True)
            move(packed, file)
    session.emit(Notice(f"{file}: {count} entries, {ByteSize(size)}", level="info"))


def _results(session: Session, level: ShelvedLevel, beside: Path) -> int:
    records = Records(session.state / "records")
    count = 0
    for kind in sorted(SHARED):
        for name, value, _ in records.each(kind):
            beside.write_bytes(msgspec.json.encode(Result(kind, value, Labels(project=session.config.project.name))))
            level.store("result", result_key_of(kind, name), beside)
            count += 1
            if kind == "compile":
                count += _program(session, level, value)
    return count


def _listings(crew: Crew, level: ShelvedLevel, beside: Path) -> int:
    """What go list said of each unit, so that whoever takes this in need not ask it."""
    from goctl.golang import travel
    from goctl.golang.record import recall

    count = 0
    for unit in crew.units.values():
        snapshot = recall(unit)
        content = travel.packed(unit, snapshot) if snapshot is not None else None
        if content is not None:
            beside.write_bytes(msgspec.json.encode(Result(travel.KIND, content)))
            level.store("result", result_key(travel.KIND, travel.key_of(unit)), beside)
            count += 1
    return count


def _program(session: Session, level: ShelvedLevel, value: bytes) -> int:
    """A program that is still where it was made. One that was edited since is left out by the level itself."""
    try:
        binary = from_json(value, Binary)
        path = session.root / binary.path
        if path.stat().st_size != binary.size:
            return 0
    except (ValueError, OSError):
        return 0
    level.store("blob", binary.digest.hex, path)
    return 1


def _blobs(session: Session, level: ShelvedLevel) -> int:
    count = 0
    folder = session.state / "blobs" / "sha256"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and len(path.name) == 64:
            level.store("blob", path.name, path)
            count += 1
    return count


def _pack(folder: Path, target: Path) -> None:
    import zstandard

    with (
        open(target, "wb") as raw,
        zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, f"{path.relative_to(folder).parts[0]}/{path.name}", recursive=False)


def take_in(session: Session, file: Path, *, dry: bool) -> None:
    """Takes the entries of such a file in: those that are whole, each under its own name."""
    file = Path(os.path.abspath(file))
    if not file.is_file():
        raise ConfigError(f"{file} is not there", hint="`invoke cache.export FILE` writes it")
    if dry:
        session.emit(Notice(f"would take in {file}", level="info"))
        return
    level = ShelvedLevel(IMPORTED, FolderShelf(session.state / IMPORTED))
    with session.lock():
        count, wrong = _unpack(session, file, level)
    if wrong:
        session.emit(Notice(f"{wrong} entries of {file} are damaged, or none of ours, and were left out"))
    session.emit(Notice(f"{count} entries are taken in", level="info"))


def _unpack(session: Session, file: Path, level: ShelvedLevel) -> tuple[int, int]:
    """Member by member, without tarfile's extraction: a name is a space and a key, or it is left out."""
    import zstandard

    count = wrong = 0
    try:
        with (
            open(file, "rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw) as packed,
            tarfile.open(fileobj=packed, mode="r|") as archive,
            session.folder("import.") as folder,
        ):
            outer = FolderShelf(folder)
            for member in archive:
                space, _, key = member.name.partition("/")
                content = archive.extractfile(member) if member.isreg() and len(member.name) < _MOST_NAME else None
                if content is None or space not in SPACES or not _is_ours(outer, space, key, content, level, folder / "x"):
                    wrong += 1
                else:
                    count += 1
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise StorageError(f"{file} cannot be read: {error}", hint="`invoke cache.export FILE` writes it anew") from None
    return count, wrong


def _is_ours(outer: FolderShelf, space: str, key: str, content: IO[bytes], level: ShelvedLevel, beside: Path) -> bool:
    """Puts an entry where it belongs once it was read whole and found to be what it says."""
    try:
        name = place(space, key)
        path = outer.folder / "entry"
        with open(path, "wb") as file:
            while piece := content.read(1 << 20):
                file.write(piece)
        path.parent.joinpath(space, key[:2]).mkdir(parents=True, exist_ok=True)
        path.replace(outer.folder / space / key[:2] / key)
        if not ShelvedLevel("carried", outer).fetch(space, key, beside):
            return False
        level.store(space, key, beside)
        outer.remove(name)
        return True
    except LevelError:
        return False
