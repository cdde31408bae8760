"""Whose the actions are that one go build asked for: it makes several programs, and the next one perhaps one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from goctl.contracts import PART

#: What the go command keeps of an action besides its output, by ids of their own (cmd/go/internal/cache, Subkey): what the
#: compiler said, and names of sources, which only `go vet` and the like ask for.
_SAID: Final = b"stdout"
_NAMES: Final = b"srcfiles"

#: Of each program, the first bytes of the ids of the actions that it is made of.
Parts = Mapping[str, Collection[bytes]]


def shares(asked: Iterable[bytes], parts: Parts) -> dict[str, list[bytes]]:
    """Of all actions that were asked for, those that each program took, in their order, and will take when built again.

    What is nobody's in particular is everybody's: whoever builds one of them may ask for it.
    """
    asked = list(asked)
    claimed = frozenset(head for heads in parts.values() for head in heads)
    owners: dict[bytes, bytes] = {}
    for action in asked:
        if action[:PART] in claimed:
            owners[action] = owners[_beside(action, _SAID)] = action[:PART]
            owners[_beside(action, _NAMES)] = b""
    return {
        program: [action for action in asked if (owner := owners.get(action)) is None or owner in own]
        for program, own in ((program, frozenset(heads)) for program, heads in parts.items())
    }


def _beside(action: bytes, name: bytes) -> bytes:
    return hashlib.sha256(b"subkey:" + action + name).digest()
