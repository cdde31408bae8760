"""Whether a builder can do what a build asks of it: pure, over what was looked up, before anything runs.

What drivers can do: docs.docker.com/build/builders/drivers. Docker's own driver can as much as its image store: with that of
containerd it takes several platforms, attestations and most caches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from goctl.buildkit.nodes import Builder
from goctl.errors import BuilderError
from goctl.values import Platform


class Wanted(msgspec.Struct, frozen=True):
    """What the build of one target asks for. `outputs` and `caches` are types (`registry`, `oci`...), those of caches that
    are written.

    `executed` are the platforms that something is run on while they are built: no image needs an emulator for files that
    are only copied. None stands for all.
    """

    platforms: tuple[Platform, ...]
    executed: tuple[Platform, ...] | None = None
    outputs: tuple[str, ...] = ("registry",)
    caches: tuple[str, ...] = ()
    by_digest: bool = False
    attestations: bool = False


class Lack(msgspec.Struct, frozen=True):
    """One thing that a builder cannot do, and what mends it."""

    message: str
    mend: str


def lacks(builder: Builder, wanted: Wanted, *, emulated: bool = True, containerd_store: bool = False) -> tuple[Lack, ...]:
    """Everything that keeps a builder from a build; empty where it can do it.

    With `emulated` off, platforms that none of its machines runs natively are lacking too. `containerd_store` says how
    Docker's engine keeps images, which counts for its own driver.
    """
    if builder.err:
        return (Lack(f"builder {builder.name} does not answer: {builder.err}", f"`docker buildx inspect {builder.name}`"),)
    executed = wanted.platforms if wanted.executed is None else wanted.executed
    found = [*_of_machines(builder), *_of_platforms(builder, executed, emulated=emulated)]
    if builder.is_dockers_own and not containerd_store:
        found += _of_docker(builder, wanted)
    found += _of_outputs(builder, wanted)
    return tuple(found)


def check(builder: Builder, wanted: Sequence[Wanted], *, emulated: bool = True, containerd_store: bool = False) -> None:
    """Raises one BuilderError with everything that the builder lacks for some targets, and the commands that mend it."""
    found = dict.fromkeys(
        lack for one in wanted for lack in lacks(builder, one, emulated=emulated, containerd_store=containerd_store)
    )
    if found:
        message = "; ".join(dict.fromkeys(lack.message for lack in found))
        raise BuilderError(message, hint="; ".join(dict.fromkeys(lack.mend for lack in found)))


def _of_machines(builder: Builder) -> Iterable[Lack]:
    for node in builder.machines:
        if node.err:
            yield Lack(f"node {node.name} of builder {builder.name}: {node.err}", f"`docker buildx inspect {builder.name}`")
        elif not node.is_running:
            yield Lack(
                f"node {node.name} of builder {builder.name} is {node.status or 'not running'}",
                f"`invoke builder.inspect --name {builder.name} --bootstrap` starts it",
            )
    if not builder.machines:
        yield Lack(f"builder {builder.name} has no node", "`invoke builder.create --replace`")


def _of_platforms(builder: Builder, platforms: Iterable[Platform], *, emulated: bool) -> Iterable[Lack]:
    running = [node for node in builder.machines if node.is_running and not node.err]
    if not running:
        return  # said already, and what they would run is not known
    can = frozenset().union(*(node.can for node in running))
    missing = [one for one in platforms if not covers(can, one)]
    if missing:
        names = ", ".join(map(str, missing))
        # binfmt installs emulators by the names that OCI has for architectures.
        emulators = sorted({one.architecture for one in missing if one.os == "linux"})
        command = f"`docker run --privileged --rm tonistiigi/binfmt --install {','.join(emulators)}` on its machine"
        other = "a machine of that system among buildkit.nodes"
        yield Lack(f"builder {builder.name} cannot build for {names}", command if emulators else other)
    if not emulated:
        native = frozenset().union(*(node.native for node in running))
        slow = [str(one) for one in platforms if covers(can, one) and not covers(native, one)]
        if slow:
            yield Lack(
                f"builder {builder.name} would emulate {', '.join(slow)}, and buildkit.platforms-emulated is off",
                "name a machine of that kind in buildkit.nodes, with its platforms",
            )


def covers(can: frozenset[Platform], wanted: Platform) -> bool:
    """Whether a platform is among some, or an older variant of one that is: what runs arm/v7 runs arm/v6."""
    wanted = wanted.plain
    return any(
        (one.os, one.architecture) == (wanted.os, wanted.architecture) and wanted.variant <= one.variant for one in can
    )


def _of_docker(builder: Builder, wanted: Wanted) -> Iterable[Lack]:
    """What the driver docker cannot do as long as its engine keeps images by itself."""
    mend = '`invoke builder.create` with driver = "docker-container", or let Docker\'s engine keep images by containerd'

    def lack(what: str) -> Lack:
        return Lack(f"builder {builder.name} (driver docker) cannot {what}", mend)

    if len(wanted.platforms) > 1:
        yield lack("build for several platforms at once")
    if wanted.by_digest:
        yield lack("push by digest")
    if caches := [one for one in wanted.caches if one != "inline"]:
        yield lack(f"write a cache of type {', '.join(caches)}")
    if "oci" in wanted.outputs:
        yield lack("write an OCI layout")
    if wanted.attestations:
        yield lack("attach provenance or an SBOM")


def _of_outputs(builder: Builder, wanted: Wanted) -> Iterable[Lack]:
    if "docker" in wanted.outputs and len(wanted.platforms) > 1:
        yield Lack("Docker's engine takes an image of one platform", "choose one: `--select '*@linux/amd64'`")
    if "oci" in wanted.outputs and len(builder.machines) > 1 and len(wanted.platforms) > 1:
        # buildx chooses a machine for each platform, by what was declared for it and by what it can.
        yield Lack(
            f"builder {builder.name} has several machines, and an OCI layout of several platforms is made by one",
            "push to a registry, or use a builder of one machine",
        )
