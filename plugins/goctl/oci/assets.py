"""Assets: files and trees that go into an image as they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from goctl.errors import ImageError
from goctl.oci.tar import Entry
from goctl.plan import keys
from goctl.values import Digest


def asset_files(source: Path) -> list[tuple[str, Path | None]]:
    """What an asset holds: names below it with forward slashes and the files they lead to; None for a folder.

    A single file is one entry with an empty name. Links are followed where they stay inside the tree; others raise
    ImageError: what they lead to is not what was declared.
    """
    if not source.is_dir():
        return [("", source)]
    root = os.path.realpath(source)
    found: list[tuple[str, Path | None]] = []
    _walk(source, "", root, (root,), found)
    return sorted(found, key=lambda pair: pair[0].encode("utf-8", "surrogateescape"))


def _walk(folder: Path, name: str, root: str, above: tuple[str, ...], found: list[tuple[str, Path | None]]) -> None:
    found.append((name, None))
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        below = f"{name}/{entry.name}" if name else entry.name
        real = os.path.realpath(entry.path)
        if entry.is_symlink() and os.path.commonpath((root, real)) != root:
            raise ImageError(
                f"the asset {entry.path} is a link out of its tree", hint="put a copy there, or declare its target"
            )
        if entry.is_dir():
            if real in above:
                raise ImageError(f"the asset {entry.path} is a link to a folder above it", hint="remove the link")
            _walk(Path(entry.path), below, root, (*above, real), found)
        elif entry.is_file():
            found.append((below, Path(entry.path)))
        else:
            raise ImageError(f"the asset {entry.path} is neither a file nor a folder", hint="take it out of the tree")


def asset_digest(source: Path) -> Digest:
    """The digest of an asset's names and contents; modes and times do not count."""
    parts = []
    for name, path in asset_files(source):
        parts += [name, "folder" if path is None else _hash(path)]
    return keys.combine("asset", *parts)


def _hash(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"the asset {path} cannot be read: {error.strerror or error}") from error


def asset_entries(source: Path, destination: str) -> list[Entry]:
    """An asset as entries of a layer, at an absolute path of the image."""
    base = destination.strip("/")
    entries = []
    for name, path in asset_files(source):
        full = "/".join(part for part in (base, name) if part)
        if full:
            entries.append(Entry(name=full, source=path, mode=0o555 if path is not None else 0o755))
    return entries
