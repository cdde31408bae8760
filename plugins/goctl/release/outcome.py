"""What came of the push stage: a row for each registry, and whether that is a success."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from goctl.errors import joined
from goctl.events import Notice, Table
from goctl.values import ByteSize, Duration

if TYPE_CHECKING:
    from goctl.errors import GoctlError
    from goctl.release.publish import Push
    from goctl.release.session import Session

COLUMNS = ("registry", "images", "sent", "time", "result")


def tell(session: Session, pushes: Sequence[Push]) -> None:
    """A table of the registries, where there are several and something was done; and what is wrong with which."""
    registries = _by_registry(pushes)
    if len(registries) < 2 or not any(push.missing or push.error for push in pushes):
        return
    session.emit(Table("registries", COLUMNS, tuple(_row(name, each) for name, each in registries.items())))
    if any(push.policy == "any" for push in pushes):
        failed = {name: error for name, each in registries.items() if (error := _error(each)) is not None}
        for name, error in failed.items() if len(failed) < len(registries) else ():
            session.emit(Notice(f"{name} has not got everything: {error}", error.hint))


def judge(pushes: Sequence[Push]) -> None:
    """Raises the errors of the registries when every one of them had one."""
    registries = _by_registry(pushes)
    errors = [error for each in registries.values() if (error := _error(each)) is not None]
    if errors and len(errors) == len(registries):
        raise errors[0] if len(errors) == 1 else joined(errors)


def _by_registry(pushes: Sequence[Push]) -> dict[str, list[Push]]:
    found: dict[str, list[Push]] = {}
    for push in pushes:
        found.setdefault(push.step.registry, []).append(push)
    return found


def _error(pushes: Sequence[Push]) -> GoctlError | None:
    return next((push.error for push in pushes if push.error is not None), None)


def _row(name: str, pushes: Sequence[Push]) -> tuple[str, ...]:
    named = sum(push.named for push in pushes)
    if _error(pushes) is not None:
        result = "failed"
    elif all(push.named for push in pushes):
        result = "released" if any(push.missing for push in pushes) else "known"
    else:
        result = "complete, not named" if all(push.held for push in pushes) else "not complete"
    sent = ByteSize(sum(push.sent for push in pushes))
    return name, f"{named}/{len(pushes)}", str(sent), str(Duration(max(push.seconds for push in pushes))), result
