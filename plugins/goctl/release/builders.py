"""The tasks of builders: made as goctl.toml declares them, looked at, chosen, pruned, removed.

What goctl did not make is somebody's: it is changed only with `--force`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from goctl.buildkit import builders
from goctl.buildkit.builders_made import is_made_here
from goctl.buildkit.nodes import DOCKER, Builder, find, needed
from goctl.buildkit.nodes_declared import Declared, declared, differences
from goctl.buildkit.nodes_toml import daemon as configured
from goctl.errors import BuilderError, ConfigError
from goctl.events import Document, Notice, Table
from goctl.release.buildkit_ready import note_emptied
from goctl.release.looks import span
from goctl.values import ByteSize, to_json

if TYPE_CHECKING:
    from goctl.release.session import Session


def want(session: Session) -> Declared:
    """The builder that a project declares. Raises BuilderError for a certificate that cannot be read."""
    settings = session.config.buildkit
    return declared(settings, configured(settings, session.config.registries, session.root))


def create(session: Session, *, dry: bool, replace: bool, force: bool) -> None:
    """Makes the declared builder, or says that it is there, or how it differs."""
    wanted = want(session)
    found = find(builders.builders(), wanted.name)
    if wanted.driver == DOCKER and found is None:
        hint = "Docker has one for each context, with its name: set buildkit.builder to one of `docker context ls`"
        raise BuilderError(f"there is no builder {wanted.name}, and none of the driver docker can be made", hint=hint)
    differs = differences(wanted, found) if found else ()
    if found and not differs:
        _say(session, f"builder {wanted.name} is there, as declared")
        return
    if found:
        _replace(session, wanted, found, differs, dry=dry, replace=replace, force=force)
    elif dry:
        _say(session, f"would make {_described(wanted)}")
        return
    if not dry:
        builders.create(wanted)
        note_emptied(session, wanted.name)
        _say(session, f"made {_described(wanted)}")


def _replace(
    session: Session, wanted: Declared, found: Builder, differs: Sequence[str], *, dry: bool, replace: bool, force: bool
) -> None:
    """Takes a builder away that is not as declared. Raises BuilderError where nobody said that this may be done."""
    words = "; ".join(differs)
    if found.is_dockers_own:
        hint = "set buildkit.builder to another name"
        raise BuilderError(f"builder {found.name} is Docker's own and cannot be replaced: {words}", hint=hint)
    if not replace:
        hint = "`invoke builder.create --replace` makes it anew" + (
            "" if is_made_here(found) else ", with --force too: goctl did not make it"
        )
        raise BuilderError(f"builder {found.name} is not as declared: {words}", hint=hint)
    _refuse_foreign(found, "replaced", force=force)
    if dry:
        _say(session, f"would make {_described(wanted)} anew: {words}")
        return
    _say(session, f"builder {found.name} is made anew: {words}")
    builders.remove(found, keep_cache=found.driver == wanted.driver)


def _described(wanted: Declared) -> str:
    count = len(wanted.nodes)
    return f"builder {wanted.name} (driver {wanted.driver}{f', {count} nodes' if count > 1 else ''})"


def _refuse_foreign(found: Builder, what: str, *, force: bool) -> None:
    if found.is_dockers_own and what != "pruned":
        raise BuilderError(f"builder {found.name} is Docker's own and cannot be {what}", hint="name another with --name")
    if not force and not is_made_here(found):
        raise BuilderError(f"builder {found.name} was not made by goctl, and is not {what}", hint="add --force to do it")


def inspect(session: Session, *, dry: bool, name: str, bootstrap: bool) -> None:
    """Tells of a builder: its machines, what they can do, and how it differs from what is declared."""
    wanted = want(session)
    name = _named(session, name)
    found = builders.bootstrap(name) if bootstrap and not dry else needed(builders.builders(), name)
    rows = tuple(
        (node.name, node.endpoint, node.err or node.status, node.version, ", ".join(node.platforms or ()))
        for node in found.machines
    )
    session.emit(
        Table(f"builder {found.name} ({found.driver})", ("node", "endpoint", "status", "buildkit", "platforms"), rows)
    )
    if found.name == wanted.name:
        for difference in differences(wanted, found):
            session.emit(Notice(f"not as declared: {difference}", hint="`invoke builder.create --replace`"))


def use(session: Session, *, dry: bool, name: str) -> None:
    """Makes a builder the one that `docker buildx` takes where none is named."""
    found = needed(builders.builders(), _named(session, name))
    if dry:
        _say(session, f"would choose builder {found.name}")
        return
    builders.use(found.name)
    _say(session, f"`docker buildx` uses builder {found.name} from now on")


def remove(session: Session, *, dry: bool, name: str, keep_cache: bool, force: bool) -> None:
    """Removes a builder and what it runs."""
    name = _named(session, name)
    found = find(builders.builders(), name)
    if found is None:
        _say(session, f"there is no builder {name}")
        return
    _refuse_foreign(found, "removed", force=force)
    if dry:
        _say(session, f"would remove builder {found.name}")
        return
    builders.remove(found, keep_cache=keep_cache)
    note_emptied(session, found.name)
    _say(session, f"removed builder {found.name}")


class UsageAnswer(msgspec.Struct, frozen=True, rename="kebab"):
    """What `builder.usage` tells programs. Sizes are bytes."""

    builder: str
    size: int
    reclaimable: int
    kinds: tuple[builders.Usage, ...]


def usage(session: Session, *, dry: bool, name: str, older: str) -> None:
    """Tells what a builder's cache holds."""
    del dry
    found = needed(builders.builders(), _named(session, name))
    rows = builders.usage(found.name, older=_age(older))
    answer = UsageAnswer(found.name, sum(row.size for row in rows), sum(row.reclaimable for row in rows), rows)
    lines = [f"builder {found.name}: {ByteSize(answer.size)}, {ByteSize(answer.reclaimable)} of it can be removed"]
    lines += [f"  {row.kind:<22} {row.entries:>5} entries {ByteSize(row.size)!s:>9}" for row in rows]
    session.emit(Document("usage", "\n".join(lines), msgspec.Raw(to_json(answer))))


def prune(session: Session, *, dry: bool, name: str, older: str, keep: str, everything: bool, force: bool) -> None:
    """Removes what a builder's cache holds beyond a size, or did not use for long."""
    found = needed(builders.builders(), _named(session, name))
    age = _age(older)
    size = _size(keep)
    if not age and size is None and not everything:
        raise ConfigError("it is not said what to remove", hint="add --older 48h, --keep 10GiB or --everything")
    _refuse_foreign(found, "pruned", force=force)
    if dry:
        # The builder itself chooses what goes; how much could is known.
        could = sum(row.reclaimable for row in builders.usage(found.name, older=age))
        _say(session, f"would remove up to {ByteSize(could)} from builder {found.name}")
        return
    freed = builders.prune(found.name, older=age, keep=size, everything=everything)
    note_emptied(session, found.name)
    _say(session, f"removed {ByteSize(freed)} from the cache of builder {found.name}")


def _age(older: str) -> int:
    return span(older) if older else 0


def _size(keep: str) -> int | None:
    try:
        return int(ByteSize.parse(keep)) if keep else None
    except ValueError as error:
        raise ConfigError(f"--keep: {error}") from None


def _named(session: Session, name: str) -> str:
    if name.startswith("-"):
        raise ConfigError(f"--name: {name!r} is no builder")
    return name or session.config.buildkit.builder


def _say(session: Session, text: str) -> None:
    session.emit(Notice(text, level="info"))


BUILDERS: dict[str, Callable[..., None]] = {
    "builder.create": create,
    "builder.inspect": inspect,
    "builder.use": use,
    "builder.remove": remove,
    "builder.prune": prune,
    "builder.usage": usage,
}
