"""All findings about a situation, problems first."""

from __future__ import annotations

from goctl.golang.advice import building, folders, modules, systems
from goctl.golang.advice.finding import PROBLEM, Answer
from goctl.golang.advice.situation import Situation

CHECKS = (*folders.CHECKS, *modules.CHECKS, *building.CHECKS, *systems.CHECKS)


def findings(situation: Situation) -> Answer:
    """What there is to say. Pure: looks at nothing but the situation."""
    found = [finding for check in CHECKS for finding in check(situation)]
    return Answer(situation.shell, tuple(sorted(found, key=lambda finding: finding.severity != PROBLEM)))
