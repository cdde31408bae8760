"""Programs without debug information, by the real go: what the linker drops is not compiled, and nothing else is missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.go.conftest import write
from tests.go.project import TASKS, Project

MAIN = """package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	_, file, line, _ := runtime.Caller(0)
	fmt.Println(file, line)
	if len(os.Args) > 1 {
		panic("asked for")
	}
}
"""
TOML = """schema = 1
[project]
name = "shop"
[targets.api]
packages = ["./cmd/api"]
platforms = ["{platform}"]
image = false
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One program in three ways: plain, stripped, and stripped with what the compiler writes by itself."""
    found = {}
    here = "/".join(subprocess.check_output(["go", "env", "GOHOSTOS", "GOHOSTARCH"], text=True).split())
    for name, lines in {
        "plain": "",
        "stripped": 'ldflags = ["-s", "-w"]\n',
        "explicit": 'ldflags = ["-s", "-w"]\nflags = ["-gcflags=all=-dwarf=true"]\n',
    }.items():
        root = tmp_path_factory.mktemp(name)
        toml = TOML.format(platform=here) + lines
        write(root, {"go.mod": "module example.com/shop\n\ngo 1.24\n", "cmd/api/main.go": MAIN, "goctl.toml": toml})
        write(root, {"tasks.py": TASKS})
        Project(root).invoke("build")
        (found[name],) = (path for path in (root / "dist" / "api").rglob("api*") if path.is_file())
    return found


def told(program: Path, *words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_stripped_program_says_what_any_other_says(built: dict[str, Path]) -> None:
    assert told(built["stripped"]) == told(built["plain"]) == "example.com/shop/cmd/api/main.go 10\n"
    assert "cmd/api/main.go:13" in told(built["stripped"], "panic")


def test_the_code_is_the_same_and_go_tells_of_the_flag(built: dict[str, Path]) -> None:
    settings = {name: subprocess.check_output(["go", "version", "-m", path], text=True) for name, path in built.items()}
    assert "-gcflags=all=-dwarf=false" in settings["stripped"]
    assert "-gcflags=all=-dwarf=true" in settings["explicit"]
    assert "gcflags" not in settings["plain"]
    sizes = {name: path.stat().st_size for name, path in built.items()}
    assert sizes["stripped"] == sizes["explicit"] < sizes["plain"]
