"""`--offline`: what a run without any network cannot do is said before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from goctl.errors import ConfigError, Problem
from goctl.release.extensions import works_offline

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.gather import Chosen


def refuse_networks(crew: Crew, pushing: Mapping[str, Chosen]) -> None:
    """Raises ConfigError where a run that asks no network would push to one, naming each registry of what is pushed.

    A registry on this machine is one too: what is true of `--offline` is then easily told, and seen.
    """
    if not crew.first.offline:
        return
    problems = {}
    for project, chosen in pushing.items():
        session = crew.sessions[project]
        if all(session.config.targets[target].image is False for target in chosen):
            continue
        for name in session.config.publish.to or tuple(session.config.registries):
            settings = session.config.registries[name]
            if not works_offline(settings):
                problems[name, settings.url] = Problem(
                    f"--offline: nothing can be pushed to {settings.url}",
                    session.loaded.place("registries", name, "url"),
                    hint="stop before it with `invoke image --offline`, or name layouts and archives alone in publish.to",
                )
    if problems:
        raise ConfigError(tuple(problems.values()))
