"""Engines and destinations, and the host that is handed to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from goctl.config.model import Config
from goctl.contracts.artifacts import Artifact, Image, Index, Outcome
from goctl.contracts.storage import BlobStore, Memo
from goctl.events import Emit
from goctl.plan.facts import Base, Toolchain
from goctl.plan.model import Step
from goctl.values import Descriptor, Digest


@runtime_checkable
class Bases(Protocol):
    """Base images: looked up, pinned, and their content fetched."""

    def fetch(self, base: Base) -> None:
        """Brings every layer and the config into the blob store."""
        ...


class Host(Protocol):
    """What goctl hands to an engine or a destination."""

    @property
    def root(self) -> Path:
        """The folder of goctl.toml, in a workspace that of the workspace's; every relative path counts from it."""
        ...

    @property
    def module(self) -> Path:
        """The folder of go.mod (`go.directory`)."""
        ...

    @property
    def dist(self) -> Path:
        """Where the project's programs are left: `dist/TARGET/PLATFORM/NAME`."""
        ...

    @property
    def output(self) -> Path:
        """The folder that holds nothing but what was made: `dist`, or in a workspace what all projects have theirs in."""
        ...

    @property
    def scratch(self) -> Path:
        """A folder for unfinished work, on the same disk as `dist`."""
        ...

    @property
    def config(self) -> Config: ...

    @property
    def blobs(self) -> BlobStore: ...

    @property
    def memo(self) -> Memo: ...

    @property
    def bases(self) -> Bases: ...

    @property
    def emit(self) -> Emit: ...

    @property
    def jobs(self) -> int:
        """How many things to do at once."""
        ...

    @property
    def offline(self) -> bool:
        """Whether nothing may be asked of any network."""
        ...

    def toolchain(self) -> Toolchain:
        """The Go toolchain of this project, found when first asked for."""
        ...

    def check(self) -> None:
        """Raises Interrupted once the run is being ended; long loops call it."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Carries out steps of the kinds it names (`compile`, `image`, `index`, `archive`).

    `run` is handed a batch and yields an Outcome for each step, as they end and in any order; `inputs` holds the artifacts
    of the steps that the batch needs, by id. Failures of a step are Outcomes; an exception ends the run. One that says
    `takes_all = True` gets all image steps of a project in one batch, and sees to their bases itself.
    """

    kinds: ClassVar[frozenset[str]]

    def run(self, steps: Sequence[Step], inputs: Mapping[str, Artifact]) -> Iterator[Outcome]: ...


Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@runtime_checkable
class Destination(Protocol):
    """A place that keeps images by digest and gives them names.

    The run calls, per target: `missing`, and where that is not empty, `upload` of each image, then of the index, and last,
    when every destination of the run has everything, `tag`. All of them may be called from several threads.

    A class that never asks a network says so with `works_offline = True`; `--offline` refuses all others.
    """

    def reference(self, repository: str, tag: str = "", digest: Digest | None = None) -> str:
        """The name a person would use to pull it."""
        ...

    def missing(self, repository: str, index: Index, tags: Iterable[str]) -> tuple[str, ...]:
        """Those tags that do not name this index, or name it although some of its content is gone. One request a tag."""
        ...

    def upload(self, repository: str, content: Image | Index, progress: Progress) -> int:
        """Makes sure the content is held, children first, under no name but its digest; the bytes that were sent."""
        ...

    def tag(self, repository: str, index: Index, tags: Iterable[str]) -> None:
        """Makes the tags name the index."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A destination that has something to look up before it can tell what lacks (optional)."""

    def prepare(self) -> None:
        """Called once as a run begins that publishes to it, while images are still made. What it raises is not told: the
        destination will find it again when it is asked for something."""
        ...


@runtime_checkable
class Mounting(Protocol):
    """A destination that can take content over from another repository of its own (optional)."""

    def held_elsewhere(self, reference: str, blobs: Iterable[Descriptor]) -> None:
        """Tells that the repository of an image's reference holds these blobs. May be told of any registry."""
        ...
