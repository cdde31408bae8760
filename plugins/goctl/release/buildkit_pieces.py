"""What BuildKit makes of images that goctl puts together: bases with their packages, and programs.

All of it in one bake. A base is kept in the blob store and not asked for again while packages and the base below are the
same; programs come as files, and layers, configurations and times are the assembler's affair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from goctl.buildkit.bakefile import target_names
from goctl.buildkit.dockerfile import base_text
from goctl.buildkit.hcl import BakeFile, Value
from goctl.buildkit.run_document import Files, Layout
from goctl.contracts import Binary
from goctl.errors import BuildError, GoctlError
from goctl.oci.layers import Compression
from goctl.oci.layout_images import read_images
from goctl.plan.facts import Base
from goctl.plan.keys import combine
from goctl.plan.model import ImageStep
from goctl.release.buildkit_packages import Bake, Compiled, Packages
from goctl.release.buildkit_programs import compiling, piece
from goctl.release.session import Session
from goctl.system.ledger import digest_of
from goctl.values import Digest, from_json, to_json

if TYPE_CHECKING:
    from goctl.buildkit.dockerfile_recipes import Recipe

_KIND = "baked-base"


class Pieces(msgspec.Struct, frozen=True):
    """Programs by compile step, bases by image step, and the error of each image step that lacks one."""

    programs: Mapping[str, Binary]
    bases: Mapping[str, Base]
    failed: Mapping[str, GoctlError]


class _Part(msgspec.Struct, frozen=True):
    """One target of the bake file: what it makes, and the images that wait for it."""

    name: str
    table: dict[str, Value]
    images: tuple[ImageStep, ...]
    compiled: Compiled | None = None


def pieces(
    session: Session, made: Sequence[tuple[Recipe, Sequence[ImageStep]]], folder: Path, bake: Bake, packages: Packages
) -> Pieces:
    """The pieces of images, by recipe; programs are files in `folder`. Nothing is baked where all bases are known and no
    program is to be compiled. Raises what the builder refuses before anything runs.
    """
    bases = {image.id: base for _, images in made for image in images if (base := _recalled(session, image)) is not None}
    parts = [*_programs(session, made, folder, tell=packages.are_shared), *_bases(session, made, bases)]
    if not parts:
        return Pieces({}, bases, {})
    document: BakeFile = {"target": {part.name: part.table for part in parts}}
    outputs = {part.name: part.compiled.output if part.compiled else Layout(folder / part.name) for part in parts}
    executed = {image.platform.plain for part in parts if part.compiled is None for image in part.images}
    with packages.shared([part.compiled for part in parts if part.compiled is not None]):
        results = bake(document, outputs, tuple(sorted(executed)))
    programs: dict[str, Binary] = {}
    failed: dict[str, GoctlError] = {}
    for part in parts:
        try:
            if part.name in results.failed:
                raise results.failed[part.name]
            if part.compiled is None:
                bases |= _taken_bases(session, part, folder / part.name)
            else:
                programs |= _taken_programs(part, folder / part.name)
        except GoctlError as error:
            failed |= {image.id: error for image in part.images}
    return Pieces(programs, bases, failed)


def _programs(
    session: Session, made: Sequence[tuple[Recipe, Sequence[ImageStep]]], folder: Path, *, tell: bool
) -> Iterator[_Part]:
    """One part for each compilation: targets that are compiled alike share it."""
    groups: dict[int, list[tuple[Recipe, Sequence[ImageStep]]]] = {}
    for recipe, images in made:
        if recipe.compilation is not None:
            groups.setdefault(id(recipe.compilation), []).append((recipe, images))
    names = target_names(group[0][0].target for group in groups.values())
    for group in groups.values():
        first, own = group[0][0], group[0][0].compilation
        if own is None:
            raise TypeError("a group of compilations compiles")
        name, images = names[first.target], tuple(image for _, images in group for image in images)
        steps = {step.id: step for image in images if image.baking is not None for step in image.baking.inside}
        compiled = Compiled(own.image, tuple(steps.values()), Files(folder / name))
        yield _Part(name, compiling(session, first, own, tell=tell), images, compiled)


def _bases(
    session: Session, made: Sequence[tuple[Recipe, Sequence[ImageStep]]], known: Mapping[str, Base]
) -> Iterator[_Part]:
    """One part for each base with packages that lacks on some platform."""
    groups: dict[object, tuple[Recipe, list[ImageStep]]] = {}
    for recipe, images in made:
        lacking = [image for image in images if image.id not in known]
        if recipe.packages and lacking:
            alike = (recipe.base, recipe.packages, recipe.distribution, recipe.args, recipe.secrets)
            groups.setdefault(alike, (recipe, []))[1].extend(lacking)
    names = target_names(recipe.target for recipe, _ in groups.values())
    for recipe, images in groups.values():
        # Neither programs nor the time of a commit: what is installed stays the same layer from release to release.
        own = msgspec.structs.replace(
            recipe,
            programs=(),
            assets=(),
            compilation=None,
            platforms=tuple(sorted({image.platform for image in images})),
            settings=msgspec.structs.replace(recipe.settings, created=0),
        )
        table = piece(session, own, "base", base_text(own))
        yield _Part(f"{names[recipe.target]}-base", table, tuple(images))


def _taken_programs(part: _Part, folder: Path) -> Iterator[tuple[str, Binary]]:
    found: dict[str, Path] = {}
    for image in part.images:
        for program in image.programs:
            path = folder / image.platform.slug / PurePosixPath(program.path).name
            if not path.is_file():
                raise BuildError(f"BuildKit made no {path.name} of {image.target} for {image.platform}")
            found[program.step] = path
    with ThreadPoolExecutor(os.cpu_count() or 2, "digest") as pool:
        for (step, path), digest in zip(found.items(), pool.map(digest_of, found.values()), strict=True):
            yield step, Binary(path.as_posix(), digest, path.stat().st_size)


def _taken_bases(session: Session, part: _Part, folder: Path) -> Iterator[tuple[str, Base]]:
    first = part.images[0]
    compression = Compression(first.compression, first.compression_level, first.compressor)
    found = {image.platform: image for image in read_images(session, folder, compression)}
    for step in part.images:
        image = found.get(step.platform.plain)
        if image is None or step.base is None:
            raise BuildError(f"BuildKit made no base of {step.target} for {step.platform}")
        base = Base(step.base.reference, step.base.digest, image.config, image.layers)
        session.memo.put(_KIND, _key(step, step.base), to_json(base))
        yield step.id, base


def _recalled(session: Session, step: ImageStep) -> Base | None:
    """The base of an image with its packages, where it was made before and its content is still there."""
    if step.base is None or step.baking is None or not step.baking.packages:
        return None
    content = session.memo.get(_KIND, _key(step, step.base))
    try:
        base = from_json(content, Base) if content is not None else None
    except ValueError:
        return None
    if base is None or not all(session.blobs.has(blob.digest, blob.size) for blob in (base.config, *base.layers)):
        return None
    return base


def _key(step: ImageStep, base: Base) -> Digest:
    """Of all that a base with packages is made from."""
    baking = step.baking
    if baking is None:
        raise TypeError("a base without packages is not baked")
    told = (baking.distribution, step.compression, str(step.compression_level), step.compressor)
    args = (text for pair in baking.args for text in pair)
    return combine(
        _KIND,
        str(step.platform),
        base.digest,
        *told,
        "packages",
        *baking.packages,
        "args",
        *args,
        "secrets",
        *baking.secrets,
    )
