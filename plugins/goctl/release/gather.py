"""Facts, gathered by need: only what the chosen targets and the stages to be run depend on is looked up, each once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from goctl.config.model import Image
from goctl.errors import Location, ModuleError, ToolchainError
from goctl.plan.baking import EMBEDDED
from goctl.plan.facts import Base, Facts, Git, Listing, ListingKey, Toolchain
from goctl.plan.images import base_reference, wants_image
from goctl.plan.make import listing_key
from goctl.release import git
from goctl.release.assets import AssetLedger
from goctl.release.files import archive_files
from goctl.values import Digest, Platform

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.session import Session

Chosen = Mapping[str, tuple[Platform, ...]]


def gather(crew: Crew, chosen: Mapping[str, Chosen]) -> dict[str, Facts]:
    """Everything that plan.make needs for these targets of these projects, by project.

    In a crew that only looks, nothing is written, fetched or pinned: what would take that stays unknown, and a missing
    toolchain or modules that do not load are no errors.
    """
    # git looks at the work tree while this thread looks at the packages.
    with ThreadPoolExecutor(4, "git") as pool:
        checkouts = _checkouts(crew, chosen, pool)
        found = _go(crew, chosen)
        return {
            project: _facts(crew.sessions[project], own, found[crew.unit_name(project)], checkouts.get(project))
            for project, own in chosen.items()
        }


def _facts(session: Session, chosen: Chosen, found: _Go, asked: Callable[[], Git | None] | None) -> Facts:
    assets = _assets(session, chosen)
    bases = _bases(session, chosen)
    files = archive_files(session, chosen)
    checkout = asked() if asked is not None else None
    return Facts(
        git=checkout,
        version=git.version(session.config, session.root, checkout),
        toolchain=found.toolchain,
        listings=found.listings,
        assets=assets,
        bases=bases,
        compressors=_compressors(),
        cgo=found.cgo,
        files=files,
        environment=_environment(git.wanted_names(session.config)),
    )


def named(crew: Crew, project: str, chosen: Chosen, *, listed: bool) -> Facts:
    """What names, labels and flags depend on, for one project: git, versions, the environment. Packages are listed only
    where that is asked for; neither bases nor assets are looked at.
    """
    session = crew.sessions[project]
    with ThreadPoolExecutor(4, "git") as pool:
        asked = _checkouts(crew, {project: chosen}, pool).get(project)
        found = _go(crew, {project: chosen}, lenient=True)[crew.unit_name(project)] if listed else _Go()
        checkout = asked() if asked is not None else None
    return Facts(
        git=checkout,
        version=git.version(session.config, session.root, checkout),
        toolchain=found.toolchain,
        listings=found.listings,
        environment=_environment(git.wanted_names(session.config)),
    )


def _environment(wanted: Iterable[str]) -> dict[str, str]:
    names = ("SOURCE_DATE_EPOCH", *(name[4:] for name in wanted if name.startswith("env.")))
    return {name: os.environ[name] for name in names if name in os.environ}


def _checkouts(crew: Crew, chosen: Iterable[str], pool: ThreadPoolExecutor) -> dict[str, Callable[[], Git | None]]:
    """What git says, by project, for those whose configuration asks for it."""
    looks: dict[Path, git.Look] = {}
    found = {}
    for project in chosen:
        session = crew.sessions[project]
        wanted = git.wanted_names(session.config)
        if git.needs_git(session.config, wanted):
            folder = git.checkout_of(session.root / session.loaded.folder)
            if folder not in looks:
                looks[folder] = git.Look(folder, pool)
            tell = session.emit if session.config.project.version == "git" and "version" in wanted else None
            found[project] = looks[folder].at(session.config.project.tag_prefix, tell)
    return found


def wanted_listings(session: Session, chosen: Chosen) -> dict[ListingKey, tuple[str, ...]]:
    """The package patterns to list, by what they are listed for. Targets of other engines need no list."""
    wanted: dict[ListingKey, dict[str, None]] = {}
    for name, platforms in chosen.items():
        target = session.config.targets[name]
        if target.engine != EMBEDDED:
            continue
        for platform in platforms:
            wanted.setdefault(listing_key(session.config, target, platform), {}).update(dict.fromkeys(target.packages))
    return {key: tuple(patterns) for key, patterns in wanted.items()}


class _Go(NamedTuple):
    """What Go says of one unit. None where it could not be asked."""

    toolchain: Toolchain | None = None
    listings: Mapping[ListingKey, Listing] | None = None
    cgo: Mapping[ListingKey, str] = {}


def wanted_by_unit(crew: Crew, chosen: Mapping[str, Chosen]) -> dict[str, dict[ListingKey, tuple[str, ...]]]:
    """The package patterns to list, by unit and by what they are listed for."""
    wanted: dict[str, dict[ListingKey, dict[str, None]]] = {}
    for project, own in chosen.items():
        unit = wanted.setdefault(crew.unit_name(project), {})
        for key, patterns in wanted_listings(crew.sessions[project], own).items():
            unit.setdefault(key, {}).update(dict.fromkeys(patterns))
    return {unit: {key: tuple(patterns) for key, patterns in keys.items()} for unit, keys in wanted.items()}


def _go(crew: Crew, chosen: Mapping[str, Chosen], *, lenient: bool = False) -> dict[str, _Go]:
    found = {}
    for unit, wanted in wanted_by_unit(crew, chosen).items():
        users = [crew.sessions[project] for project in chosen if crew.unit_name(project) == unit]
        found[unit] = _ask(crew.units[unit], users, wanted, lenient=lenient or crew.units[unit].look_only)
    return found


def _ask(unit: Session, users: Iterable[Session], wanted: Mapping[ListingKey, tuple[str, ...]], *, lenient: bool) -> _Go:
    """With `lenient`, a toolchain that is not there and modules that do not load are no errors."""
    if not wanted:
        return _Go(listings={})
    from goctl.golang.snapshot import packages

    try:
        toolchain = unit.toolchain()
    except ToolchainError:
        if not lenient:
            raise
        return _Go()
    _check_platforms(unit, users, toolchain, wanted)
    try:
        listings = packages(unit, wanted, write=not unit.look_only)
    except ModuleError:
        if not lenient:
            raise
        return _Go(toolchain)
    return _Go(toolchain, listings, _cgo(unit, listings))


def _cgo(session: Session, listings: Mapping[ListingKey, Listing]) -> dict[ListingKey, str]:
    wanted = {key: listing for key, listing in listings.items() if key.cgo}
    if not wanted:
        return {}
    from goctl.golang.cgo import identity

    try:
        return {key: identity(session, key, listing.libraries) for key, listing in wanted.items()}
    except (ToolchainError, ModuleError):
        if not session.look_only:
            raise
        return {}


def _check_platforms(unit: Session, users: Iterable[Session], toolchain: Toolchain, wanted: Iterable[ListingKey]) -> None:
    """Raises ConfigError for a platform that this toolchain does not build for, with the line that asks for it."""
    from goctl.golang.pairs import check
    from goctl.plan.select import platforms_of

    def place(platform: Platform) -> Location | None:
        for session in users:
            for name, target in session.config.targets.items():
                if platform in platforms_of(session.config, target):
                    path = ("targets", name, "platforms") if target.platforms else ("platforms", "default")
                    return session.loaded.place(*path)
        return None

    check(unit, toolchain, (key.platform for key in wanted), place)


def _assets(session: Session, chosen: Chosen) -> dict[str, Digest]:
    ledger = AssetLedger(session)
    sources = {
        source
        for name in chosen
        if isinstance(image := session.config.targets[name].image, Image)
        for source in image.assets
    }
    return {source: ledger.digest(source) for source in sorted(sources)}


def _bases(session: Session, chosen: Chosen) -> dict[tuple[str, Platform], Base]:
    from goctl.release.bases import PinnedBases

    bases: dict[tuple[str, Platform], Base] = {}
    pins = session.bases
    if not isinstance(pins, PinnedBases):
        raise TypeError("a session's bases are pinned ones")
    for name, platforms in chosen.items():
        target = session.config.targets[name]
        for platform in platforms:
            if not wants_image(session.config, target, platform):
                continue
            slot = (base_reference(session.config, target, platform), platform)
            if slot not in bases:
                base = pins.pin(*slot, write=not session.look_only)
                if base is not None:
                    bases[slot] = base
    return bases


def _compressors() -> Mapping[str, str]:
    from goctl.oci.compress import compressors

    return compressors()
