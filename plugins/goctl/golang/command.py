"""One go command about modules: where it runs, with which environment, and what becomes of its words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from goctl.contracts import Host
from goctl.errors import ModuleError
from goctl.events import Notice, Output
from goctl.golang.environment import environment_of
from goctl.golang.modfiles import modules_below, used_modules, work_file
from goctl.golang.refusal import refusal
from goctl.system.process import Completed, OnLine, run
from goctl.values import without_userinfo


def environment(host: Host) -> dict[str, str]:
    """The environment of this project's go commands."""
    return environment_of(host, host.config.go.env)


def go(
    host: Host,
    *args: str,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_stdout: OnLine | None = None,
    on_stderr: OnLine | None = None,
) -> Completed:
    """Runs the project's go in the module's folder, or in `folder`; `env` comes on top of the project's environment."""
    command = (host.toolchain().command, *args)
    variables = environment(host) | dict(env or {})
    return run(command, cwd=folder or host.module, env=variables, on_stdout=on_stdout, on_stderr=on_stderr)


def check(completed: Completed) -> None:
    """Raises ModuleError for a go command that failed, with its words and what to do."""
    if completed.code:
        raise refusal(completed.errors or completed.text)


def telling(host: Host) -> OnLine:
    """Passes each line of a child on; an address loses what may be a password."""
    return lambda line: host.emit(Output("go", without_userinfo(line)))


def only_tell(host: Host, words: str, *, dry: bool) -> bool:
    """With `dry`, says what would be run; returns `dry`."""
    if dry:
        host.emit(Notice(f"would run `{words}` in {host.module}", level="info"))
    return dry


def workspace(host: Host) -> Path | None:
    """The go.work in use, if there is one."""
    return work_file(host.module, environment(host))


def modules_in_use(host: Host) -> list[Path]:
    """The folders of the modules that are compiled from source: go.directory's, or those of the workspace in this project.

    Raises ModuleError where there is none, naming those that lie below.
    """
    work = workspace(host)
    if work is not None:
        used = sorted(Path(folder) for folder in used_modules(str(work)))
        inside = [folder for folder in used if folder.is_relative_to(host.root) and (folder / "go.mod").is_file()]
        if inside:
            return inside
    if (host.module / "go.mod").is_file():
        return [host.module]
    below = [path.relative_to(host.root).as_posix() for path in modules_below(host.root)]
    if below:
        raise ModuleError(
            f"there is no go.mod in {host.module}; there are some in: {', '.join(below[:20])}",
            hint=f'set go.directory = "{below[0]}", or make one workspace of them: '
            f"`go work init {' '.join(f'./{name}' for name in below[:20])}`",
        )
    raise ModuleError(
        f"there is no go.mod in {host.module}", hint="run `invoke mod.init`, or set go.directory to the folder that has one"
    )


def shown(host: Host, folder: Path) -> str:
    """A module's folder as people write it: from the project's, with forward slashes."""
    return os.path.relpath(folder, host.root).replace(os.sep, "/")
