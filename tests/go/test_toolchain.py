"""What go is asked about itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.skipif(os.name == "nt", reason="the compiler is a shell script")
def test_no_c_compiler_is_started_to_learn_which_go_it_is(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\necho >> '{started}'\nexit 1\n", encoding="utf-8")
    compiler.chmod(0o755)
    for name, value in {"CC": str(compiler), "CGO_ENABLED": "1", "GOCACHE": str(tmp_path / "empty")}.items():
        monkeypatch.setenv(name, value)
    assert host.toolchain().version.startswith("go1.")
    assert not started.exists()


@pytest.mark.parametrize(("value", "told"), [("", {}), ("off", {}), ("latest", {"GOFIPS140": "latest"})])
def test_only_what_is_no_default_counts(
    host: Any, monkeypatch: pytest.MonkeyPatch, value: str, told: dict[str, str]
) -> None:
    monkeypatch.setenv("GOFIPS140", value)
    monkeypatch.delenv("GODEBUG", raising=False)
    monkeypatch.delenv("GOEXPERIMENT", raising=False)
    assert host.toolchain().settings == told
