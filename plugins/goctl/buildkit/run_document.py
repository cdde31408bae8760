"""The bake file of a run: a document as it was written, with the outputs that goctl gives its targets.

The tags in a document are for those who use it by itself. A run takes them out: images are pushed under no name but their
digest, and named when all of them are there. Pure.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.buildkit.caches import own_cache
from goctl.buildkit.nodes import Builder
from goctl.buildkit.nodes_checks import Wanted
from goctl.errors import ConfigError
from goctl.values import Platform


class Push(msgspec.Struct, frozen=True, tag=True):
    """Into repositories (`host[:port]/path`, without a tag), by digest."""

    repositories: tuple[str, ...]


class Layout(msgspec.Struct, frozen=True, tag=True):
    """Into a folder, as an OCI layout; of several machines, one in a folder for each platform (`linux_amd64`). New layers
    are not compressed: whoever takes them does that, faster. Files have the time that SOURCE_DATE_EPOCH tells, whenever they
    were made: equal content has equal digests.
    """

    folder: Path


class Files(msgspec.Struct, frozen=True, tag=True):
    """The files of the last stage into a folder; with several platforms, in a folder for each (`linux_amd64`)."""

    folder: Path


class Daemon(msgspec.Struct, frozen=True, tag=True):
    """Into Docker's engine, under a name."""

    name: str


class Nowhere(msgspec.Struct, frozen=True, tag=True):
    """Built, and kept in the builder's cache alone."""


Output = Push | Layout | Files | Daemon | Nowhere

#: The types by which BuildKit calls the outputs.
_TYPES: Final = {Push: "registry", Layout: "oci", Files: "local", Daemon: "docker", Nowhere: "cacheonly"}


class Piece(msgspec.Struct, frozen=True):
    """What is baked under one name: a target, or its part for one platform."""

    name: str
    target: str
    platforms: tuple[Platform, ...]


class Prepared(msgspec.Struct, frozen=True):
    """The file to bake, its targets, and the folders that are written to."""

    document: Mapping[str, Any]
    pieces: tuple[Piece, ...]
    folders: tuple[Path, ...]


def wanted(document: Mapping[str, Any], target: str, output: Output, executed: Sequence[Platform] | None) -> Wanted:
    """What a builder must be able to do for a target. `executed` as in Wanted, over all targets."""
    table = _table(document, target)
    platforms = _platforms(table)
    return Wanted(
        platforms=platforms,
        executed=None if executed is None else tuple(one for one in platforms if one in executed),
        outputs=(_TYPES[type(output)],),
        caches=tuple(sorted(set(_types(table.get("cache-to"))))),
        by_digest=isinstance(output, Push),
        attestations=_is_attested(table),
    )


def prepared(document: Mapping[str, Any], outputs: Mapping[str, Output], builder: Builder) -> Prepared:
    """The document with goctl's outputs. What several machines of a builder make is taken apart, one piece for each
    platform: pushed by digest it gets no index, and into a folder buildx lets one machine write. Raises ConfigError for a
    target that is not there.
    """
    tables: dict[str, Any] = {name: dict(table) for name, table in document.get("target", {}).items()}
    pieces: list[Piece] = []
    folders: list[Path] = []
    for target, output in outputs.items():
        table = _table(document, target)
        platforms = _platforms(table)
        own = {**table, "tags": [], "output": [_spelled(output)]}
        if not isinstance(output, Push | Layout | Files) or len(builder.machines) < 2 or len(platforms) < 2:
            folders += [output.folder] if isinstance(output, Layout | Files) else []
            tables[target] = own
            pieces.append(Piece(target, target, platforms))
            continue
        for platform in platforms:
            name = _free(f"{target}-{platform.slug}", tables)
            part = _of_platform(output, platform)
            folders += [part.folder] if isinstance(part, Layout | Files) else []
            tables[name] = {**own, **_own_caches(table, platform), "platforms": [str(platform)], "output": [_spelled(part)]}
            pieces.append(Piece(name, target, (platform,)))
    made = {**document, "target": tables}
    made.pop("group", None)  # names of groups could be those of pieces
    return Prepared(made, tuple(pieces), tuple(folders))


def _of_platform(output: Push | Layout | Files, platform: Platform) -> Push | Layout | Files:
    """The output of one platform, where each is made by itself: a folder below, named as BuildKit names those of files."""
    if isinstance(output, Push):
        return output
    return msgspec.structs.replace(output, folder=output.folder / str(platform).replace("/", "_"))


def _own_caches(table: Mapping[str, Any], platform: Platform) -> dict[str, list[Any]]:
    """The caches of a target's part for one platform: each machine would write over what the others wrote. What the whole
    target wrote, on one machine, is read too."""
    found: dict[str, list[Any]] = {}
    for option in ("cache-from", "cache-to"):
        entries = table.get(option) or []
        own = [(own_cache(entry, platform.slug) if isinstance(entry, Mapping) else None) or entry for entry in entries]
        found[option] = own + [entry for entry in entries if option == "cache-from" and entry not in own]
    return {option: entries for option, entries in found.items() if entries}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "-"
    return name


def _table(document: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    table = document.get("target", {}).get(target)
    if not isinstance(table, Mapping):
        raise ConfigError(f"the bake file has no target {target}")
    return table


def _platforms(table: Mapping[str, Any]) -> tuple[Platform, ...]:
    try:
        return tuple(Platform.parse(str(one)) for one in table.get("platforms") or ())
    except ValueError as error:
        raise ConfigError(f"the bake file: {error}") from None


def _types(entries: Any) -> Iterator[str]:
    """The types of caches, each `type=registry,ref=...` or a table; a text without `type=` is a reference."""
    for entry in entries or ():
        if isinstance(entry, Mapping):
            yield str(entry.get("type", ""))
        else:
            fields = dict(field.partition("=")[::2] for field in next(csv.reader([str(entry)]), []))
            yield fields.get("type", "registry")


def _is_attested(table: Mapping[str, Any]) -> bool:
    for entry in table.get("attest") or ():
        disabled = entry.get("disabled") if isinstance(entry, Mapping) else "disabled=true" in str(entry)
        if str(disabled).lower() not in ("true", "1"):
            return True
    return False


def _spelled(output: Output) -> str:
    """An output as buildx reads it: fields of CSV."""
    match output:
        case Push(repositories):
            fields = [
                "type=image",
                f"name={','.join(repositories)}",
                "push=true",
                "push-by-digest=true",
                "name-canonical=true",
            ]
        case Layout(folder):
            fields = ["type=oci", f"dest={folder}", "tar=false", "compression=uncompressed"]
            fields += ["oci-mediatypes=true", "rewrite-timestamp=true"]
        case Files(folder):
            fields = ["type=local", f"dest={folder}"]
        case Daemon(name):
            fields = ["type=docker", f"name={name}"]
        case Nowhere():
            fields = ["type=cacheonly"]
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(fields)
    return written.getvalue()


def secrets(document: Mapping[str, Any], targets: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Each target's secrets: (id, `env` or `file`, the variable or the path)."""
    for target in targets:
        for entry in _table(document, target).get("secret") or ():
            if isinstance(entry, Mapping):
                fields = {str(key): str(value) for key, value in entry.items()}
            else:
                fields = dict(field.partition("=")[::2] for field in next(csv.reader([str(entry)]), []))
            name = fields.get("id", "")
            path = fields.get("src") or fields.get("source") or ""
            if fields.get("env") or not path:
                yield name, "env", fields.get("env") or name
            else:
                yield name, "file", path
