"""What a level holds, and what of it is to go: levels that can be listed are kept within their size and age."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from goctl.cache.folder import FolderShelf
from goctl.cache.policy import GRACE, doomed
from goctl.cache.shelved import ShelvedLevel
from goctl.config.cache import age
from goctl.contracts import Held, Listing
from goctl.errors import LevelError
from goctl.events import Notice
from goctl.values import ByteSize

if TYPE_CHECKING:
    from goctl.cache.chain import Member
    from goctl.release.session import Session

#: What a user's own folder may hold where nobody said anything, in bytes.
MOST_ON_DISK: Final = 10 * 2**30
_DAY: Final = 86400.0
_STAMP: Final = "pruned"
#: The entry that says when a shared level was last looked through. Sooner than after GRACE nothing more would go.
_LOOKED: Final = ("stamp", "pruned")


def held(session: Session, member: Member) -> list[Held] | None:
    """What a level holds; None, and a notice where it failed, where it cannot be asked."""
    try:
        return held_by(member) if isinstance(_shelf(member), Listing) else None
    except LevelError as error:
        session.emit(Notice(error.message))
        return None


def held_by(member: Member) -> list[Held]:
    """What a level holds; nothing where it cannot be asked. Raises LevelError."""
    shelf = _shelf(member)
    return list(shelf.held()) if isinstance(shelf, Listing) else []


def _shelf(member: Member) -> object:
    return member.level.shelf if isinstance(member.level, ShelvedLevel) else None


def doomed_in(session: Session, member: Member, held: Sequence[Held]) -> list[Held]:
    """The entries of a level to throw away."""
    level = session.config.cache.level(member.level.name)
    most = ByteSize.parse(level.max_size) if level.max_size else MOST_ON_DISK if not level.url else 0
    wanted = 0
    shelf = _shelf(member)
    if isinstance(shelf, FolderShelf) and level.reserve:
        wanted = max(0, ByteSize.parse(level.reserve) - shelf.free())
    return doomed(held, time.time(), max_size=most, max_age=age(level.max_age) if level.max_age else 0.0, wanted=wanted)


def remove(member: Member, one: Held) -> bool:
    """Whether an entry is gone."""
    if not isinstance(member.level, ShelvedLevel):
        return False
    try:
        member.level.shelf.remove(one.name)
    except LevelError:
        return False
    return True


def trim(session: Session, member: Member, until: float) -> bool:
    """Keeps a level within its size and age; whether that came to its end before `until`, by the monotonic clock.

    Raises LevelError where the level fails.
    """
    shelf, held = _shelf(member), []
    for one in shelf.held() if isinstance(shelf, Listing) else ():
        if time.monotonic() > until:
            return False  # what is the longest unused is not known before all of it is
        held.append(one)
    for one in doomed_in(session, member, held):
        if time.monotonic() > until:
            return False
        remove(member, one)
    return True


def is_due(session: Session, member: Member) -> bool:
    """Whether nobody looked through a level for a while; from now on somebody did. Raises LevelError where it fails."""
    shelf, level = _shelf(member), session.config.cache.level(member.level.name)
    if member.near:
        return isinstance(shelf, FolderShelf) and _is_due_here(shelf.folder / _STAMP)
    if not isinstance(member.level, ShelvedLevel) or not isinstance(shelf, Listing) or not (level.max_size or level.max_age):
        return False
    # The level itself says when, for all machines that write to it.
    last = member.level.header(*_LOOKED)
    if last is not None and time.time() - last.created < GRACE:
        return False
    with session.folder("looked.") as folder:
        member.level.store(*_LOOKED, _empty(folder))
    return True


def _empty(folder: Path) -> Path:
    file = folder / "empty"
    file.touch()
    return file


def _is_due_here(stamp: Path) -> bool:
    """The same, of a folder that is this user's own."""
    try:
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _DAY:
            return False
        stamp.touch()
    except OSError:
        return False
    return True
