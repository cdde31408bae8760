"""Facts, gathered by need: only what the chosen targets and the stages to be run depend on is looked up, each once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from goctl.config.model import Image
from goctl.errors import Location, ModuleError, ToolchainError
from goctl.plan.facts import Base, Facts, Git, Listing, ListingKey, Toolchain
from goctl.plan.images import base_reference, wants_image
from goctl.plan.make import EMBEDDED, listing_key
from goctl.release import git
from goctl.release.assets import AssetLedger
from goctl.values import Digest, Platform

if TYPE_CHECKING:
    from goctl.release.session import Session

Chosen = Mapping[str, tuple[Platform, ...]]


def gather(session: Session, chosen: Chosen) -> Facts:
    """Everything that plan.make needs for these targets.

    In a session that only looks, nothing is written, fetched or pinned: what would take that stays unknown, and a missing
    toolchain or modules that do not load are no errors.
    """
    wanted = git.wanted_names(session.config)
    # git looks at the work tree while this thread looks at the packages.
    with ThreadPoolExecutor(1) as pool:
        asked: Future[Git | None] | None = None
        if git.needs_git(session.config, wanted):
            tell = session.emit if session.config.project.version == "git" and "version" in wanted else None
            asked = pool.submit(git.look, session.root, session.config.project.tag_prefix, tell)
        toolchain, listings = _go(session, chosen)
        cgo = _cgo(session, listings or {})
        assets = _assets(session, chosen)
        bases = _bases(session, chosen)
        checkout = asked.result() if asked is not None else None
    return Facts(
        git=checkout,
        version=git.version(session.config, session.root, checkout),
        toolchain=toolchain,
        listings=listings,
        assets=assets,
        bases=bases,
        compressors=_compressors(),
        cgo=cgo,
        environment={
            name: os.environ[name]
            for name in ("SOURCE_DATE_EPOCH", *(name[4:] for name in wanted if name.startswith("env.")))
            if name in os.environ
        },
    )


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


def _go(session: Session, chosen: Chosen) -> tuple[Toolchain | None, Mapping[ListingKey, Listing] | None]:
    wanted = wanted_listings(session, chosen)
    if not wanted:
        return None, {}
    from goctl.golang.snapshot import packages

    try:
        toolchain = session.toolchain()
    except ToolchainError:
        if not session.look_only:
            raise
        return None, None
    _check_platforms(session, toolchain, wanted)
    try:
        return toolchain, packages(session, wanted, write=not session.look_only)
    except ModuleError:
        if not session.look_only:
            raise
        return toolchain, None


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


def _check_platforms(session: Session, toolchain: Toolchain, wanted: Iterable[ListingKey]) -> None:
    """Raises ConfigError for a platform that this toolchain does not build for, with the line that asks for it."""
    from goctl.golang.pairs import check
    from goctl.plan.select import platforms_of

    def place(platform: Platform) -> Location | None:
        for name, target in session.config.targets.items():
            if platform in platforms_of(session.config, target):
                path = ("targets", name, "platforms") if target.platforms else ("platforms", "default")
                return session.loaded.place(*path)
        return None

    check(session, toolchain, (key.platform for key in wanted), place)


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
            if not wants_image(target, platform):
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
