"""Modules as they arrive: how many of those that go.mod asks for are in the cache by now.

`go mod download` says nothing until it is done (cmd/go/internal/modfetch), so the cache itself is watched: a module that is
there has a `.ziphash` (go.dev/ref/mod#module-cache).
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from goctl.contracts import Host
from goctl.events import Output, StepProgress
from goctl.golang.installed import module_cache
from goctl.golang.modfiles import requirements

#: Seconds between two looks.
_PAUSE = 0.25


class Arrived:
    """Modules that came since this was made. `count` is how many, `total` how many were missing."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._missing = {name: file for name, file in files.items() if not os.path.exists(file)}
        self.total = len(self._missing)

    @property
    def count(self) -> int:
        return self.total - len(self._missing)

    def look(self) -> list[str]:
        """Those that came since the last look."""
        came = [name for name, file in self._missing.items() if os.path.exists(file)]
        for name in came:
            del self._missing[name]
        return came


@contextlib.contextmanager
def arriving(host: Host, step: str, folders: Sequence[Path], environment: Mapping[str, str]) -> Iterator[Arrived]:
    """Emits each module of these go.mod as it arrives, while the body runs."""
    arrived = Arrived(hashes(folders, module_cache(environment)))
    ended = threading.Event()

    def tell() -> None:
        for name in arrived.look():
            host.emit(StepProgress(step, arrived.count, arrived.total, unit="modules"))
            host.emit(Output("go", f"downloaded {name}"))

    def watch() -> None:
        while not ended.wait(_PAUSE):
            tell()

    thread = threading.Thread(target=watch, name="modules-arriving", daemon=True)
    if arrived.total:
        host.emit(StepProgress(step, 0, arrived.total, unit="modules"))
        thread.start()
    try:
        yield arrived
    finally:
        ended.set()
        if arrived.total:
            thread.join()
            tell()


def hashes(folders: Sequence[Path], cache: str) -> dict[str, str]:
    """`path version` of each module, and the file that says that it is in the cache."""
    wanted = {pair for folder in folders for pair in requirements(str(folder / "go.mod")).items()}
    return {f"{path} {version}": _ziphash(cache, path, version) for path, version in sorted(wanted)} if cache else {}


def _ziphash(cache: str, path: str, version: str) -> str:
    return os.path.join(cache, "cache", "download", *escaped(path).split("/"), "@v", escaped(version) + ".ziphash")


def escaped(text: str) -> str:
    """Upper case as `!` and lower case, for disks that do not tell them apart (golang.org/x/mod/module, EscapePath)."""
    return re.sub(r"[A-Z]", lambda match: "!" + match[0].lower(), text)
