"""`--offline`: what a run without any network cannot do is said before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from goctl.errors import ConfigError, Problem
from goctl.release.extensions import works_offline

if TYPE_CHECKING:
    from goctl.release.crew import Crew


def refuse_networks(crew: Crew, projects: Iterable[str]) -> None:
    """Raises ConfigError where a run that asks no network would push to one, naming each registry of these projects.

    A registry on this machine is one too: what is true of `--offline` is then easily told, and seen.
    """
    if not crew.first.offline:
        return
    problems = {}
    for project in projects:
        session = crew.sessions[project]
        for name in session.config.publish.to or tuple(session.config.registries):
            settings = session.config.registries[name]
            if not works_offline(settings):
                problems[name, settings.url] = Problem(
                    f"--offline: nothing can be pushed to {settings.url}",
                    session.loaded.place("registries", name, "url"),
                    hint="stop before it with `invoke image --offline`, or name an image layout alone in publish.to",
                )
    if problems:
        raise ConfigError(tuple(problems.values()))
