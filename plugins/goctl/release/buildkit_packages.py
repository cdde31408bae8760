"""Compiled packages that builders share with other machines, by way of the cache's levels.

A builder compiles in a GOCACHE of its own, which no server of this machine reaches: it may be anywhere. So what others have
compiled is laid into it by a build of its own before, and what is new there is fetched by another one afterwards, while
images are on their way to registries. The steps that compile do not depend on what was given: their caches hold.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from goctl.buildkit.bakefile import UNATTESTED
from goctl.buildkit.dockerfile_packages import LACKING, WANTED, asking_text, giving_text, taking_text
from goctl.buildkit.hcl import BakeFile, Value
from goctl.buildkit.run import Results
from goctl.buildkit.run_document import Files, Nowhere, Output
from goctl.errors import GoctlError, Interrupted
from goctl.events import Notice
from goctl.golang.elsewhere import kind_of, parts, programs_of
from goctl.plan.model import CompileStep
from goctl.release.session import Session
from goctl.values import Platform

if TYPE_CHECKING:
    from goctl.cacheprog.actions import CompileActions
    from goctl.cacheprog.carried import Carried

#: Builds the targets of a bake file: their outputs, and the platforms that something is run on.
Bake = Callable[[BakeFile, Mapping[str, Output], tuple[Platform, ...]], Results]

#: Of the bake file's targets that give packages and take them.
_NAME: Final = "goctl-packages"


class Compiled(NamedTuple):
    """What one target of a bake file compiles, in the Go image `image`, and where it is put."""

    image: str
    steps: Sequence[CompileStep]
    output: Files


class Packages:
    """What the builds of one engine share. `where` names the builder's GOCACHE."""

    def __init__(self, session: Session, bake: Bake, where: Callable[[], str]) -> None:
        self._session = session
        self._bake = bake
        self._where = where

    @property
    def are_shared(self) -> bool:
        return self._session.compile_cache is not None

    @contextlib.contextmanager
    def shared(self, targets: Sequence[Compiled]) -> Iterator[None]:
        """Around a bake of targets: what others compiled is there before, and what is new is taken when the run is known to
        be good."""
        actions = self._session.compile_cache
        if actions is None or not targets:
            yield
            return
        # Any of their images has what it takes to move files.
        image = targets[0].image
        carried = self._carried(actions, targets, image)
        try:
            self._give(carried, image)
            yield
        except BaseException:
            carried.end(well=False)
            raise
        carried.end(well=True, parts=self._parts(targets))

    def _carried(self, actions: CompileActions, targets: Sequence[Compiled], image: str) -> Carried:
        kinds: dict[str, dict[str, str]] = {}
        for own in targets:
            for kind, steps in self._kinds(own).items():
                kinds.setdefault(kind, {}).update(programs_of(steps))
        return actions.carry(
            self._session.folder("packages-"), self._where(), kinds, _Cache(self._session, self._run, image)
        )

    def _kinds(self, own: Compiled) -> dict[str, list[CompileStep]]:
        found: dict[str, list[CompileStep]] = {}
        for step in own.steps:
            found.setdefault(kind_of(self._toolchain(own.image), step), []).append(step)
        return found

    def _toolchain(self, image: str) -> str:
        """What stands for an image's toolchain: the version that is used here, where its tag tells of no other, for then
        both share what they compile."""
        own = self._session.toolchain().version
        tag = re.search(r":(\d+\.\d+(?:\.\d+)?)(?:-[\w.-]+)?$", image)
        return own if tag is not None and f"{own}.".startswith(f"go{tag[1]}.") else image

    def _give(self, carried: Carried, image: str) -> None:
        """Lays what others compiled into the builder's GOCACHE."""
        if carried.ready():
            self._run(carried.folder.path, giving_text(image, _once()), Nowhere())

    def _run(self, context: Path, dockerfile: str, output: Output) -> None:
        """A build of its own. One that fails is no reason for a release to fail."""
        table: dict[str, Value] = {
            "context": context.relative_to(self._session.root).as_posix(),
            "dockerfile-inline": dockerfile,
            "attest": UNATTESTED,
        }
        try:
            self._bake({"target": {_NAME: table}}, {_NAME: output}, ())
        except Interrupted:
            raise
        except GoctlError as error:
            words = str(error).splitlines()[0]
            self._session.emit(Notice(f"compiled packages are not shared with the builder in this run: {words}"))

    def _parts(self, targets: Sequence[Compiled]) -> dict[str, dict[str, frozenset[bytes]]]:
        """What go told of the programs of each kind."""
        found: dict[str, dict[str, frozenset[bytes]]] = {}
        for own in targets:
            for kind, steps in self._kinds(own).items():
                told = parts(own.output.folder / f"{steps[0].platform.slug}.json")
                found.setdefault(kind, {}).update(told or {})
        return found


class _Cache:
    """A builder's GOCACHE. Implements cacheprog.carried.Elsewhere."""

    def __init__(self, session: Session, run: Callable[[Path, str, Output], None], image: str) -> None:
        self._session = session
        self._run = run
        self._image = image

    def lacking(self, heads: Collection[bytes]) -> Collection[bytes]:
        with self._wanted(heads) as context, self._session.folder("lacking-") as found:
            self._run(context, asking_text(self._image, _once()), Files(found))
            file = found / LACKING
            return [bytes.fromhex(line) for line in file.read_text("ascii").split()] if file.is_file() else []

    def take(self, folder: Path, heads: Collection[bytes]) -> None:
        with self._wanted(heads) as context:
            self._run(context, taking_text(self._image, _once()), Files(folder))

    @contextlib.contextmanager
    def _wanted(self, heads: Collection[bytes]) -> Iterator[Path]:
        with self._session.folder("wanted-") as folder:
            (folder / WANTED).write_text("".join(f"{head.hex()}\n" for head in sorted(heads)), "ascii", newline="\n")
            yield folder


def _once() -> str:
    return secrets.token_hex(8)
