"""What tasks of one name share, and the options that many of them have."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What tasks of one name share: the words, options and help that `--list` and `--help` show."""

    words: str
    options: Signature
    help: dict[str, str]
    iterable: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()


def options(**defaults: Any) -> Signature:
    """The options of a task: names and defaults, `Parameter.empty` for one that must be given."""
    return Signature([Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()])


SELECT = "what to do: project:target@platform with globs; may be repeated"
COMMON = {"profile": "use the settings of [profiles.NAME]", "json": "one event a line, as JSON"}
SELECTING = {"select": SELECT, **COMMON}
CHECK = "change nothing, and fail where something would change"
#: The defaults of COMMON.
PLAIN = {"profile": "", "json": False}
