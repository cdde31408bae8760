"""The end of a run for the levels of the cache: what is on its way is seen to its end, and the accounts are written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from goctl.cache import tally
from goctl.errors import Interrupted, LevelError, StorageError
from goctl.events import Notice
from goctl.release import identity, keeping
from goctl.values import Duration

if TYPE_CHECKING:
    from goctl.cache.chain import Chain
    from goctl.release.session import Session


@contextlib.contextmanager
def settling(session: Session) -> Iterator[None]:
    """Ends a run's part with the levels, whichever way the run ends. Who interrupts it does not wait for them."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        session.stores.close(abandon=True)
        raise
    finally:
        session.stores.close()


def settle(session: Session, levels: Chain, *, abandon: bool) -> None:
    """Waits for what is being written, or gives it up. Says which level costs more than it saves."""
    if levels.writes and not abandon and any(member.tally.stored for member in levels.members):
        identity.publish(session)
    if not levels.close(abandon=abandon) and not abandon:
        session.emit(
            Notice("what was still on its way to the cache is given up", hint="`invoke cache.warm` sends it", level="info")
        )
    made = levels.tallies()
    if not made:
        return
    _trim(session, levels)
    for one in made.values():
        one.runs = 1
    try:
        known = tally.learn(session.state, made)
    except StorageError:
        return  # no account is worth a run
    for name in made:
        account = known[name]
        if account.is_loss and account.runs % tally.FEWEST_RUNS == 0 and not session.config.cache.level(name).adaptive:
            session.emit(
                Notice(
                    f"the cache level {name} cost {Duration(account.cost)} in {account.runs} runs and saved "
                    f"{Duration(account.saved)}",
                    hint=f"take it out, or set adaptive = true in [cache.{name}]: then nothing more is written to it",
                    level="info",
                )
            )


def _trim(session: Session, levels: Chain) -> None:
    """Keeps a user's own folder within its size, once a day at most: it is nobody else's affair."""
    for member in levels.members:
        if member.near and member.writes and member.tally.stored and keeping.is_due(member):
            with contextlib.suppress(LevelError):
                for one in keeping.doomed_in(session, member, keeping.held_by(member)):
                    keeping.remove(member, one)
