"""Attestations that are asked for, and that images pushed by goctl would lack: said before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from goctl.config.model import Image
from goctl.errors import ConfigError, Problem
from goctl.plan.baking import BUILDKIT

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.gather import Chosen


def refuse_attestations(crew: Crew, pushing: Mapping[str, Chosen]) -> None:
    """Raises ConfigError where BuildKit is to attest images that goctl would push without. Whoever relies on provenance or
    an SBOM finds out here, and not when somebody looks for them.

    The settings say what BuildKit does: images of the embedded engine are not meant.
    """
    problems = []
    for project, chosen in pushing.items():
        session = crew.sessions[project]
        own = session.config.buildkit
        images = (session.config.targets[target].image for target in chosen)
        if not any(isinstance(image, Image) and image.engine == BUILDKIT for image in images):
            continue
        file = f"{session.dist.relative_to(session.root).as_posix()}/docker-bake.json"
        problems += [
            Problem(
                f"{setting}: images that goctl pushes have no attestations",
                session.loaded.place("buildkit", setting),
                hint=f"`invoke bake`, then `docker buildx bake -f {file} --push` pushes with them; or take {setting} out",
            )
            for setting, is_on in (("provenance", own.provenance != "off"), ("sbom", own.sbom))
            if is_on
        ]
    if problems:
        raise ConfigError(tuple(problems))
