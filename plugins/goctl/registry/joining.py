"""Images that exist, joined into an index: what `docker manifest create` does, without a daemon, and with attestations.

Entries of indexes go into the new one byte for byte; those of single images are made from their configs. Everything that an
index names is in its repository before the index is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from goctl.contracts import Host
from goctl.errors import ConfigError, ImageError
from goctl.registry.carry import carry
from goctl.registry.client import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from goctl.registry.documents import Document, Entry, ImageConfig, decode, parse, spelled
from goctl.registry.flights import Flights
from goctl.registry.sources import Repository
from goctl.values import Descriptor, Digest, to_json

#: Indexes in indexes.
_DEEPEST: Final = 4
WIDTH: Final = 4
#: Layers that may not be distributed stay where they are.
_ELSEWHERE: Final = (".nondistributable.", ".foreign.")


class Part(msgspec.Struct, frozen=True):
    """An entry of the index to be: where its content is now, who asked for it, its platform as one word."""

    source: Repository
    asked: str
    entry: Entry
    raw: msgspec.Raw
    platform: str


class Joined(msgspec.Struct, frozen=True):
    """An index in the making: its content and what it consists of."""

    content: bytes
    media_type: str
    parts: tuple[Part, ...]

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


def join(sources: Sequence[tuple[Repository, str]], *, replace: bool) -> Joined:
    """The index over what these references (each a tag or a digest) name.

    Raises ConfigError for two images of one platform, unless a later one is to `replace` an earlier; ImageError for what is
    no image; RegistryError.
    """
    images: dict[str, Part] = {}
    attestations: list[Part] = []
    for source, reference in sources:
        for part in _parts(source, reference, f"{source.name}{'@' if ':' in reference else ':'}{reference}", 0):
            if part.entry.attested is not None:
                attestations.append(part)
                continue
            other = images.get(part.platform, part)
            if other.entry.digest != part.entry.digest and not replace:
                raise ConfigError(
                    f"{other.asked} and {part.asked} both have an image for {part.platform}",
                    hint="leave one out, or let the later one replace the earlier with --replace",
                )
            images[part.platform] = part
    kept = {part.entry.digest for part in images.values()}
    attesting = {part.entry.digest: part for part in attestations if part.entry.attested in kept}
    parts = (*images.values(), *attesting.values())
    only_docker = all(part.entry.media_type == DOCKER_MANIFEST for part in parts)
    media_type = DOCKER_LIST if only_docker else OCI_INDEX
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [part.raw for part in parts]}
    return Joined(to_json(document), media_type, parts)


def _parts(source: Repository, reference: str, asked: str, depth: int) -> list[Part]:
    if depth > _DEEPEST:
        raise ImageError(f"{asked}: its indexes are nested too deeply")
    digest, content = source.manifest(reference)
    document = parse(asked, content)
    if not document.is_index:
        platform = _platform(source, asked, document)
        entry = Entry(document.kind, digest, len(content), platform)
        made = {"mediaType": entry.media_type, "digest": digest, "size": entry.size, "platform": platform}
        return [Part(source, asked, entry, msgspec.Raw(to_json(made)), spelled(platform))]
    found: list[Part] = []
    for entry, raw in document.entries(asked):
        if entry.media_type in (OCI_INDEX, DOCKER_LIST):
            found += _parts(source, entry.digest, asked, depth + 1)
        elif entry.attested is not None or spelled(entry.platform):
            found.append(Part(source, asked, entry, raw, spelled(entry.platform)))
        else:
            found += _parts(source, entry.digest, asked, depth + 1)
    return found


def _platform(source: Repository, asked: str, document: Document) -> dict[str, object]:
    if document.config is None or not document.is_image:
        kind = document.artifact_type or (document.config.media_type if document.config else "")
        raise ImageError(f"{asked} is no image but {kind or 'something else'}: it has no platform to be chosen by")
    config = decode(asked, "config", source.read(document.config), ImageConfig)
    if not spelled(config.platform):
        raise ImageError(f"{asked}: its config names no platform")
    return config.platform


def publish(host: Host, joined: Joined, target: Repository, tag: str, told: Callable[[Part, int], None]) -> int:
    """Brings what an index needs into a repository, then the index under a tag; the bytes that were sent.

    `told` is called with each part that came from elsewhere, and the bytes sent for it. Raises RegistryError.
    """
    sent = 0
    for part in joined.parts:
        here = part.source.client.host == target.client.host and part.source.repository == target.repository
        if not here:
            count = _bring(host, part, target)
            told(part, count)
            sent += count
    target.client.put_manifest(target.repository, tag, joined.content, joined.media_type, joined.digest)
    return sent + len(joined.content)


def _bring(host: Host, part: Part, target: Repository) -> int:
    _, content = part.source.manifest(part.entry.digest)
    document = parse(part.asked, content)
    if len(content) != part.entry.size:
        raise ImageError(f"{part.asked}: the size of {part.entry.digest} is not what its index says")
    wanted: dict[Digest, Descriptor] = {
        blob.digest: blob
        for blob in (document.config, *document.layers)
        if blob is not None and not any(word in blob.media_type for word in _ELSEWHERE)
    }
    flights: Flights[int] = Flights(WIDTH, host.check)
    futures = [
        flights.start(digest, partial(carry, blob, part.source, target, host.blobs))[0] for digest, blob in wanted.items()
    ]
    flights.wait(futures)
    client = target.client
    client.put_manifest(target.repository, part.entry.digest, content, part.entry.media_type, part.entry.digest)
    return sum(future.result() for future in futures) + len(content)
