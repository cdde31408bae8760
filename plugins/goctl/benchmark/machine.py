"""A machine in a state: folders of its own for all that a release finds or leaves, made ready before each round.

MACHINE/tasks.py  checkout/  modules/ (GOMODCACHE)  compiled/ (GOCACHE)  registry/  level/ (of the cache)
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from goctl.benchmark import program as programs
from goctl.benchmark.measure import command, release
from goctl.benchmark.program import Images, Program
from goctl.benchmark.states import State
from goctl.config.layers import FIXED
from goctl.config.loader import load
from goctl.config.members import top_file
from goctl.measures import Phase, Sample
from goctl.system.files import storage_errors, write_atomic
from goctl.testing import Registry
from goctl.testing.holdings import Holdings

#: Variables that would make another release of it, and those by which settings of goctl and invoke come.
_UNSET = ("GOBIN", "GOOS", "GOARCH", "GOCACHEPROG", "PYTHONDONTWRITEBYTECODE")
_SETTINGS = ("INVOKE_", *(f"GOCTL_{section.upper()}_" for section in (*FIXED, "platforms", "cache")))
_TASKS = 'from goctl import namespace\n\nns = namespace("checkout/{file}")\n'
#: The fixed piece of work of the control: computing, compressing, writing to disk. About a third of a second.
_CONTROL = """
import hashlib, os, sys, zlib
block = bytes(range(256)) * 16384
for _ in range(12):
    hashlib.sha256(block).digest()
text = b"".join(b"%d," % (number * number) for number in range(300000))
for _ in range(2):
    zlib.compress(text, 6)
with open(sys.argv[1], "wb") as file:
    file.write(block)
    file.flush()
    os.fsync(file.fileno())
os.unlink(sys.argv[1])
"""


class Machine:
    """One state's machine. `registry` listens on a loopback port as long as the context lasts."""

    def __init__(
        self, folder: Path, state: State, program: Program, registry: Registry, select: Sequence[str], images: Images = ""
    ) -> None:
        self.folder = folder
        self.state = state
        self.program = program
        self.registry = registry
        self.checkout = folder / "checkout"
        self.modules = folder / "modules"
        self.compiled = folder / "compiled"
        #: Where others than goctl leave what they make, and their caches.
        self.outputs = folder / "outputs"
        self.select = tuple(select)
        # Builders are shared and never emptied: no machine, of this night or another, may make what one has made before.
        self._mark = secrets.token_hex(4)
        level = folder / "level" if "level" in state.kept else None
        file = programs.copy(program, self.checkout, f"{registry.address}/{state.name}", level, images)
        write_atomic(folder / "tasks.py", _TASKS.format(file=program.file).encode())
        loaded = load(file, environment={})
        self.config = loaded.config
        self.root = loaded.root
        #: What goctl leaves in the project: records and blobs, programs and archives.
        state_folder = (top_file(file) or file).parent / ".goctl"
        self._left = (state_folder, loaded.root / loaded.output, self.outputs)

    @property
    def env(self) -> dict[str, str]:
        """The caller's environment, with caches of this machine's own and without settings of goctl's."""
        kept = {name: value for name, value in os.environ.items() if name not in _UNSET and not name.startswith(_SETTINGS)}
        return {**kept, "GOMODCACHE": str(self.modules), "GOCACHE": str(self.compiled)}

    def prepare(self, number: int) -> None:
        """Empties what the state does not keep, and makes the state's change, another one for each number."""
        kept = self.state.kept
        for part, folders in (("modules", (self.modules,)), ("compiled", (self.compiled,)), ("project", self._left)):
            if part not in kept:
                for folder in folders:
                    remove(folder)
        if "registry" not in kept:
            remove(self.folder / "registry")
            self.registry.holdings = Holdings(self.folder / "registry")
        if self.state.change == "edit":
            programs.edit(self.program, self.checkout, f"{self._mark}-{number}")
        elif self.state.change == "gomod":
            programs.touch_module(self.program, self.checkout, f"{self._mark}-{number}")

    def release(self) -> Sample:
        """Releases once, and adds to the phases what was downloaded and what was pushed."""
        self.registry.forget_requests()
        there = self._downloaded()
        made = release(self.folder, self.env, self.select)
        moved = {
            "modules": self._downloaded() - there,
            "push": sum(request.received for request in self.registry.requests),
        }
        phases = dict(made.phases)
        for phase, size in moved.items():
            if size:
                phases[phase] = msgspec.structs.replace(phases.get(phase, Phase()), moved=size)
        return msgspec.structs.replace(made, phases=phases)

    def _downloaded(self) -> int:
        """Bytes of the modules that were downloaded so far, packed as they came."""
        return sum(path.stat().st_size for path in (self.modules / "cache" / "download").rglob("*.zip"))


@contextlib.contextmanager
def machine(
    folder: Path, state: State, program: Program, select: Sequence[str] = (), images: Images = ""
) -> Iterator[Machine]:
    """A machine that has nothing yet, in an empty folder."""
    folder.mkdir(parents=True)
    with Registry(folder=folder / "registry") as registry:
        yield Machine(folder, state, program, registry, select, images)


def furnish(to: Machine, seed: Machine, first: Callable[[], object]) -> None:
    """Gives a machine what its state keeps: caches as the seed's, and a first release where one has to be made.

    Beside a level of the cache the first release finds no caches, so that it sends there all that it makes.
    """
    alone = "level" not in to.state.kept
    with storage_errors(str(to.folder)):
        for part, source, target in (("modules", seed.modules, to.modules), ("compiled", seed.compiled, to.compiled)):
            if alone and (part in to.state.kept or to.state.is_warm) and source.exists():
                shutil.copytree(source, target, symlinks=True)
    if to.state.is_warm:
        first()


def control(folder: Path, env: Mapping[str, str]) -> Sample:
    """The fixed piece of work, by a Python that loads nothing of goctl."""
    return command([sys.executable, "-I", "-S", "-c", _CONTROL, str(folder / "control")], folder, env)


def remove(folder: Path) -> None:
    """Removes a folder, also one of modules, which Go keeps from being written to."""
    if not folder.exists():
        return
    for inner, _, names in os.walk(folder):
        os.chmod(inner, stat.S_IRWXU)
        if os.name == "nt":
            for name in names:
                os.chmod(os.path.join(inner, name), stat.S_IRWXU)
    with storage_errors(str(folder)):
        shutil.rmtree(folder)
