"""Programs for Windows out of the archives that people download, run by Wine."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

FILES = {
    "tasks.py": 'from goctl import namespace\n\nns = namespace("goctl.toml")\n',
    "go.mod": "module example.com/tool\n\ngo 1.24\n",
    "cmd/tool/main.go": (
        'package main\n\nimport (\n\t"fmt"\n\t"os"\n\t"runtime"\n)\n\nfunc main() {\n'
        '\ttext, err := os.ReadFile("docs/greeting.txt")\n\tfmt.Println(runtime.GOOS, string(text), err, os.Args[1:])\n}\n'
    ),
    "docs/greeting.txt": "hello",
    "goctl.toml": (
        '[project]\nname = "tool"\nversion = "1.0"\n[targets.tool]\npackages = ["./cmd/tool"]\n'
        'platforms = ["windows/amd64"]\nimage = false\n[archive]\nfiles = ["docs"]\nfolder = "{target}-{version}"\n'
    ),
}


def test_a_program_from_an_archive_runs_on_windows(tmp_path: Path, wine: str, go: str) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "invoke", "archive"], cwd=project, check=True)
    with zipfile.ZipFile(project / "dist/archives/tool_1.0_windows_amd64.zip") as archive:
        archive.extractall(home)
    folder = home / "tool-1.0"
    environment = {"WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all", **os.environ}
    done = subprocess.run(
        [wine, str(folder / "tool.exe"), "a b", "c"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == ["windows", "hello", "<nil>", "[a", "b", "c]"], done.stderr
