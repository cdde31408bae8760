"""`load`: from a file to a Config, with profile and environment applied, or every problem at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from goctl.config import checks
from goctl.config.convert import Problems, known_fields, suggestion, table, tables
from goctl.config.discover import discover
from goctl.config.lines import index
from goctl.config.model import (
    Config,
    Go,
    Image,
    ImageDefaults,
    Platforms,
    PlatformSettings,
    Project,
    Publish,
    Registry,
    Release,
    Target,
)
from goctl.config.read import read
from goctl.errors import ConfigError, Location
from goctl.values import Platform

_FIXED: dict[str, type[msgspec.Struct]] = {
    "project": Project,
    "go": Go,
    "image": ImageDefaults,
    "publish": Publish,
    "release": Release,
}
_SECTIONS = (*_FIXED, "schema", "platforms", "targets", "registries", "engines", "profiles")


class Origin(NamedTuple):
    """Where a value came from: default, discovered, file, profile or environment; `name` is the profile's or variable's."""

    kind: str
    location: Location | None = None
    name: str = ""

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location else ""
        return f"{self.kind} {self.name}".strip() + where


class Loaded:
    """A configuration, its file, the folder all paths count from, and where each setting came from."""

    def __init__(self, config: Config, file: Path, source: _Source) -> None:
        self.config = config
        self.file = file
        self.root = file.parent
        self._source = source

    def origin(self, *path: str) -> Origin:
        """Where the value at a path came from, as `origin("targets", "api", "stamp")`."""
        return self._source.origin(path)


class _Source:
    """The layers a configuration is made of, nearest last: the file, a profile, the environment."""

    def __init__(self, shown: str, text: str, raw: dict[str, Any], profile: str, environment: Mapping[str, str]) -> None:
        self.shown = shown
        self.raw = raw
        self.profile = profile
        self._text = text
        overlay = _profiles(raw).get(profile, {}) if profile else {}
        self.overlay = overlay if isinstance(overlay, dict) else {}
        self.variables = _from_environment(environment)
        self.discovered: set[str] = set()

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], tuple[int, int]]:
        return index(self._text)

    def tree(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """All layers merged, with another profile's if need be."""
        merged = _merge({name: value for name, value in self.raw.items() if name != "profiles"}, profile)
        for path, (_, value) in self.variables.items():
            here = merged
            for part in path[:-1]:
                below = here.get(part)
                here[part] = dict(below) if isinstance(below, dict) else {}
                here = here[part]
            here[path[-1]] = value
        return merged

    def place(self, path: tuple[str, ...], profile: str | None = None) -> Location:
        """The line of a setting, or of the table that should hold it."""
        profile = self.profile if profile is None else profile
        if path in self.variables:
            return Location(self.variables[path][0])
        prefixes = [("profiles", profile), ()] if profile else [()]
        for depth in range(len(path), 0, -1):
            for prefix in prefixes:
                found = self._lines.get((*prefix, *path[:depth]))
                if found is not None:
                    return Location(self.shown, *found[:1])
        return Location(self.shown, 1)

    def origin(self, path: tuple[str, ...]) -> Origin:
        if path in self.variables:
            return Origin("environment", None, self.variables[path][0])
        if _has(self.overlay, path):
            return Origin("profile", self.place(path), self.profile)
        if _has(self.raw, path):
            return Origin("file", self.place(path, ""))
        if path[:1] == ("targets",) and path[2:3] == ("image",) and path[3:]:
            # What a target's image does not say, [image] does.
            above = self.origin(("image", *path[3:]))
            return above if above.kind != "default" else Origin("default")
        if path[:2] in {("targets", name) for name in self.discovered} and path[2:] in ((), ("packages",)):
            return Origin("discovered")
        return Origin("default")


def load(path: Path, *, profile: str = "", environment: Mapping[str, str] = os.environ) -> Loaded:
    """Reads a goctl.toml. Raises ConfigError with every problem that it has, each with file, line and what to do."""
    path = Path(os.path.abspath(path))
    shown = _shown(path)
    raw, text = read(path, shown)
    profiles = _profiles(raw)
    if profile and profile not in profiles:
        raise ConfigError(
            f"there is no profile {profile!r}",
            location=Location(shown),
            hint=suggestion(profile, profiles) if profiles else "this file has no [profiles]",
        )
    source = _Source(shown, text, raw, profile, environment)
    problems = Problems()
    config = _convert(source.tree(source.overlay), path.parent, source, problems)
    located = problems.located(source.place)
    for name, overlay in profiles.items():
        if name != profile:
            located += _profile_problems(source, name, overlay, path.parent, problems)
    if located or config is None:
        raise ConfigError(located)
    return Loaded(config, path, source)


def _profile_problems(source: _Source, name: str, overlay: Any, root: Path, known: Problems) -> list[Any]:
    """What a profile that is not in use would bring about, besides what is wrong already."""
    found = Problems()
    if not isinstance(overlay, dict):
        found.add(("profiles", name), "is no table", expected="a table of settings")
        return found.located(source.place)
    _convert(source.tree(overlay), root, source, found)
    for key in known.found:
        found.found.pop(key, None)
    return found.located(lambda path: source.place(path, name))


def _convert(tree: dict[str, Any], root: Path, source: _Source, problems: Problems) -> Config | None:
    before = len(problems.found)
    for name in tree:
        if name not in _SECTIONS:
            problems.add((name,), "unknown table", hint=suggestion(name, _SECTIONS))
    if tree.get("schema", 1) != 1 or isinstance(tree.get("schema", 1), bool):
        problems.add(("schema",), f"{tree['schema']!r} is not known here", expected="1", hint="install a newer goctl?")
    parts: dict[str, Any] = {
        name: table(kind, tree[name], (name,), problems) for name, kind in _FIXED.items() if name in tree
    }
    parts["platforms"] = _platforms(tree.get("platforms", {}), problems)
    parts["targets"] = _targets(tree, problems)
    parts["registries"] = tables(Registry, tree.get("registries", {}), ("registries",), problems)
    parts["engines"] = _plain_tables(tree.get("engines", {}), ("engines",), problems)
    parts["profiles"] = {name: value for name, value in _profiles(source.raw).items() if isinstance(value, dict)}
    config = Config(**{name: value for name, value in parts.items() if value is not None})
    if len(problems.found) == before:
        config = _complete(config, tree, root, source)
    checks.check(config, root, problems)
    return config if len(problems.found) == before else None


def _complete(config: Config, tree: dict[str, Any], root: Path, source: _Source) -> Config:
    """What a file need not say: the project's name, its targets, a registry, repositories."""
    changes: dict[str, Any] = {}
    if not config.project.name:
        name = re.sub(r"[^a-z0-9._-]+", "-", root.name.lower()).strip("._-") or "project"
        changes["project"] = msgspec.structs.replace(config.project, name=name)
    targets = config.targets
    if "targets" not in tree:
        image = Image(**{field: getattr(config.image, field) for field in ImageDefaults.__struct_fields__})
        found = discover(Path(os.path.normpath(root / config.go.directory)))
        targets = {name: msgspec.structs.replace(target, image=image) for name, target in found.items()}
        source.discovered.update(targets)
    changes["targets"] = {
        name: msgspec.structs.replace(target, image=msgspec.structs.replace(target.image, repository=name))
        if isinstance(target.image, Image) and not target.image.repository
        else target
        for name, target in targets.items()
    }
    if not config.registries:
        changes["registries"] = {"local": Registry(url=f"oci-layout:{config.release.dist}/images")}
    return msgspec.structs.replace(config, **changes)


def _platforms(raw: Any, problems: Problems) -> Platforms | None:
    if not isinstance(raw, dict):
        problems.add(("platforms",), "is no table", expected="a table")
        return None
    settings: dict[str, PlatformSettings] = {}
    for name, value in raw.items():
        if name == "default":
            continue
        try:
            platform = str(Platform.parse(name))
        except ValueError as error:
            hint = suggestion(name, ["default"]) if "/" not in name else "patterns are not known here" * ("*" in name)
            problems.add(("platforms", name), str(error), hint=hint)
            continue
        if platform in settings:
            problems.add(("platforms", name), f"{platform} has two tables", hint="join them")
        made = table(PlatformSettings, value, ("platforms", name), problems)
        if made is not None:
            settings[platform] = made
    only = table(Platforms, {"default": raw["default"]} if "default" in raw else {}, ("platforms",), problems)
    return Platforms(default=only.default, settings=settings) if only is not None else None


def _targets(tree: dict[str, Any], problems: Problems) -> dict[str, Target]:
    raw = tree.get("targets", {})
    defaults = tree.get("image", {})
    if not isinstance(raw, dict):
        problems.add(("targets",), "is no table", expected="a table of tables")
        return {}
    own = known_fields(ImageDefaults)
    # What is wrong in [image] is said there, and once.
    shared = {key: value for key, value in defaults.items() if key in own} if isinstance(defaults, dict) else {}
    made: dict[str, Any] = {}
    for name, target in raw.items():
        if (
            isinstance(target, dict)
            and isinstance(target.get("image", True), dict | bool)
            and target.get("image") is not False
        ):
            image = target.get("image")
            target = {**target, "image": {**shared, **(image if isinstance(image, dict) else {})}}
        made[name] = target
    return tables(Target, made, ("targets",), problems)


def _plain_tables(raw: Any, path: tuple[str, ...], problems: Problems) -> dict[str, dict[str, Any]]:
    if not isinstance(raw, dict) or not all(isinstance(value, dict) for value in raw.values()):
        problems.add(path, "is no table of tables", expected="a table for each name")
        return {}
    return raw


def _profiles(raw: dict[str, Any]) -> dict[str, Any]:
    profiles = raw.get("profiles", {})
    return profiles if isinstance(profiles, dict) else {}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged, anything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _has(tree: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _from_environment(environment: Mapping[str, str]) -> dict[tuple[str, ...], tuple[str, Any]]:
    """GOCTL_PROJECT_VERSION and its like: (variable, value) by path. Lists are separated by commas."""
    wanted = [name for name in environment if name.startswith("GOCTL_")]
    if not wanted:
        return {}
    found: dict[tuple[str, ...], tuple[str, Any]] = {}
    sections: dict[str, type[msgspec.Struct]] = {**_FIXED, "platforms": Platforms}
    for section, kind in sections.items():
        for key, field in known_fields(kind).items():
            variable = f"GOCTL_{section}_{key}".upper().replace("-", "_")
            if variable in environment:
                value = _typed(field.type, environment[variable])
                if value is not None:
                    found[(section, key)] = (variable, value)
    return found


def _typed(kind: Any, text: str) -> Any:
    """A variable's text as the setting's type; None for settings that no text can give."""
    from goctl.config.convert import words

    said = words(kind)
    if said.startswith("a list"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if "whole number" in said and "list" not in said:
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
    return None if said.startswith("a table") else text


def _shown(path: Path) -> str:
    """The file as a person would name it from where they are."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith("..") else relative
