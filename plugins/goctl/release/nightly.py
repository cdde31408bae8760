"""`invoke ci.nightly`: the workflow that runs the benchmark every night, for GitHub Actions or GitLab."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from goctl.errors import ConfigError, UntidyError
from goctl.events import Notice
from goctl.release.git import checkout_of
from goctl.system.files import write_atomic

if TYPE_CHECKING:
    from goctl.release.session import Session

FILES = {"github": ".github/workflows/goctl-nightly.yml", "gitlab": ".gitlab/goctl-nightly.yml"}
_MARK = "# Made by `invoke ci.nightly`, which writes it anew: changes made by hand are lost."

_GITHUB = """{mark}
name: nightly benchmark
on:
  schedule:
    - cron: "17 3 * * *"
  workflow_dispatch:
permissions:
  contents: read
concurrency:
  group: goctl-nightly
jobs:
  bench:
    runs-on: ubuntu-latest
    timeout-minutes: 180
    defaults:
      run:
        working-directory: {folder}
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.13"
      - uses: actions/setup-go@v5
        with:
          go-version-file: {module}
          cache: false
      - run: python -m pip install "goctl-release[nox,metrics]"
      # The baseline and earlier nights. No pull request runs this, so that none can replace them.
      - uses: actions/cache/restore@v4
        with:
          path: {results}
          key: goctl-benchmark-${{{{ github.run_id }}}}
          restore-keys: goctl-benchmark-
      - run: python -m nox -s bench
      # A night that failed is a part of the history too.
      - uses: actions/cache/save@v4
        if: always()
        with:
          path: {results}
          key: goctl-benchmark-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: benchmark
          include-hidden-files: true
          path: |
            {reports}
            {results}
"""

_GITLAB = """{mark}
# In .gitlab-ci.yml:  include: {{ local: .gitlab/goctl-nightly.yml }}  and a schedule of the pipeline (CI/CD > Schedules).
goctl-nightly:
  image: python:3.13
  rules:
    - if: $CI_PIPELINE_SOURCE == "schedule"
  variables:
    GIT_DEPTH: "0"
  timeout: 3h
  resource_group: goctl-nightly
  cache:
    key: goctl-benchmark
    paths: [{results}]
    # A night that failed is a part of the history too.
    when: always
  script:
    - cd {folder}
    - python -m pip install "goctl-release[nox,go,metrics]"
    - python -m nox -s bench
  artifacts:
    when: always
    paths: [{reports}, {results}]
"""


def nightly(session: Session, *, system: str, check: bool, dry: bool) -> None:
    """Writes the workflow; with `check` raises UntidyError where it is another one. Raises ConfigError where a file of that
    name was written by somebody else."""
    top = checkout_of(session.loaded.file.parent)
    path, text = plan(session, top, system)
    name = path.relative_to(top).as_posix()
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if there == text:
        session.emit(Notice(f"{name} is up to date", level="info"))
        return
    if check:
        raise UntidyError(f"{name} is not what goctl.toml makes it", hint="`invoke ci.nightly` writes it")
    if there and not there.startswith(_MARK):
        raise ConfigError(f"{name} was not written by goctl", hint="move it away, and run this again")
    if dry:
        session.emit(Notice(f"would write {name}", level="info"))
        return
    with session.lock():
        write_atomic(path, text.encode())
    session.emit(Notice(f"wrote {name}", level="info", hint=_hint(session)))


def plan(session: Session, top: Path, system: str) -> tuple[Path, str]:
    """The file and its text."""
    system = system or ("gitlab" if (top / ".gitlab-ci.yml").exists() else "github")
    if system not in FILES:
        raise ConfigError(f"--system: {system!r} is not known", hint=f"there are {', '.join(FILES)}")
    loaded = session.loaded
    folder = loaded.file.parent

    def shown(path: Path) -> str:
        relative = path.resolve().relative_to(top.resolve()).as_posix()
        return relative if re.fullmatch(r"[A-Za-z0-9._/-]+", relative) else f'"{relative}"'

    text = (_GITHUB if system == "github" else _GITLAB).format(
        mark=_MARK,
        folder=shown(folder),
        module=shown(session.module / "go.mod"),
        results=shown(folder / session.config.benchmark.results),
        reports=shown(session.root / session.config.release.dist / "benchmark"),
    )
    return top / FILES[system], text


def _hint(session: Session) -> str:
    """What is still to be done by hand."""
    noxfile = session.loaded.file.parent / "noxfile.py"
    if noxfile.exists() and "goctl.sessions" in noxfile.read_text(encoding="utf-8", errors="replace"):
        return "commit it"
    return "commit it, with a noxfile.py beside goctl.toml that says: from goctl.sessions import bench"
