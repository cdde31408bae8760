"""`invoke parity`: each target made by both engines, and the two results held against each other.

The programs must be the same bytes, whether Go ran here or in BuildKit, and the images must say the same of them. Layers are
not compared: two engines write the same files into archives of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from goctl.config.model import Config, Dockerfile, Image
from goctl.contracts import Image as MadeImage
from goctl.errors import ConfigError, ParityError
from goctl.events import Notice, Table
from goctl.plan.model import ImageStep, Plan
from goctl.release.crew import Crew
from goctl.release.gather import Chosen
from goctl.release.run import choose, plan, prepare
from goctl.release.walk import Hooks, Walk
from goctl.values import from_json

if TYPE_CHECKING:
    from goctl.release.session import Session

Engine = Literal["embedded", "buildkit"]


class Difference(msgspec.Struct, frozen=True):
    """One thing that differs: what it is, and how each engine has it."""

    image: str
    what: str
    embedded: str
    buildkit: str


def parity(crew: Crew, select: tuple[str, ...]) -> None:
    """Makes the chosen targets with both engines. Raises ParityError with all that differs."""
    chosen = choose(crew, select)
    _refuse_own(crew, chosen)
    with crew.first.lock():
        crew.first.tidy()
        prepare(crew, chosen, dict.fromkeys(chosen, ("mod", "generate")))
        made = {engine: _made(crew, engine, chosen) for engine in ("embedded", "buildkit")}
    images = made["embedded"]
    found = [one for name in images for one in _compared(crew.first, name, images[name], made["buildkit"][name])]
    programs = sum(len(one.programs) for one, _ in images.values())
    if found:
        rows = tuple((one.image, one.what, one.embedded, one.buildkit) for one in found)
        crew.first.emit(Table("parity", ("image", "what", "embedded", "buildkit"), rows))
        raise ParityError(
            f"{len(found)} things differ between the engines: " + ", ".join(f"{one.image} {one.what}" for one in found[:5])
        )
    crew.first.emit(
        Notice(f"both engines made the same of {len(images)} images: {programs} programs, bit by bit", level="info")
    )


def _refuse_own(crew: Crew, chosen: Mapping[str, Chosen]) -> None:
    for project, own in chosen.items():
        for name in own:
            image = crew.configs[project].targets[name].image
            dockerfile = image.dockerfile if isinstance(image, Image) else Dockerfile()
            what = "a Dockerfile of its own" if dockerfile.path else "packages to install" if dockerfile.packages else ""
            if what:
                raise ConfigError(
                    f"{name} has {what}, which the embedded engine does nothing with",
                    hint="select other targets with --select",
                )


def _kept(step: ImageStep, image: MadeImage) -> None:
    """What is compared stays where it is."""


Made = Mapping[str, tuple[ImageStep, MadeImage]]


def _made(crew: Crew, engine: Engine, chosen: Mapping[str, Chosen]) -> Made:
    """The images of one engine, by target and platform. BuildKit compiles the programs itself."""
    loaded = [session.loaded.with_config(_variant(session.config, engine)) for session in crew.files]
    other = Crew(loaded, file=crew.file, profile=crew.profile, emit=crew.first.emit, beside=crew.first)
    planned = plan(other, chosen)
    own = msgspec.structs.replace(planned, steps=tuple(planned.of("build", "image")))
    artifacts = Walk(other, own, Hooks(tuple, _kept)).run().artifacts
    return {
        f"{step.target} for {step.platform}": (step, image)
        for step in _images(own)
        if isinstance(image := artifacts[step.id], MadeImage)
    }


def _images(own: Plan) -> Iterator[ImageStep]:
    return (step for step in own.steps if isinstance(step, ImageStep) and step.platform.os == "linux")


def _variant(config: Config, engine: Engine) -> Config:
    """A configuration in which an engine makes every image, from the first line to the last."""
    targets = {}
    for name, target in config.targets.items():
        image = target.image
        if isinstance(image, Image):
            image = msgspec.structs.replace(image, engine=engine, compile="buildkit" if engine == "buildkit" else "host")
        targets[name] = msgspec.structs.replace(target, image=image)
    buildkit = msgspec.structs.replace(config.buildkit, assemble="buildkit")
    return msgspec.structs.replace(config, targets=targets, buildkit=buildkit)


def _compared(
    session: Session, name: str, ours: tuple[ImageStep, MadeImage], theirs: tuple[ImageStep, MadeImage]
) -> Iterator[Difference]:
    from goctl.oci.contents import files

    step, paths = ours[0], {program.path for program in ours[0].programs}
    paths |= {asset.path for asset in step.assets}
    mine, other = files(session.blobs, ours[1], paths), files(session.blobs, theirs[1], paths)
    for path in sorted({*mine, *other}):
        if mine.get(path) != other.get(path):
            yield Difference(name, path, str(mine.get(path, "absent")), str(other.get(path, "absent")))
    first, second = (_said(session, image) for _, image in (ours, theirs))
    for what in sorted({*first, *second}):
        if first.get(what) != second.get(what):
            yield Difference(name, what, str(first.get(what, "")), str(second.get(what, "")))


#: What a config says in words that mean nothing: the folder that a container starts in anyhow, and a word of Windows that
#: BuildKit writes for all.
_SAYS_NOTHING = {"config.WorkingDir": "/", "config.ArgsEscaped": True}


def _said(session: Session, image: MadeImage) -> dict[str, Any]:
    """What an image's config and manifest say, field by field, but for layers and how they came about."""
    config = from_json(session.blobs.read(image.config.digest), dict[str, Any])
    manifest = from_json(session.blobs.read(image.manifest.digest), dict[str, Any])
    found = {name: config.get(name) for name in ("os", "created")}
    found["platform"] = str(image.platform)
    for name, value in (config.get("config") or {}).items():
        if isinstance(value, dict):
            found |= {f"config.{name}.{key}": one for key, one in value.items()}
        elif value and _SAYS_NOTHING.get(f"config.{name}") != value:
            found[f"config.{name}"] = sorted(value) if name == "Env" else value
    return found | {f"annotation {key}": value for key, value in (manifest.get("annotations") or {}).items()}
