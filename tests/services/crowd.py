"""Many processes that want one thing at the same time: `python -m tests.services.crowd KIND WHERE FOLDER COUNT [killed]`.

The thing is an entry of a level. Who finds that it has to make it says so by a letter in FOLDER/made, takes half a second,
and stores it. With `killed` the first of them is killed when it has said so.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from goctl.cache.folder import FolderShelf
from goctl.cache.lease import FolderLeases, ShelfLeases, Waited
from goctl.cache.shelved import ShelvedLevel

KEY = "ab" * 32
#: Seconds after which others may take over from who was killed.
LENGTH = 5.0


def leases(kind: str, where: str) -> tuple[ShelvedLevel, FolderLeases | ShelfLeases]:
    """A level, and the leases that it gives."""
    shelf: Any
    if kind in ("disk", "shared"):
        shelf = FolderShelf(Path(where), shared=kind == "shared")
    elif kind == "redis":
        from goctl.cache.redis import RedisShelf

        shelf = RedisShelf(where)
    else:
        from goctl.cache.objects import ObjectShelf

        shelf = ObjectShelf("s3://builds/shop", options=json.loads(where))
    level = ShelvedLevel("team", shelf)
    if kind == "disk":
        return level, FolderLeases(shelf.folder, lambda: None)
    return level, ShelfLeases(shelf, lambda: None, length=LENGTH)


def want(kind: str, where: str, folder: Path, killed: bool, start: Barrier) -> None:
    """One of them."""
    level, turns = leases(kind, where)
    own = folder / str(os.getpid())

    def done() -> bool:
        return level.fetch("result", KEY, own)

    start.wait()
    try:
        if not done():
            with turns.turn(KEY, done):
                make(level, folder, killed)
    except Waited:
        pass
    if not done() or own.read_bytes() != b"content":
        sys.exit(1)


def make(level: ShelvedLevel, folder: Path, killed: bool) -> None:
    """Makes the thing, and says that it did."""
    with open(folder / "made", "ab", buffering=0) as file:
        file.write(b"x")
        is_first = file.tell() == 1
    if killed and is_first:
        # No other signal lets nobody clear away.
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(0.5)
    source = folder / f"source.{os.getpid()}"
    source.write_bytes(b"content")
    level.store("result", KEY, source)


def main(kind: str, where: str, folder: str, count: str, killed: str = "") -> int:
    """How many of them did not get the thing, but for the one that was killed."""
    # Forked, they are all there within a second, and their imports are done.
    context: Any = multiprocessing.get_context("fork" if sys.platform != "win32" else "spawn")
    start = context.Barrier(int(count))
    arguments = (kind, where, Path(folder), bool(killed), start)
    crowd = [context.Process(target=want, args=arguments) for _ in range(int(count))]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return sum(one.exitcode != 0 for one in crowd) - bool(killed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
