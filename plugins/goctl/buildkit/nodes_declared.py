"""The builder that goctl.toml declares, as a value: what `docker buildx create` is told, and what an existing one lacks."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from goctl.buildkit.nodes import Builder, Node
from goctl.buildkit.nodes_toml import CONFIG, Daemon, parsed
from goctl.config.builders import OWN_DAEMON
from goctl.config.model import BuildKit, BuildNode
from goctl.values import ByteSize, Platform

#: What a builder is called where goctl.toml leaves the choice to `docker buildx use`.
DEFAULT_NAME: Final = BuildKit().builder
#: Microseconds: a quota of processor time counts within such a period (docker run --cpu-period).
_PERIOD: Final = 100_000


class DeclaredNode(msgspec.Struct, frozen=True):
    """One machine: `options` are the driver's, with the limits as it spells them."""

    name: str
    endpoint: str
    platforms: tuple[str, ...]
    options: Mapping[str, str]


class Declared(msgspec.Struct, frozen=True):
    """The builder that goctl.toml asks for. `daemon` is what its buildkitd is configured with, where buildx starts it."""

    name: str
    driver: str
    nodes: tuple[DeclaredNode, ...]
    daemon: Daemon = Daemon()

    @property
    def has_own_daemon(self) -> bool:
        return self.driver in OWN_DAEMON


def declared(settings: BuildKit, daemon: Daemon) -> Declared:
    """The builder of a `[buildkit]` table."""
    name = settings.builder or DEFAULT_NAME
    nodes = tuple(
        DeclaredNode(
            node.name or f"{name}{number}",
            node.endpoint,
            tuple(str(Platform.parse(one).plain) for one in node.platforms),
            {**_limits(settings), **settings.options, **node.options},
        )
        for number, node in enumerate(settings.nodes or (BuildNode(),))
    )
    return Declared(name, settings.driver, nodes, daemon if settings.driver in OWN_DAEMON else Daemon())


def _limits(settings: BuildKit) -> dict[str, str]:
    """Memory and processors in the driver's own options (docs.docker.com/build/builders/drivers)."""
    memory = str(int(ByteSize.parse(settings.memory))) if settings.memory else ""
    found = {}
    if settings.driver == "kubernetes":
        found = {"limits.memory": memory, "limits.cpu": str(settings.cpus or "")}
    elif settings.driver == "docker-container":
        quota = str(settings.cpus * _PERIOD) if settings.cpus else ""
        found = {"memory": memory, "cpu-period": str(_PERIOD) if quota else "", "cpu-quota": quota}
    return {key: value for key, value in found.items() if value}


def create_args(want: Declared, node: DeclaredNode, *, append: bool, config: Path | None) -> list[str]:
    """What `docker` is told to make one node; `append` for all but the first. `config` is the file of its buildkitd."""
    args = ["buildx", "create", "--name", want.name, "--driver", want.driver, "--node", node.name]
    if append:
        args.append("--append")
    if node.platforms:
        args += ["--platform", ",".join(node.platforms)]
    for key, value in sorted(node.options.items()):
        args += ["--driver-opt", _field(f"{key}={value}")]
    if config is not None:
        args += ["--buildkitd-config", str(config)]
    return [*args, *(["--", node.endpoint] if node.endpoint else [])]


def _field(text: str) -> str:
    """A text as one field of the CSV that buildx reads options as."""
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow([text])
    return written.getvalue()


def differences(want: Declared, found: Builder) -> tuple[str, ...]:
    """What is not as declared, in words; empty where nothing is."""
    if found.driver != want.driver:
        return (f"its driver is {found.driver}, not {want.driver}",)
    if found.is_dockers_own:
        return ()  # its one machine is the engine, and nothing of it is declared
    have = {node.name: node for node in found.machines}
    names = {node.name for node in want.nodes}
    words = [f"it has no node {node.name}" for node in want.nodes if node.name not in have]
    words += [f"its node {name} is not declared" for name in have if name not in names]
    for node in want.nodes:
        if node.name in have:
            words += [f"node {node.name}: {one}" for one in _of_node(node, have[node.name], want)]
    return tuple(words)


def _of_node(node: DeclaredNode, have: Node, want: Declared) -> list[str]:
    words = []
    if node.endpoint and not _is_same_endpoint(node.endpoint, have.endpoint):
        words.append(f"it is at {have.endpoint}, not {node.endpoint}")
    options = have.driver_opts or {}
    words += [
        f"option {key} is {_shown(options.get(key))}, and should be {_shown(node.options.get(key))}"
        for key in sorted({*node.options, *options})
        if options.get(key) != node.options.get(key)
    ]
    # A node's list begins with what was declared for it; what a running one can do follows.
    first = [one.removesuffix("*") for one in (have.platforms or ())][: len(node.platforms)]
    if _parsed(first) != _parsed(node.platforms):
        words.append(f"its platforms are {', '.join(first) or 'not given'}, not {', '.join(node.platforms)}")
    if not want.has_own_daemon or want.daemon.as_kept is None:
        return words
    if parsed(have.file(CONFIG)) != want.daemon.as_kept:
        words.append("its buildkitd is configured for other registries or limits")
    elif any(have.file(name) != content for name, content in want.daemon.files.items()):
        words.append("it was made with other certificates")
    return words


def _is_same_endpoint(want: str, have: str) -> bool:
    # buildx fills in a scheme where there is none.
    return have in (want, f"unix://{want}", f"tcp://{want}")


def _shown(value: str | None) -> str:
    return "not set" if value is None else value or "empty"


def _parsed(platforms: Sequence[str]) -> list[str]:
    found = []
    for one in platforms:
        try:
            found.append(str(Platform.parse(one)))
        except ValueError:
            found.append(one)
    return found
