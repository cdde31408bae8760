"""The `docker` command, and what it answers in JSON. Everything that this room asks of Docker goes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from goctl.errors import BuilderError, GoctlError, ToolchainError
from goctl.system.process import Completed, OnLine, run
from goctl.values import from_json

T = TypeVar("T")

#: Seconds for an answer. Builders that are far away are asked within buildx's own 20 seconds.
PATIENCE: Final = 60.0
#: The first buildx with everything that is used here: `du --format` came last.
OLDEST_BUILDX: Final = "0.28"
_DOCKER: Final = ("docker",)
BUILDX: Final = (*_DOCKER, "buildx")
NO_DOCKER: Final = 'install Docker\'s command with buildx; `engine = "embedded"` needs none'


def docker(
    args: Sequence[str],
    *,
    command: Sequence[str] = _DOCKER,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = PATIENCE,
    on_stderr: OnLine | None = None,
) -> Completed:
    """Runs `docker ARGS` to its end, or those of another `command`, whatever its exit code. Raises BuilderError where there
    is no such command, or where it does not end within `timeout` seconds."""
    try:
        return run([*command, *args], cwd=cwd, env=env, timeout=timeout, on_stderr=on_stderr)
    except ToolchainError as error:
        raise BuilderError(str(error), hint=NO_DOCKER) from None
    except GoctlError as error:
        if type(error) is not GoctlError:
            raise
        raise BuilderError(str(error), hint="see whether it answers: `docker version`, `docker buildx ls`") from None


def told(args: Sequence[str], *, doing: str, command: Sequence[str] = _DOCKER, timeout: float | None = PATIENCE) -> str:
    """What a command prints, as for docker(). Raises BuilderError with what it said, when it fails `doing` something."""
    done = docker(args, command=command, timeout=timeout)
    if done.code != 0:
        raise BuilderError(f"could not {doing}: {said(done)}", hint=hint(done.errors))
    return done.text


def said(done: Completed) -> str:
    """Why a command failed, in its own words: from its last `ERROR:` on, else the last line."""
    lines = [line for text in (done.text, done.errors) for line in text.splitlines() if line.strip()]
    begin = next((number for number in reversed(range(len(lines))) if lines[number].startswith("ERROR:")), len(lines) - 1)
    return "\n".join(lines[begin:]).removeprefix("ERROR: ") if lines else f"it ended with {done.code}"


def hint(errors: str) -> str:
    """What to do about an error that the docker command makes for itself; empty for others."""
    if "unknown flag" in errors:
        return f"install a newer buildx: {OLDEST_BUILDX} has all that is asked for here"
    if "driver not running" in errors:
        return "start the builder: `invoke builder.inspect --bootstrap`"
    if "is not a docker command" in errors or "unknown command: docker buildx" in errors:
        return "install the buildx plugin"
    if "Cannot connect to the Docker daemon" in errors or "docker daemon is not running" in errors:
        return "start Docker's engine, or choose another with `docker context use`"
    return ""


def lines_of(text: str, kind: type[T]) -> tuple[T, ...]:
    """One JSON value a line, as docker's `--format json` prints them. Raises BuilderError for anything else."""
    try:
        return tuple(from_json(line, kind) for line in text.splitlines() if line.strip())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BuilderError(f"docker printed what is not known here: {error}", hint="see `docker buildx version`") from None
