"""Caches that are written by several: each part of a build has a name of its own in the place that is declared for all.

What is written to a cache replaces what another has written there under the same name. Where the name stands, by type:
docs.docker.com/build/cache/backends. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: The option that holds the name, and what BuildKit takes where it is not given. There may be several names, separated by
#: semicolons.
_NAMES: Final = {"gha": ("scope", "buildkit"), "s3": ("name", "buildkit"), "azblob": ("name", "buildkit")}
#: What a tag may be long (OCI distribution specification).
_LONGEST: Final = 128


def own_cache(cache: Mapping[str, str], part: str) -> dict[str, str] | None:
    """The options of a cache with a name for one part of a build; written and read by the same rule. A digest stays what it
    is. None for an inline cache, which is in an image and in nothing else.
    """
    made = dict(cache)
    match made.get("type"):
        case "inline":
            return None
        case "registry":
            made["ref"] = _tagged(made["ref"], part)
        case "local":
            # A folder below: that one is declared, and nothing is written beside it.
            for option in ("dest", "src"):
                if option in made:
                    made[option] = f"{made[option].rstrip('/')}/{part}"
        case kind if kind in _NAMES:
            option, usual = _NAMES[kind]
            made[option] = ";".join(f"{name}-{part}" for name in (made.get(option) or usual).split(";"))
    return made


def _tagged(reference: str, part: str) -> str:
    """A reference whose tag names the part too. Without a tag it has what BuildKit takes for one."""
    if "@" in reference:
        return reference
    match = re.fullmatch(r"(.*?)(?::([^/:]*))?", reference, re.DOTALL)
    name, tag = (match[1], match[2]) if match is not None else (reference, None)
    return f"{name}:{(tag or 'latest')[: _LONGEST - 1 - len(part)]}-{part}"
