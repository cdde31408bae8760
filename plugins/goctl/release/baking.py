"""A build by BuildKit, from who it is at registries to the names of what was made.

Names come last: images are pushed by digest, and when every target is in every repository, tags are moved. One that failed
leaves all of them where they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from goctl.buildkit.run_document import Output, Push
from goctl.errors import joined as joined_errors
from goctl.registry.client import connect
from goctl.registry.documents import parse
from goctl.registry.joining import join
from goctl.registry.keychain import Keychain
from goctl.registry.sources import Repository
from goctl.release.extensions import scheme
from goctl.values import DOCKER_HUB, Digest, ImageRef

if TYPE_CHECKING:
    from goctl.buildkit.run import Baked, Results
    from goctl.contracts import Host


def logins(host: Host) -> dict[str, dict[str, str]]:
    """The logins that goctl.toml names, by host, as Docker's file has them. Raises RegistryError for a variable that is not
    set. Others are for the docker command to find where it always does."""
    found: dict[str, dict[str, str]] = {}
    for settings in host.config.registries.values():
        if scheme(settings.url)[0] != "registry" or settings.credentials is None:
            continue
        name = _host(settings.url)
        credentials = Keychain(host.emit, login=settings.credentials).find(name)
        if credentials is None or name in found:
            continue
        if credentials.identity_token:
            found[name] = {"identitytoken": credentials.identity_token.reveal()}
        elif credentials.basic:
            found[name] = {"auth": credentials.basic.removeprefix("Basic ")}
    return found


def settled(results: Results) -> Mapping[str, Baked]:
    """What was made, when all of it was. Raises what targets failed with, before anything has been named."""
    errors = list(results.failed.values())
    if errors:
        raise errors[0] if len(errors) == 1 else joined_errors(errors)
    return results.baked


def name(
    host: Host, results: Results, outputs: Mapping[str, Output], tags: Mapping[str, Sequence[str]]
) -> dict[str, Digest]:
    """Gives what was pushed its tags, by target; the digest that each target's tags name now.

    Machines of one builder each pushed an image of their own: they are joined into an index first. Raises before anything
    is named for a target that failed; RegistryError.
    """
    baked = settled(results)
    namings: list[_Naming] = []
    for target, output in outputs.items():
        if isinstance(output, Push) and baked[target].digests:
            digests = [digest for digest, _ in baked[target].digests]
            namings += [_naming(host, place, digests, target, tags.get(target, ())) for place in output.repositories]
    # By now every repository has been seen to hold what is to be named.
    for one in namings:
        for tag in one.tags:
            one.repository.client.put_manifest(one.repository.repository, tag, one.content, one.media_type, one.digest)
    return {one.target: one.digest for one in namings}


class _Naming(msgspec.Struct, frozen=True):
    """A manifest, and the tags that it is to have in one repository."""

    target: str
    repository: Repository
    content: bytes
    media_type: str
    digest: Digest
    tags: Sequence[str]


def _naming(host: Host, place: str, digests: Sequence[Digest], target: str, tags: Sequence[str]) -> _Naming:
    reference = ImageRef.parse(f"{place}@{digests[0]}")
    repository = Repository(connect(host, reference.host), reference.repository)
    if len(digests) > 1:
        index = join([(repository, digest) for digest in digests], replace=False)
        return _Naming(target, repository, index.content, index.media_type, index.digest, tags)
    digest, content = repository.manifest(digests[0])
    return _Naming(target, repository, content, parse(str(reference), content).kind, digest, tags)


def _host(url: str) -> str:
    host = url.partition("/")[0]
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host
