"""Programs compiled by BuildKit, and handed over as files: the compile steps of targets with `engine = "buildkit"`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from goctl.buildkit.bakefile import UNATTESTED, secret, target_names
from goctl.buildkit.caches import own_cache
from goctl.buildkit.context import ignore_file
from goctl.buildkit.dockerfile import programs_text
from goctl.buildkit.dockerfile_recipes import Compilation, Recipe, arguments, programs_recipe
from goctl.buildkit.hcl import BakeFile, Value
from goctl.buildkit.run_document import Files
from goctl.config.model import Image
from goctl.contracts import Binary
from goctl.errors import BuildError, GoctlError
from goctl.plan.facts import Facts
from goctl.plan.model import CompileStep
from goctl.release.buildkit_packages import Bake, Compiled, Packages
from goctl.release.recipes import FOLDER, sources_of
from goctl.release.session import Session
from goctl.system.files import inside, move, storage_errors, write_atomic
from goctl.system.ledger import digest_of


def programs(
    session: Session, steps: Sequence[CompileStep], folder: Path, bake: Bake, packages: Packages
) -> Iterator[tuple[str, Binary | GoctlError]]:
    """The program of each step, below dist/, or what it failed with; BuildKit writes to `folder`. Raises
    ConfigError for what it cannot compile.
    """
    by_target: dict[str, list[CompileStep]] = {}
    for step in steps:
        by_target.setdefault(step.targets[0].rpartition(":")[2], []).append(step)
    names = target_names(by_target)
    made = {name: _recipe(session, name, own) for name, own in by_target.items()}
    tables = {names[name]: compiling(session, *one, tell=packages.are_shared) for name, one in made.items()}
    document: BakeFile = {"target": tables}
    outputs = {name: Files(folder / name) for name in tables}
    compiled = [Compiled(made[name][1].image, own, outputs[names[name]]) for name, own in by_target.items()]
    with packages.shared(compiled):
        results = bake(document, outputs, ())
    for target, own in by_target.items():
        failed = results.failed.get(names[target])
        for step in own:
            yield step.id, failed or _taken(session, folder / names[target], step)


def _recipe(session: Session, name: str, steps: Sequence[CompileStep]) -> tuple[Recipe, Compilation]:
    chosen = {name: tuple(sorted({step.platform for step in steps}))}
    recipe = programs_recipe(session.config, name, steps, sources_of(session, Facts(), chosen))
    own = recipe.compilation
    if own is None:
        raise TypeError("a recipe of programs compiles them")
    return recipe, own


def compiling(session: Session, recipe: Recipe, own: Compilation, *, tell: bool) -> dict[str, Value]:
    """The target of a bake file that compiles. It is one for all platforms, and runs on the builder's own. `tell` as in
    programs_text."""
    made = piece(session, msgspec.structs.replace(recipe, assets=()), "programs", programs_text(recipe, own, tell=tell))
    del made["platforms"]
    return made


def piece(session: Session, recipe: Recipe, what: str, text: str) -> dict[str, Value]:
    """A target of a bake file that makes a part of an image, `programs` or `base`, and its Dockerfile, written."""
    dist = session.dist.relative_to(session.root).as_posix()
    recipe = msgspec.structs.replace(recipe, dist=f"{dist}/{recipe.target}")
    file = f"{dist}/{FOLDER}/{recipe.target}.{what}.Dockerfile"
    for path, content in ((file, text), (f"{file}.dockerignore", ignore_file(recipe))):
        write_atomic(inside(session.root, path, what=path), content.encode(), durable=False)
    table: dict[str, Value] = {
        "args": arguments(recipe),
        "attest": UNATTESTED,
        "cache-from": _caches(session.config.buildkit.cache_from, recipe.cache_from, recipe.target, what),
        "cache-to": _caches(session.config.buildkit.cache_to, recipe.cache_to, recipe.target, what),
        "context": ".",
        "dockerfile": file,
        "platforms": [str(platform.plain) for platform in recipe.platforms],
        "secret": _secrets(session, recipe),
    }
    return {key: value for key, value in table.items() if value}


def _caches(declared: Sequence[str], filled: Sequence[Sequence[tuple[str, str]]], target: str, what: str) -> list[Value]:
    """The caches of one piece. Where the declared text does not tell targets apart, the piece's name has to."""
    parts = (what if "{target}" in text else f"{target}-{what}" for text in declared)
    made = (own_cache(dict(cache), part) for cache, part in zip(filled, parts, strict=False))
    return [cache for cache in made if cache is not None]


def _secrets(session: Session, recipe: Recipe) -> list[Value]:
    image = session.config.targets[recipe.target].image
    declared = image.dockerfile.secrets if isinstance(image, Image) else {}
    return [secret(name, declared[name]) for name in recipe.secrets]


def _taken(session: Session, folder: Path, step: CompileStep) -> Binary | GoctlError:
    """Brings a program from BuildKit's folder to where it is wanted."""
    source = folder / step.platform.slug / step.linked_name
    if not source.is_file():
        return BuildError(f"BuildKit made no {step.linked_name} of {step.package} for {step.platform}")
    for output in step.outputs:
        place = inside(session.root, output, what=output)
        with storage_errors(str(place)):
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = source.with_name(f"{source.name}.moved")
            shutil.copy2(source, beside)
            beside.chmod(0o755)
            move(beside, place)
    digest = digest_of(session.root / step.outputs[0])
    return Binary(step.outputs[0], digest, (session.root / step.outputs[0]).stat().st_size)
