"""Looks at registries, and what is changed there by hand: manifests, tags, referrers. Questions and answers of the tasks."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from goctl.errors import ConfigError
from goctl.events import Document, Notice, Table
from goctl.release import places
from goctl.values import ByteSize, to_json

if TYPE_CHECKING:
    from goctl.registry.joining import Joined, Part
    from goctl.registry.looks import Compared, One, Whole
    from goctl.registry.tags import Verdict
    from goctl.release.session import Session

#: Letters of what made a layer that a line of text has room for.
_WORDS = 90


def manifest_create(session: Session, *, dry: bool, name: str, amend: Sequence[str] | None, replace: bool) -> None:
    """Joins images that exist into an index, and names it."""
    from goctl.registry.joining import join, publish

    target = places.find(session, name)
    place = places.registry_only(target)
    if ":" in target.reference:
        raise ConfigError(f"{name}: an index gets its digest from what is in it", hint="write HOST/REPOSITORY:TAG")
    if not amend:
        raise ConfigError("there is nothing to join", hint="name each image with --amend")
    found = [places.find(session, one) for one in amend]
    joined = join([(places.registry_only(one), one.reference) for one in found], replace=replace)
    session.emit(_parts(target.name, joined))
    if dry:
        session.emit(Notice(f"would name {joined.digest} {target.name}", level="info"))
        return

    def told(part: Part, sent: int) -> None:
        what = f"{part.platform or 'its attestation'} from {part.source.name}"
        session.emit(Notice(f"{what}: {f'{ByteSize(sent)} sent' if sent else 'there already'}", level="info"))

    with session.lock():
        sent = publish(session, joined, place, target.reference, told)
    session.emit(Notice(f"{target.name} is now {joined.digest} ({ByteSize(sent)} sent)", level="info"))


def _parts(name: str, joined: Joined) -> Table:
    rows = tuple(
        (part.platform or f"attests {str(part.entry.attested)[7:19]}", str(part.entry.digest), part.asked)
        for part in joined.parts
    )
    return Table(name, ("platform", "digest", "from"), rows)


def manifest_inspect(session: Session, *, dry: bool, reference: str, compare: str, unpacked: bool) -> None:
    """Tells what an image consists of, and with another what the two share."""
    del dry
    from goctl.registry.looks import compare as compared
    from goctl.registry.looks import inspect

    place = places.find(session, reference)
    whole = inspect(place.source, place.reference, place.name, unpacked=unpacked)
    if compare:
        other = places.find(session, compare)
        found = compared(whole, inspect(other.source, other.reference, other.name))
        whole = msgspec.structs.replace(whole, compared=found)
    session.emit(Document("manifest", "\n".join(_as_lines(whole)), msgspec.Raw(to_json(whole))))


def _as_lines(whole: Whole) -> list[str]:
    lines = [whole.name, f"digest  {whole.digest}", f"type    {whole.media_type}"]
    lines += [f"        {name}={value}" for name, value in sorted(whole.annotations.items())]
    for part in whole.parts:
        lines += ["", *_part_lines(part)]
    if whole.compared is not None:
        lines += ["", *_compared_lines(whole.compared)]
    return lines


def _part_lines(part: One) -> list[str]:
    if part.attests:
        return [f"attestation of {part.attests}", f"  {part.digest}  {ByteSize(part.size)}"]
    unpacked = sum(layer.unpacked for layer in part.layers)
    size = f"{ByteSize(part.size)}, {ByteSize(unpacked)} unpacked" if unpacked else str(ByteSize(part.size))
    made = f", made {part.created}" if part.created else ""
    lines = [part.platform or part.artifact_type or "no platform", f"  {part.digest}  {size}{made}"]
    for layer in part.layers:
        size = str(ByteSize(layer.size)).rjust(8) + (f" {ByteSize(layer.unpacked)!s:>8}" if unpacked else "")
        words = layer.made_by if len(layer.made_by) <= _WORDS else f"{layer.made_by[:_WORDS]}..."
        lines.append(f"    {layer.digest}  {size}  {words}".rstrip())
    return lines


def _compared_lines(found: Compared) -> list[str]:
    lines = [f"beside {found.name} ({found.digest})"]
    for one in found.platforms:
        lines.append(
            f"  {one.platform}: {len(one.shared)} layers shared, {ByteSize(one.shared_bytes)}; only here "
            f"{ByteSize(one.only_first)}, only there {ByteSize(one.only_second)}"
        )
        lines += [f"    {digest}" for digest in one.shared]
    if found.only_one_has:
        lines.append(f"  only one of them has {', '.join(found.only_one_has)}")
    return [*lines, f"  in all: {found.shared} layers shared, {ByteSize(found.shared_bytes)}"]


def tags_list(session: Session, *, dry: bool, repository: str) -> None:
    """Tells every tag of a repository, one a line."""
    del dry
    place = places.repository(session, repository)
    names = place.source.tags()
    data = msgspec.Raw(to_json({"name": place.source.name, "tags": names}))
    session.emit(Document("tags", "\n".join(names) or f"{place.source.name} has no tags", data))


def tags_delete(
    session: Session, *, dry: bool, repository: str, keep: str, older: str, protect: Sequence[str] | None
) -> None:
    """Deletes tags by number and age, and tells what became of each."""
    from goctl.registry import tags

    place = places.registry_only(places.repository(session, repository))
    rule = tags.Rule(_number(keep), _moment(older), tuple(protect or ()))
    if rule.keep is None and rule.older is None:
        raise ConfigError(
            "it is not said which tags to delete", hint="--keep 10 leaves the newest ten, --older 30d younger ones"
        )
    verdicts = tags.judge(tags.look(session, place.client, place.repository), rule)
    ended: dict[str, str] = {}
    try:
        if not dry:
            for verdict, outcome in tags.delete(place.client, place.repository, verdicts):
                ended[verdict.tag.name] = outcome
    finally:
        session.emit(_verdicts(place.name, verdicts, ended, dry=dry))


def _verdicts(name: str, verdicts: Sequence[Verdict], ended: dict[str, str], *, dry: bool) -> Table:
    rows = []
    for verdict in verdicts:
        tag = verdict.tag
        what = ("would be deleted" if dry else ended.get(tag.name, "not deleted")) if verdict.doomed else "kept"
        made = tag.created.strftime("%Y-%m-%d %H:%M") if tag.created else "-"
        rows.append((tag.name, str(tag.digest), made, what, verdict.why))
    return Table(name, ("tag", "digest", "made", "what", "why"), tuple(rows))


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(f"--keep {text} is no number")
    return int(text) if text else None


_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _moment(text: str) -> datetime.datetime | None:
    """The moment that lies as far back as a text like 30d says."""
    if not text:
        return None
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=span(text))


def span(text: str) -> int:
    """The seconds in a text like 30d, as `--older` takes them. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII)
    if match is None:
        raise ConfigError(f"--older {text} is no time", hint="write 30d, 12h or 8w")
    return int(match[1]) * _UNITS[match[2]]


def referrer_attach(
    session: Session,
    *,
    dry: bool,
    reference: str,
    file: Sequence[str] | None,
    artifact_type: str,
    media_type: str,
    annotation: Sequence[str] | None,
) -> None:
    """Stores files beside an image, as a manifest that refers to it."""
    place = places.find(session, reference)
    paths = [session.root / name for name in file or ()]
    _check_attached(paths, artifact_type, media_type)
    annotations = dict(_pair(text) for text in annotation or ())
    target = places.registry_only(place)
    if dry:
        session.emit(Notice(f"would attach {', '.join(file or ())} to {place.name} as {artifact_type}", level="info"))
        return
    from goctl.registry.attaching import attach_files

    with session.lock():
        subject, digest = attach_files(session, target, place.reference, paths, (artifact_type, media_type), annotations)
    session.emit(Notice(f"{target.name}@{digest} now refers to {place.source.name}@{subject}", level="info"))


def _check_attached(paths: Sequence[Path], artifact_type: str, media_type: str) -> None:
    if not paths:
        raise ConfigError("there is nothing to attach", hint="name each file with --file")
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{path} is no file")
    for text in filter(None, (artifact_type, media_type)):
        # RFC 6838, 4.2: a type and a subtype.
        if not re.fullmatch(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", text, re.ASCII):
            raise ConfigError(f"{text!r} is no media type", hint="write one like application/spdx+json")
    if not artifact_type:
        raise ConfigError("it is not said what is attached", hint="--artifact-type application/spdx+json")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--annotation {text} is no NAME=VALUE")
    return name, value


def referrer_list(session: Session, *, dry: bool, reference: str, artifact_type: str) -> None:
    """Tells what refers to an image."""
    del dry
    from goctl.registry.referrers import referrers

    place = places.find(session, reference)
    source = places.registry_only(place)
    subject, _ = source.manifest(place.reference)
    found = referrers(source, subject, artifact_type)
    rows = [(one.artifact_type or "-", str(one.digest), str(ByteSize(one.size)), _words(one.annotations)) for one in found]
    lines = _columns(rows) or [f"nothing refers to {source.name}@{subject}"]
    data = {"name": source.name, "subject": str(subject), "referrers": found}
    session.emit(Document("referrers", "\n".join(lines), msgspec.Raw(to_json(data))))


def _words(annotations: dict[str, str] | None) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted((annotations or {}).items()))


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


#: What is done once, whatever projects there are.
LOOKS: dict[str, Callable[..., Any]] = {
    "manifest.create": manifest_create,
    "manifest.inspect": manifest_inspect,
    "tags.list": tags_list,
    "tags.delete": tags_delete,
    "referrer.attach": referrer_attach,
    "referrer.list": referrer_list,
}
