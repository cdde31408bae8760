"""A checkout that tests release as a person does: each `invoke` is a process, that of `start` with a Python of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.services import forks

TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'


class Project:
    """A checkout that tests release."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def invoke(self, *args: str, code: int = 0, **env: str) -> str:
        return _said(forks.run(["invoke", *args], cwd=self.root, env={**os.environ, **env}), code)

    def start(self, *args: str, code: int = 0, **env: str) -> str:
        """As invoke, by a Python that shares nothing with others: the order of its sets is another each time."""
        command = [sys.executable, "-m", "invoke", *args]
        environment = {**os.environ, "PYTHONUTF8": "1", **env}
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
        )
        return _said(done, code)

    def events(self, *args: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.invoke(*args, "--json", code=code).splitlines()]

    def outcomes(self, *args: str) -> dict[str, str]:
        """How each step ended."""
        return {e["step"]: e["outcome"] for e in self.events(*(args or ("release",))) if e["event"] == "step-finished"}

    def digests(self) -> dict[str, str]:
        index = json.loads((self.root / "dist/images/index.json").read_bytes())
        return {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in index["manifests"]}

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.root / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _said(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def done(outcomes: dict[str, str]) -> set[str]:
    """The steps that were carried out."""
    return {step for step, outcome in outcomes.items() if outcome == "done"}
