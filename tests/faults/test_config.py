"""Whatever stands in goctl.toml, the answer is a configuration or a ConfigError, and it comes soon."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from goctl.config.loader import Loaded
from tests.faults.campaign import campaign, count
from tests.property import test_config_fuzz
from tests.property.test_config_fuzz import answer

pytestmark = pytest.mark.faults

SEEDS = [text.encode() for text in test_config_fuzz.SEEDS]
PIECES = (
    b"[", b"]", b"{", b"}", b'"', b"'", b'"""', b"'''", b"\n", b"=", b".", b"#", b"\\", b"{version}", b"{env.X}", b"[[x]]\n",
    b"true", b"nan", b"1e999", b"0x" + b"f" * 40, b"9" * 5000, b"[" * 3000, b"a." * 3000, b"1979-05-27T07:32:00Z", b"\0",
    b"\xff", b"../", b"image=1\n", b"[profiles.x]\n", b"[targets.api]\n", "\u2028\ufeff".encode(),
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    content = chance.choice(SEEDS)
    for _ in range(chance.randrange(1, 7)):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.randrange(30))
        piece = chance.choice(PIECES) if chance.random() < 0.7 else chance.randbytes(chance.randrange(8))
        if chance.random() < 0.2:  # a part of itself, elsewhere
            piece = content[end : end + chance.randrange(200)]
        content = content[:start] + piece + content[end:]
    return content


def test_mutated_files(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        content = mutated(chance)
        try:
            found = answer(tmp_path / "goctl.toml", content)
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be a traceback, or came too late
            return f"{error!r} for {content!r}"
        placed = isinstance(found, Loaded) or all(problem.location for problem in found.problems)
        return "" if placed else f"no line in {found} for {content!r}"

    campaign("config", "mutated files", count(full=10_000, short=300), trial)
