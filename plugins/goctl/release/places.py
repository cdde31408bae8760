"""What a reference on the command line means: an image or a repository in a registry, in a table's, or in a layout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from goctl.errors import ConfigError
from goctl.release.extensions import scheme
from goctl.values import Digest, ImageRef, is_tag

if TYPE_CHECKING:
    from goctl.registry.sources import Layout, Repository
    from goctl.release.session import Session

LAYOUT = "oci-layout:"


class Place(msgspec.Struct, frozen=True):
    """A source, what is meant in it (a tag or a digest), and whether that was said or is the default."""

    source: Repository | Layout
    reference: str
    is_said: bool

    @property
    def name(self) -> str:
        if not self.reference:
            return self.source.name
        return f"{self.source.name}{'@' if ':' in self.reference else ':'}{self.reference}"


def find(session: Session, text: str) -> Place:
    """The place of `HOST/REPOSITORY[:TAG|@DIGEST]`, of `NAME/...` below the `[registries]` table NAME, or of
    `oci-layout:DIR[:REPOSITORY[:TAG]]`, DIR from goctl.toml's folder. Raises ConfigError.
    """
    name, _, rest = text.partition("/")
    if rest and "@" in name:
        raise ConfigError("a reference names nobody who logs in", hint="write HOST/REPOSITORY:TAG, and log in beforehand")
    plain = re.split("[:@]", name)[0] if not rest else name
    settings = session.config.registries.get(plain)
    if settings is not None:
        kind, address = scheme(settings.url)
        if kind == "registry":
            text = settings.url.rstrip("/") + (f"/{rest}" if rest else name[len(plain) :])
        elif kind == "oci-layout":
            text = f"{LAYOUT}{address}" + (f":{rest}" if rest else "")
        else:
            raise ConfigError(f"registries.{plain} is a {kind}: what it holds cannot be looked at")
    if text.startswith(LAYOUT):
        return _in_layout(session, text.removeprefix(LAYOUT))
    try:
        parsed = ImageRef.parse(text)
    except ValueError as error:
        raise ConfigError(str(error), hint=_known(session)) from None
    from goctl.registry.client import connect
    from goctl.registry.sources import Repository

    client = connect(session, parsed.host, settings)
    said = parsed.digest is not None or ":" in text.rpartition("/")[2]
    return Place(Repository(client, parsed.repository), str(parsed.target), said)


def _known(session: Session) -> str:
    names = ", ".join(f"{name}/..." for name in session.config.registries)
    return "write HOST/REPOSITORY:TAG" + (f", or {names} for what is below a table's url" if names else "")


def _in_layout(session: Session, address: str) -> Place:
    from goctl.oci.layout import split
    from goctl.registry.sources import Layout

    where, name = split(address)
    name, at, digest = name.partition("@")
    repository, colon, tag = name.rpartition(":")
    if at:
        try:
            return Place(Layout(session.root / where, where, name), Digest(digest), True)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    if colon and is_tag(tag):
        return Place(Layout(session.root / where, where, repository), tag, True)
    return Place(Layout(session.root / where, where, name), "latest" if name else "", False)


def repository(session: Session, text: str) -> Place:
    """The place of a repository, which is named without a tag."""
    place = find(session, text)
    if place.is_said:
        raise ConfigError(f"{text} names an image", hint="name its repository, without a tag or a digest")
    return place


def registry_only(place: Place) -> Repository:
    """The repository of a place that is to be written to."""
    from goctl.registry.sources import Repository

    if not isinstance(place.source, Repository):
        raise ConfigError(f"{place.name} is no place in a registry", hint="write HOST/REPOSITORY:TAG")
    return place.source
