"""The builder that a build uses: found, made and started where it is not, and remembered for a while.

`docker buildx ls` asks every builder of the machine, and takes longer than many a build. What it said lately is believed
until a builder does not act as it should; then it is asked again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING, Final

import msgspec

from goctl.buildkit.docker import BUILDX
from goctl.buildkit.nodes import Builder
from goctl.errors import BuilderError
from goctl.events import Notice
from goctl.plan.keys import combine
from goctl.values import Digest, from_json, name_of, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from goctl.release.session import Session

_KIND: Final = "builder"
_EMPTIED: Final = "builder-emptied"
#: Seconds for which a look at a builder is believed.
LATELY: Final = 900.0
#: What decides which builder a name stands for.
_VARIABLES: Final = ("BUILDX_BUILDER", "BUILDX_CONFIG", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST")


class Ready(msgspec.Struct, frozen=True):
    """A builder, when it was looked at, in seconds since 1970, and the path of a buildx that knew of it by itself."""

    at: float
    builder: Builder
    plugin: str = ""

    @property
    def buildx(self) -> tuple[str, ...]:
        """The command for buildx that knows of the builder."""
        from goctl.buildkit.plugin import is_plugin

        return (self.plugin,) if is_plugin(self.plugin) else BUILDX


def remembered(session: Session) -> Ready | None:
    """The declared builder as it was lately; None where nobody looked."""
    content = session.memo.get(_KIND, _key(session))
    try:
        seen = from_json(content, Ready) if content is not None else None
    except ValueError:
        return None
    # A clock that was set back would make a look last for ever.
    return seen if seen is not None and 0 <= time.time() - seen.at <= LATELY else None


def look(session: Session, buildx: Sequence[str] = BUILDX) -> Builder | None:
    """The declared builder as it is; None where there is none. Raises BuilderError."""
    from goctl.buildkit import builders
    from goctl.buildkit.nodes import find

    return find(builders.builders(buildx), session.config.buildkit.builder)


def ready(session: Session) -> Ready:
    """The declared builder, running. One that is not there yet is made, as `invoke builder.create` would.

    Raises BuilderError where it cannot be.
    """
    from goctl.buildkit import builders
    from goctl.buildkit.plugin import find_plugin
    from goctl.release.builders import create

    name, found, plugin = session.config.buildkit.builder, None, find_plugin()
    if plugin:
        with contextlib.suppress(BuilderError):
            found = look(session, (plugin,))
    if found is None:
        found, plugin = look(session), ""
    if found is None and name:
        create(session, dry=False, replace=False, force=False)
    if found is None or not all(node.is_running for node in found.machines):
        session.emit(Notice(f"starting builder {name or '(current)'}", level="info"))
        found = builders.bootstrap(name)
    made = Ready(time.time(), found, plugin)
    session.memo.put(_KIND, _key(session), to_json(made))
    return made


def holdings(session: Session, builder: Builder) -> str:
    """What stands for all that a builder keeps; something else once it was emptied from here."""
    emptied = session.stores.records.get(_EMPTIED, name_of(builder.name)) or b""
    return name_of(*builder.identity, emptied.hex())


def note_emptied(session: Session, name: str) -> None:
    """Notes that a builder lost of what it kept."""
    session.stores.records.put(_EMPTIED, name_of(name), secrets.token_bytes(8))


def _key(session: Session) -> Digest:
    settings = to_json(session.config.buildkit).decode()
    return combine(_KIND, settings, shutil.which("docker") or "", *(os.environ.get(name, "") for name in _VARIABLES))
