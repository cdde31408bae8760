"""Keys: digests over named parts, unambiguous whatever the parts contain."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from goctl.values import Digest, is_secretive, without_userinfo

#: Part of every key. To be raised whenever the same inputs would lead to another result than before.
FORMAT = "goctl 1"


def combine(kind: str, *parts: str) -> Digest:
    """The key of some parts, in order. Each is preceded by its length, so that no two sequences read the same."""
    hasher = hashlib.sha256()
    for part in (FORMAT, kind, *parts):
        encoded = part.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(encoded))
        hasher.update(encoded)
    return Digest("sha256:" + hasher.hexdigest())


def of_fields(kind: str, fields: Mapping[str, str]) -> Digest:
    """The key of named fields, whatever their order."""
    return combine(kind, *(text for name in sorted(fields) for text in (name, fields[name])))


def shown(name: str, value: str) -> str:
    """A variable's value as it may be shown and remembered: of a secret's a digest, which is one of itself."""
    if value.startswith("sha256:") or not (is_secretive(name) or without_userinfo(value) != value):
        return value
    return str(combine("secret", value))
