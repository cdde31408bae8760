"""What of an image only a Dockerfile has, templates filled in: packages, arguments, caches, programs compiled in it."""

from __future__ import annotations

from collections.abc import Sequence

from goctl.config.dockerfiles import is_registry, options
from goctl.config.model import Config, Dockerfile, Image, Target
from goctl.plan.model import Baking, CompileStep
from goctl.plan.naming import Names

BUILDKIT, EMBEDDED = "buildkit", "embedded"


def compiles_inside(target: Target) -> bool:
    """Whether a target's programs are BuildKit's to compile, and none are needed on the host for its image."""
    image = target.image
    return isinstance(image, Image) and image.engine == BUILDKIT and image.compile == BUILDKIT


def image_engine(config: Config, target: Target) -> str:
    """The engine that makes a target's images. One that installs nothing and compiles nothing leaves BuildKit without work:
    the embedded engine puts such images together, and the same ones.
    """
    image = target.image
    if not isinstance(image, Image):
        raise TypeError("a target without an image has no engine for it")
    own = image.dockerfile
    idle = image.compile != BUILDKIT and not own.path and not own.packages and config.buildkit.assemble == "goctl"
    return EMBEDDED if image.engine == BUILDKIT and idle else image.engine


def baking(config: Config, image: Image, names: Names, inside: Sequence[CompileStep]) -> Baking | None:
    """None where nothing is said that a Dockerfile would not have anyhow."""
    own = image.dockerfile
    caches = config.buildkit.cache_from or config.buildkit.cache_to
    if own == Dockerfile() and not inside and not caches:
        return None
    return Baking(
        dockerfile=own.path,
        packages=own.packages,
        distribution=own.distribution,
        args=tuple(sorted((name, names.fill(value)) for name, value in own.args.items())),
        secrets=tuple(sorted(own.secrets)),
        cache_from=tuple(_cache(config, names, text) for text in config.buildkit.cache_from),
        cache_to=tuple(_cache(config, names, text) for text in config.buildkit.cache_to),
        inside=tuple(inside),
    )


def fields(config: Config, made: Baking | None) -> dict[str, str]:
    """What of it can change an image. Caches cannot; what secrets stand for is not the image's affair."""
    own = made or Baking()
    found = {f"package {package}": "" for package in own.packages} | {f"argument {name}": value for name, value in own.args}
    found |= {f"secret {name}": "" for name in own.secrets}
    found["assembled by"] = config.buildkit.assemble
    if own.distribution:
        found["distribution"] = own.distribution
    if own.inside:
        found |= {f"compiled {step.import_path}": str(step.input) for step in own.inside}
        found["go image"] = config.buildkit.go_image
    return found


def is_known(made: Baking | None) -> bool:
    """Whether all that goes into an image can be told: not what a Dockerfile of the project's own does."""
    own = made or Baking()
    return not own.dockerfile and all(step.input is not None for step in own.inside)


def _cache(config: Config, names: Names, text: str) -> tuple[tuple[str, str], ...]:
    registry = next((one.url.rstrip("/") for one in config.registries.values() if one.push and is_registry(one.url)), "")
    # Each value is filled in after the text was divided: what a branch is called adds no option.
    return tuple(
        sorted((name, names.fill(value.replace("{registry}", _braced(registry)))) for name, value in options(text).items())
    )


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
