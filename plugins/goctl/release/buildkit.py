"""The BuildKit engine: programs and images by `docker buildx bake`, from Dockerfiles like those that `invoke bake` writes.

BuildKit hands its images over as image layouts. From there on they are images like any other: indexed, pushed to every
registry by goctl's own requests, and named when everything is everywhere, so that a target that fails leaves every name
where it was.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from goctl.contracts import Artifact, Binary, Host, Image, Outcome
from goctl.errors import BuildError, ConfigError, GoctlError, Interrupted
from goctl.events import Notice
from goctl.plan.facts import Facts
from goctl.plan.model import CompileStep, ImageStep, IndexStep, Plan, Step
from goctl.release.session import Session
from goctl.system.files import storage_errors
from goctl.values import Platform

if TYPE_CHECKING:
    from goctl.buildkit.hcl import BakeFile
    from goctl.buildkit.nodes import Builder
    from goctl.buildkit.run import Job
    from goctl.buildkit.run_document import Output
    from goctl.release.recipes import Made


class BuildKitOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """The engine's settings are those of [buildkit]."""


class BuildKitEngine:
    """Bakes all images of a project at once, for they share stages and the builder's attention."""

    Options = BuildKitOptions
    kinds: ClassVar[frozenset[str]] = frozenset({"compile", "image"})
    takes_all: ClassVar[bool] = True

    def __init__(self, options: BuildKitOptions, host: Host) -> None:
        del options
        if not isinstance(host, Session):
            raise TypeError("the BuildKit engine is handed a session")
        self._session = host
        self._builder: Future[Builder] | None = None

    def expect(self) -> None:
        """Looks for the builder, and starts it, while programs are compiled."""
        if self._builder is None:
            pool = ThreadPoolExecutor(1, "builder")
            self._builder = pool.submit(ready, self._session)
            pool.shutdown(wait=False)

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        started = time.perf_counter()
        indexes = [step for step in steps if isinstance(step, IndexStep)]
        if indexes:
            from goctl.oci.assemble import Assembler

            yield from (Outcome(step.id, Assembler(self._session).index(step, inputs)) for step in indexes)
        baked = [step for step in steps if isinstance(step, ImageStep | CompileStep)]
        try:
            found = dict(self._made(baked))
        except Interrupted:
            raise
        except GoctlError as error:
            found = {step.id: error for step in baked}
        seconds = (time.perf_counter() - started) / (len(baked) or 1)
        for step in baked:
            outcome = found[step.id]
            if isinstance(outcome, GoctlError):
                yield Outcome(step.id, error=outcome, seconds=seconds)
            else:
                yield Outcome(step.id, outcome, seconds=seconds)

    def _made(self, steps: Sequence[ImageStep | CompileStep]) -> Iterator[tuple[str, Image | Binary | GoctlError]]:
        """What came of each step."""
        compiles = [step for step in steps if isinstance(step, CompileStep)]
        if compiles:
            from goctl.release.buildkit_programs import programs

            yield from programs(self._session, compiles, lambda document, outputs: self._job(document, outputs, ()))
        images = [step for step in steps if isinstance(step, ImageStep)]
        if images:
            yield from self._baked(images, self._files(images))

    def _files(self, images: Sequence[ImageStep]) -> Made:
        """Writes the Dockerfiles of these images. Raises ConfigError for one that no Dockerfile can make."""
        from goctl.release.bake import write
        from goctl.release.recipes import make_files

        # In a workspace's plan targets have their project's name before them; a bake file is one project's.
        own = [msgspec.structs.replace(step, target=_name(step), needs=()) for step in images]
        plan = Plan(project=self._session.config.project.name, version=None, steps=tuple(own))
        made = make_files(self._session, plan, self._facts(own))
        if made.found.left:
            words = "; ".join(f"{left.what}: {left.why}" for left in made.found.left)
            raise ConfigError(f"BuildKit cannot make {words}", hint='set image.engine = "embedded" for it')
        write(self._session, made)
        return made

    def _facts(self, images: Sequence[ImageStep]) -> Facts:
        """What Go says of the files that are compiled, where any are."""
        if not any(step.baking is not None and step.baking.inside for step in images):
            return Facts()
        from goctl.golang.snapshot import packages
        from goctl.release.gather import wanted_listings

        chosen = {step.target: tuple(one.platform for one in images if one.target == step.target) for step in images}
        return Facts(
            toolchain=self._session.toolchain(), listings=packages(self._session, wanted_listings(self._session, chosen))
        )

    def _baked(self, images: Sequence[ImageStep], made: Made) -> Iterator[tuple[str, Image | GoctlError]]:
        """The image of each step, or what it failed with."""
        from goctl.buildkit.bakefile import target_names
        from goctl.buildkit.run import bake
        from goctl.buildkit.run_document import Layout

        names = target_names(recipe.target for recipe in made.found.recipes)
        by_target: dict[str, list[ImageStep]] = {}
        for step in images:
            by_target.setdefault(names[_name(step)], []).append(step)
        scratch = self._session.scratch
        with storage_errors(str(scratch)):
            scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="images-", dir=scratch) as folder:
            outputs: dict[str, Output] = {name: Layout(Path(folder, name)) for name in by_target}
            results = bake(self._job(made.document, outputs, _executed(made)), self._session.emit)
            for name, own in by_target.items():
                yield from self._of_target(own, Path(folder, name), results.failed.get(name))

    def _of_target(
        self, images: Sequence[ImageStep], layout: Path, failed: GoctlError | None
    ) -> Iterator[tuple[str, Image | GoctlError]]:
        if failed is not None:
            yield from ((step.id, failed) for step in images)
            return
        from goctl.oci.layers import Compression
        from goctl.oci.layout_images import read_images

        first = images[0]
        compression = Compression(first.compression, first.compression_level, first.compressor)
        found = {image.platform: image for image in read_images(self._session, layout, compression)}
        for step in images:
            image = found.get(step.platform.plain)
            yield step.id, image or BuildError(f"BuildKit made no image of {step.target} for {step.platform}")

    def _job(self, document: BakeFile, outputs: Mapping[str, Output], executed: tuple[Platform, ...] | None) -> Job:
        from goctl.buildkit.run import Job
        from goctl.release.baking import logins

        settings = self._session.config.buildkit
        builder = self._builder.result() if self._builder is not None else ready(self._session)
        return Job(
            document=document,
            outputs=outputs,
            root=self._session.root,
            scratch=self._session.scratch,
            builder=builder,
            executed=executed,
            emulated=settings.platforms_emulated,
            containerd_store=builder.is_dockers_own and _keeps_in_containerd(),
            retries=settings.retries,
            keep_going=settings.keep_going,
            logins=logins(self._session),
        )


def ready(session: Session) -> Builder:
    """The declared builder, running. One that is not there yet is made, as `invoke builder.create` would.

    Raises BuilderError where it cannot be.
    """
    from goctl.buildkit import builders
    from goctl.buildkit.nodes import find
    from goctl.release.builders import create

    name = session.config.buildkit.builder
    found = find(builders.builders(), name)
    if found is None and name:
        create(session, dry=False, replace=False, force=False)
    if found is None or not all(node.is_running for node in found.machines):
        session.emit(Notice(f"starting builder {name or '(current)'}", level="info"))
        found = builders.bootstrap(name)
    return found


def _executed(made: Made) -> tuple[Platform, ...] | None:
    """The platforms that something is run on: those of packages to install. A Dockerfile of the project's own may run
    anything; None stands for all."""
    if any(recipe.dockerfile for recipe in made.found.recipes):
        return None
    return tuple(sorted({one for recipe in made.found.recipes if recipe.packages for one in recipe.platforms}))


def _keeps_in_containerd() -> bool:
    from goctl.buildkit.docker_look import ask_engine

    engine, _ = ask_engine()
    return engine is not None and engine.has_containerd_store


def _name(step: ImageStep) -> str:
    """The target's name in its own project. In a workspace's plan the project's stands before it."""
    return step.target.removeprefix(f"{step.project}:") if step.project else step.target
