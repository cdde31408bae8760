"""`load`: from a file to a Config, with profile and environment applied, or every problem at once."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from goctl.config import checks
from goctl.config.convert import EnoughProblems, Problems, known_fields, suggestion, table, tables
from goctl.config.discover import discover
from goctl.config.layers import FIXED, Origin, Source, profiles_of
from goctl.config.model import (
    Config,
    Image,
    ImageDefaults,
    Platforms,
    PlatformSettings,
    Registry,
    Target,
)
from goctl.config.read import read
from goctl.errors import ConfigError, Location, Problem
from goctl.values import Platform

_SECTIONS = (*FIXED, "schema", "platforms", "targets", "registries", "engines", "profiles")

MOST_PROFILES = 50
_MORE = Problem("there may be more problems: the search ended here", hint="mend these first")


class Loaded:
    """A configuration, its file, the folder all paths count from, and where each setting came from."""

    def __init__(self, config: Config, file: Path, source: Source) -> None:
        self.config = config
        self.file = file
        self.root = file.parent
        self._source = source

    def origin(self, *path: str) -> Origin:
        """Where the value at a path came from, as `origin("targets", "api", "stamp")`."""
        return self._source.origin(path)

    def place(self, *path: str) -> Location:
        """The line of the value at a path, or of the table that should hold it."""
        return self._source.place(path)


def load(path: Path, *, profile: str = "", environment: Mapping[str, str] = os.environ) -> Loaded:
    """Reads a goctl.toml. Raises ConfigError with every problem that it has, each with file, line and what to do."""
    path = Path(os.path.abspath(path))
    shown = _shown(path)
    raw, text = read(path, shown)
    profiles = profiles_of(raw)
    if profile and profile not in profiles:
        raise ConfigError(
            f"there is no profile {profile!r}",
            location=Location(shown),
            hint=suggestion(profile, profiles) if profiles else "this file has no [profiles]",
        )
    source = Source(shown, text, raw, profile, environment)
    problems = Problems()
    config = None
    try:
        _check_profiles(raw, problems)
        config = _convert(source.tree(source.overlay), path.parent, source, problems)
    except EnoughProblems:
        raise ConfigError([*problems.located(source.place), _MORE]) from None
    if config is not None:
        config = _complete(config, source.tree(source.overlay), path.parent, source)
    located = problems.located(source.place)
    for name, overlay in profiles.items():
        if name != profile and isinstance(overlay, dict) and len(profiles) <= MOST_PROFILES:
            located += _profile_problems(source, name, overlay, path.parent, problems)
    if located or config is None:
        raise ConfigError(sorted(located, key=lambda problem: problem.location or Location("")))
    return Loaded(config, path, source)


def _check_profiles(raw: dict[str, Any], problems: Problems) -> None:
    """The names and the shape of profiles; what is in them is checked where they are applied."""
    if not isinstance(raw.get("profiles", {}), dict):
        problems.add(("profiles",), "is no table of tables", expected="a table of settings for each name")
    profiles = profiles_of(raw)
    if len(profiles) > MOST_PROFILES:
        problems.add(("profiles",), f"there are {len(profiles)} profiles", expected=f"at most {MOST_PROFILES}")
        return
    for name, overlay in profiles.items():
        checks.check_name(name, ("profiles", name), problems)
        if not isinstance(overlay, dict):
            problems.add(("profiles", name), "is no table", expected="a table of settings")
            continue
        for key in ("profiles", "schema"):
            if key in overlay:
                problems.add(("profiles", name, key), f"a profile cannot hold {key}", hint="move it to the top")


def _profile_problems(source: Source, name: str, overlay: dict[str, Any], root: Path, known: Problems) -> list[Problem]:
    """What a profile that is not in use would bring about, besides what is wrong already."""
    found = Problems()
    with contextlib.suppress(EnoughProblems):
        _convert(_touched(source.tree(overlay), overlay), root, source, found)
    for key in known.found:
        found.found.pop(key, None)
    problems = found.located(lambda path: source.place(path, name))
    return [msgspec.structs.replace(one, message=f"with --profile {name}: {one.message}") for one in problems]


def _touched(tree: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """What a profile can make wrong: all tables, but of the targets those that it names, and one for each stamp when [image]
    changes.

    Without this, the time for a file with many profiles and many targets would be their product.
    """
    targets, named = tree.get("targets"), overlay.get("targets", {})
    if not isinstance(targets, dict) or not isinstance(named, dict):
        return tree
    kept = {name: target for name, target in targets.items() if name in named}
    if "image" in overlay:
        first: dict[str, str] = {}
        for name, target in targets.items():
            if isinstance(target, dict) and target.get("image") is not False:
                first.setdefault(str(target.get("stamp", "")), name)
        kept |= {name: targets[name] for name in list(first.values())[:3]}
    return {**tree, "targets": kept}


def _convert(tree: dict[str, Any], root: Path, source: Source, problems: Problems) -> Config | None:
    before = len(problems.found)
    for name in tree:
        if name not in _SECTIONS:
            problems.add((name,), "unknown table", hint=suggestion(name, _SECTIONS))
    if tree.get("schema", 1) != 1 or isinstance(tree.get("schema", 1), bool):
        problems.add(("schema",), f"{tree['schema']!r} is not known here", expected="1", hint="install a newer goctl?")
    parts: dict[str, Any] = {
        name: table(kind, tree[name], (name,), problems) for name, kind in FIXED.items() if name in tree
    }
    parts["platforms"] = _platforms(tree.get("platforms", {}), source, problems)
    parts["targets"] = _targets(tree, problems)
    parts["registries"] = tables(Registry, tree.get("registries", {}), ("registries",), problems)
    parts["engines"] = _plain_tables(tree.get("engines", {}), ("engines",), problems)
    parts["profiles"] = {name: value for name, value in profiles_of(source.raw).items() if isinstance(value, dict)}
    config = Config(**{name: value for name, value in parts.items() if value is not None})
    checks.check(config, root, problems)
    return config if len(problems.found) == before else None


def _complete(config: Config, tree: dict[str, Any], root: Path, source: Source) -> Config:
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
    if not any(registry.push for registry in config.registries.values()):
        local = Registry(url=f"oci-layout:{config.release.dist}/images")
        changes["registries"] = {"local": local, **config.registries}
    return msgspec.structs.replace(config, **changes)


def _platforms(raw: Any, source: Source, problems: Problems) -> Platforms | None:
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
            continue
        source.spellings[platform] = name
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
    wrong = {path[1] for path, _ in problems.found if path[:1] == ("image",) and path[1:]}
    shared = {}
    if isinstance(defaults, dict):
        shared = {key: value for key, value in defaults.items() if key in own and key not in wrong}
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


def _shown(path: Path) -> str:
    """The file as a person would name it from where they are."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith("..") else relative
