"""Selections: `project:target@platform`, each part a glob, the first and the last optional."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from goctl.config.model import Config, Target
from goctl.errors import ConfigError, Problem
from goctl.values import Platform

_FORM = re.compile(r"(?:(?P<project>[^:@]*):)?(?P<target>[^:@]*)(?:@(?P<platform>[^:@]*))?\Z")


class Pattern(msgspec.Struct, frozen=True):
    """One selection. An empty part is `*`."""

    project: str
    target: str
    platform: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        match = _FORM.match(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a selection")
        return cls(*(part or "*" for part in match.group("project", "target", "platform")))

    def takes(self, project: str, target: str, platform: Platform) -> bool:
        return (
            fnmatchcase(project, self.project)
            and fnmatchcase(target, self.target)
            and (fnmatchcase(str(platform), self.platform) or _same_platform(self.platform, platform))
        )


def _same_platform(text: str, platform: Platform) -> bool:
    """Whether another spelling (`linux/arm`, `linux/aarch64`) names this platform."""
    try:
        return Platform.parse(text) == platform
    except ValueError:
        return False


def platforms_of(config: Config, target: Target) -> tuple[Platform, ...]:
    """A target's platforms as goctl.toml has them, each once, in their order."""
    names = target.platforms or config.platforms.default
    return tuple(dict.fromkeys(Platform.parse(name) for name in names))


def parse(selections: Iterable[str]) -> tuple[Pattern, ...]:
    """Patterns of a command line; each argument may hold several, separated by commas."""
    texts = [text for argument in selections for text in argument.split(",") if text.strip()]
    problems, patterns = [], []
    for text in texts:
        try:
            patterns.append(Pattern.parse(text))
        except ValueError as error:
            problems.append(Problem(f"--select: {error}", expected="project:target@platform", hint="example: api@linux/*"))
    if problems:
        raise ConfigError(problems)
    return tuple(patterns)


def select(configs: Mapping[str, Config], patterns: tuple[Pattern, ...]) -> dict[str, dict[str, tuple[Platform, ...]]]:
    """The chosen platforms by project and target, in the files' order; a project without a chosen target is left out.

    Raises ConfigError for a pattern that chooses nothing.
    """
    everything = {
        project: {name: platforms_of(config, target) for name, target in config.targets.items()}
        for project, config in configs.items()
    }
    if not patterns:
        return everything
    problems = []
    chosen: dict[str, dict[str, set[Platform]]] = {}
    for pattern in patterns:
        taken = [
            (project, name, one)
            for project, targets in everything.items()
            for name, platforms in targets.items()
            for one in platforms
            if pattern.takes(project, name, one)
        ]
        if not taken:
            problems.append(_chooses_nothing(pattern, everything))
        for project, name, one in taken:
            chosen.setdefault(project, {}).setdefault(name, set()).add(one)
    if problems:
        raise ConfigError(problems)
    return {
        project: {
            name: tuple(one for one in platforms if one in chosen[project][name])
            for name, platforms in targets.items()
            if name in chosen[project]
        }
        for project, targets in everything.items()
        if project in chosen
    }


def _chooses_nothing(pattern: Pattern, everything: Mapping[str, Mapping[str, tuple[Platform, ...]]]) -> Problem:
    text = f"{pattern.project}:{pattern.target}@{pattern.platform}"
    projects = [project for project in everything if fnmatchcase(project, pattern.project)]
    if not projects and len(everything) == 1:
        return Problem(f"--select {text}: this project is {next(iter(everything))!r}")
    if not projects:
        return Problem(
            f"--select {text}: no project is named so", expected=_one_of(everything), hint=_near(pattern.project, everything)
        )
    names = sorted({name for project in projects for name in everything[project]})
    if pattern.target in everything and pattern.target not in names:
        hint = f"{pattern.target!r} is a project: write {pattern.target}:"
        return Problem(f"--select {text}: no target is named so", hint=hint)
    if not any(fnmatchcase(name, pattern.target) for name in names):
        others = [project for project in everything if pattern.target in everything[project]]
        hint = f"{others[0]} has one: write {others[0]}:{pattern.target}" if others else _near(pattern.target, names)
        return Problem(f"--select {text}: no target is named so", expected=_one_of(names), hint=hint)
    known = sorted({str(one) for project in projects for platforms in everything[project].values() for one in platforms})
    return Problem(f"--select {text}: no such platform", expected=_one_of(known))


def _one_of(names: Iterable[str]) -> str:
    known = list(names)
    return f"one of {', '.join(known[:12])}" + (", ..." if len(known) > 12 else "")


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""
