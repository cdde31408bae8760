"""Archive steps and the step of their checksums: what people download, and how they see that it is whole."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from goctl.config.model import ArchiveDefaults, Config
from goctl.errors import ConfigError
from goctl.plan import keys
from goctl.plan.facts import Facts, File
from goctl.plan.model import ArchiveStep, ChecksumsStep, CompileStep, Program
from goctl.plan.naming import Names, creation_time
from goctl.plan.select import platforms_of
from goctl.values import Platform

FOLDER = "archives"
_LEVELS = {"tar.gz": 6, "tar.zst": 9, "zip": 6}
#: Whose bytes a format's are, by the names that the fact `compressors` has: zip's are deflate's, as gzip's.
_COMPRESSORS = {"tar.gz": "gzip", "tar.zst": "zstd", "zip": "gzip"}
#: The highest level of those that zip shares a table with.
_ZIP_HIGHEST = 12
#: Systems on which README and readme are one file.
_FOLDING = ("windows", "darwin", "ios")


def archive_step(
    config: Config, facts: Facts, name: str, platform: Platform, compiles: Sequence[CompileStep]
) -> ArchiveStep:
    """One target's archive for one platform. Raises ConfigError for two files at one place in it."""
    archive = _archive(config, name)
    names = Names(facts, project=config.project.name, target=name, platform=platform)
    kind = _format(archive, platform)
    level = _level(archive, kind)
    programs = tuple(Program(step.id, step.file_name) for step in compiles)
    files = _files(archive, facts)
    _refuse_clashes(name, platform, programs, files)
    folder = names.fill_file_name(archive.folder) if archive.folder else ""
    created = (creation_time(facts) or 0) if config.targets[name].stamp != "none" else 0
    file_name = _file_name(config, facts, name, platform)
    compressor = facts.compressors.get(_COMPRESSORS[kind], "")
    fields = {
        "path": f"{FOLDER}/{file_name}",
        "folder": folder,
        "created": str(created),
        "compression": f"{kind} {level} {compressor}",
        **{f"program {number}": program.path for number, program in enumerate(programs)},
        **{f"file {file.place}": file.digest for file in files},
    }
    return ArchiveStep(
        id=f"archive:{name}@{platform}",
        title=f"pack {name} for {platform}",
        needs=tuple(step.id for step in compiles),
        target=name,
        platform=platform,
        path=_below_dist(config, file_name),
        folder=folder,
        programs=programs,
        files=files,
        created=created,
        format=kind,
        compression_level=level,
        compressor=compressor,
        recipe=keys.of_fields("archive", fields),
        fields=fields,
    )


def checksums_steps(config: Config, facts: Facts, archives: Sequence[ArchiveStep]) -> Iterator[ChecksumsStep]:
    """The step of the checksums, where there are archives. Raises ConfigError for two archives of one name."""
    if not archives:
        return
    chosen = {(step.target, step.platform): step.path.rpartition("/")[2] for step in archives}
    every = {
        (name, platform): chosen.get((name, platform)) or _file_name(config, facts, name, platform)
        for name, target in config.targets.items()
        if isinstance(target.archive, ArchiveDefaults)
        for platform in platforms_of(config, target)
    }
    own = Names(facts, project=config.project.name).fill_file_name(config.archive.checksums)
    taken = {own.lower(): "the file of checksums"}
    for (name, platform), file in every.items():
        other = taken.setdefault(file.lower(), f"the archive of {name} for {platform}")
        if other != f"the archive of {name} for {platform}":
            raise ConfigError(
                f"{other} and that of {name} for {platform} would both be {file}",
                hint="let archive.name tell them apart, by {target}, {os}, {arch} and {variant}",
            )
    yield ChecksumsStep(
        id="checksums",
        title="write the archives' checksums",
        needs=tuple(step.id for step in archives),
        path=_below_dist(config, own),
        names=tuple(chosen.values()),
        others=tuple(file for slot, file in every.items() if slot not in chosen),
    )


def _below_dist(config: Config, file: str) -> str:
    return posixpath.join(posixpath.normpath(config.release.dist.replace("\\", "/")), FOLDER, file)


def _archive(config: Config, name: str) -> ArchiveDefaults:
    archive = config.targets[name].archive
    if not isinstance(archive, ArchiveDefaults):
        raise TypeError("a target without archives has no archive step")
    return archive


def _level(archive: ArchiveDefaults, kind: str) -> int:
    level = archive.compression_level or _LEVELS[kind]
    return min(level, _ZIP_HIGHEST) if kind == "zip" else level


def _files(archive: ArchiveDefaults, facts: Facts) -> tuple[File, ...]:
    return tuple(sorted({file.path: file for pattern in archive.files for file in facts.files.get(pattern, ())}.values()))


def _format(archive: ArchiveDefaults, platform: Platform) -> str:
    return "zip" if platform.os == "windows" else archive.format


def _file_name(config: Config, facts: Facts, name: str, platform: Platform) -> str:
    archive = _archive(config, name)
    names = Names(facts, project=config.project.name, target=name, platform=platform)
    return f"{names.fill_file_name(archive.name)}.{_format(archive, platform)}"


def _refuse_clashes(name: str, platform: Platform, programs: Sequence[Program], files: Sequence[File]) -> None:
    """Raises ConfigError where a file would take the place of a program, or of another whose name is the same there."""
    taken: dict[str, str] = {}
    for path in (*(program.path for program in programs), *(file.place for file in files)):
        key = path.lower() if platform.os in _FOLDING else path
        if key in taken:
            raise _clash(name, platform, f"{taken[key]} and {path} would be one file")
        taken[key] = path
    for key, path in taken.items():
        for end in (number for number, letter in enumerate(key) if letter == "/"):
            if key[:end] in taken:
                raise _clash(name, platform, f"{taken[key[:end]]} would be a file and the folder of {path}")


def _clash(name: str, platform: Platform, words: str) -> ConfigError:
    return ConfigError(f"in the archive of {name} for {platform} {words}", hint="mend archive.files, or rename one of them")
