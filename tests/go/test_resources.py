"""What a go build is given of the machine: its share of cores and of memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from goctl.errors import BuildError
from goctl.golang import compile as compiling
from goctl.golang.compile import Compiler
from tests.go.conftest import GoHost, write
from tests.go.test_compiled_elsewhere import FILES, step

NAMES = ("GOGC", "GOMEMLIMIT", "GOMAXPROCS")


@pytest.mark.parametrize(
    ("available", "own", "given"),
    [
        (12 << 30, {}, ("3200", "3072MiB", "2")),
        ((6 << 30) - 1, {}, (None, None, "2")),
        (12 << 30, {"GOGC": "50"}, ("50", None, "2")),
        (12 << 30, {"GOMEMLIMIT": "1GiB", "GOMAXPROCS": "7"}, (None, "1GiB", "7")),
    ],
)
def test_a_build_has_its_share_and_a_persons_own_settings_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, own: dict[str, str], given: tuple[str | None, ...]
) -> None:
    write(tmp_path, FILES)
    host = GoHost(tmp_path)
    host.jobs = 2
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(compiling.memory, "available", lambda: available)
    seen: list[Mapping[str, str]] = []

    def run(args: object, *, env: Mapping[str, str], **_: object) -> NoReturn:
        seen.append(env)
        raise BuildError("enough")

    host.toolchain()
    monkeypatch.setattr(compiling, "run", run)
    with pytest.raises(BuildError, match="enough"):
        list(Compiler(host).run([step()], {}))
    assert [tuple(env.get(name) for name in NAMES) for env in seen] == [given]
