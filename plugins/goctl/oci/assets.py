"""Assets: files and trees that go into an image as they are."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from pathlib import Path

from goctl.errors import ImageError
from goctl.oci.tar import Entry, folder
from goctl.plan import keys
from goctl.values import Digest


def asset_files(source: Path) -> list[tuple[str, Path | None]]:
    """What an asset holds: names below it with forward slashes and the files they lead to; None for a folder.

    A single file is one entry with an empty name. Links are followed where they stay inside the tree; others raise
    ImageError: what they lead to is not what was declared.
    """
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISREG(mode):
            return [("", source)]
        if not stat.S_ISDIR(mode):
            raise ImageError(f"the asset {source} is neither a file nor a folder")
        root = os.path.realpath(source)
        found: list[tuple[str, Path | None]] = []
        _walk(source, "", root, (root,), found)
        return sorted(found, key=lambda pair: pair[0].encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise ImageError(f"the asset {error.filename or source} cannot be read: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise ImageError(f"the asset {source} has a name that is no text: {error.object!r}", hint="rename it") from None


def _walk(above: Path, name: str, root: str, around: tuple[str, ...], found: list[tuple[str, Path | None]]) -> None:
    found.append((name, None))
    with os.scandir(above) as entries:
        listed = list(entries)
    for entry in listed:
        below = f"{name}/{entry.name}" if name else entry.name
        is_folder = entry.is_dir()
        # Folders too: Windows has links between them (junctions) that it does not call links.
        real = os.path.realpath(entry.path) if is_folder or entry.is_symlink() else ""
        if real and not _is_inside(root, real):
            raise ImageError(
                f"the asset {entry.path} is a link out of its tree", hint="put a copy there, or declare its target"
            )
        if is_folder:
            if real in around:
                raise ImageError(f"the asset {entry.path} is a link to a folder above it", hint="remove the link")
            _walk(Path(entry.path), below, root, (*around, real), found)
        elif entry.is_file():
            found.append((below, Path(entry.path)))
        else:
            raise ImageError(f"the asset {entry.path} is neither a file nor a folder", hint="take it out of the tree")


def _is_inside(root: str, path: str) -> bool:
    try:
        return os.path.commonpath((root, path)) == root
    except ValueError:  # another drive
        return False


def asset_digest(source: Path) -> Digest:
    """The digest of an asset's names and contents; modes and times do not count."""
    return _combined(_hashed(source))


def _combined(files: list[tuple[str, Path | None, Digest | None]]) -> Digest:
    parts = []
    for name, _, digest in files:
        parts += [name, "folder" if digest is None else digest.hex]
    return keys.combine("asset", *parts)


def _hashed(source: Path) -> list[tuple[str, Path | None, Digest | None]]:
    return [(name, path, _hash(path) if path is not None else None) for name, path in asset_files(source)]


def _hash(path: Path) -> Digest:
    try:
        with open(path, "rb") as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise ImageError(f"the asset {path} cannot be read: {error.strerror or error}") from error


def asset_entries(source: Path, destination: str, expected: Digest | None) -> list[Entry]:
    """An asset as entries of a layer, at an absolute path of the image; each is compared again as the layer is written.

    Raises ImageError when the asset's digest is another than `expected`: it was edited since.
    """
    files = _hashed(source)
    if _combined(files) != expected:
        raise ImageError(f"the asset {source} was edited during the release", hint="run it again")
    entries = []
    for name, path, digest in files:
        full = place(destination, name)
        if path is not None:
            entries.append(Entry(name=full, source=path, expected=digest))
        elif full:
            entries.append(folder(full))
    return entries


def place(destination: str, name: str) -> str:
    """Where a file of an asset is in the image, without the leading slash. `destination` is absolute there."""
    return posixpath.normpath(posixpath.join("/", destination, name)).strip("/")
