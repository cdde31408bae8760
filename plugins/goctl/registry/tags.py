"""The tags of a repository: listed, and deleted by age and number.

A tag is deleted with what it names where nothing that is kept needs that (a digest that a kept tag names, or that is part of
an index that a kept tag names, stays), else by its name alone, where the registry can do so.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urljoin

import msgspec

from goctl.contracts import Host
from goctl.errors import ImageError, RegistryError
from goctl.registry.client import DOCKER_LIST, OCI_INDEX, Client, pull
from goctl.registry.documents import Document, ImageConfig, decode, parse
from goctl.registry.flights import Flights
from goctl.registry.sources import Repository
from goctl.system.http import origin
from goctl.values import Digest, from_json

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Tags asked for at once; registries give fewer where they want to.
PAGE: Final = 1000
#: Pages of one list: a registry that never ends is not read forever.
MOST_PAGES: Final = 1000
WIDTH: Final = 6
BATCH: Final = 60
#: Indexes in indexes.
_DEEPEST: Final = 4
#: There were no images before Docker (March 2013): who says so wrote 0 for a time, as reproducible builds do, goctl's too.
_FIRST_IMAGE: Final = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
#: Tags of what is beside an image: see tag_of; cosign's have an ending.
_BESIDE: Final = re.compile(r"(sha(?:256|512)-[0-9a-f]{64})(\.\w+)?\Z")
#: v1, v1.2.3, 1.2.3-rc1; no bare number, which may be the start of a commit's hash.
_VERSION: Final = re.compile(r"(?:v(\d+(?:\.\d+)*)|(\d+(?:\.\d+)+))([-+._][A-Za-z0-9.+_-]+)?\Z")
_LINK: Final = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next\b')


class _Page(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


def list_tags(client: Client, repository: str) -> list[str]:
    """Every tag of a repository, numbers in them counted as numbers. Raises RegistryError."""
    found: dict[str, None] = {}
    path = f"/v2/{repository}/tags/list?n={PAGE}"
    for _ in range(MOST_PAGES):
        doing = f"list the tags of {repository}"
        response = client.request(doing, "GET", path, scopes=pull(repository), expected=(200,))
        try:
            page = from_json(response.content, _Page)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RegistryError(f"cannot {doing} at {client.host}: its answer is no list of tags") from None
        found.update(dict.fromkeys(page.tags or ()))
        path = next_page(response.headers.get("Link") or "", response.url)
        if not path:
            return sorted(found, key=natural)
    raise RegistryError(f"cannot list the tags of {repository}: {client.host} has no last page")


def next_page(link: str, asked: str) -> str:
    """The URL of the next page that a Link header names (RFC 8288); empty where there is none, or it leads elsewhere."""
    match = _LINK.search(link)
    if match is None:
        return ""
    url = urljoin(asked, match[1])
    return url if url.startswith(("http://", "https://")) and origin(url) == origin(asked) and url != asked else ""


def natural(tag: str) -> tuple[tuple[int, int, str], ...]:
    """A key by which v1.9 comes before v1.10."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", tag) if part)


def tag_of(subject: Digest) -> str:
    """The tag that stands for an image's referrers (distribution-spec, "Referrers Tag Schema")."""
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


class Tag(msgspec.Struct, frozen=True):
    """A tag, what it names, and when that was made; None where it does not say. `needs` is what belongs to it."""

    name: str
    digest: Digest
    created: datetime.datetime | None = None
    needs: frozenset[Digest] = frozenset()


def look(host: Host, client: Client, repository: str) -> list[Tag]:
    """Every tag with its digest and age. Each digest is asked for once, whatever names it. Raises RegistryError."""
    source = Repository(client, repository)
    named = _each(host, list_tags(client, repository), partial(client.head_manifest, repository))
    digests = dict.fromkeys(digest for digest in named.values() if digest is not None)
    found = _each(host, digests, partial(_look, source))
    return [msgspec.structs.replace(found[digest], name=name) for name, digest in named.items() if digest is not None]


def _each(host: Host, keys: Iterable[K], ask: Callable[[K], V]) -> dict[K, V]:
    """An answer for each key, several asked for at once; no more threads than a batch has."""
    flights: Flights[V] = Flights(WIDTH, host.check)
    left, found = list(keys), {}
    while left:
        batch = {key: flights.start(key, partial(ask, key))[0] for key in left[:BATCH]}
        flights.wait(batch.values())
        found.update({key: future.result() for key, future in batch.items()})
        left = left[BATCH:]
    return found


def _look(source: Repository, digest: Digest, depth: int = 0) -> Tag:
    if depth > _DEEPEST:
        raise ImageError(f"{source.name}@{digest}: its indexes are nested too deeply")
    document = parse(f"{source.name}@{digest}", source.manifest(digest)[1])
    if not document.is_index:
        return Tag("", digest, _created(source, document), frozenset({digest}))
    needs, created = {digest}, None
    for entry, _ in document.entries(source.name):
        needs.add(entry.digest)
        is_nested = entry.media_type in (OCI_INDEX, DOCKER_LIST)
        # One platform's age is that of all: they were made together.
        if is_nested or (created is None and entry.attested is None):
            below = _look(source, entry.digest, depth + 1)
            needs |= below.needs
            created = created or below.created
    return Tag("", digest, created, frozenset(needs))


def _created(source: Repository, image: Document) -> datetime.datetime | None:
    if image.config is None or not image.is_image:
        return None
    config = decode(source.name, "config", source.read(image.config), ImageConfig)
    try:
        made = datetime.datetime.fromisoformat(config.created or "")
    except ValueError:
        return None
    made = made if made.tzinfo else made.replace(tzinfo=datetime.UTC)
    return made if made >= _FIRST_IMAGE else None


class Rule(msgspec.Struct, frozen=True):
    """What is deleted: all but the newest `keep` (None: however many), made before `older` (None: whenever), but for tags
    that match one of the patterns in `protect`.
    """

    keep: int | None = None
    older: datetime.datetime | None = None
    protect: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a tag, and why. `whole` says that nothing else needs what it names."""

    tag: Tag
    doomed: bool
    why: str
    whole: bool = False


def judge(tags: Sequence[Tag], rule: Rule) -> list[Verdict]:
    """What becomes of each tag, in their order. What cannot be told of a tag speaks for it."""
    free = [tag for tag in tags if not _BESIDE.match(tag.name) and not _protected(tag, rule)]
    newest = _newest(free, rule.keep)
    first = {tag.name: _sentence(tag, rule, newest) for tag in free}
    gone = {tag.digest for tag in free if not first[tag.name]} - _needed(tags, {n for n, why in first.items() if not why})
    doomed = {name for name, why in first.items() if not why}
    doomed |= {tag.name for tag in tags if (match := _BESIDE.match(tag.name)) and match[1] in map(tag_of, gone)}
    kept = _needed(tags, doomed)
    return [_verdict(tag, doomed, kept, first, rule) for tag in tags]


def _verdict(tag: Tag, doomed: set[str], kept: set[Digest], first: dict[str, str], rule: Rule) -> Verdict:
    if tag.name in doomed:
        whole = tag.digest not in kept
        return Verdict(tag, True, "with what it names" if whole else "its name alone: what is kept needs the image", whole)
    if _BESIDE.match(tag.name):
        return Verdict(tag, False, "belongs to an image that stays, or is not here")
    return Verdict(tag, False, first.get(tag.name) or f"matches {_protected(tag, rule)}")


def _protected(tag: Tag, rule: Rule) -> str:
    return next((pattern for pattern in rule.protect if fnmatch.fnmatchcase(tag.name, pattern)), "")


def _newest(tags: Sequence[Tag], keep: int | None) -> set[Digest]:
    """The digests that are among the newest: of those with an age by it, of versions without one by their numbers.

    Several tags of one image count once; of the same age, an index comes before the images in it.
    """

    def age(tag: Tag) -> tuple[object, ...]:
        return tag.created, len(tag.needs), natural(tag.name)

    dated = sorted((tag for tag in tags if tag.created), key=age, reverse=True)
    versions = [tag for tag in tags if not tag.created and _VERSION.match(tag.name)]
    versions.sort(key=lambda tag: _as_version(tag.name), reverse=True)
    found: set[Digest] = set()
    for group in (dated, versions):
        found.update(list(dict.fromkeys(tag.digest for tag in group))[: keep or 0])
    return found


def _as_version(name: str) -> tuple[object, ...]:
    """What versions are ordered by: their numbers; then one without an ending, as 1.0-rc1 comes before 1.0 (semver.org)."""
    match = _VERSION.match(name)
    numbers, ending = (match[1] or match[2], match[3] or "") if match else ("0", name)
    return tuple(map(int, numbers.split("."))), not ending.startswith("-"), natural(ending)


def _sentence(tag: Tag, rule: Rule, newest: set[Digest]) -> str:
    """Why a tag is kept; empty for one that is not."""
    if rule.keep is not None and tag.digest in newest:
        return f"one of the newest {rule.keep}"
    if rule.older is not None and (tag.created is None or tag.created >= rule.older):
        return "not that old" if tag.created else "its image does not say when it was made"
    if tag.created is None and not _VERSION.match(tag.name):
        return "its image does not say when it was made, nor is it a version"
    return ""


def _needed(tags: Sequence[Tag], doomed: set[str]) -> set[Digest]:
    return {digest for tag in tags if tag.name not in doomed for digest in tag.needs}


def delete(client: Client, repository: str, verdicts: Sequence[Verdict]) -> Iterator[tuple[Verdict, str]]:
    """Deletes what is doomed; each with how it went: `deleted`, or why its name stays. Raises RegistryError."""
    gone: set[Digest] = set()
    for verdict in verdicts:
        if not verdict.doomed:
            continue
        client.patience.check()
        if verdict.whole and verdict.tag.digest not in gone:
            _delete(client, repository, verdict.tag.digest)
            gone.add(verdict.tag.digest)
        # Where it goes by the specification, a tag goes with what it names; with some it has to be told.
        left = client.head_manifest(repository, verdict.tag.name) == verdict.tag.digest
        yield verdict, "deleted" if not left or _unname(client, repository, verdict) else _STAYS


_STAYS: Final = "stays: this registry cannot delete a name alone, and what is kept needs the image"


def _unname(client: Client, repository: str, verdict: Verdict) -> bool:
    """Deletes a tag by its name; False where the registry does not know how to, and would delete the image."""
    try:
        _delete(client, repository, verdict.tag.name)
    except RegistryError as error:
        if error.status in (400, 404, 405, 501) and not verdict.whole:
            return False
        raise
    return True


def _delete(client: Client, repository: str, reference: str) -> None:
    try:
        client.request(
            f"delete {repository}{'@' if ':' in reference else ':'}{reference}",
            "DELETE",
            f"/v2/{repository}/manifests/{reference}",
            scopes=(f"repository:{repository}:pull,delete",),
            expected=(200, 202, 204, 404) if ":" in reference else (200, 202, 204),
        )
    except RegistryError as error:
        if error.status == 405 or error.code == "UNSUPPORTED":
            error.hint = (
                "it allows no deletion; distribution's registry does with storage.delete.enabled "
                "(REGISTRY_STORAGE_DELETE_ENABLED=true), others have a way of their own"
            )
        raise
