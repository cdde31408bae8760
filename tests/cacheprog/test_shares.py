"""Whose the actions of one go build are, and that a machine which builds one of its programs fetches no more."""

from __future__ import annotations

import hashlib

from goctl.cacheprog.shares import shares
from goctl.contracts import PART
from tests.cacheprog.gocommand import id_of


def _beside(action: bytes, name: str) -> bytes:
    return hashlib.sha256(b"subkey:" + action + name.encode()).digest()


def test_what_go_keeps_beside_an_action_goes_with_it() -> None:
    fmt, web, cli, tool = (id_of(name) for name in ("fmt", "web", "cli", "tool"))
    asked = [tool, fmt, _beside(fmt, "stdout"), web, _beside(web, "stdout"), _beside(web, "srcfiles"), cli]
    parts = {"server": {fmt[:PART], web[:PART]}, "cli": {fmt[:PART], cli[:PART]}}
    assert shares(asked, parts) == {
        # Names of sources are asked for by no build; what go does not tell of may be anybody's.
        "server": [tool, fmt, _beside(fmt, "stdout"), web, _beside(web, "stdout")],
        "cli": [tool, fmt, _beside(fmt, "stdout"), cli],
    }
