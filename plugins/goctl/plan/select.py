"""Selections: `project:target@platform`, each part a glob, the first and the last optional."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
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


def select(config: Config, patterns: tuple[Pattern, ...]) -> dict[str, tuple[Platform, ...]]:
    """The chosen platforms by target, in goctl.toml's order. Raises ConfigError for a pattern that chooses nothing."""
    everything = {name: platforms_of(config, target) for name, target in config.targets.items()}
    if not patterns:
        return everything
    project = config.project.name
    problems = [
        _chooses_nothing(pattern, project, everything)
        for pattern in patterns
        if not any(pattern.takes(project, name, one) for name, platforms in everything.items() for one in platforms)
    ]
    if problems:
        raise ConfigError(problems)
    chosen = {
        name: tuple(one for one in platforms if any(pattern.takes(project, name, one) for pattern in patterns))
        for name, platforms in everything.items()
    }
    return {name: platforms for name, platforms in chosen.items() if platforms}


def _chooses_nothing(pattern: Pattern, project: str, everything: dict[str, tuple[Platform, ...]]) -> Problem:
    text = f"{pattern.project}:{pattern.target}@{pattern.platform}"
    if not any(fnmatchcase(name, pattern.target) for name in everything):
        close = difflib.get_close_matches(pattern.target, list(everything), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else ""
        return Problem(f"--select {text}: no target is named so", expected=f"one of {', '.join(everything)}", hint=hint)
    if not fnmatchcase(project, pattern.project):
        return Problem(f"--select {text}: this project is {project!r}")
    known = sorted({str(one) for platforms in everything.values() for one in platforms})
    return Problem(f"--select {text}: no such platform", expected=f"one of {', '.join(known)}")
