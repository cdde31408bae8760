"""The end of a run for the levels of the cache: what is on its way is seen to its end, and the accounts are written."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from goctl.cache import tally
from goctl.errors import Interrupted, LevelError, StorageError
from goctl.events import Notice
from goctl.release import identity, keeping
from goctl.values import Duration

if TYPE_CHECKING:
    from goctl.cache.chain import Chain, Member
    from goctl.release.session import Session

#: Seconds that the end of a run spends on bringing levels within their size.
TRIMMING: Final = 10.0


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
    if not abandon:
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
    """Keeps levels that were written within their size and age, side by side, and for no longer than TRIMMING."""
    until = time.monotonic() + TRIMMING
    done: set[str] = set()

    def one(member: Member) -> None:
        with contextlib.suppress(LevelError, OSError):  # a level that fails is nobody's task at the end of a run
            if not keeping.is_due(session, member) or keeping.trim(session, member, until):
                done.add(member.level.name)
            return
        done.add(member.level.name)

    written = [member for member in levels.members if member.writes and member.tally.stored]
    threads = [threading.Thread(target=one, args=(member,), daemon=True) for member in written]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    for name in (member.level.name for member in written if member.level.name not in done):
        session.emit(
            Notice(
                f"the cache level {name} holds more than can be looked through in {TRIMMING:.0f} s",
                hint="`invoke cache.prune` takes the time that it needs to bring it within its size",
                level="info",
            )
        )
