"""Which go builds run side by side, and with how many cores each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goctl.contracts import Binary, Outcome
from goctl.golang import compile as compiling
from goctl.golang.compile import Compiler, chains
from goctl.plan.model import CompileStep
from goctl.testing import Host
from goctl.values import Digest, Platform


def step(name: str, platform: str, group: str = "", file_name: str = "") -> CompileStep:
    return CompileStep(
        id=f"compile:{name}@{platform}{group}", title=name, package=f"./cmd/{name}", import_path=f"example.com/cmd/{name}",
        file_name=file_name or name, platform=Platform.parse(platform), flags=(), env=(), group=platform + group,
        targets=(name,), outputs=(f"dist/{name}",), input=None, fields={},
    )  # fmt: skip


def test_what_shares_a_platform_follows_each_other() -> None:
    steps = [
        step("a", "linux/amd64"),
        step("a", "linux/arm64"),
        step("b", "linux/amd64", "stamped"),
        step("c", "linux/amd64"),
        step("A", "linux/amd64"),
    ]
    ids = [[[each.title for each in batch] for batch in chain] for chain in chains(steps)]
    assert ids == [[["a", "c"], ["b"], ["A"]], [["a"]]]


CASES = {(1, 1): [1], (1, 3): [1, 1, 1], (2, 2): [1, 1], (2, 3): [1, 1, 2], (8, 1): [8], (8, 2): [4, 4], (8, 3): [3, 3, 3],
         (4, 6): [1, 1, 1, 1, 2, 2]}  # fmt: skip


@pytest.mark.parametrize(("jobs", "platforms"), CASES)
def test_platforms_share_the_cores(jobs: int, platforms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    class Build:
        def __init__(
            self, host: Any, cache: Any, ledger: Any, steps: list[CompileStep], folder: Path, parallel: int
        ) -> None:
            given.append(parallel)
            self.steps = steps

        def run(self) -> Iterator[Outcome]:
            for each in self.steps:
                yield Outcome(each.id, Binary("dist/x", Digest.of(each.id.encode()), 1))

    monkeypatch.setattr(compiling, "_Build", Build)
    host = Host(tmp_path)
    host.jobs = jobs
    steps = [step("a", f"linux/{name}") for name in ("386", "amd64", "arm64", "ppc64le", "riscv64", "s390x")[:platforms]]
    outcomes = list(Compiler(host).run(steps, {}))
    assert sorted(each.step for each in outcomes) == sorted(each.id for each in steps)
    assert sorted(given) == CASES[jobs, platforms]
    assert list(host.scratch.iterdir()) == []


def test_an_error_in_one_build_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *args: Any) -> None:
            pass

        def run(self) -> Iterator[Outcome]:
            raise OSError("no space")

    monkeypatch.setattr(compiling, "_Build", Broken)
    with pytest.raises(OSError, match="no space"):
        list(Compiler(Host(tmp_path)).run([step("a", "linux/amd64"), step("a", "linux/arm64")], {}))
