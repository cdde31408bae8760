"""The BuildKit engine: programs and images by `docker buildx bake`, from Dockerfiles like those that `invoke bake` writes.

What needs BuildKit is its to make: it installs packages and compiles, and the assembler puts images together from that, as
it does all others. Whole images are baked from a Dockerfile of the project's own, or where `assemble = "buildkit"` asks for
it, and handed over as image layouts. From there on images are like any other: indexed, pushed to every registry by goctl's
own requests, and named when everything is everywhere, so that a target that fails leaves every name where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from goctl.contracts import Artifact, Binary, Host, Image, Outcome
from goctl.errors import BuilderError, BuildError, ConfigError, GoctlError, Interrupted
from goctl.plan.facts import Facts
from goctl.plan.model import CompileStep, ImageStep, IndexStep, Plan, Step
from goctl.release.session import Session
from goctl.values import Platform

if TYPE_CHECKING:
    from goctl.buildkit.dockerfile_recipes import Recipes
    from goctl.buildkit.hcl import BakeFile
    from goctl.buildkit.run import Job, Results
    from goctl.buildkit.run_document import Output
    from goctl.release.buildkit_packages import Packages
    from goctl.release.buildkit_pieces import Pieces
    from goctl.release.buildkit_ready import Ready
    from goctl.release.recipes import Made


class BuildKitOptions(msgspec.Struct, frozen=True, rename="kebab"):
    """The engine's settings are those of [buildkit]."""


class BuildKitEngine:
    """Bakes for all images of a project at once: they share stages and the builder's attention."""

    Options = BuildKitOptions
    kinds: ClassVar[frozenset[str]] = frozenset({"compile", "image"})
    takes_all: ClassVar[bool] = True

    def __init__(self, options: BuildKitOptions, host: Host) -> None:
        del options
        if not isinstance(host, Session):
            raise TypeError("the BuildKit engine is handed a session")
        self._session = host
        self._builder: Future[Ready] | None = None

    def expect(self) -> None:
        """Looks for the builder, and starts it, while programs are compiled."""
        from goctl.release.buildkit_ready import ready, remembered

        if self._builder is None and remembered(self._session) is None:
            pool = ThreadPoolExecutor(1, "builder")
            self._builder = pool.submit(ready, self._session)
            pool.shutdown(wait=False)

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]:
        started = time.perf_counter()
        indexes = [step for step in steps if isinstance(step, IndexStep)]
        if indexes:
            from goctl.oci.assemble import Assembler

            yield from (Outcome(step.id, Assembler(self._session).index(step, inputs)) for step in indexes)
        left = [step.id for step in steps if isinstance(step, ImageStep | CompileStep)]
        count = len(left) or 1
        try:
            # One by one: an image is pushed while the next is put together.
            for id, made in self._made(steps, inputs):
                left.remove(id)
                artifact, error = (None, made) if isinstance(made, GoctlError) else (made, None)
                yield Outcome(id, artifact, error, (time.perf_counter() - started) / count)
        except Interrupted:
            raise
        except GoctlError as error:
            yield from (Outcome(id, error=error, seconds=(time.perf_counter() - started) / count) for id in left)

    def _made(
        self, steps: Sequence[Step], inputs: Mapping[str, Artifact]
    ) -> Iterator[tuple[str, Image | Binary | GoctlError]]:
        """What came of each step."""
        compiles = [step for step in steps if isinstance(step, CompileStep)]
        if compiles:
            from goctl.release.buildkit_programs import programs

            with self._session.folder("programs-") as folder:
                yield from programs(self._session, compiles, folder, self._bake, self._packages())
        images = [step for step in steps if isinstance(step, ImageStep)]
        if images:
            whole = [step for step in images if self._is_whole(step)]
            if whole:
                yield from self._baked(whole, self._files(whole))
            parted = [step for step in images if not self._is_whole(step)]
            if parted:
                yield from self._assembled(parted, inputs)

    def _is_whole(self, step: ImageStep) -> bool:
        """Whether an image comes out of its Dockerfile as it is to be."""
        own = step.baking is not None and bool(step.baking.dockerfile)
        return own or self._session.config.buildkit.assemble == "buildkit"

    def _plan(self, images: Sequence[ImageStep]) -> Plan:
        """As a bake file has them: of one project, while in a workspace's plan its name stands before its targets."""
        own = tuple(msgspec.structs.replace(step, target=_name(step), needs=()) for step in images)
        return Plan(project=self._session.config.project.name, version=None, steps=own)

    def _files(self, images: Sequence[ImageStep]) -> Made:
        """Writes the Dockerfiles of these images. Raises ConfigError for one that no Dockerfile can make."""
        from goctl.release.bake import write
        from goctl.release.recipes import make_files

        plan = self._plan(images)
        made = make_files(self._session, plan, self._facts(images))
        _refuse(made.found)
        write(self._session, made)
        return made

    def _assembled(
        self, images: Sequence[ImageStep], inputs: Mapping[str, Artifact]
    ) -> Iterator[tuple[str, Image | GoctlError]]:
        """Images put together here, of pieces that BuildKit makes."""
        from goctl.release.buildkit_pieces import pieces
        from goctl.release.recipes import find_recipes

        found = find_recipes(self._session, self._plan(images), self._facts(images))
        _refuse(found)
        made = [(recipe, [step for step in images if _name(step) == recipe.target]) for recipe in found.recipes]
        with self._session.folder("pieces-") as folder:
            baked = pieces(self._session, made, folder, self._bake, self._packages())
            yield from baked.failed.items()
            left = [step for step in images if step.id not in baked.failed]
            with ThreadPoolExecutor(os.cpu_count() or 2, "assemble") as pool:
                futures = [pool.submit(self._image, step, baked, inputs) for step in left]
                yield from (future.result() for future in as_completed(futures))

    def _image(self, step: ImageStep, baked: Pieces, inputs: Mapping[str, Artifact]) -> tuple[str, Image | GoctlError]:
        from goctl.buildkit.dockerfile import NOBODY
        from goctl.oci.assemble import Assembler

        base = baked.bases.get(step.id)
        try:
            if base is not None:
                # On such a base packages were installed last, by root, and no program is to be run by that.
                settings = msgspec.structs.replace(step.settings, user=step.settings.user or NOBODY)
                step = msgspec.structs.replace(step, base=base, settings=settings)
            elif step.base is not None:
                self._session.bases.fetch(step.base)
            return step.id, Assembler(self._session).image(step, {**inputs, **baked.programs})
        except Interrupted:
            raise
        except GoctlError as error:
            return step.id, error

    def _facts(self, images: Sequence[ImageStep]) -> Facts:
        """What Go says of the files that are compiled, where any are."""
        if not any(step.baking is not None and step.baking.inside for step in images):
            return Facts()
        from goctl.golang.snapshot import packages
        from goctl.release.gather import wanted_listings

        chosen = {_name(step): tuple(one.platform for one in images if one.target == step.target) for step in images}
        return Facts(
            toolchain=self._session.toolchain(), listings=packages(self._session, wanted_listings(self._session, chosen))
        )

    def _baked(self, images: Sequence[ImageStep], made: Made) -> Iterator[tuple[str, Image | GoctlError]]:
        """The image of each step, or what it failed with."""
        from goctl.buildkit.bakefile import target_names
        from goctl.buildkit.run_document import Layout

        names = target_names(recipe.target for recipe in made.found.recipes)
        by_target: dict[str, list[ImageStep]] = {}
        for step in images:
            by_target.setdefault(names[_name(step)], []).append(step)
        with self._session.folder("images-") as folder:
            outputs: dict[str, Output] = {name: Layout(folder / name) for name in by_target}
            results = self._bake(_unattested(made.document), outputs, _executed(made))
            for name, own in by_target.items():
                yield from self._of_target(own, folder / name, results.failed.get(name))

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

    def _bake(self, document: BakeFile, outputs: Mapping[str, Output], executed: tuple[Platform, ...] | None) -> Results:
        """Builds targets. Raises as buildkit.run.bake."""
        from goctl.buildkit.run import bake
        from goctl.release.buildkit_ready import look, ready, remembered

        known = remembered(self._session) if self._builder is None else None
        found = known or self._found()
        try:
            return bake(self._job(found, document, outputs, executed), self._session.emit)
        except BuilderError:
            # What was lately true of it may not be any more.
            if known is None or look(self._session) == known.builder:
                raise
            return bake(self._job(ready(self._session), document, outputs, executed), self._session.emit)

    def _found(self) -> Ready:
        """The builder, running. Raises BuilderError."""
        from goctl.release.buildkit_ready import ready

        return self._builder.result() if self._builder is not None else ready(self._session)

    def _packages(self) -> Packages:
        from goctl.release.buildkit_packages import Packages
        from goctl.release.buildkit_ready import holdings, remembered

        def where() -> str:
            return holdings(self._session, (remembered(self._session) or self._found()).builder)

        return Packages(self._session, self._bake, where)

    def _job(
        self,
        found: Ready,
        document: BakeFile,
        outputs: Mapping[str, Output],
        executed: tuple[Platform, ...] | None,
    ) -> Job:
        from goctl.buildkit.run import Job
        from goctl.release.baking import logins

        settings = self._session.config.buildkit
        return Job(
            document=document,
            outputs=outputs,
            root=self._session.root,
            scratch=self._session.scratch,
            builder=found.builder,
            executed=executed,
            emulated=settings.platforms_emulated,
            containerd_store=found.builder.is_dockers_own and _keeps_in_containerd(),
            retries=settings.retries,
            keep_going=settings.keep_going,
            logins=logins(self._session),
            buildx=found.buildx,
        )


def _refuse(found: Recipes) -> None:
    """Raises ConfigError for images that no Dockerfile can make."""
    if found.left:
        words = "; ".join(f"{left.what}: {left.why}" for left in found.left)
        raise ConfigError(f"BuildKit cannot make {words}", hint='set image.engine = "embedded" for it')


def _unattested(document: BakeFile) -> BakeFile:
    """A bake file whose targets make no attestations: they would be left behind in the layout."""
    from goctl.buildkit.bakefile import UNATTESTED

    return {**document, "target": {name: {**table, "attest": UNATTESTED} for name, table in document["target"].items()}}


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
