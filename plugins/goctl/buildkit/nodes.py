"""Builders as `docker buildx ls --format json` tells of them."""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from goctl.buildkit.docker import lines_of
from goctl.errors import BuilderError
from goctl.values import Platform

#: The driver that Docker itself brings: one for each context, made by nobody.
DOCKER: Final = "docker"
#: What the machines of an architecture mostly run besides it.
_KIN: Final = {"amd64": ("386",), "arm64": ("arm",)}


class Node(msgspec.Struct, frozen=True, rename="pascal"):
    """A machine of a builder. `platforms` are those that were declared for it, then, where it runs, what it can do."""

    name: str = ""
    endpoint: str = ""
    status: str = ""
    version: str = ""
    platforms: tuple[str, ...] | None = None
    driver_opts: dict[str, str] | None = None
    files: dict[str, str] | None = None
    err: str = ""

    @property
    def is_running(self) -> bool:
        return self.status == "running"

    @property
    def can(self) -> frozenset[Platform]:
        """The platforms that it runs, natively or emulated. Spellings that are not known here are left out."""
        found = set()
        for text in self.platforms or ():
            try:
                found.add(Platform.parse(text.removesuffix("*")))
            except ValueError:
                continue
        return frozenset(found)

    @property
    def native(self) -> frozenset[Platform]:
        """Those that it runs without an emulator: of its machine's architecture, which its list begins with, and kin."""
        own = next((text.removesuffix("*") for text in self.platforms or ()), "").partition("/")[2].partition("/")[0]
        return frozenset(one for one in self.can if one.architecture in (own, *_KIN.get(own, ())))

    def file(self, name: str) -> bytes:
        """A file that the builder was made with; empty where it has none of that name."""
        try:
            return base64.b64decode((self.files or {}).get(name, ""))
        except ValueError:
            return b""


class Builder(msgspec.Struct, frozen=True, rename="pascal"):
    """A builder: its driver and its machines. `current` says that `docker buildx use` chose it."""

    name: str
    driver: str = ""
    current: bool = False
    nodes: tuple[Node, ...] | None = None
    err: str = ""

    @property
    def machines(self) -> tuple[Node, ...]:
        return self.nodes or ()

    @property
    def is_dockers_own(self) -> bool:
        return self.driver == DOCKER

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it this builder and not another of the same name."""
        return (self.driver, *(f"{node.name} {node.endpoint}" for node in self.machines))


def parse(text: str) -> tuple[Builder, ...]:
    """The builders in what `docker buildx ls --format json` printed: one a line. Raises BuilderError."""
    return lines_of(text, Builder)


def find(builders: tuple[Builder, ...], name: str) -> Builder | None:
    """The builder of that name; with an empty one, the current one."""
    if name:
        return next((one for one in builders if one.name == name), None)
    return next((one for one in builders if one.current), None)


def needed(builders: tuple[Builder, ...], name: str) -> Builder:
    """As find. Raises BuilderError, which says how to make it, where there is none."""
    found = find(builders, name)
    if found is None:
        what = f"there is no builder {name}" if name else "docker buildx has no current builder"
        raise BuilderError(what, hint="`invoke builder.create` makes the one that goctl.toml declares")
    return found
