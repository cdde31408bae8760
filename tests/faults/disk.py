"""A disk that loses its power: what was written and not waited for may be there, be gone, or be torn."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from goctl.cache import folder as folders


class PowerLoss(BaseException):
    """The moment at which it happens."""


class Disk:
    """What a disk would still hold of a folder: content and names that somebody waited for; of the rest what chance leaves.

    `left` is the number of calls until the power is lost; 0 is never.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.left = 0
        self._chance = chance
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, int] = {}

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes note of what a FolderShelf waits for. The real disk is not waited for: that takes most of the time."""

        def synced(handle: int) -> None:
            self._contents[os.fstat(handle).st_ino] = Path(f"/proc/self/fd/{handle}").read_bytes()

        def named(folder: Path) -> None:
            self._names |= {path: path.stat().st_ino for path in folder.iterdir()}

        for place, name, call in (
            (folders.os, "fsync", synced),
            (folders.os, "chmod", os.chmod),
            (folders, "replace", folders.replace),
            (folders, "sync_folder", named),
            (folders.shutil, "copyfileobj", shutil.copyfileobj),
        ):
            monkeypatch.setattr(place, name, self._ending(call))

    def _ending(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **named: object) -> object:
            done = call(*args, **named)
            self.left -= 1
            if self.left == 0:
                raise PowerLoss
            return done

        return wrapped

    def lose(self, rest: Path) -> None:
        """Leaves in another folder what is there after the power came back."""
        for path in (path for path in self.folder.rglob("*") if path.is_file()):
            inode, content = path.stat().st_ino, path.read_bytes()
            if self._names.get(path) != inode and self._chance.random() < 0.5:
                if path not in self._names:
                    continue
                inode = self._names[path]
                content = self._contents.get(inode, b"")
            elif self._contents.get(inode) != content:
                end = self._chance.randrange(len(content) + 1)
                content = content[:end] + bytes(self._chance.choice((0, len(content) - end)))
            target = rest / path.relative_to(self.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
