"""What a configuration is made of, nearest last: the workspace's file, its own, their profiles, the environment; and where
each setting came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from goctl.config.benchmark import Benchmark, Metrics
from goctl.config.cache import Cache
from goctl.config.convert import known_fields, words
from goctl.config.lines import index
from goctl.config.members import inherited
from goctl.config.model import Archives, BuildKit, Go, ImageDefaults, Platforms, Project, Publish, Release, Workspace
from goctl.errors import Location

#: The tables whose settings every target has in a table of its own, but for those it gives there.
INHERITED = ("image", "archive")

#: The tables that have fixed settings.
FIXED: dict[str, type[msgspec.Struct]] = {
    "workspace": Workspace,
    "project": Project,
    "go": Go,
    "image": ImageDefaults,
    "archive": Archives,
    "publish": Publish,
    "release": Release,
    "buildkit": BuildKit,
    "benchmark": Benchmark,
    "metrics": Metrics,
}


_IN_TARGETS = tuple((name,) for name in INHERITED)


class Origin(NamedTuple):
    """Where a value came from: default, discovered, workspace (its file), file, profile or environment; `name` is the
    profile's or the variable's.
    """

    kind: str
    location: Location | None = None
    name: str = ""

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location else ""
        return f"{self.kind} {self.name}".strip() + where


class Source:
    """The layers of one configuration. `above` holds those of the workspace that it is a member of."""

    def __init__(
        self,
        file: Path,
        shown: str,
        text: str,
        raw: dict[str, Any],
        profile: str,
        environment: Mapping[str, str],
        above: Source | None = None,
    ) -> None:
        self.file = file
        self.shown = shown
        self.raw = raw
        self.profile = profile
        self.above = above
        self._text = text
        overlay = profiles_of(raw).get(profile, {}) if profile else {}
        self.overlay = overlay if isinstance(overlay, dict) else {}
        self.variables = _from_environment(environment)
        self.discovered: set[str] = set()
        #: What was found out for settings that nobody made.
        self.defaults: dict[tuple[str, str], str] = {}
        #: Platforms and assets as the file spells them, by their own spelling.
        self.spellings: dict[str, str] = {}

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], tuple[int, int]]:
        return index(self._text)

    @cached_property
    def _inherited(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the workspace's file and its profile say for its members."""
        if self.above is None:
            return {}, {}
        return inherited(self.above.raw), inherited(self.above.overlay)

    def tree(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """All layers merged, with another profile's if need be."""
        merged, overlay = self._inherited
        merged = _merge(merged, {name: value for name, value in self.raw.items() if name != "profiles"})
        merged = _merge(_merge(merged, overlay), profile)
        for (name, key), found in self.defaults.items():
            # A table of the wrong type is for the loader to refuse.
            if isinstance(merged.setdefault(name, {}), dict):
                merged[name] = {key: found, **merged[name]}
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
        path = self._spelled(path)
        if path in self.variables:
            return Location(self.variables[path][0])
        for depth in range(len(path), 0, -1):
            # What a target's image does not say stands in [image].
            inherits = [(path[2], *path[3:depth])] if path[:1] == ("targets",) and path[2:3] in _IN_TARGETS else []
            for one in [path[:depth], *(inherits if depth > 3 else [])]:
                found = self.line(one, profile)
                if found is not None:
                    return found
        return Location(self.shown, self._lines.get(("profiles", profile), (1, 0))[0] if profile else 1)

    def line(self, path: tuple[str, ...], profile: str) -> Location | None:
        """Where exactly this path stands: in the profile or outside of it, each here or in the workspace's file."""
        own = path
        if path[:1] == ("targets",) and path[2:4] == ("image", "assets") and path[4:]:
            own = (*path[:4], self.spellings.get(path[4], path[4]))
        file, overlay = self._inherited
        for prefix, above in [(("profiles", profile), overlay), ((), file)] if profile else [((), file)]:
            found = self._lines.get((*prefix, *own))
            if found is not None:
                return Location(self.shown, found[0])
            if self.above is not None and profile in ("", self.profile) and _has(above, path):
                return self.above.line(path, profile if prefix else "")
        return None

    def _spelled(self, path: tuple[str, ...]) -> tuple[str, ...]:
        if path[:1] == ("platforms",) and path[1:]:
            return ("platforms", self.spellings.get(path[1], path[1]), *path[2:])
        return path

    def says(self, path: tuple[str, ...]) -> bool:
        """Whether this file itself, or its profile, holds the setting."""
        return _has(self.overlay, path) or _has(self.raw, path)

    def origin(self, path: tuple[str, ...]) -> Origin:
        """The nearest layer that says it."""
        path = self._spelled(path)
        if path in self.variables:
            return Origin("environment", None, self.variables[path][0])
        file, overlay = self._inherited
        if _has(self.overlay, path) or _has(overlay, path):
            return Origin("profile", self.place(path), self.profile)
        if _has(self.raw, path):
            return Origin("file", self.place(path, ""))
        if _has(file, path):
            return Origin("workspace", self.place(path, ""))
        if path[:1] == ("targets",) and path[2:3] in _IN_TARGETS and path[3:]:
            above = self.origin((path[2], *path[3:]))
            return above if above.kind != "default" else Origin("default")
        if path in self.defaults or (
            path[:2] in {("targets", name) for name in self.discovered} and path[2:] in ((), ("packages",))
        ):
            return Origin("discovered")
        return Origin("default")


def profiles_of(raw: dict[str, Any]) -> dict[str, Any]:
    """The profiles of a file, if they are a table."""
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
    # Which projects there are is read by those who only list tasks, too, and they look at files alone.
    sections = {name: kind for name, kind in FIXED.items() if name != "workspace"} | {"platforms": Platforms, "cache": Cache}
    for section, kind in sections.items():
        for key, field in known_fields(kind).items():
            variable = f"GOCTL_{section}_{key}".upper().replace("-", "_")
            # An empty variable says nothing: CI systems set those they have no value for.
            if environment.get(variable):
                value = _typed(field.type, environment[variable])
                if value is not None:
                    found[(section, key)] = (variable, value)
    return found


def _typed(kind: Any, text: str) -> Any:
    """A variable's text as the setting's type; None for settings that no text can give."""
    said = words(kind)
    if said == "a list of tables":
        return None
    if said == "true or false":
        return {"true": True, "false": False}.get(text, text)
    if said.startswith("a list"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if "whole number" in said and "list" not in said:
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
    return None if said.startswith("a table") else text
