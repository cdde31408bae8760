"""Tar archives whose bytes depend on their entries alone: sorted names, owner and times given, modes by rule."""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from goctl.errors import ImageError
from goctl.values import Digest

FOLDER_MODE = 0o755
#: Programs and assets alike: Windows keeps no execute bit, and what only the image's owner may write no umask can change.
FILE_MODE = 0o555
_BLOCK = 512
_READ = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a folder of an archive. `name` is relative, without a leading slash; `source` is a file on disk or bytes;
    None makes a folder. `expected` is the digest a file must have when it is read. `records` are pax records besides.
    `time` is in seconds since the epoch.
    """

    name: str
    source: Path | bytes | None = None
    expected: Digest | None = None
    mode: int = FILE_MODE
    uid: int = 0
    gid: int = 0
    records: tuple[tuple[str, str], ...] = ()
    time: int = 0


#: Folders that have an owner and a mode of their own wherever they are: an entry of 0755 would take them from the base.
#: (65532 is `nonroot`, here and in distroless images.)
_OWN = {"tmp": (0o1777, 0), "var/tmp": (0o1777, 0), "root": (0o700, 0), "home/nonroot": (0o700, 65532)}

#: Folders that are links in many bases (UsrMerge; /run). An entry for them would put an empty folder in the link's place;
#: without one, what is below goes where the link leads.
LINKED = frozenset("bin sbin lib lib32 lib64 libx32 var/run var/lock".split())

#: How a layer says that a file of a lower layer is gone (image-spec, layer.md, "Whiteouts").
_WHITEOUT = ".wh."


def folder(name: str) -> Entry:
    """The entry of a folder that nobody said more about than its name."""
    mode, owner = _OWN.get(name, (FOLDER_MODE, 0))
    return Entry(name=name, mode=mode, uid=owner, gid=owner)


def with_parents(entries: Iterable[Entry], *, without: frozenset[str] = frozenset()) -> list[Entry]:
    """The entries in the order of their names, each folder above them added once; no entries for the folders `without`.

    Raises ImageError for two of one name, and for names that mean something else in a layer.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        name = entry.name.strip("/")
        if name in found and not (found[name].source is None and entry.source is None):
            raise ImageError(f"two files would be at /{name} in the image", hint="give one of them another path")
        if any(part.startswith(_WHITEOUT) for part in name.split("/")):
            raise ImageError(f"/{name} cannot be in an image: {_WHITEOUT} marks what a layer removes", hint="rename it")
        found[name] = msgspec.structs.replace(entry, name=name)
    for name in list(found):
        above = posixpath.dirname(name)
        while above:
            parent = found.setdefault(above, folder(above))
            if parent.source is not None:
                raise ImageError(f"/{above} would be a file and a folder in the image", hint="give one of them another path")
            above = posixpath.dirname(above)
    kept = [name for name in found if found[name].source is not None or name not in without]
    return [found[name] for name in sorted(kept, key=lambda name: name.encode("utf-8", "surrogateescape"))]


def archive(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive in pieces of any size. Raises ImageError when a file is not what it was, or should be."""
    for entry in entries:
        if isinstance(entry.source, Path):
            yield from _file(entry, entry.source)
        elif entry.source is None:
            yield _header(entry, 0)
        else:
            yield _header(entry, len(entry.source))
            yield entry.source
            yield _padding(len(entry.source))
    yield bytes(2 * _BLOCK)


def _file(entry: Entry, path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(0)
            yield _header(entry, size)
            left, hasher = size, hashlib.sha256()
            while left:
                data = file.read(min(_READ, left))
                if not data:
                    break
                left -= len(data)
                if entry.expected is not None:
                    hasher.update(data)
                yield data
            changed = entry.expected is not None and hasher.hexdigest() != entry.expected.hex
            if left or changed or file.read(1):
                raise ImageError(f"{path} changed while it was read", hint="run it again when nothing writes to it")
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
    yield _padding(size)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _header(entry: Entry, size: int) -> bytes:
    info = tarfile.TarInfo(entry.name + ("/" if entry.source is None else ""))
    info.type = tarfile.DIRTYPE if entry.source is None else tarfile.REGTYPE
    info.mode, info.uid, info.gid, info.size, info.mtime = entry.mode, entry.uid, entry.gid, size, entry.time
    info.pax_headers = dict(entry.records)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Chunks of any size as pieces of one size, the last one shorter. Each byte is copied once."""
    waiting: list[memoryview] = []
    held = 0
    for chunk in chunks:
        left = memoryview(chunk)
        while held + len(left) >= size:
            waiting.append(left[: size - held])
            left = left[size - held :]
            yield b"".join(waiting)
            waiting, held = [], 0
        if left:
            waiting.append(left)
            held += len(left)
    if waiting:
        yield b"".join(waiting)
