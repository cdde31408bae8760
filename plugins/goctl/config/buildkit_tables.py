"""The tables of BuildKit: its builder and machines, and what bake files say for all targets."""

from __future__ import annotations

from typing import Annotated, Literal

from goctl.config.fields import Map, Strings, Table, Text, doc

Driver = Literal["docker", "docker-container", "remote", "kubernetes"]


class BuildNode(Table, frozen=True):
    """One machine of a builder."""

    endpoint: Annotated[
        Text,
        doc(
            "Where it is. For `docker-container` the address of a Docker engine, or a context's name; for `remote` that of "
            "a buildkitd. Default: the engine or cluster that is used anyhow.",
            examples=["tcp://arm.example.com:1234"],
        ),
    ] = ""
    name: Annotated[Text, doc("Its name. Default: the builder's, and a number.", examples=["arm"])] = ""
    platforms: Annotated[
        Strings, doc("What is built there rather than on another machine.", examples=[["linux/arm64"]])
    ] = ()
    options: Annotated[
        Map, doc("Options of the driver, for this machine alone.", examples=[{"cacert": "/etc/ssl/buildkit.pem"}])
    ] = {}


class BuildKit(Table, frozen=True):
    """The builder of Docker's buildx: `invoke builder.create` makes it as it stands here. Its buildkitd knows the
    registries of this file: mirrors, certificates, plain http. And what bake files hold besides the targets' own settings:
    texts of cache-to and cache-from may hold `{registry}`, the address of the first registry that images are pushed to,
    besides templates.
    """

    builder: Annotated[
        Text, doc("The builder's name. Empty for the one that `docker buildx use` chose.", examples=["shop"])
    ] = "goctl"
    driver: Annotated[
        Driver,
        doc(
            "Where it runs: `docker` (in Docker's engine; one platform at a time in older ones, and less of everything), "
            "`docker-container`, `remote` (a buildkitd that is there already) or `kubernetes`."
        ),
    ] = "docker-container"
    nodes: Annotated[
        tuple[BuildNode, ...],
        doc(
            "Its machines. Default: one, where Docker is.",
            examples=[[{"endpoint": "tcp://arm.example.com:1234", "platforms": ["linux/arm64"]}]],
        ),
    ] = ()
    options: Annotated[Map, doc("Options of the driver, for every machine.", examples=[{"network": "host"}])] = {}
    platforms_emulated: Annotated[
        bool,
        doc(
            "Whether a platform that is no machine's own may be built by emulation. Before a build it is seen to that the "
            "emulators are there."
        ),
    ] = True
    memory: Annotated[Text, doc("What each machine's buildkitd may use.", examples=["4GiB"])] = ""
    cpus: Annotated[int, doc("Processors that it may use; 0 for all.", ge=0, le=4096)] = 0
    parallelism: Annotated[int, doc("Build steps at once on one machine; 0 for no limit.", ge=0, le=4096)] = 0
    cache_size: Annotated[Text, doc("What its cache may come to.", examples=["20GiB"])] = ""
    retries: Annotated[
        int, doc("Further attempts at a target that failed for a reason that may pass (networks, mostly).", ge=0, le=10)
    ] = 1
    keep_going: Annotated[
        bool, doc("Whether the other targets are built when one has failed. Nothing is pushed then all the same.")
    ] = False
    assemble: Annotated[
        Literal["goctl", "buildkit"],
        doc(
            "Who puts images together. `goctl`: BuildKit installs packages and compiles, and hands over no more than that; "
            "layers are those of the embedded engine. `buildkit`: line by line of the Dockerfile that `invoke bake` writes."
        ),
    ] = "goctl"
    cache_to: Annotated[
        Strings,
        doc(
            "Where BuildKit leaves its cache: options as `docker buildx build --cache-to` takes them.",
            examples=[["type=registry,ref={registry}/cache:{target},mode=max"]],
        ),
    ] = ()
    cache_from: Annotated[
        Strings,
        doc("Where BuildKit takes cache from.", examples=[["type=registry,ref={registry}/cache:{target}"]]),
    ] = ()
    include: Annotated[
        Strings,
        doc(
            "Bake files of the project's own, used beside the one that is written; no target of theirs may have the name of "
            "one of goctl's.",
            examples=[["docker-bake.hcl"]],
        ),
    ] = ()
    provenance: Annotated[
        Literal["off", "min", "max"],
        doc(
            "The provenance attestation that BuildKit makes of images that it pushes by a bake file, and how much it tells. "
            "goctl pushes none: it refuses to push images of its BuildKit engine without."
        ),
    ] = "off"
    sbom: Annotated[
        bool, doc("Whether BuildKit makes an SBOM of each image that it pushes by a bake file; else as with provenance.")
    ] = False
    go_image: Annotated[
        Text,
        doc(
            "The image with Go that compiles where it is done in BuildKit. Default: Docker's golang, of the version that "
            "compiles here.",
            examples=["golang:1.26", "registry.example.com/golang:1.26.1@sha256:..."],
        ),
    ] = ""
