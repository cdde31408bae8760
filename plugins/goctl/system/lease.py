"""Leases on a folder: those who use what is in it hold one, and who removes from it waits until it is alone.

A lease is a locked file, so that it ends with its holder, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from goctl.errors import StorageError
from goctl.system.files import Lock

_FOLDER: Final = "goctl-leases"
_TURN: Final = "turn"


@contextlib.contextmanager
def lease(folder: Path | None) -> Iterator[None]:
    """Uses what is in a folder. Where nothing can be written, nothing can be removed either: no lease is needed there."""
    with contextlib.ExitStack() as held:
        if folder is not None:
            with contextlib.suppress(StorageError), Lock(folder / _FOLDER / _TURN):
                path = folder / _FOLDER / f"{os.getpid()}-{secrets.token_hex(4)}"
                held.enter_context(Lock(path))
                held.callback(_forget, path)
        yield


def _forget(path: Path) -> None:
    # Windows removes nothing that is open: whoever comes next does.
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody uses what is in a folder. Nobody begins to in here, either."""
    with Lock(folder / _FOLDER / _TURN):
        yield not any(_is_held(path) for path in (folder / _FOLDER).iterdir() if path.name != _TURN)


def _is_held(path: Path) -> bool:
    try:
        with Lock(path, waiting=_raise):
            _forget(path)
    except BlockingIOError:
        return True
    return False


def _raise() -> None:
    raise BlockingIOError
