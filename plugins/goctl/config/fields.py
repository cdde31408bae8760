"""What every table of goctl.toml is made of."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Meta

Text = str
Strings = tuple[str, ...]
Map = dict[str, str]


def doc(text: str, **more: Any) -> Meta:
    """A field's sentence in the reference and the schema, with examples and bounds (`examples`, `ge`, `le`)."""
    return Meta(description=text, **more)


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The root of all tables: kebab-case keys, unknown ones are errors."""
