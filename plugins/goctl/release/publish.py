"""Publishing: content goes up as it is made, names are given last, when every registry has everything of every target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from goctl.contracts import Destination, Image, Index, Mounting, Preparing
from goctl.errors import ConfigError, ExtensionError, GoctlError, Interrupted, joined
from goctl.events import ReleasedImage, StepProgress, StepStarted
from goctl.plan.model import ImageStep, IndexStep, Plan, PushStep
from goctl.release import outcome
from goctl.release.known import Known
from goctl.release.tell import tell_step
from goctl.release.walk import Results

if TYPE_CHECKING:
    from goctl.release.crew import Crew

#: Uploads of images under way at once; each destination bounds its own requests besides.
UPLOADS = 4


class Push(msgspec.Struct):
    """One push step on its way: its index, the tags that do not name it yet, bytes sent, seconds, how far it came."""

    step: PushStep
    index: Index
    policy: str
    missing: tuple[str, ...] = ()
    sent: int = 0
    seconds: float = 0.0
    held: bool = False
    named: bool = False
    error: GoctlError | None = None


class Publisher:
    """The push stage of one run."""

    def __init__(self, crew: Crew, plan: Plan) -> None:
        self._crew = crew
        self._session = crew.first
        self._steps = plan.by_id()
        self._pushes = [step for step in plan.steps if isinstance(step, PushStep)]
        self._pool = ThreadPoolExecutor(UPLOADS, "upload")
        self._early: list[Future[None]] = []
        self._lost: set[str] = set()
        firsts = {(step.registry, crew.host(step)): step for step in self._pushes}
        self._early += [self._pool.submit(self._prepare, step) for step in firsts.values()]

    def begin(self, step: ImageStep, image: Image) -> None:
        """Starts to send a new image everywhere it will be needed. A fault here is found again, and told, at the end."""
        for push in self._pushes:
            if push.target == step.target:
                self._early.append(self._pool.submit(self._send, push, image))

    def _prepare(self, step: PushStep) -> None:
        """Has a destination look up what it will need, while images are still made."""
        destination = self._destination(step)
        if isinstance(destination, Preparing):
            destination.prepare()

    def finish(self, results: Results, again: Callable[[list[ImageStep]], Results]) -> list[Push]:
        """Sees to it that every registry holds every index under its tags; those that do. Raises after all that could be
        sent was.

        `again` makes images anew whose content is no longer on this machine.
        """
        pushes = [Push(step, index, self._crew.host(step).config.publish.policy) for step, index in self._indexes(results)]
        with self._pool:
            try:
                for early in self._early:
                    early.exception()
                self._all(self._compare, pushes)
                wanting = [push for push in pushes if push.missing]
                if wanting:
                    self._restore(wanting, again)
                    self._all(self._upload, wanting)
                    self._all(self._tag, wanting)
            except BaseException:
                self._pool.shutdown(wait=False, cancel_futures=True)
                outcome.tell(self._session, pushes)
                raise
        for push in pushes:
            if push.named:
                self._tell(push, results)
        outcome.tell(self._session, pushes)
        outcome.judge(pushes)
        return [push for push in pushes if push.named]

    def sent(self) -> None:
        """Waits for what was begun. Raises what it failed with, once all of it has ended."""
        errors = [error for early in self._early if (error := early.exception()) is not None]
        for error in errors:
            if not isinstance(error, GoctlError):
                raise error
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Gives up what was begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _destination(self, step: PushStep) -> Destination:
        return self._crew.host(step).destination(step.registry)

    def _indexes(self, results: Results) -> list[tuple[PushStep, Index]]:
        found = []
        for step in self._pushes:
            index = results.artifacts.get(step.needs[0])
            if isinstance(index, Index):
                found.append((step, index))
        return found

    def _all(self, verb: Callable[[Push], None], pushes: Sequence[Push]) -> None:
        """Does one thing for all pushes at the same time. Every one is tried before the first error is raised.

        With the policy `any` no error is raised: a registry that had one is left alone from then on.
        """
        left = [push for push in pushes if push.step.registry not in self._lost]
        if len(left) == 1:
            self._try(verb, left[0])
        else:
            for future in [self._pool.submit(self._try, verb, push) for push in left]:
                future.result()
        errors = [push.error for push in left if push.error is not None and push.policy == "all"]
        if errors:
            raise errors[0] if len(errors) == 1 else joined(errors)

    def _try(self, verb: Callable[[Push], None], push: Push) -> None:
        try:
            verb(push)
        except (Interrupted, ConfigError, ExtensionError):
            raise  # nothing that another registry makes good
        except GoctlError as error:
            push.error = error
            self._lost.add(push.step.registry)

    def _compare(self, push: Push) -> None:
        started = time.perf_counter()
        destination = self._destination(push.step)
        push.missing = destination.missing(push.step.repository, push.index, push.step.tags)
        push.held = push.named = not push.missing
        push.seconds += time.perf_counter() - started

    def _restore(self, wanting: Sequence[Push], again: Callable[[list[ImageStep]], Results]) -> None:
        """Images whose content was thrown away since they were made are assembled once more."""
        known = Known(self._session)
        gone: dict[str, ImageStep] = {}
        for push in wanting:
            index = self._steps[push.step.needs[0]]
            if not isinstance(index, IndexStep):
                continue
            for id, image in zip(index.needs, push.index.images, strict=True):
                step = self._steps[id]
                if isinstance(step, ImageStep) and not known.is_complete(image):
                    gone[id] = step
        if gone:
            again(list(gone.values()))

    def _upload(self, push: Push) -> None:
        started = time.perf_counter()
        self._session.emit(StepStarted(push.step.id, push.step.title, push.step.target))
        for image in push.index.images:
            self._send(push.step, image, push)
        self._send(push.step, push.index, push)
        push.held = True
        push.seconds += time.perf_counter() - started

    def _send(self, step: PushStep, content: Image | Index, push: Push | None = None) -> None:
        self._session.check()

        def progress(done: int, total: int) -> None:
            self._session.emit(StepProgress(step.id, done, total))

        destination = self._destination(step)
        if isinstance(destination, Mounting):
            self._tell_bases(step, destination)
        sent = destination.upload(step.repository, content, progress)
        if push is not None:
            push.sent += sent

    def _tell_bases(self, step: PushStep, destination: Mounting) -> None:
        """Layers of bases need not be sent to the registry that they came from."""
        index = self._steps[step.needs[0]]
        for id in index.needs:
            image = self._steps[id]
            if isinstance(image, ImageStep) and image.base is not None:
                destination.held_elsewhere(image.base.reference, image.base.layers)

    def _tag(self, push: Push) -> None:
        started = time.perf_counter()
        self._session.check()
        self._destination(push.step).tag(push.step.repository, push.index, push.missing)
        push.named = True
        push.seconds += time.perf_counter() - started

    def _tell(self, push: Push, results: Results) -> None:
        step, index = push.step, push.index
        destination = self._destination(step)
        tell_step(self._session.emit, step, "done" if push.missing else "cached", seconds=push.seconds, size=index.size)
        plan_index = self._steps[step.needs[0]]
        images = plan_index.needs
        compiles = [need for id in images for need in self._steps[id].needs]
        known = sum(id in results.cached for id in (*compiles, *images))
        # Steps of one kind are done side by side: the longest of them counts.
        spent = push.seconds + sum(
            max((results.seconds.get(id, 0.0) for id in ids), default=0.0) for ids in (compiles, images)
        )
        self._session.emit(
            ReleasedImage(
                target=step.target,
                registry=step.registry,
                reference=destination.reference(step.repository, digest=index.digest),
                digest=index.digest,
                platforms=tuple(str(image.platform) for image in index.images),
                tags=step.tags,
                size=index.size,
                cached=f"{known}/{len(compiles) + len(images)}"
                if push.missing or known < len(compiles) + len(images)
                else "all",
                seconds=spent,
            )
        )
