"""What a run is made of: the configuration, the folders, the stores, the toolchain. The one place where rooms meet.

A Session is the Host that engines and destinations are handed. Everything in it is made when it is first asked for, so
that `config` starts no process and a release with nothing to do opens no connection but those it needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from goctl.config.loader import Loaded
from goctl.config.model import Config
from goctl.contracts import Bases, BlobStore, Destination, Engine, Memo
from goctl.errors import Interrupted
from goctl.events import Emit
from goctl.plan.facts import Toolchain
from goctl.system.files import Lock, inside, storage_errors, write_atomic
from goctl.system.process import children
from goctl.values import to_json

if TYPE_CHECKING:
    from goctl.cache.chain import Chain
    from goctl.cache.shared import SharedRecords
    from goctl.cache.store import Records
    from goctl.cacheprog.actions import CompileActions
    from goctl.release.lock import Locked

STATE = ".goctl"


class Stores:
    """What the sessions of one command line share."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = session.state
        self._look_only = session.look_only
        self.once = threading.RLock()
        self.destinations: dict[tuple[str, bytes], Destination] = {}
        self.go_actions: CompileActions | None = None
        self._locked: dict[Path, Locked] = {}

    @cached_property
    def blobs(self) -> BlobStore:
        from goctl.cache.store import Blobs

        if self.levels is None:
            return Blobs(self._state / "blobs")
        from goctl.cache.shared import SharedBlobs

        return SharedBlobs(self._state / "blobs", self.levels)

    @cached_property
    def memo(self) -> Memo:
        from goctl.cache.store import Unwritten

        if self._look_only:
            return Unwritten(self.records)
        return self.shared or self.records

    @cached_property
    def records(self) -> Records:
        """The project's own, no level behind them."""
        from goctl.cache.store import Records

        return Records(self._state / "records")

    @cached_property
    def shared(self) -> SharedRecords | None:
        """The records of the levels; None without `[cache]`."""
        if self.levels is None:
            return None
        from goctl.cache.shared import SharedRecords

        return SharedRecords(self.records, self.levels)

    @cached_property
    def levels(self) -> Chain | None:
        """The levels of the cache; None without `[cache]`, and for questions, which ask nobody."""
        if self._look_only:
            return None
        if not self._session.config.cache.used and not (self._state / "imported").is_dir():
            return None
        with self.once:
            from goctl.release.levels import chain

            made = chain(self._session)
            return made if made.members else None

    def close(self, *, abandon: bool = False) -> None:
        """Sees what is on its way to levels to its end, or gives it up, and notes what they cost and saved."""
        # Once: whatever comes after it is not counted again.
        levels = self.__dict__.pop("levels", None)
        if levels is not None:
            from goctl.release.accounts import settle

            settle(self._session, levels, abandon=abandon)

    def locked(self, root: Path) -> Locked:
        """The content of a folder's goctl.lock, read once."""
        from goctl.release.lock import Locked

        with self.once:
            if root not in self._locked:
                self._locked[root] = Locked(root)
            return self._locked[root]


#: What the blob store may hold, in bytes. Enough for many versions of a large program's layers.
MOST_BLOBS = 10 * 2**30


class Session:
    """One project, for the length of one command line. With `look_only` nothing below the project is written, with `offline`
    nothing is asked of any network.

    Sessions of one workspace share what is kept, and who can be pushed to: each but the first is made `beside` another.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        emit: Emit,
        jobs: int = 0,
        look_only: bool = False,
        offline: bool = False,
        beside: Session | None = None,
    ) -> None:
        self.loaded = loaded
        self.config: Config = loaded.config
        self.root: Path = loaded.root
        self.module: Path = inside(self.root, self.config.go.directory, what="go.directory")
        self.dist: Path = inside(self.root, self.config.release.dist, what="release.dist")
        self.output: Path = inside(self.root, loaded.output, what="release.dist")
        self.state: Path = self.root / STATE
        self.scratch: Path = self.state / "scratch"
        self.emit = emit
        self.look_only = look_only
        self.offline: bool = offline or (beside is not None and beside.offline)
        self.jobs = jobs or os.cpu_count() or 2
        self.stores: Stores = beside.stores if beside is not None else Stores(self)
        self._once = threading.RLock()
        self._engines: dict[str, Engine] = {}

    @property
    def blobs(self) -> BlobStore:
        return self.stores.blobs

    @property
    def memo(self) -> Memo:
        return self.stores.memo

    @property
    def compile_cache(self) -> CompileActions | None:
        """What go builds ask for what others compiled: one for all sessions of a command line."""
        with self.stores.once:
            if self.stores.go_actions is None and self.stores.levels is not None:
                from goctl.release.compiled import compile_actions

                self.stores.go_actions = compile_actions(self)
            return self.stores.go_actions

    @cached_property
    def bases(self) -> Bases:
        from goctl.release.bases import PinnedBases

        return PinnedBases(self, self.stores.locked(self.root))

    @cached_property
    def _toolchain(self) -> Toolchain:
        from goctl.golang.toolchain import toolchain

        return toolchain(self)

    def toolchain(self) -> Toolchain:
        """The Go toolchain of this project, found once. Raises ToolchainError."""
        with self._once:
            return self._toolchain

    def engine(self, name: str) -> Engine:
        """The engine of that name, loaded once."""
        with self._once:
            if name not in self._engines:
                from goctl.release.extensions import engine

                self._engines[name] = engine(name, self.config.engines.get(name, {}), self)
            return self._engines[name]

    def destination(self, name: str) -> Destination:
        """The destination of the `[registries]` table of that name, loaded once."""
        settings = self.config.registries[name]
        # One for all projects that mean the same: it keeps connections, logins and what is known of the registry.
        slot = (name, to_json(settings))
        with self.stores.once:
            if slot not in self.stores.destinations:
                from goctl.release.extensions import destination

                self.stores.destinations[slot] = destination(name, settings, self)
            return self.stores.destinations[slot]

    def check(self) -> None:
        """Raises Interrupted once the run is being ended."""
        if children.ended.is_set():
            raise Interrupted

    def lock(self) -> Lock:
        """The lock that two runs in one project take turns by."""
        self._prepare_state()
        return Lock(self.state / "lock", waiting=self._waiter())

    @contextlib.contextmanager
    def folder(self, prefix: str) -> Iterator[Path]:
        """A folder for the length of a `with`, on the disk of what its files will become. Raises StorageError."""
        with storage_errors(str(self.scratch)):
            self.scratch.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=prefix, dir=self.scratch, ignore_cleanup_errors=True)
        with made as folder:
            yield Path(folder)

    def tidy(self) -> None:
        """Removes what killed runs left behind. To be called with the lock: nothing in scratch is anybody's then."""
        if self.scratch.is_dir():
            for left in self.scratch.iterdir():
                shutil.rmtree(left, ignore_errors=True)

    def prune(self) -> None:
        """Keeps the store within its size, the longest unused first."""
        from goctl.cache.store import prune

        prune(self.state / "blobs", MOST_BLOBS)

    def _prepare_state(self) -> None:
        ignore = self.state / ".gitignore"
        if not ignore.exists():
            write_atomic(ignore, b"# goctl's own files: nothing to commit.\n*\n", durable=False)

    def _waiter(self) -> Callable[[], None]:
        told = False

        def waiting() -> None:
            nonlocal told
            self.check()
            if not told:
                from goctl.events import Notice

                told = True
                self.emit(Notice("another run is at work in this project; waiting for it to end", level="info"))

        return waiting
