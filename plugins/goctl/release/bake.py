"""`invoke bake` and `invoke dockerfile`: what BuildKit needs to make the images of a plan, as files below dist/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.errors import ConfigError, Location, MovedError, Problem, StorageError
from goctl.events import Document, Notice, Table
from goctl.plan.keys import combine
from goctl.plan.make import make
from goctl.plan.model import ImageStep, IndexStep, Plan, PushStep
from goctl.release import gather
from goctl.release.session import Session
from goctl.system.files import inside, write_atomic
from goctl.system.ledger import Ledger
from goctl.values import Digest, from_json, to_json

if TYPE_CHECKING:
    from goctl.buildkit.dockerfile_recipes import Recipe
    from goctl.plan.facts import Facts
    from goctl.release.crew import Crew
    from goctl.release.recipes import Made

FORMATS = ("json", "hcl")
#: Part of the key of files. To be raised whenever the same plan would lead to other files than before.
GENERATION = "1"


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
        made = _files(crew, project, own, form=form, output="" if output == "-" else output)
        if output == "-":
            shown = made.files[made.bake].decode("utf-8", "replace")
            session.emit(Document("bake", shown.rstrip("\n"), msgspec.Raw(to_json({"path": made.bake, "text": shown}))))
        else:
            _write(session, made, check=check, dry=dry)


def write_stage(session: Session, plan: Plan, facts: Facts) -> None:
    """The stage `bake` of a release, for a project's own plan: writes what is not there yet."""
    key = _key(session, plan)
    ledger = Ledger(session.memo, session.root, session.scratch, write=not session.look_only)
    if _are_there(session, ledger, key):
        return
    from goctl.release.recipes import make_files

    made = make_files(session, plan, facts)
    write(session, made)
    for path, content in made.files.items():
        ledger.made(session.root / path, Digest.of(content))
    session.memo.put("bake", key, to_json({path: Digest.of(content) for path, content in made.files.items()}))


def _key(session: Session, plan: Plan) -> Digest:
    """Of all that the files are made from, but for the project's own bake files, which are read each time."""
    steps = [step for step in plan.steps if isinstance(step, ImageStep | IndexStep | PushStep)]
    return combine("bake", GENERATION, to_json(steps).decode(), to_json(session.config).decode())


def _are_there(session: Session, ledger: Ledger, key: Digest) -> bool:
    content = session.memo.get("bake", key) if not session.config.buildkit.include else None
    if content is None:
        return False
    try:
        files = from_json(content, dict[str, Digest])
    except ValueError:
        return False
    return all(ledger.digest(session.root / path) == digest for path, digest in files.items())


def _files(crew: Crew, project: str, chosen: gather.Chosen, *, form: str = "json", output: str = "") -> Made:
    """The files of a project, made without a look at bases and assets, and told of what is in none."""
    from goctl.release.recipes import make_files

    session = crew.sessions[project]
    facts = gather.named(crew, project, chosen, listed=_asks_go(session, chosen))
    made = make_files(session, make(session.config, facts, chosen), facts, form=form, output=output)
    for left in made.found.left:
        session.emit(Notice(f"{left.what} is in no bake file: {left.why}"))
    return made


def _asks_go(session: Session, chosen: gather.Chosen) -> bool:
    """Whether names of programs, or what they are made of, are Go's to tell."""
    from goctl.release.recipes import compiles

    for name in chosen:
        if compiles(session, name):
            return True
        if any(
            "..." in pattern or not pattern.rstrip("/.").rpartition("/")[2]
            for pattern in session.config.targets[name].packages
        ):
            return True
    return False


def dockerfile(crew: Crew, select: tuple[str, ...], *, explain: bool, dry: bool) -> None:
    """Writes the Dockerfile of each target, or with `explain` shows each line with the practice behind it."""
    from goctl.release.run import choose

    for project, own in choose(crew, select).items():
        session = crew.sessions[project]
        made = _files(crew, project, own)
        if explain:
            for recipe in made.found.recipes:
                session.emit(_explained(recipe))
            continue
        files = {path: content for path, content in made.files.items() if path != made.bake}
        _write(session, msgspec.structs.replace(made, files=files), dry=dry)


def dockerfile_check(crew: Crew, file: str) -> None:
    """Tells what a Dockerfile does against the practices. Raises ConfigError with the lines where it does anything."""
    from goctl.buildkit.parsing import parse
    from goctl.buildkit.practices import PRACTICES, findings

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
    from goctl.buildkit.dockerfile import lines
    from goctl.buildkit.practices import PRACTICES

    rows = tuple((line.text, line.practice, PRACTICES.get(line.practice, "")) for line in lines(recipe))
    return Table(f"Dockerfile of {recipe.target}", ("line", "practice", "why"), rows)


def write(session: Session, made: Made) -> None:
    """Writes those files that are not there as they are to be."""
    for path in _changed(session, made):
        write_atomic(inside(session.root, path, what=path), made.files[path], durable=False)


def _write(session: Session, made: Made, *, check: bool = False, dry: bool = False) -> None:
    """As write, and says so."""
    changed = _changed(session, made)
    if check:
        if changed:
            raise MovedError(f"not as they would be written: {', '.join(changed)}", hint="run `invoke bake`")
        return
    if not dry:
        write(session, made)
    told = [path for path in (changed or made.files) if "/static/" not in path]
    words = "would write" if dry and changed else "wrote" if changed else "is as it should be:"
    session.emit(Notice(f"{words} {', '.join(told)}", hint=_command(session, made), level="info"))


def _changed(session: Session, made: Made) -> list[str]:
    return [path for path, content in made.files.items() if not _is_there(session, path, content)]


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
