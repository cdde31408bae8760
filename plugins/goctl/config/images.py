"""The tables of images: what one holds, and the Dockerfile that may stand for it."""

from __future__ import annotations

from typing import Annotated, Literal

from goctl.config.fields import Map, Strings, Table, Text, doc

Compression = Literal["gzip", "zstd"]


class ImageDefaults(Table, frozen=True):
    """What every target's image has unless its own table says otherwise."""

    base: Annotated[
        Text,
        doc(
            "`scratch`, `static` (certificates, time zones, a nonroot user and /tmp; made in process) or the reference of a "
            "base image in a registry or in a layout (`oci-layout:DIR`).",
            examples=["static", "registry.example.com/base:1"],
        ),
    ] = "static"
    engine: Annotated[
        Text,
        doc(
            "Who makes the image: `embedded` (in process, without Docker), `buildkit` (from a Dockerfile, by `docker buildx "
            "bake`), or an engine of an installed package."
        ),
    ] = "embedded"
    compression: Annotated[Compression, doc("How layers are compressed.")] = "gzip"
    compression_level: Annotated[
        int, doc("How hard: 1 to 12 for gzip, 1 to 19 for zstd. The default is 1 for gzip and 3 for zstd.", ge=0, le=19)
    ] = 0
    user: Annotated[
        Text | None,
        doc(
            "User (and group) the program runs as. Default: the base's; `nonroot` (65532) on `static`. Numbers, `root`, "
            "`nobody` and `nonroot` are users of Linux: images for Windows keep their base's.",
            examples=["nonroot"],
        ),
    ] = None
    working_directory: Annotated[Text | None, doc("Where the program starts.", examples=["/srv"])] = None
    env: Annotated[Map, doc("Environment in the container; templates are filled in.", examples=[{"LANG": "C.UTF-8"}])] = {}
    ports: Annotated[tuple[int | str, ...], doc("Ports the program listens on.", examples=[[8080, "53/udp"]])] = ()
    labels: Annotated[Map, doc("Labels; templates are filled in where `stamp` allows it.")] = {}
    annotations: Annotated[Map, doc("Annotations of the manifests and the index; templates as for labels.")] = {}


class Dockerfile(Table, frozen=True):
    """What goes into the Dockerfile that `invoke bake` and `invoke dockerfile` write for a target, or one that is there
    already. `engine = "buildkit"` builds with it; the embedded engine assembles images without any.
    """

    path: Annotated[
        Text, doc("A Dockerfile of the project's own, to be named by the bake file in place of one that is written.")
    ] = ""
    packages: Annotated[
        Strings,
        doc("Packages of the base's distribution to install.", examples=[["ca-certificates", "tzdata"]]),
    ] = ()
    distribution: Annotated[
        Literal["", "debian", "alpine", "fedora", "ubi", "rhel", "suse"],
        doc("Whose packages these are, where the name of the base does not say it.", examples=["debian"]),
    ] = ""
    args: Annotated[Map, doc("Arguments of the build; templates are filled in.", examples=[{"COMMIT": "{git.sha}"}])] = {}
    secrets: Annotated[
        Map,
        doc(
            "Secrets of the build: id = `env:NAME` or `file:PATH`. They are mounted while modules are fetched and packages "
            "installed, `netrc` at /root/.netrc, others at /run/secrets/ID; no layer holds them.",
            examples=[{"netrc": "file:ci/netrc", "token": "env:TOKEN"}],
        ),
    ] = {}


class Image(ImageDefaults, frozen=True):
    """One target's image."""

    repository: Annotated[
        Text, doc("Its name below each registry's address; by default the target's.", examples=["api"])
    ] = ""
    assets: Annotated[
        Map,
        doc(
            "Files and folders to add: path in the project = path in the image (on Windows, on C:).",
            examples=[{"web/dist": "/srv/www"}],
        ),
    ] = {}
    entrypoint: Annotated[
        Strings | None,
        doc(
            "What the container starts. Default: the first package's program. On Windows /usr/local/bin/NAME stands for "
            "its C:\\app\\NAME.exe.",
            examples=[["/usr/local/bin/api"]],
        ),
    ] = None
    command: Annotated[Strings, doc("Default arguments.", examples=[["--help"]])] = ()
    compile: Annotated[
        Literal["host", "buildkit"],
        doc(
            "Where the programs in the target's Dockerfile come from: `host` (those in dist/, compiled before) or "
            "`buildkit` (compiled in a stage of it, with the same flags)."
        ),
    ] = "host"
    dockerfile: Annotated[Dockerfile, doc("The target's Dockerfile.", examples=[{"packages": ["tzdata"]}])] = Dockerfile()
