"""The states as data: what a machine has when a release begins, and what was changed since the last one."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Part = Literal["modules", "compiled", "project", "registry", "level"]
#: What a machine can have: GOMODCACHE, GOCACHE, .goctl and dist, and what was pushed. A level of the cache stands beside it
#: in states that keep one; in all others there is none.
PARTS: Final[tuple[Part, ...]] = ("modules", "compiled", "project", "registry")


_ALL: Final = frozenset(PARTS)


class State(msgspec.Struct, frozen=True):
    """`kept` is what the release finds; everything else is empty. `change` is made right before it."""

    name: str
    kept: frozenset[Part]
    change: Literal["", "edit", "gomod"] = ""

    @property
    def is_full(self) -> bool:
        """Whether nothing is emptied. What a builder of buildx holds never is: it may be anybody's."""
        return self.kept >= _ALL

    @property
    def is_warm(self) -> bool:
        """Whether an earlier release has to have been made on this machine."""
        return bool(self.kept & {"project", "registry"})


STATES: Final = {
    state.name: state
    for state in (
        State("cold", frozenset()),
        State("modules", frozenset({"modules"})),
        State("compile", frozenset({"modules", "compiled"})),
        State("edit", _ALL, "edit"),
        State("gomod", _ALL, "gomod"),
        State("nothing", _ALL),
        State("pushed", frozenset({"registry"})),
        State("remote", frozenset({"registry", "level"})),
    )
}
