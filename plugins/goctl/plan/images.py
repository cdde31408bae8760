"""Image and index steps: what is known of an image before its programs are compiled."""

from __future__ import annotations

import msgspec

from goctl.config.model import Config, Image, Target
from goctl.config.template import OF_PLATFORM, names
from goctl.plan import keys, systems
from goctl.plan.baking import BUILDKIT, baking, compiles_inside, image_engine, is_known
from goctl.plan.baking import fields as fields_of_baking
from goctl.plan.facts import Facts
from goctl.plan.model import Asset, CompileStep, ImageStep, IndexStep, Program, Settings
from goctl.plan.naming import Names, creation_time
from goctl.plan.systems import SCRATCH
from goctl.values import Platform


def wants_image(config: Config, target: Target, platform: Platform) -> bool:
    """Whether a target has an image on a platform. Other systems' programs are left in dist/ alone."""
    return not systems.no_image(config, target, platform)


def base_reference(config: Config, target: Target, platform: Platform) -> str:
    """The base of a target's image on a platform, as goctl.toml has it."""
    settings = config.platforms.settings.get(str(platform))
    if settings is not None and settings.base is not None:
        return settings.base
    return target.image.base if isinstance(target.image, Image) else SCRATCH


def image_step(config: Config, facts: Facts, name: str, platform: Platform, compiles: list[CompileStep]) -> ImageStep:
    """The step that makes a target's image on a platform, of programs that are compiled before or while it is built."""
    target = config.targets[name]
    inside = compiles if compiles_inside(target) else []
    image, engine = _image(target), image_engine(config, target)
    reference = base_reference(config, target, platform)
    programs = tuple(Program(step.id, systems.program_path(step.file_name, platform)) for step in compiles)
    filled = Names(facts, project=config.project.name, target=name, platform=platform)
    step = ImageStep(
        id=f"image:{name}@{platform}",
        title=f"assemble {name} for {platform}",
        engine=engine,
        needs=() if inside else tuple(step.id for step in compiles),
        target=name,
        platform=platform,
        base_reference=reference,
        base=facts.bases.get((reference, platform)),
        programs=programs,
        assets=tuple(Asset(source, path, facts.assets.get(source)) for source, path in sorted(image.assets.items())),
        settings=_settings(target, image, facts, filled, platform, programs),
        compression=image.compression,
        compression_level=image.compression_level or {"gzip": 1, "zstd": 3}[image.compression],
        compressor=facts.compressors.get(image.compression, ""),
        baking=baking(config, image, filled, inside),
        recipe=None,
        fields={},
    )
    fields = _fields(config, step)
    return msgspec.structs.replace(step, fields=fields, recipe=keys.of_fields("image", fields) if _is_known(step) else None)


def _fields(config: Config, step: ImageStep) -> dict[str, str]:
    """All that can change an image, but for the programs in it."""
    return {
        "engine": step.engine,
        # What only the compiler knows of counts in its own key: an image has no word for it.
        "platform": str(step.platform.plain),
        "base": step.base.digest if step.base is not None else "",
        "base reference": step.base_reference,
        "compression": f"{step.compression} {step.compression_level} {step.compressor}",
        **{f"program {number}": program.path for number, program in enumerate(step.programs)},
        **{f"asset {asset.source}": f"{asset.path} {asset.digest}" for asset in step.assets},
        **_settings_fields(step.settings),
        **(fields_of_baking(config, step.baking) if step.engine == BUILDKIT else {}),
    }


def _is_known(step: ImageStep) -> bool:
    """Whether all of that has been looked up."""
    known = step.base is not None and all(asset.digest is not None for asset in step.assets)
    return known and (step.engine != BUILDKIT or is_known(step.baking))


def index_step(config: Config, facts: Facts, name: str, children: tuple[str, ...]) -> IndexStep:
    image, engine = _image(config.targets[name]), image_engine(config, config.targets[name])
    filled = Names(facts, project=config.project.name, target=name)
    annotations = tuple(
        sorted(
            (key, filled.fill(value)) for key, value in image.annotations.items() if not set(OF_PLATFORM) & {*names(value)}
        )
    )
    return IndexStep(
        id=f"index:{name}",
        title=f"index {name}",
        engine=engine,
        needs=children,
        target=name,
        annotations=annotations,
        recipe=keys.combine("index", engine, *(text for pair in annotations for text in pair)),
    )


def _image(target: Target) -> Image:
    if not isinstance(target.image, Image):
        raise TypeError("a target without an image has no image step")
    return target.image


def _settings(
    target: Target, image: Image, facts: Facts, names: Names, platform: Platform, programs: tuple[Program, ...]
) -> Settings:
    def filled(table: dict[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((key, names.fill(value)) for key, value in table.items()))

    stamped = target.stamp != "none"
    paths = tuple(program.path for program in programs)
    labels = dict(filled(image.labels))
    if stamped:
        labels = _stamp_labels(facts, names) | labels
    return Settings(
        user=systems.user(image.user, platform),
        working_directory=image.working_directory and systems.shown_path(image.working_directory, platform),
        env=filled(image.env),
        ports=tuple(sorted(f"{port}/tcp" if "/" not in str(port) else str(port) for port in image.ports)),
        entrypoint=systems.entrypoint(paths[:1] if image.entrypoint is None else image.entrypoint, paths, platform),
        command=image.command,
        labels=tuple(sorted(labels.items())),
        annotations=filled(image.annotations),
        created=(creation_time(facts) or 0) if stamped else 0,
    )


def _stamp_labels(facts: Facts, names: Names) -> dict[str, str]:
    """Version, commit and date under the names of OCI's annotations.md, as far as they are known."""
    labels = {}
    if facts.version is not None:
        labels["org.opencontainers.image.version"] = facts.version
    if facts.git is not None:
        labels["org.opencontainers.image.revision"] = facts.git.sha
    if creation_time(facts) is not None:
        labels["org.opencontainers.image.created"] = names["date"]
    return labels


def _settings_fields(settings: Settings) -> dict[str, str]:
    single = {"user": settings.user, "working directory": settings.working_directory, "created": settings.created}
    fields = {name: str(value) for name, value in single.items() if value is not None}
    for name in ("entrypoint", "command", "ports"):
        fields |= {f"{name} {number}": text for number, text in enumerate(getattr(settings, name))}
    for name in ("env", "labels", "annotations"):
        fields |= {f"{name} {key}": value for key, value in getattr(settings, name)}
    return fields
