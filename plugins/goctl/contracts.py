"""What an extension implements, and what it is handed.

Engines and destinations come in through the entry-point groups `goctl.engines` and `goctl.destinations`; goctl's own
register in the same way. The value of an entry point is a class:

    class MyEngine:                                 # [project.entry-points."goctl.engines"]  mine = "my_package:MyEngine"
        Options = MyOptions                         # a frozen msgspec.Struct, validated like goctl's own tables
        kinds = frozenset({"compile"})
        def __init__(self, options: MyOptions, host: Host) -> None: ...
        def run(self, steps, inputs): ...

Only those that a goctl.toml names are loaded, and each is checked against its Protocol before it is used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol, Self, runtime_checkable

import msgspec

from goctl.config.model import Config
from goctl.errors import GoctlError
from goctl.events import Emit
from goctl.plan.facts import Base, Toolchain
from goctl.plan.model import Step
from goctl.values import Descriptor, Digest, Platform

ENGINES = "goctl.engines"
DESTINATIONS = "goctl.destinations"


class Binary(msgspec.Struct, frozen=True, tag="binary", rename="kebab"):
    """A program. `path` is the file's, relative to `Host.root`, with forward slashes."""

    path: str
    digest: Digest
    size: int


class Image(msgspec.Struct, frozen=True, tag="image", rename="kebab"):
    """A single-platform image whose content is in the blob store. `diff_ids` are the uncompressed layers' digests."""

    platform: Platform
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> Digest:
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Bytes stored: layers, config and manifest."""
        return self.manifest.size + self.config.size + sum(layer.size for layer in self.layers)


class Index(msgspec.Struct, frozen=True, tag="index", rename="kebab"):
    """An image index in the blob store, over images of several platforms."""

    descriptor: Descriptor
    images: tuple[Image, ...]

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def size(self) -> int:
        blobs = {d.digest: d.size for image in self.images for d in (image.manifest, image.config, *image.layers)}
        return self.descriptor.size + sum(blobs.values())


class Archive(msgspec.Struct, frozen=True, tag="archive", rename="kebab"):
    """A file for people below dist/: an archive, or the checksums of all. `path` is as a Binary has it."""

    path: str
    digest: Digest
    size: int

    @classmethod
    def of(cls, root: Path, path: Path, content: bytes) -> Self:
        """A file of the project at `root`, with the content that it has."""
        return cls(path.relative_to(root).as_posix(), Digest.of(content), len(content))


Artifact = Binary | Image | Index | Archive


class Outcome(msgspec.Struct, frozen=True):
    """How a step ended: with an artifact or an error, never both. `seconds` is the step's own time."""

    step: str
    artifact: Artifact | None = None
    error: GoctlError | None = None
    seconds: float = 0.0


@runtime_checkable
class BlobWriter(Protocol):
    """A blob in the making: `write` bytes, then `commit`. Left without a commit, it never existed."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Verify, make durable and visible; the digest and the size in bytes."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@runtime_checkable
class BlobStore(Protocol):
    """Content by digest, on this machine."""

    def has(self, digest: Digest, size: int) -> bool:
        """Whether the whole content is there (its size is compared, its digest was when it came in)."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """The content; raises StorageError where it is not there."""
        ...

    def read(self, digest: Digest) -> bytes:
        """A small content, its digest verified."""
        ...

    def add(self, content: bytes) -> Digest: ...

    def writer(self) -> BlobWriter: ...


@runtime_checkable
class Memo(Protocol):
    """What is known about keys: small values by key, kept between runs. A damaged entry is a miss."""

    def get(self, kind: str, key: str) -> bytes | None: ...

    def put(self, kind: str, key: str, value: bytes) -> None: ...


@runtime_checkable
class Sharing(Protocol):
    """A memo whose records reach other checkouts and machines (optional): then it is worth while to write down for them
    what this one knows by other means."""

    def get_many(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Looks for many records at once, by kind and key, so that get() need not wait for each."""
        ...


class CacheLevel(Protocol):
    """One place that keeps entries, named by space and key, for other checkouts and machines.

    A space is `result`, `blob`, `action`, `output`, `module` or `base`; a key lower-case hex or another safe name. All
    methods may be called from several threads, and raise LevelError where the place is down, slow, full, or refuses.
    """

    @property
    def name(self) -> str: ...

    def fetch(self, space: str, key: str, into: Path, *, after: float = 0.0) -> bool:
        """Writes the verified content to a new file; False for a miss. What was stored before `after` (seconds since the
        epoch) is one."""
        ...

    def store(self, space: str, key: str, source: Path) -> None:
        """Keeps a file's content: whole, or not at all."""
        ...

    def forget(self, space: str, key: str) -> None: ...


class Carrier(Protocol):
    """All levels of a run as one (optional): the nearest that has an entry answers, and all that may keep one."""

    def fetch(self, space: str, key: str, into: Path) -> str:
        """Writes the verified content to a new file; the level that had it, or nothing."""
        ...

    def store(self, space: str, key: str, source: Path) -> None:
        """Keeps a file, in the background: it has to stay where it is."""
        ...


class Sealed(Protocol):
    """Content on its way to a shelf."""

    @property
    def size(self) -> int: ...

    def open(self) -> BinaryIO:
        """The content from its start; may be called again where a request is repeated."""
        ...


class SealedBytes:
    """A Sealed of some bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)


class Shelf(Protocol):
    """Bytes by name: what a level is built on. Names are `SPACE/KEY`. Raises LevelError as a level does."""

    def read(self, name: str) -> Iterator[bytes] | None:
        """The content in pieces; None where there is none."""
        ...

    def write(self, name: str, content: Sealed) -> None: ...

    def remove(self, name: str) -> None:
        """Makes sure that there is none."""
        ...


class Held(msgspec.Struct, frozen=True):
    """An entry that a shelf holds: `size` in bytes, `used` is when it was last read or written, as far as is known."""

    name: str
    size: int
    used: float


@runtime_checkable
class Listing(Protocol):
    """A shelf that can say what it holds (optional)."""

    def held(self) -> Iterator[Held]: ...


@runtime_checkable
class Conditional(Protocol):
    """A shelf that can write a name only where there is none (optional): what leases between machines are made of."""

    def create(self, name: str, content: bytes) -> bool:
        """Whether it was written; False where somebody was first."""
        ...


@runtime_checkable
class Roomy(Protocol):
    """A shelf that knows how much room is left where it is (optional)."""

    def free(self) -> int:
        """Bytes."""
        ...


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
class Mounting(Protocol):
    """A destination that can take content over from another repository of its own (optional)."""

    def held_elsewhere(self, reference: str, blobs: Iterable[Descriptor]) -> None:
        """Tells that the repository of an image's reference holds these blobs. May be told of any registry."""
        ...


class ActionLevel(Protocol):
    """What keeps the go command's actions for other machines: one level, or several as one.

    All of it may be called from several threads.
    """

    @property
    def name(self) -> str: ...

    def fetch(self, space: str, key: str, into: Path) -> bool:
        """Writes the entry's content to a new file; False where there is none."""
        ...

    def store(self, space: str, key: str, source: Path) -> None:
        """Keeps a file's content, whole or not at all. A GoctlError says why it could not."""
        ...

    def forget(self, space: str, key: str) -> object: ...


class Served(Protocol):
    """A go build that finds what others compiled."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the go command."""
        ...

    def end(self, *, well: bool) -> None:
        """Tells how it ended."""
        ...


class CompileCache(Protocol):
    """What was compiled elsewhere, for go commands."""

    def begin(self, folder: Path, name: str, inputs: str) -> Served | None:
        """Serves a go build that keeps what it compiles in `folder`; None where go's own cache has all that it will ask for.

        `name` is equal for builds that ask for much the same, on any machine; `inputs` covers all that a build is made from.
        """
        ...


@runtime_checkable
class HasCompileCache(Protocol):
    """A Host that has one (optional)."""

    @property
    def compile_cache(self) -> CompileCache | None: ...
