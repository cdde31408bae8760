"""What a run compiles of goctl itself is kept, although invoke keeps nothing of a tasks.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("forbidden", [False, True])
def test_bytecode_is_kept_unless_the_person_forbids_it(tmp_path: Path, forbidden: bool) -> None:
    (tmp_path / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
    (tmp_path / "goctl.toml").write_text('[project]\nname = "shop"\n')
    kept = tmp_path / "kept"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(kept)
    if forbidden:
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    args = [sys.executable, "-m", "invoke", "config"]
    assert subprocess.run(args, cwd=tmp_path, env=env, capture_output=True, check=False).returncode == 0
    names = {path.name.partition(".")[0] for path in kept.rglob("*.pyc")}
    assert ("commands" in names, "answers" in names) == (not forbidden, not forbidden)
    of_project = kept / tmp_path.relative_to(tmp_path.anchor)
    assert list(of_project.glob("tasks*.pyc")) == []
