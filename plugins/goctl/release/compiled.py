"""What go compiles, shared between machines: made from `[cache]`, and finished at the end of a release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from goctl.errors import ConfigError, StorageError
from goctl.events import Notice
from goctl.system.process import children
from goctl.values import ByteSize

if TYPE_CHECKING:
    from goctl.cache.chain import Chain
    from goctl.cacheprog.actions import CompileActions
    from goctl.release.session import Session


def compile_actions(session: Session) -> CompileActions | None:
    """The cache that the go builds of a release ask; None where nothing is shared."""
    levels = session.stores.levels if session.config.cache.go_actions else None
    # GOCACHE is this machine's own level for them.
    afar = levels.afar() if levels is not None else None
    if afar is None or not afar.members or session.look_only:
        return None
    from goctl.cacheprog.actions import CompileActions

    # What this machine knows of actions is its own: levels have lists of theirs.
    records = session.stores.records
    return CompileActions(_Levels(afar), records, session.emit, ended=children.ended.is_set)


class _Levels:
    """contracts.ActionLevel: the levels of a run as one."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.name = ", ".join(member.level.name for member in chain.members)
        self.writes = chain.writes

    def read(self, space: str, key: str, most: int) -> bytes | None:
        found = self._chain.read(space, key, most)
        return found[0] if found is not None else None

    def store(self, space: str, key: str, content: bytes) -> None:
        self._chain.store_now(space, key, content)

    def forget(self, space: str, key: str) -> object:
        return self._chain.forget(space, key)


def finish(session: Session, actions: CompileActions, *, abandon: bool) -> None:
    """Ends what is under way, and tells what came of it."""
    counts = actions.close(abandon=abandon)
    if counts.brought or counts.sent:
        session.emit(
            Notice(
                f"{counts.brought} of go's actions came from {actions.level.name}, {counts.sent} were sent there "
                f"({ByteSize(counts.bytes)})",
                level="info",
            )
        )


def prune(session: Session, *, dry: bool, size: str, unused: str) -> None:
    """Keeps GOCACHE within a size. Raises StorageError while a release compiles with it."""
    from goctl.cacheprog.trim import YOUNGEST, trim
    from goctl.golang.command import environment
    from goctl.golang.environment import cache_folder
    from goctl.system.lease import alone

    most, since = _bytes(size or "10GiB"), _seconds(unused) if unused else YOUNGEST
    folder = cache_folder(environment(session))
    if folder is None or not folder.is_dir():
        raise StorageError("there is no GOCACHE", hint="`invoke go.env` tells what it is set to")
    with alone(folder) as free:
        if not free:
            raise StorageError(f"{folder} is in use by a release", hint="try again when it has ended")
        trimmed = trim(folder, most, unused=since, dry=dry)
    what = "would be removed" if dry else "removed"
    session.emit(
        Notice(
            f"{folder}: {ByteSize(trimmed.removed)} of {ByteSize(trimmed.held)} {what}, {trimmed.outputs} outputs",
            level="info",
        )
    )


def _bytes(text: str) -> int:
    try:
        return ByteSize.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([hdw])", text)
    if match is None:
        raise ConfigError(f"{text!r} is no time", hint="write 12h, 2d or 1w")
    return int(match[1]) * {"h": 3600.0, "d": 86400.0, "w": 604800.0}[match[2]]
