"""`registry.copy` and `registry.retag`: what is asked for on the command line, and what came of it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from goctl.errors import ConfigError
from goctl.events import Notice, StepFinished, StepProgress, StepStarted
from goctl.values import ByteSize, ImageRef, is_tag

if TYPE_CHECKING:
    from goctl.release.session import Session


def copy(session: Session, *, dry: bool, source: str, target: str) -> None:
    """Copies an image with all its platforms; without a tag of its own, the copy keeps the name."""
    origin, place = _reference(source), _reference(target)
    if not _is_named(target):
        place = ImageRef(place.host, place.repository, origin.tag if _is_named(source) or not origin.digest else "", None)
    if place.digest is not None:
        raise ConfigError(f"{target}: a copy has the digest it has", hint="write HOST/NAME:TAG")
    if dry:
        session.emit(Notice(f"would copy {origin} to {place}", level="info"))
        return
    from goctl.registry.copying import copy as copy_image

    title, started = f"copy {origin} to {place}", time.perf_counter()
    session.emit(StepStarted("copy", title))

    def progress(done: int, total: int) -> None:
        session.emit(StepProgress("copy", done, total))

    copied = copy_image(session, origin, place, progress)
    seconds = time.perf_counter() - started
    detail = f"{copied.digest}, {ByteSize(copied.sent)} sent, {ByteSize(copied.known)} known or mounted"
    session.emit(StepFinished("copy", "done", title, seconds=seconds, detail=detail))


def retag(session: Session, *, dry: bool, reference: str, tags: str) -> None:
    """Gives an image further tags in its repository; `tags` are separated by commas."""
    named, wanted = _reference(reference), [tag for tag in re.split(r"[,\s]+", tags) if tag]
    for tag in wanted:
        if not is_tag(tag):
            raise ConfigError(f"{tag!r} is no tag", hint="up to 128 letters, digits, _ . -")
    if not wanted:
        raise ConfigError("there is no tag to give")
    if dry:
        session.emit(Notice(f"would name {named} {', '.join(wanted)}", level="info"))
        return
    from goctl.registry.copying import retag as retag_image

    digest = retag_image(session, named, wanted)
    session.emit(Notice(f"{named.host}/{named.repository}@{digest} is now {', '.join(wanted)}", level="info"))


def _reference(text: str) -> ImageRef:
    try:
        return ImageRef.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _is_named(text: str) -> bool:
    """Whether a reference says its tag."""
    return ":" in text.partition("@")[0].rpartition("/")[2]
