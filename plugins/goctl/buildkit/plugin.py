"""buildx without the docker command in front of it.

`docker buildx` asks the plugin who it is and starts it again, a third of the time that a bake without work takes. The plugin
is a command of its own too (docs.docker.com, "buildx", standalone mode).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from goctl.buildkit.docker import docker
from goctl.errors import BuilderError
from goctl.values import from_json

#: Seconds for docker to tell of its plugins: no engine is asked for that.
_PATIENCE: Final = 10.0
_NAMES: Final = ("docker-buildx", "docker-buildx.exe")


class _Plugin(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    path: str = ""


def find_plugin() -> str:
    """The path of the buildx that `docker buildx` runs. Empty where docker does not tell, and where `docker` may be more
    than Docker's own command: a script, or another program under its name, may choose the engine, or the home of plugins.
    """
    program = shutil.which("docker")
    if program is None or not _is_dockers_own(Path(program)):
        return ""
    try:
        # With a format that is of the client alone, and no engine, docker prints it and may end with an error.
        plugins = from_json(
            docker(["info", "--format", "{{json .ClientInfo.Plugins}}"], timeout=_PATIENCE).stdout, tuple[_Plugin, ...]
        )
    except (BuilderError, ValueError):
        return ""
    return next((one.path for one in plugins if one.name == "buildx" and is_plugin(one.path)), "")


def is_plugin(path: str) -> bool:
    """Whether buildx can be run from there."""
    return Path(path).name in _NAMES and os.path.isabs(path) and os.access(path, os.X_OK)


def _is_dockers_own(program: Path) -> bool:
    """Whether it is a program by that name. Snap's, say, is `snap` under another name, with a home of its own."""
    try:
        real = program.resolve(strict=True)
        with real.open("rb") as file:
            return real.name.lower() in ("docker", "docker.exe") and file.read(2) != b"#!"
    except OSError:
        return False
