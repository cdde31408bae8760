"""Whatever stands in goctl.toml, the answer is a configuration or a ConfigError, and it comes soon."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from goctl.config.loader import load
from goctl.errors import ConfigError
from tests.faults.campaign import campaign, count

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (
    (ROOT / "goctl.toml").read_bytes(),
    (ROOT / "tests/unit/golden/many-problems.toml").read_bytes(),
    b'[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n[profiles.x]\nrelease.stages = ["build"]\n',
)
PIECES = (
    b"[", b"]", b"{", b"}", b'"', b"'", b'"""', b"'''", b"\n", b"=", b".", b"#", b"\\", b"{version}", b"{env.X}", b"[[x]]\n",
    b"true", b"nan", b"1e999", b"0x" + b"f" * 40, b"9" * 5000, b"[" * 3000, b"a." * 3000, b"1979-05-27T07:32:00Z", b"\0",
    b"\xff", b"../", b"image=1\n", b"[profiles.x]\n", b"[targets.api]\n", "\u2028\ufeff".encode(),
)  # fmt: skip
SECONDS = 1.0


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
    path = tmp_path / "goctl.toml"

    def trial(chance: random.Random) -> str:
        path.write_bytes(content := mutated(chance))
        # The processor's time: what else the machine does is no affair of ours.
        started = time.process_time()
        try:
            load(path, environment={})
        except ConfigError as error:
            if not all(problem.location for problem in error.problems):
                return f"no line in {error.problems} for {content!r}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be a traceback
            return f"{error!r} for {content!r}"
        seconds = time.process_time() - started
        return f"{seconds:.2f} s for {content!r}" if seconds > SECONDS else ""

    campaign("config", "mutated files", count(full=10_000, short=300), trial)
