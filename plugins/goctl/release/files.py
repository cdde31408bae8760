"""The files that `archive.files` names: found anew for each run, read anew only where they may have changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.config.model import ArchiveDefaults
from goctl.errors import ConfigError, StorageError
from goctl.plan.facts import File
from goctl.system.files import inside
from goctl.system.ledger import Ledger
from goctl.values import Platform

if TYPE_CHECKING:
    from goctl.release.session import Session

_WILD = re.compile(r"[*?\[]")


def archive_files(session: Session, chosen: Mapping[str, tuple[Platform, ...]]) -> dict[str, tuple[File, ...]]:
    """What each name and pattern of the chosen targets' archives stands for.

    Raises ConfigError, with the line, for one that somebody wrote and that stands for nothing, and for files outside the
    project. Patterns that are there by default may stand for nothing.
    """
    found: dict[str, tuple[File, ...]] = {}
    finder = _Finder(session)
    for name in chosen:
        archive = session.config.targets[name].archive
        for pattern in archive.files if isinstance(archive, ArchiveDefaults) else ():
            try:
                if pattern not in found:
                    found[pattern] = finder.files(pattern)
            except ConfigError as error:
                place = session.loaded.place("targets", name, "archive", "files")
                raise ConfigError([msgspec.structs.replace(each, location=place) for each in error.problems]) from error
            if not found[pattern] and session.loaded.origin("targets", name, "archive", "files").kind != "default":
                words = "nothing in the project matches" if _WILD.search(pattern) else "there is no file or folder"
                raise ConfigError(
                    f"archive.files of {name}: {words} {pattern!r}",
                    location=session.loaded.place("targets", name, "archive", "files"),
                    hint="make it before the release, or take it out",
                )
    return found


class _Finder:
    """Walks below the project's folder. What goctl makes itself is not seen, nor by `**` what begins with a dot."""

    def __init__(self, session: Session) -> None:
        self._root = session.root
        self._folder = session.loaded.folder
        self._own = {os.path.normcase(path) for path in (session.dist, session.output, session.state)}
        self._ledger = Ledger(session.memo, session.root, session.scratch, write=not session.look_only)

    def files(self, pattern: str) -> tuple[File, ...]:
        try:
            names = sorted(dict.fromkeys(self._match("", pattern.rstrip("/").split("/"))))
        except OSError as error:
            raise StorageError(f"{error.filename} cannot be read: {error.strerror or error}") from error
        return tuple(self._file(name, pattern) for name in names)

    def _file(self, name: str, pattern: str) -> File:
        if re.search(r"[\x00-\x1f\x7f\\\ud800-\udfff]", name):
            raise ConfigError(
                f"archive.files: {pattern!r} takes {name!r}, a name that not every system can unpack", hint="rename it"
            )
        path = inside(self._root, name, what="archive.files")
        digest = self._ledger.digest(path) if path.is_file() else None
        if digest is None:
            raise ConfigError(f"archive.files: {name} is no file, nor a link to one", hint="remove it, or mend it")
        own = f"{self._folder}/"
        return File(name, digest, name.removeprefix(own) if self._folder and name.startswith(own) else "")

    def _match(self, above: str, parts: list[str]) -> Iterator[str]:
        """Names of the files below a folder of the project that the parts of a pattern take."""
        first, rest = parts[0], parts[1:]
        if not _WILD.search(first):
            yield from self._named(f"{above}{first}", rest)
            return
        if first == "**":
            yield from self._match(above, rest or ["*"])
        for entry in self._listed(above):
            if first == "**":
                if not entry.name.startswith(".") and self._is_folder(entry):
                    yield from self._match(f"{above}{entry.name}/", parts)
            elif fnmatchcase(entry.name, first) and (first.startswith(".") or not entry.name.startswith(".")):
                if rest and entry.is_dir():
                    yield from self._match(f"{above}{entry.name}/", rest)
                elif not rest and not entry.is_dir():
                    yield f"{above}{entry.name}"

    def _named(self, name: str, rest: list[str]) -> Iterator[str]:
        path = inside(self._root, name, what="archive.files")
        if os.path.normcase(path) in self._own:
            raise ConfigError(f"archive.files: {name} is goctl's own folder", hint="programs are in archives already")
        if rest:
            if path.is_dir():
                yield from self._match(f"{name}/", rest)
        elif path.is_dir():
            yield from self._below(name)
        elif os.path.lexists(path):
            yield name

    def _below(self, folder: str) -> Iterator[str]:
        for entry in self._listed(f"{folder}/"):
            name = f"{folder}/{entry.name}"
            if self._is_folder(entry):
                yield from self._below(name)
            elif entry.is_dir():
                raise ConfigError(f"archive.files: {name} is a link to a folder", hint="name that folder itself")
            else:
                yield name

    def _listed(self, above: str) -> list[os.DirEntry[str]]:
        folder = inside(self._root, above, what="archive.files")
        with os.scandir(folder) as entries:
            return [entry for entry in entries if os.path.normcase(Path(entry.path)) not in self._own]

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a folder that lies here: not a link, nor what Windows calls a junction."""
        return entry.is_dir(follow_symlinks=False) and os.path.normcase(os.path.realpath(entry.path)) == os.path.normcase(
            os.path.join(os.path.realpath(os.path.dirname(entry.path)), entry.name)
        )
