"""Base images: the built-in ones, those in a layout, those in a registry; pinned by goctl.lock, kept in the blob store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from goctl.errors import ConfigError, GoctlError, ImageError, RegistryError
from goctl.events import Notice
from goctl.plan.facts import Base
from goctl.plan.systems import SCRATCH, STATIC
from goctl.release import lock
from goctl.values import Digest, ImageRef, Platform, from_json, to_json

if TYPE_CHECKING:
    from goctl.registry.bases import RegistryBases
    from goctl.registry.client import Client
    from goctl.release.session import Session

LAYOUT = "oci-layout:"


class Status(msgspec.Struct, frozen=True):
    """A base: the digest (or versions) it is pinned to, and that it names now; empty where there is none.

    `state` is `as pinned`, `named by digest`, `moved`, `not pinned`, `gone`, or `not known` with the error that kept it so.
    """

    reference: str
    pinned: str
    now: str
    state: str
    error: GoctlError | None = None

    @property
    def is_settled(self) -> bool:
        return self.state in ("as pinned", "named by digest")


class PinnedBases:
    """Looks bases up once, notes their digests in goctl.lock, and answers from there ever after."""

    def __init__(self, session: Session, locked: lock.Locked) -> None:
        self._session = session
        self._locked = locked
        self._registry: RegistryBases | None = None

    def pin(self, reference: str, platform: Platform, *, write: bool = True) -> Base | None:
        """The base on a platform. Without `write`, None where answering would take a look-up or a download.

        Raises ImageError or RegistryError where there is no such base for this platform.
        """
        with self._locked.guard:
            if reference in (SCRATCH, STATIC):
                return self._built_in(reference, platform, write=write)
            known = self._recall(reference, platform)
            if known is not None or not write:
                return known
            return self._look_up(reference, platform)

    def _built_in(self, reference: str, platform: Platform, *, write: bool) -> Base | None:
        from goctl.oci.static import scratch_base, static_base, versions

        if reference == SCRATCH:
            found: tuple[Base, bytes] | None = scratch_base(platform)
        else:
            installed = versions()
            lock.check_static(self._locked.now, installed)
            if write:
                self._locked.change(lock.Lock(self._locked.now.bases, installed))
            found = static_base(platform, self._session.blobs, self._session.memo, write=write)
        if found is None:
            return None
        base, config = found
        if write:
            self._session.blobs.add(config)
        return base

    def _recall(self, reference: str, platform: Platform) -> Base | None:
        pinned = self._pinned(reference)
        if pinned is None:
            return None
        content = self._session.memo.get(_kind(reference), f"{reference} {pinned} {platform}")
        if content is None:
            return None
        try:
            return from_json(content, Base)
        except ValueError:
            return None

    def _pinned(self, reference: str) -> Digest | None:
        """The digest a reference names: its own, else the locked one."""
        try:
            own = None if reference.startswith(LAYOUT) else ImageRef.parse(reference).digest
        except ValueError as error:
            raise ConfigError(f"image.base: {error}") from error
        return own or self._locked.now.bases.get(reference)

    def _look_up(self, reference: str, platform: Platform) -> Base:
        pinned = self._pinned(reference)
        if reference.startswith(LAYOUT):
            from goctl.oci.layout import read_base

            found, base = read_base(self._session, reference, pinned, platform)
        else:
            found, base = self._from_registry().resolve(ImageRef.parse(reference), pinned, platform)
            base = msgspec.structs.replace(base, reference=reference)
        if pinned is None:
            self._session.emit(Notice(f"{reference} is now pinned to {found} in {lock.NAME}", level="info"))
        if self._locked.now.bases.get(reference) != found and "@" not in reference:
            self._locked.change(lock.Lock({**self._locked.now.bases, reference: found}, self._locked.now.static))
        self._session.memo.put(_kind(reference), f"{reference} {found} {platform}", to_json(base))
        return base

    def _from_registry(self) -> RegistryBases:
        if self._registry is None:
            from goctl.registry.bases import RegistryBases

            self._registry = RegistryBases(self._session)
        return self._registry

    def fetch(self, base: Base) -> None:
        """Brings the content of a base into the blob store. The built-in ones, and layouts', are there already."""
        if all(self._session.blobs.has(blob.digest, blob.size) for blob in (base.config, *base.layers)):
            return
        if base.reference in (SCRATCH, STATIC) or base.reference.startswith(LAYOUT):
            raise ImageError(
                f"the content of the base {base.reference} is gone", hint="run `invoke clean` and release again"
            )
        self._from_registry().fetch(base)

    def update(self, references: tuple[str, ...], slots: list[tuple[str, Platform]]) -> list[tuple[str, str, str]]:
        """Looks up anew what is locked for these references, on the platforms of `slots`; (reference, was, is) of each."""
        with self._locked.guard:
            before = self._shown()
            was = self._locked.now
            kept = {name: digest for name, digest in was.bases.items() if name not in references}
            self._locked.now = lock.Lock(kept, {} if STATIC in references else was.static)
            for reference, platform in slots:
                self.pin(reference, platform)
            lock.write(self._session.root, self._locked.now)
            after = self._shown()
        return [(name, before.get(name, "-"), after.get(name, "-")) for name in references]

    def status(self, references: Sequence[str]) -> list[Status]:
        """What each reference is pinned to, and what it names now. Asks with one HEAD for each, writes nothing."""
        clients: dict[str, Client] = {}
        return [self._status(reference, clients) for reference in references]

    def _status(self, reference: str, clients: dict[str, Client]) -> Status:
        pinned, now = self._shown().get(reference, ""), ""
        try:
            if reference == STATIC:
                from goctl.oci.static import versions

                installed = versions()
                now = " ".join(f"{name} {version}" for name, version in sorted(installed.items()))
            elif reference.startswith(LAYOUT):
                from goctl.oci.layout import named

                now = named(self._session, reference)
            else:
                parsed = ImageRef.parse(reference)
                if parsed.digest is not None:
                    return Status(reference, parsed.digest, parsed.digest, "named by digest")
                from goctl.registry.client import connect

                client = clients.setdefault(parsed.host, connect(self._session, parsed.host))
                now = client.head_manifest(parsed.repository, parsed.tag) or ""
        except (RegistryError, ImageError) as error:
            return Status(reference, pinned, "", "not known", error)
        if not now:
            return Status(reference, pinned, "", "gone")
        state = "as pinned" if now == pinned else "moved" if pinned else "not pinned"
        return Status(reference, pinned, now, state)

    def _shown(self) -> dict[str, str]:
        static = " ".join(f"{name} {version}" for name, version in sorted(self._locked.now.static.items()))
        return {
            **{name: str(digest) for name, digest in self._locked.now.bases.items()},
            **({STATIC: static} if static else {}),
        }


def _kind(reference: str) -> str:
    """The kind of a base's record: a layout's is of this checkout, and no other machine's affair."""
    return "layout" if reference.startswith(LAYOUT) else "base"
