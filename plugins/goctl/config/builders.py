"""The builder of `[buildkit]`: names, machines and limits that buildx would refuse, or could not heed."""

from __future__ import annotations

import re

from goctl.config.convert import Problems
from goctl.config.model import BuildKit, BuildNode
from goctl.config.names import CONTROL, Where
from goctl.values import ByteSize, Platform

#: Drivers whose buildkitd is started, and so configured, by buildx.
OWN_DAEMON = ("docker-container", "kubernetes")
#: buildx, store.ValidateName; it makes names lower case.
_NAME = re.compile(r"[a-z][a-z0-9._-]*\Z")


def check_builder(settings: BuildKit, problems: Problems) -> None:
    """Adds a problem for everything in a builder's settings that cannot be carried out. Asks nobody."""
    if settings.builder and not _NAME.match(settings.builder):
        problems.add(
            ("buildkit", "builder"),
            f"{settings.builder!r} is no name",
            expected="a lower-case letter, then also digits and . _ -",
        )
    _limits(settings, problems)
    _options(settings.options, ("buildkit", "options"), problems)
    if settings.driver == "docker":
        for name in ("nodes", "options"):
            if getattr(settings, name):
                problems.add(("buildkit", name), "has no meaning for the driver docker: its one machine is Docker's engine")
        return
    if settings.driver == "remote" and not settings.nodes:
        problems.add(
            ("buildkit", "nodes"), "is missing", expected='where its buildkitd is: [{ endpoint = "tcp://HOST:1234" }]'
        )
    seen: dict[str, set[str]] = {"name": set(), "endpoint": set()}
    for number, node in enumerate(settings.nodes):
        _node(settings, node, ("buildkit", "nodes", str(number)), problems)
        for key, known in seen.items():
            value = getattr(node, key)
            # One engine runs one node of a builder; in a cluster and where buildkitd is there already, all is told apart.
            counts = value or (key == "endpoint" and settings.driver == "docker-container")
            if counts and value in known:
                told = f"{value!r} is given twice" if value else "is missing: two nodes cannot be in the same engine"
                problems.add(("buildkit", "nodes", str(number), key), told)
            known.add(value)


def _node(settings: BuildKit, node: BuildNode, where: Where, problems: Problems) -> None:
    if node.name and not _NAME.match(node.name):
        problems.add(
            (*where, "name"), f"{node.name!r} is no name", expected="a lower-case letter, then also digits and . _ -"
        )
    if "@" in node.endpoint and not node.endpoint.startswith("ssh://"):
        # Whatever stands before it may be a password: the text is not repeated.
        problems.add((*where, "endpoint"), "it holds a user name or password")
    elif CONTROL.search(node.endpoint) or node.endpoint.startswith("-"):
        problems.add((*where, "endpoint"), f"{node.endpoint!r} is no address")
    elif settings.driver == "remote" and "://" not in node.endpoint:
        problems.add((*where, "endpoint"), f"{node.endpoint!r} is no address", expected="tcp://HOST:PORT or unix:///PATH")
    for platform in node.platforms:
        try:
            Platform.parse(platform)
        except ValueError as error:
            problems.add((*where, "platforms"), str(error))
    _options(node.options, (*where, "options"), problems)


def _options(options: dict[str, str], where: Where, problems: Problems) -> None:
    for key, value in options.items():
        if not key or "=" in key or CONTROL.search(key + value):
            problems.add(
                (*where, key), f"{key!r} is no option", expected="a name as the driver has it, and one line of text"
            )


def _limits(settings: BuildKit, problems: Problems) -> None:
    for key, value, drivers in (
        ("memory", settings.memory, OWN_DAEMON),
        ("cpus", settings.cpus, OWN_DAEMON),
        ("cache-size", settings.cache_size, OWN_DAEMON),
        ("parallelism", settings.parallelism, OWN_DAEMON),
    ):
        if value and settings.driver not in drivers:
            hint = "buildx starts no buildkitd there: set it where it is started"
            problems.add(("buildkit", key), f"cannot be set for the driver {settings.driver}", hint=hint)
        elif isinstance(value, str) and value:
            try:
                size = ByteSize.parse(value)
            except ValueError as error:
                problems.add(("buildkit", key), str(error))
            else:
                if size <= 0:
                    problems.add(("buildkit", key), f"{value!r} is nothing")
