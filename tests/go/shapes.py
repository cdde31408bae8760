"""Repositories of every shape: what they hold, what is changed in them, and what the program must hold afterwards.

A program tells its shape by a word that it prints. Nothing is run: the word is looked for in the program, so that the tests
hold on every system.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.go.conftest import write
from tests.go.project import TASKS, Project

MOD = "module example.com/shop\n\ngo 1.24\n"
TOML = """[project]
name = "shop"
version = "1.0"
[platforms]
default = ["linux/amd64"]
"""
APP = '[targets.app]\npackages = ["./cmd/app"]\n'
PROGRAM = "dist/app/linux-amd64/app"

Change = Callable[[Path], object]


def says(word: str, package: str = "main") -> str:
    """A source that prints a word."""
    return f'package {package}\n\nfunc init() {{ println("{word}") }}\n'


MAIN = "package main\n\nfunc main() {}\n"


def importing(*paths: str) -> str:
    """A program that is what it imports."""
    return "package main\n\nimport (\n" + "".join(f'\t_ "{path}"\n' for path in paths) + ")\n\nfunc main() {}\n"


def embedding(pattern: str) -> str:
    """A program that holds what a pattern matches."""
    return (
        f'package main\n\nimport "embed"\n\n//go:embed {pattern}\nvar files embed.FS\n\n'
        'func main() { files.ReadDir(".") }\n'
    )


def edit(name: str, text: str) -> Change:
    return lambda root: write(root, {name: text})


def link(path: Path, to: str) -> None:
    """A symbolic link, where the system lets this user make one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(to, target_is_directory=(path.parent / to).is_dir())
    except OSError as error:
        pytest.skip(f"links cannot be made here: {error}")


def make(root: Path, files: Mapping[str, str], toml: str = TOML + APP, links: Mapping[str, str] | None = None) -> Project:
    """A project of these files, with links from a path to a target, counted from the link's folder."""
    write(root, {"go.mod": MOD, "goctl.toml": toml, "tasks.py": TASKS, **files})
    for name, to in (links or {}).items():
        link(root / name, to)
    return Project(root)


def holds(project: Project, word: str, program: str = PROGRAM) -> bool:
    return word.encode() in (project.root / program).read_bytes()


def check_change(
    project: Project,
    change: Change,
    word: str = "",
    *,
    lost: str = "",
    program: str = PROGRAM,
    generated: bool = False,
    **env: str,
) -> None:
    """Releases, changes, and releases again: the program then holds `word`, and no longer `lost`; without both, nothing is
    done. What comes out must be what a fresh checkout releases.

    `generated`: a stage before the plan has its say in every release.
    """
    nothing = "done: 1 steps, " if generated else "nothing to do"
    project.invoke("release", **env)
    assert nothing in project.invoke("release", **env)
    assert not word or not (project.root / program).exists() or not holds(project, word, program)
    assert not lost or holds(project, lost, program)
    change(project.root)
    said = project.invoke("release", **env)
    assert not word or holds(project, word, program), said
    assert not lost or not holds(project, lost, program), said
    assert word or lost or nothing in said, said
    after = project.digests()
    assert nothing in project.invoke("release", **env)
    for name in (".goctl", "dist"):
        shutil.rmtree(project.root / name)
    project.invoke("release", **env)
    assert project.digests() == after


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        os.unlink(path)
