"""`invoke bake` and `invoke dockerfile`: what BuildKit needs to make the images of a plan, as files below dist/.

Nothing is built, and no registry is asked. Go is asked only where the programs are compiled in a Dockerfile, for the files
they are made of; without Go, the context is the whole module.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.buildkit import hcl
from goctl.buildkit.bakefile import Places, bake_file, target_names
from goctl.buildkit.context import ignore_file
from goctl.buildkit.dockerfile import lines, text
from goctl.buildkit.dockerfile_recipes import Recipe, Recipes, Sources, recipes
from goctl.buildkit.parsing import parse
from goctl.buildkit.practices import PRACTICES, findings
from goctl.config.model import Image
from goctl.errors import ConfigError, Location, MovedError, Problem, StorageError
from goctl.events import Document, Notice, Table
from goctl.golang.graph import decode_graph
from goctl.golang.modfiles import local_replacements, used_modules, work_file
from goctl.plan.facts import Facts
from goctl.plan.make import listing_key, make
from goctl.release import gather
from goctl.system.files import inside, write_atomic
from goctl.values import to_json

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.session import Session

FOLDER = "buildkit"
FORMATS = ("json", "hcl")


class Made(msgspec.Struct, frozen=True):
    """What is to be written: content by path from the project's folder; `bake` is the bake file's."""

    bake: str
    files: Mapping[str, bytes]
    recipes: tuple[Recipe, ...]


def bake(crew: Crew, select: tuple[str, ...], *, form: str, output: str, check: bool, dry: bool) -> None:
    """Writes the bake file of each project, and the Dockerfiles it names; with `check`, raises MovedError where one is not
    as it would be written. An `output` of `-` shows the bake file and writes nothing.
    """
    from goctl.release.run import choose

    if form not in FORMATS:
        raise ConfigError(f"--format {form}: there is no such format", hint=f"known are {', '.join(FORMATS)}")
    chosen = choose(crew, select)
    if output and len(chosen) > 1 and output != "-":
        raise ConfigError("--output names one file for several projects", hint="select one of them: --select PROJECT:")
    for project, own in chosen.items():
        session = crew.sessions[project]
        made = make_files(crew, project, own, form=form, output="" if output == "-" else output)
        if output == "-":
            shown = made.files[made.bake].decode("utf-8", "replace")
            session.emit(Document("bake", shown.rstrip("\n"), msgspec.Raw(to_json({"path": made.bake, "text": shown}))))
        else:
            _write(session, made, check=check, dry=dry)


def write_stage(crew: Crew, project: str, chosen: gather.Chosen) -> None:
    """The stage `bake` of a release: writes what is not there yet."""
    _write(crew.sessions[project], make_files(crew, project, chosen, quiet=True), quiet=True)


def dockerfile(crew: Crew, select: tuple[str, ...], *, explain: bool, dry: bool) -> None:
    """Writes the Dockerfile of each target, or with `explain` shows each line with the practice behind it."""
    from goctl.release.run import choose

    for project, own in choose(crew, select).items():
        session = crew.sessions[project]
        made = make_files(crew, project, own)
        if explain:
            for recipe in made.recipes:
                session.emit(_explained(recipe))
            continue
        files = {path: content for path, content in made.files.items() if path != made.bake}
        _write(session, msgspec.structs.replace(made, files=files), dry=dry)


def dockerfile_check(crew: Crew, file: str) -> None:
    """Tells what a Dockerfile does against the practices. Raises ConfigError with the lines where it does anything."""
    path = Path(file)
    try:
        content = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror or error}") from error
    ignore = path.with_name(f"{path.name}.dockerignore").exists() or any(
        (folder / ".dockerignore").exists() for folder in (path.parent, Path.cwd(), crew.first.root)
    )
    found = findings(parse(content), ignore=ignore)
    rows = tuple((f"{file}:{one.line}", one.practice, one.message, one.hint or PRACTICES[one.practice]) for one in found)
    crew.first.emit(Table("dockerfile.check", ("line", "practice", "what is there", "instead"), rows))
    if found:
        problems = [Problem(one.message, Location(file, one.line), hint=one.hint) for one in found]
        raise ConfigError(problems)


def _explained(recipe: Recipe) -> Table:
    rows = tuple((line.text, line.practice, PRACTICES.get(line.practice, "")) for line in lines(recipe))
    return Table(f"Dockerfile of {recipe.target}", ("line", "practice", "why"), rows)


def make_files(
    crew: Crew, project: str, chosen: gather.Chosen, *, form: str = "json", output: str = "", quiet: bool = False
) -> Made:
    """The files for the chosen targets of a project. Raises ConfigError for what cannot be."""
    session = crew.sessions[project]
    facts = gather.named(crew, project, chosen, listed=_asks_go(session, chosen))
    plan = make(session.config, facts, chosen)
    dist = session.dist.relative_to(session.root).as_posix()
    found = recipes(session.config, plan, _sources(session, facts, chosen), dist)
    if not quiet:
        for left in found.left:
            session.emit(Notice(f"{left.what} is in no bake file: {left.why}"))
    folder = f"{dist}/{FOLDER}"
    files = dict(_dockerfiles(session, found, folder))
    static = ""
    if any(recipe.is_static for recipe in found.recipes):
        static = f"oci-layout://{folder}/static" + _static(session, found, f"{folder}/static", files)
    document = bake_file(session.config, facts, plan, found.recipes, Places(folder, static))
    path = output or f"{dist}/docker-bake.{form}"
    inside(session.root, path, what="--output")
    _check_included(session, target_names(recipe.target for recipe in found.recipes))
    # The bake file last: whoever finds it finds what it names.
    files[path] = hcl.to_json(document) if form == "json" else hcl.to_hcl(document)
    return Made(path, files, found.recipes)


def _dockerfiles(session: Session, found: Recipes, folder: str) -> Iterator[tuple[str, bytes]]:
    for recipe in found.recipes:
        image = session.config.targets[recipe.target].image
        if isinstance(image, Image) and image.dockerfile.path:
            continue
        yield f"{folder}/{recipe.target}.Dockerfile", text(recipe).encode()
        yield f"{folder}/{recipe.target}.Dockerfile.dockerignore", ignore_file(recipe).encode()


def _asks_go(session: Session, chosen: gather.Chosen) -> bool:
    """Whether names of programs, or what they are made of, are Go's to tell."""
    for name in chosen:
        target = session.config.targets[name]
        if isinstance(target.image, Image) and target.image.compile == "buildkit" and not target.image.dockerfile.path:
            return True
        if any("..." in pattern or not pattern.rstrip("/.").rpartition("/")[2] for pattern in target.packages):
            return True
    return False


def _sources(session: Session, facts: Facts, chosen: gather.Chosen) -> Sources:
    """The modules that programs are compiled from, and the files they are made of where Go could be asked."""
    module = session.module
    work = work_file(module, session.config.go.env)
    if work is not None and not work.is_relative_to(session.root):
        work = None
    roots = {module}
    for file in filter(None, (module / "go.mod", work)):
        roots |= {Path(one) for one in local_replacements(str(file))}
    if work is not None:
        roots |= {Path(one) for one in used_modules(str(work))}
    outside = sorted(str(root) for root in roots if not root.is_relative_to(session.root))
    if outside and any(_compiles(session, name) for name in chosen):
        raise ConfigError(
            f"{outside[0]} is outside the project: no build's context can hold it",
            hint='write compile = "host", or put the module below goctl.toml',
        )
    roots = {root for root in roots if root.is_relative_to(session.root)}
    names = [root / name for root in roots for name in ("go.mod", "go.sum")]
    names += [work, work.with_name("go.work.sum")] if work is not None else []
    return Sources(
        module=_relative(session, module),
        modules=tuple(sorted(_relative(session, root) for root in roots)),
        module_files=tuple(sorted(_relative(session, path) for path in names if path.is_file())),
        files=_files(session, facts, chosen),
        go=facts.toolchain.version.removeprefix("go").partition(" ")[0].partition("-")[0] if facts.toolchain else "",
        vendored=(module / "vendor" / "modules.txt").is_file(),
    )


def _compiles(session: Session, name: str) -> bool:
    image = session.config.targets[name].image
    return isinstance(image, Image) and image.compile == "buildkit"


def _files(session: Session, facts: Facts, chosen: gather.Chosen) -> dict[str, tuple[str, ...]] | None:
    """The files of each target's packages, from the recorded graphs; None where one is not there."""
    from goctl.golang.snapshot import GRAPHS

    if facts.listings is None:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for name, platforms in chosen.items():
        own: set[str] = set()
        for platform in platforms:
            listing = facts.listings.get(listing_key(session.config, session.config.targets[name], platform))
            if listing is None:
                continue
            mains = [main for mains in listing.mains.values() for main in mains]
            content = session.memo.get("graph", listing.detail) or next(
                (GRAPHS[main.digest] for main in mains if main.digest in GRAPHS), None
            )
            if content is None:
                return None
            graph = decode_graph(content)
            todo = [main.import_path for pattern in session.config.targets[name].packages for main in listing.mains[pattern]]
            seen: set[str] = set()
            while todo:
                path = todo.pop()
                if path in seen:
                    continue
                seen.add(path)
                todo += graph[path].imports
                own |= {os.path.join(graph[path].dir, file) for file in graph[path].files}
        found[name] = tuple(sorted(_relative(session, Path(file)) for file in own))
    return found


def _relative(session: Session, path: Path) -> str:
    return posixpath.normpath(Path(os.path.relpath(path, session.root)).as_posix())


def _static(session: Session, found: Recipes, folder: str, files: dict[str, bytes]) -> str:
    """The layout of goctl's own base, for all platforms that are built: adds its files, and gives `@` and its digest."""
    from goctl.oci.static_layout import static_layout

    platforms = sorted({platform for recipe in found.recipes if recipe.is_static for platform in recipe.platforms})
    made = static_layout(platforms, session.blobs, session.memo, write=not session.look_only)
    if made is None:
        return ""
    files.update({f"{folder}/{name}": data for name, data in made[1].items()})
    return f"@{made[0]}"


def _check_included(session: Session, names: Mapping[str, str]) -> None:
    """Raises ConfigError where a bake file of the project's own has a target of ours: the last one read would win."""
    problems = []
    for path in session.config.buildkit.include:
        try:
            content = (session.root / path).read_text(encoding="utf-8", errors="replace")
            declared = hcl.targets_of(content, is_json=path.endswith(".json"))
        except (OSError, ValueError) as error:
            place = session.loaded.place("buildkit", "include")
            problems.append(Problem(f"{path} cannot be read: {error}", place, hint="mend it, or take it out"))
            continue
        problems += [
            Problem(
                f"the target {name!r} is goctl's too", Location(path, declared[name]), hint="give one of them another name"
            )
            for name in sorted(set(declared) & set(names.values()))
        ]
    if problems:
        raise ConfigError(problems)


def _write(session: Session, made: Made, *, check: bool = False, dry: bool = False, quiet: bool = False) -> None:
    """Writes those files that are not there as they are to be."""
    changed = [path for path, content in made.files.items() if not _is_there(session, path, content)]
    if check:
        if changed:
            raise MovedError(f"not as they would be written: {', '.join(changed)}", hint="run `invoke bake`")
        return
    for path in changed if not dry else ():
        write_atomic(inside(session.root, path, what=path), made.files[path], durable=False)
    if not quiet:
        told = [path for path in (changed or made.files) if "/static/" not in path]
        words = "would write" if dry and changed else "wrote" if changed else "is as it should be:"
        session.emit(Notice(f"{words} {', '.join(told)}", hint=_command(session, made), level="info"))


def _is_there(session: Session, path: str, content: bytes) -> bool:
    try:
        return (session.root / path).read_bytes() == content
    except OSError:
        return False


def _command(session: Session, made: Made) -> str:
    files = [*session.config.buildkit.include, made.bake]
    if made.bake not in made.files:
        return ""
    return "docker buildx bake " + " ".join(f"-f {file}" for file in files)
