"""What a target's Dockerfile is made from, taken out of the configuration and its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename

import msgspec

from goctl.config.model import Config, Image
from goctl.errors import ConfigError
from goctl.plan.model import AnyStep, Asset, Baking, CompileStep, ImageStep, Plan, Settings
from goctl.plan.systems import STATIC
from goctl.values import Platform, is_secretive

#: The named context that stands for goctl's own base, and the stage of an image that is compiled in BuildKit.
STATIC_CONTEXT = "goctl-static"


class Program(msgspec.Struct, frozen=True, order=True):
    """A program: its file's name, the package it is made of, and its path in the image."""

    file_name: str
    package: str
    path: str = ""


class Sources(msgspec.Struct, frozen=True):
    """The Go sources of a project; paths from the project's folder, with forward slashes.

    `module` is the folder of go.mod, `modules` those of all modules that are compiled from here, `module_files` their go.mod
    and go.sum and what go.work adds. `files` are what the programs of a target are made of, by target; None where nobody
    could be asked, and the whole of the modules is taken. `go` is the toolchain's version, like 1.26.1.
    """

    module: str
    modules: tuple[str, ...]
    module_files: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]] | None
    go: str = ""
    vendored: bool = False


class Compilation(msgspec.Struct, frozen=True):
    """One `go build` for the programs of all targets that are compiled alike, so that their Dockerfiles share the stage."""

    image: str
    sources: Sources
    files: tuple[str, ...] | None
    programs: tuple[Program, ...]
    platforms: tuple[Platform, ...]
    flags: tuple[str, ...]
    ldflags: str | None
    env: tuple[tuple[str, str], ...]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One target's Dockerfile. `dist` is the folder of the target's programs; `compilation` is None where they come from
    there; `dockerfile` is the project's own, where there is one. `secrets` are ids; `args` and the options of each cache
    have their values.
    """

    target: str
    base: str
    platforms: tuple[Platform, ...]
    programs: tuple[Program, ...]
    assets: tuple[Asset, ...]
    settings: Settings
    dist: str
    packages: tuple[str, ...] = ()
    distribution: str = ""
    args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    dockerfile: str = ""
    cache_from: tuple[tuple[tuple[str, str], ...], ...] = ()
    cache_to: tuple[tuple[tuple[str, str], ...], ...] = ()
    compilation: Compilation | None = None

    @property
    def is_static(self) -> bool:
        return self.base == STATIC


class Left(msgspec.Struct, frozen=True):
    """An image that no bake file can hold, and why."""

    what: str
    why: str


class Recipes(msgspec.Struct, frozen=True):
    recipes: tuple[Recipe, ...]
    left: tuple[Left, ...]


def recipes(config: Config, plan: Plan, sources: Sources, dist: str) -> Recipes:
    """The recipes of a plan's images. `dist` is the folder of the project's programs.

    Raises ConfigError where `compile = "buildkit"` asks for what no single `go build` in a Dockerfile can do.
    """
    steps = plan.by_id()
    found: list[Recipe] = []
    left: list[Left] = []
    for name, images in _by_target(plan).items():
        why = _why_not(images)
        if why:
            left.append(Left(name, why))
            continue
        others = [image for image in images if image.platform.os != "linux"]
        left += [Left(f"{name} for {image.platform}", "bake files hold images for Linux") for image in others]
        linux = [image for image in images if image.platform.os == "linux"]
        if linux:
            compiles = [step for image in linux for step in _compiles(image, steps)]
            found.append(_recipe(config, name, linux, compiles, sources, dist))
    return Recipes(tuple(_sharing(found)), tuple(left))


def programs_recipe(config: Config, name: str, steps: Sequence[CompileStep], sources: Sources) -> Recipe:
    """The recipe of a target's programs alone. Raises ConfigError for what no single `go build` can do."""
    own = config.targets[name].image
    made = Recipe(
        target=name,
        base="scratch",
        platforms=tuple(sorted({step.platform for step in steps})),
        programs=tuple(sorted({Program(step.file_name.removesuffix(".exe"), _package(step)) for step in steps})),
        assets=(),
        settings=Settings(),
        dist="",
        secrets=tuple(sorted(own.dockerfile.secrets)) if isinstance(own, Image) else (),
    )
    compilation = _compilation(config, f"targets.{name}.engine", made, list(steps), sources)
    return msgspec.structs.replace(made, compilation=compilation)


def _compiles(image: ImageStep, steps: Mapping[str, AnyStep]) -> list[CompileStep]:
    inside = image.baking.inside if image.baking is not None else ()
    return [*inside, *(step for need in image.needs if isinstance(step := steps[need], CompileStep))]


def _by_target(plan: Plan) -> dict[str, list[ImageStep]]:
    found: dict[str, list[ImageStep]] = {}
    for step in plan.steps:
        if isinstance(step, ImageStep):
            found.setdefault(step.target, []).append(step)
    return found


def _why_not(images: list[ImageStep]) -> str:
    linux = [image for image in images if image.platform.os == "linux"]
    if len({image.settings for image in linux}) > 1:
        return "its labels, annotations or variables differ from platform to platform"
    if len({image.base_reference for image in linux}) > 1:
        return "its base differs from platform to platform"
    if any(image.platform.features for image in linux):
        return "BuildKit has no word for one of its platforms"
    for image in linux[:1]:
        if any("\n" in value or "\r" in value for _, value in image.settings.env):
            return "one of its variables holds a line break, and a Dockerfile cannot"
    return ""


def _recipe(
    config: Config, name: str, images: list[ImageStep], compiles: list[CompileStep], sources: Sources, dist: str
) -> Recipe:
    image, target = images[0], config.targets[name]
    if not isinstance(target.image, Image):
        raise TypeError("a target without an image has no recipe")
    own = image.baking or Baking()
    packages = {step.id: _package(step) for step in compiles}
    programs = {Program(basename(one.path), packages.get(one.step, ""), one.path) for one in image.programs}
    made = Recipe(
        target=name,
        base=image.base_reference,
        platforms=tuple(sorted(one.platform for one in images)),
        programs=tuple(sorted(programs)),
        assets=image.assets,
        settings=image.settings,
        dist=f"{dist}/{name}",
        packages=own.packages,
        distribution=own.distribution,
        args=own.args,
        secrets=own.secrets,
        dockerfile=own.dockerfile,
        cache_from=own.cache_from,
        cache_to=own.cache_to,
    )
    if target.image.compile == "host" or own.dockerfile:
        return made
    compilation = _compilation(config, f"targets.{name}.image.compile", made, compiles, sources)
    return msgspec.structs.replace(made, compilation=compilation)


def _package(step: CompileStep) -> str:
    """A package as goctl.toml names it, unless it is one of several that a pattern stands for."""
    return step.import_path if "..." in step.package else step.package


def _compilation(config: Config, where: str, recipe: Recipe, compiles: list[CompileStep], sources: Sources) -> Compilation:
    """How programs are compiled; `where` is the setting that asks for it in BuildKit."""
    told = {(step.flags, step.env) for step in compiles}
    if len(told) > 1:
        raise ConfigError(
            f"{where}: flags or env of [platforms] differ between its platforms",
            hint="on the host that can be done: go is started once for each platform",
        )
    flags, env = told.pop()
    secret = next((variable for variable, _ in env if is_secretive(variable)), "")
    if secret:
        raise ConfigError(
            f"{where}: {secret} would stand in the Dockerfile",
            hint="give it to the build as a secret: image.dockerfile.secrets",
        )
    if config.go.proxy:
        env = (*env, ("GOPROXY", ",".join(config.go.proxy)))
    if config.go.private:
        env = (*env, ("GOPRIVATE", ",".join(config.go.private)))
    ldflags = next((flag.partition("=")[2] for flag in flags if flag.startswith("-ldflags=")), None)
    return Compilation(
        image=config.buildkit.go_image or f"golang:{sources.go or '1'}",
        sources=sources,
        files=None if sources.files is None else tuple(sorted(sources.files.get(recipe.target, ()))),
        programs=tuple(Program(program.file_name, program.package) for program in recipe.programs),
        platforms=recipe.platforms,
        flags=tuple(flag for flag in flags if not flag.startswith("-ldflags=")),
        ldflags=ldflags,
        env=tuple(sorted(env)),
    )


def _sharing(found: list[Recipe]) -> list[Recipe]:
    """Recipes whose programs are compiled alike, with one compilation for all: the stage is the same text, and done once."""
    groups: dict[object, list[Recipe]] = {}
    for recipe in found:
        own = recipe.compilation
        if own is not None:
            groups.setdefault((own.image, own.flags, own.ldflags, own.env, recipe.secrets), []).append(recipe)
    shared: dict[str, Compilation] = {}
    for group in groups.values():
        names: dict[str, str] = {}
        for program in sorted({program for one in _compilations(group) for program in one.programs}):
            names.setdefault(program.file_name, program.package)
        together = [
            recipe for recipe in group if all(names[program.file_name] == program.package for program in recipe.programs)
        ]
        joined = _joined([*_compilations(together)])
        shared |= {recipe.target: joined for recipe in together if joined is not None}
    return [msgspec.structs.replace(recipe, compilation=shared.get(recipe.target, recipe.compilation)) for recipe in found]


def _compilations(group: Iterable[Recipe]) -> Iterable[Compilation]:
    return (recipe.compilation for recipe in group if recipe.compilation is not None)


def _joined(several: list[Compilation]) -> Compilation | None:
    if not several:
        return None
    files = [one.files for one in several]
    return msgspec.structs.replace(
        several[0],
        programs=tuple(sorted({program for one in several for program in one.programs})),
        platforms=tuple(sorted({platform for one in several for platform in one.platforms})),
        files=None if None in files else tuple(sorted({file for each in files if each is not None for file in each})),
    )


def arguments(recipe: Recipe) -> dict[str, str]:
    """The arguments that a recipe's build is given, with values: git's are filled in here, and never in the Dockerfile."""
    found = dict(recipe.args)
    if recipe.compilation is not None and recipe.compilation.ldflags is not None:
        found["GOCTL_LDFLAGS"] = recipe.compilation.ldflags
    found["SOURCE_DATE_EPOCH"] = str(recipe.settings.created)
    return dict(sorted(found.items()))
