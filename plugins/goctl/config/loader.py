"""`load`: from a file to a Config, with profile and environment applied, or every problem at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from goctl.config import archives, benchmark, cache, checks, cluster, deploy, dockerfiles, members, names
from goctl.config.builders import check_builder
from goctl.config.complete import complete, shared_output
from goctl.config.convert import EnoughProblems, Problems, known_fields, suggestion, table, tables
from goctl.config.deploy import Deploy
from goctl.config.layers import FIXED, INHERITED, Origin, Source, profiles_of
from goctl.config.model import (
    ArchiveDefaults,
    Config,
    ImageDefaults,
    Platforms,
    PlatformSettings,
    Registry,
    Target,
)
from goctl.config.read import read
from goctl.errors import ConfigError, Location, Problem
from goctl.values import Platform

_SECTIONS = (*FIXED, "schema", "platforms", "cache", "targets", "registries", "deploy", "engines", "profiles")

MOST_PROFILES = 50
_MORE = Problem("there may be more problems: the search ended here", hint="mend these first")


class Loaded:
    """A configuration, its file, the folder all paths count from, and where each setting came from.

    `root` is the workspace's folder for a member, else the file's own; `folder` is the file's from there, empty for its own.
    `output` is the folder that holds nothing but what was made: `release.dist`, or what the members of a workspace share.
    """

    def __init__(self, config: Config, file: Path, root: Path, source: Source, output: str) -> None:
        self.config = config
        self.file = file
        self.root = root
        self.output = output
        self.folder = "" if file.parent == root else file.parent.relative_to(root).as_posix()
        self.source = source

    @property
    def is_member(self) -> bool:
        return self.source.above is not None

    def with_config(self, config: Config) -> Loaded:
        """The same file with another configuration in its place."""
        return Loaded(config, self.file, self.root, self.source, self.output)

    def origin(self, *path: str) -> Origin:
        """Where the value at a path came from, as `origin("targets", "api", "stamp")`."""
        return self.source.origin(path)

    def place(self, *path: str) -> Location:
        """The line of the value at a path, or of the table that should hold it."""
        return self.source.place(path)


def load(
    path: Path,
    *,
    profile: str = "",
    environment: Mapping[str, str] = os.environ,
    lenient: bool = False,
    above: Loaded | None = None,
) -> Loaded:
    """Reads a goctl.toml, and that of the workspace which it is a member of. Raises ConfigError with every problem that it
    has, each with file, line and what to do. With `lenient`, a profile that it does not know leaves it as it is; `above`
    is the workspace where that is loaded already.
    """
    path = Path(os.path.abspath(path))
    source, root = _layers(path, profile, environment, above.source if above is not None else None)
    profiles = profiles_of(source.raw)
    known = {**profiles, **(profiles_of(source.above.raw) if source.above is not None else {})}
    if profile and profile not in known and not lenient:
        raise _no_profile(profile, known, source)
    problems = Problems()
    config = None
    try:
        _check_profiles(source.raw, problems)
        config = _convert(source.tree(source.overlay), root, source, problems)
    except EnoughProblems:
        raise ConfigError([*problems.located(source.place), _MORE]) from None
    output = ""
    if config is not None:
        shared = shared_output(config, source)
        output = shared or config.release.dist
        config = complete(config, path.parent, root, source, shared)
    located = problems.located(source.place)
    for name, overlay in profiles.items():
        if name != profile and isinstance(overlay, dict) and len(profiles) <= MOST_PROFILES:
            located += _profile_problems(source, name, overlay, root, problems)
    if located or config is None:
        raise ConfigError(sorted(located, key=lambda problem: problem.location or Location("")))
    return Loaded(config, path, root, source, output)


def _no_profile(name: str, known: Mapping[str, Any], source: Source) -> ConfigError:
    hint = suggestion(name, known) if known else "this file has no [profiles]"
    return ConfigError(f"there is no profile {name!r}", location=Location(source.shown), hint=hint)


def _layers(path: Path, profile: str, environment: Mapping[str, str], above: Source | None) -> tuple[Source, Path]:
    """The layers of a file, and the folder that its paths count from."""
    shown = _shown(path)
    raw, text = read(path, shown)
    if above is None:
        top = members.top_file(path)
        if top is None:
            return Source(path, shown, text, raw, profile, environment), path.parent
        raw_top, text_top = read(top, _shown(top))
        above = Source(top, _shown(top), text_top, raw_top, profile, environment)
    root = above.file.parent
    anchor = members.Anchor(root, path.parent.relative_to(root).as_posix())
    source = Source(path, shown, text, anchor.file(raw, profile), profile, environment, above)
    source.spellings |= anchor.written
    source.defaults["go", "directory"] = anchor.module
    return source, root


def _check_profiles(raw: dict[str, Any], problems: Problems) -> None:
    """The names and the shape of profiles; what is in them is checked where they are applied."""
    if not isinstance(raw.get("profiles", {}), dict):
        problems.add(("profiles",), "is no table of tables", expected="a table of settings for each name")
    profiles = profiles_of(raw)
    if len(profiles) > MOST_PROFILES:
        problems.add(("profiles",), f"there are {len(profiles)} profiles", expected=f"at most {MOST_PROFILES}")
        return
    for name, overlay in profiles.items():
        names.check_name(name, ("profiles", name), problems)
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
    """What a profile can make wrong: all tables, but of the targets those that it names, and one for each stamp when what
    all have changes.

    Without this, the time for a file with many profiles and many targets would be their product.
    """
    targets, named = tree.get("targets"), overlay.get("targets", {})
    if not isinstance(targets, dict) or not isinstance(named, dict):
        return tree
    kept = {name: target for name, target in targets.items() if name in named}
    for inherited in set(INHERITED) & overlay.keys():
        first: dict[str, str] = {}
        for name, target in targets.items():
            if isinstance(target, dict) and target.get(inherited) is not False:
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
    parts["cache"] = cache.convert(tree.get("cache", {}), problems)
    parts["targets"] = _targets(tree, problems)
    parts["registries"] = tables(Registry, tree.get("registries", {}), ("registries",), problems)
    parts["deploy"] = tables(Deploy, tree.get("deploy", {}), ("deploy",), problems)
    parts["engines"] = _plain_tables(tree.get("engines", {}), ("engines",), problems)
    parts["profiles"] = {name: value for name, value in profiles_of(source.raw).items() if isinstance(value, dict)}
    config = Config(**{name: value for name, value in parts.items() if value is not None})
    if source.above is not None and "workspace" in source.raw:
        problems.add(("workspace",), "a member of a workspace cannot be one", hint="move it to the file above")
    checks.check(config, root, problems, source.file.parent)
    archives.check(config, problems)
    cache.check(config.cache, problems)
    cluster.check({name: one.cluster for name, one in config.deploy.items()}, root, problems)
    urls = {name: one.url for name, one in config.registries.items()}
    deploy.check(config.deploy, config.release.deploy, urls, root, problems)
    dockerfiles.check(config, root, problems)
    check_builder(config.buildkit, problems)
    benchmark.check(config.benchmark, config.metrics, problems)
    return config if len(problems.found) == before else None


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
    if not isinstance(raw, dict):
        problems.add(("targets",), "is no table", expected="a table of tables")
        return {}
    shared = {
        "image": _shared(tree, "image", ImageDefaults, problems),
        "archive": _shared(tree, "archive", ArchiveDefaults, problems),
    }
    # Every target has an image unless it says no; archives are for those who ask.
    wanted = {"image": True, "archive": "archive" in tree}
    made: dict[str, Any] = {}
    for name, target in raw.items():
        if isinstance(target, dict):
            target = dict(target)
            for table, defaults in shared.items():
                own = target.get(table, wanted[table])
                if own is True or isinstance(own, dict):
                    target[table] = {**defaults, **(own if isinstance(own, dict) else {})}
        made[name] = target
    return tables(Target, made, ("targets",), problems)


def _shared(tree: dict[str, Any], name: str, kind: type[msgspec.Struct], problems: Problems) -> dict[str, Any]:
    """What a table gives to every target. What is wrong in it is said there, and once."""
    found = tree.get(name, {})
    wrong = {path[1] for path, _ in problems.found if path[:1] == (name,) and path[1:]}
    own = known_fields(kind)
    return {key: value for key, value in found.items() if key in own and key not in wrong} if isinstance(found, dict) else {}


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
