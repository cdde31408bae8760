"""What BuildKit needs to make the images of a plan: Dockerfiles, a bake file, and goctl's own base.

Nothing is built, and no registry is asked. Go is asked only where programs are compiled in a Dockerfile, for the files that
they are made of; where it cannot tell, the context is the whole module.
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
from goctl.buildkit.dockerfile import text
from goctl.buildkit.dockerfile_recipes import Recipes, Sources, recipes
from goctl.config.model import Image
from goctl.errors import ConfigError, Location, Problem
from goctl.golang.graph import below, decode_graph
from goctl.golang.modfiles import local_replacements, used_modules, work_file
from goctl.plan.facts import Facts
from goctl.plan.make import listing_key
from goctl.plan.model import ImageStep, Plan
from goctl.release.gather import Chosen
from goctl.system.files import inside

if TYPE_CHECKING:
    from goctl.release.session import Session

FOLDER = "buildkit"


class Made(msgspec.Struct, frozen=True):
    """What is to be written: content by path from the project's folder; `bake` is the bake file's path, `document` what it
    holds."""

    bake: str
    files: Mapping[str, bytes]
    found: Recipes
    document: hcl.BakeFile


def make_files(session: Session, plan: Plan, facts: Facts, *, form: str = "json", output: str = "") -> Made:
    """The files for the images of a project's plan. Raises ConfigError for what cannot be."""
    found = find_recipes(session, plan, facts)
    dist = session.dist.relative_to(session.root).as_posix()
    folder = f"{dist}/{FOLDER}"
    files = dict(_dockerfiles(session, found, folder))
    static = ""
    if any(recipe.is_static for recipe in found.recipes):
        static = f"oci-layout://{folder}/static" + _static(session, found, f"{folder}/static", files)
    document = bake_file(session.config, plan, found.recipes, Places(folder, static))
    path = output or f"{dist}/docker-bake.{form}"
    inside(session.root, path, what="--output")
    _check_included(session, target_names(recipe.target for recipe in found.recipes))
    # The bake file last: whoever finds it finds what it names.
    files[path] = hcl.to_json(document) if form == "json" else hcl.to_hcl(document)
    return Made(path, files, found, document)


def find_recipes(session: Session, plan: Plan, facts: Facts) -> Recipes:
    """The recipes of a project's plan. Raises ConfigError for what cannot be."""
    dist = session.dist.relative_to(session.root).as_posix()
    return recipes(session.config, plan, _sources(session, plan, facts), dist)


def _dockerfiles(session: Session, found: Recipes, folder: str) -> Iterator[tuple[str, bytes]]:
    for recipe in found.recipes:
        image = session.config.targets[recipe.target].image
        if isinstance(image, Image) and image.dockerfile.path:
            continue
        yield f"{folder}/{recipe.target}.Dockerfile", text(recipe).encode()
        yield f"{folder}/{recipe.target}.Dockerfile.dockerignore", ignore_file(recipe).encode()


def _sources(session: Session, plan: Plan, facts: Facts) -> Sources:
    """The modules that programs are compiled from, and the files they are made of where Go could be asked."""
    images = [step for step in plan.steps if isinstance(step, ImageStep)]
    chosen = {image.target: tuple(one.platform for one in images if one.target == image.target) for image in images}
    if not any(compiles(session, name) for name in chosen):
        return Sources(module=_relative(session, session.module), modules=(), module_files=(), files=None)
    return sources_of(session, facts, chosen)


def sources_of(session: Session, facts: Facts, chosen: Chosen) -> Sources:
    """As a Dockerfile that compiles the chosen targets needs them. Raises ConfigError for modules out of its reach."""
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
    if outside:
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


def compiles(session: Session, name: str) -> bool:
    """Whether a target's programs are compiled in a Dockerfile that goctl writes."""
    image = session.config.targets[name].image
    return isinstance(image, Image) and image.compile == "buildkit" and not image.dockerfile.path


def _files(session: Session, facts: Facts, chosen: Chosen) -> dict[str, tuple[str, ...]] | None:
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
            own_mains = (main for pattern in session.config.targets[name].packages for main in listing.mains[pattern])
            for path in below(graph, (main.import_path for main in own_mains)):
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
