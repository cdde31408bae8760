"""Which image of an index is for a platform."""

from __future__ import annotations

from collections.abc import Sequence

from goctl import ports
from goctl.errors import ImageError
from goctl.values import Descriptor, Platform


def platform_of(descriptor: Descriptor) -> Platform | None:
    """The platform an index gives an image; None for what is none (attestations are `unknown/unknown`)."""
    raw = descriptor.platform
    if raw is None or "unknown" in (raw.get("os"), raw.get("architecture")):
        return None
    try:
        found = Platform.parse(
            "/".join(filter(None, (raw.get("os", ""), raw.get("architecture", ""), raw.get("variant", ""))))
        )
    except ValueError:
        return None
    return Platform(found.os, found.architecture, found.variant, str(raw.get("os.version", "")))


def select(descriptors: Sequence[Descriptor], platform: Platform, *, name: str = "the base") -> Descriptor:
    """The image for a platform: the same variant, or the nearest lower one, which the same machine runs too.

    Raises ImageError that says which platforms there are.
    """
    found = [(descriptor, has) for descriptor in descriptors if (has := platform_of(descriptor)) is not None]
    order = _preferred(platform)
    usable = [
        (order.index(has.variant), number, descriptor)
        for number, (descriptor, has) in enumerate(found)
        if (has.os, has.architecture) == (platform.os, platform.architecture) and has.variant in order
    ]
    if usable:
        return min(usable, key=lambda entry: entry[:2])[2]
    listed = ", ".join(sorted({str(has) for _, has in found})) or "no platforms"
    raise ImageError(f"{name} has no image for {platform}; it has {listed}", hint="take another base, or fewer platforms")


def _preferred(platform: Platform) -> list[str]:
    """Variants, normalised, that a machine of this platform runs, best first."""
    known = ports.VARIANTS.get(platform.architecture, ())
    if not known or platform.architecture == "arm":
        return ports.lower(platform.architecture, platform.variant)
    return [name if name != known[0] else "" for name in ports.lower(platform.architecture, platform.variant or known[0])]
