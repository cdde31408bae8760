"""The bake file of a plan: groups and targets with all that `docker buildx bake` is to know.

Names of images are in the file for those who use it alone. Values of secrets never are: only where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from goctl.buildkit.dockerfile_recipes import STATIC_CONTEXT, Recipe, arguments
from goctl.buildkit.hcl import BakeFile, Value
from goctl.config.dockerfiles import is_registry
from goctl.config.model import Config, Image
from goctl.plan.model import IndexStep, Plan, PushStep

#: What a target has that makes no attestations: buildx adds a provenance by default, with which one image becomes an index,
#: and no two builds are alike.
UNATTESTED: Final[Sequence[Mapping[str, Value]]] = [{"disabled": True, "type": "provenance"}]


class Places(msgspec.Struct, frozen=True):
    """Where things are, from the project's folder: `folder` is that of the Dockerfiles; `static` is what the context of
    goctl's own base is."""

    folder: str
    static: str

    def dockerfile(self, target: str) -> str:
        return f"{self.folder}/{target}.Dockerfile"


def bake_file(config: Config, plan: Plan, recipes: Sequence[Recipe], places: Places) -> BakeFile:
    """Groups and targets, in an order that is the same for the same plan."""
    names = target_names(recipe.target for recipe in recipes)
    targets = {
        names[recipe.target]: _target(config, plan, recipe, places)
        for recipe in sorted(recipes, key=lambda one: names[one.target])
    }
    return {"group": {"default": {"targets": sorted(targets)}}, "target": targets}


def target_names(targets: Iterable[str]) -> dict[str, str]:
    """The names that bake can hold: without dots (bake.go, validTargetNameChars), and each once."""
    found: dict[str, str] = {}
    for target in sorted(targets):
        plain = name = re.sub(r"[^A-Za-z0-9_-]", "_", target)
        number = 2
        while name in found.values() or name == "default":
            name = f"{plain}_{number}"
            number += 1
        found[target] = name
    return found


def _target(config: Config, plan: Plan, recipe: Recipe, places: Places) -> dict[str, Value]:
    image = config.targets[recipe.target].image
    if not isinstance(image, Image):
        raise TypeError("a target without an image is in no bake file")
    pushes = [
        step
        for step in plan.steps
        if isinstance(step, PushStep) and step.target == recipe.target and is_registry(config.registries[step.registry].url)
    ]
    tags = [f"{_join(config.registries[step.registry].url, step.repository)}:{tag}" for step in pushes for tag in step.tags]
    own = image.dockerfile
    filled: dict[str, Value] = {
        "annotations": _annotations(plan, recipe),
        "args": arguments(recipe),
        "attest": _attestations(config),
        "cache-from": [dict(cache) for cache in recipe.cache_from],
        "cache-to": [dict(cache) for cache in recipe.cache_to],
        "context": ".",
        "contexts": {STATIC_CONTEXT: places.static} if recipe.is_static and not own.path else {},
        "dockerfile": own.path or places.dockerfile(recipe.target),
        "labels": dict(recipe.settings.labels),
        "output": [_output(recipe, places, pushed=bool(tags))],
        "platforms": [str(platform) for platform in recipe.platforms],
        "secret": [secret(name, source) for name, source in sorted(own.secrets.items())],
        "tags": list(dict.fromkeys(tags)),
    }
    return {name: value for name, value in filled.items() if value or isinstance(value, bool)}


def _join(url: str, repository: str) -> str:
    return f"{url.rstrip('/')}/{repository}"


def _annotations(plan: Plan, recipe: Recipe) -> list[str]:
    """Of each manifest, and of the index where there is one. The words before the colon are always given: a name may hold a
    colon itself (util/buildflags/export.go, ParseAnnotations)."""
    found = [f"manifest:{name}={value}" for name, value in recipe.settings.annotations]
    if len(recipe.platforms) > 1:
        for step in plan.steps:
            if isinstance(step, IndexStep) and step.target == recipe.target:
                found += [f"index:{name}={value}" for name, value in step.annotations]
    return found


def _attestations(config: Config) -> list[Mapping[str, Value]]:
    own = config.buildkit
    found: list[Mapping[str, Value]] = []
    if own.provenance != "off":
        found.append({"mode": own.provenance, "type": "provenance"})
    if own.sbom:
        found.append({"type": "sbom"})
    return found if own.provenance != "off" else [*UNATTESTED, *found]


def secret(name: str, source: str) -> dict[str, Value]:
    """A secret by its id, and `env:NAME` or `file:PATH`."""
    kind, _, place = source.partition(":")
    return {"id": name, "type": "env", "env": place} if kind == "env" else {"id": name, "type": "file", "src": place}


def _output(recipe: Recipe, places: Places, *, pushed: bool) -> dict[str, Value]:
    """Where the result goes: to the registries of its tags, or without any into a layout that is one file."""
    if pushed:
        return {"type": "registry"}
    return {"dest": f"{places.folder}/{recipe.target}.oci.tar", "type": "oci"}
