"""GOCACHEs that tests fill by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from goctl.cacheprog.folder import Entry, Folder
from goctl.contracts import PART


def heads_of(cache: Folder) -> set[bytes]:
    """The first bytes of the ids of all actions."""
    return {action[:PART] for action in cache.actions()}


def compiled(cache: Folder, action: bytes, content: bytes, at: int = 1) -> None:
    """Puts an action there with its output, as go does."""
    entry = Entry(hashlib.sha256(content).digest(), len(content), at)
    assert cache.put(entry, lambda: content)
    cache.note(action, entry)


def copied(source: Folder, target: Folder, heads: Collection[bytes]) -> None:
    """Copies the actions whose ids begin so."""
    for action in list(source.actions()):
        if action[:PART] not in heads:
            continue
        entry = source.entry(action)
        assert entry is not None
        compiled(target, action, source.beginning(entry, entry.size), entry.made)
