"""Who the docker command is to registries, for the length of one run: a configuration of its own where goctl.toml names
logins, in a folder that nobody else reads.

docker/cli, cli/config/configfile: a helper that is named for a host, and be it by an empty name, goes before `credsStore`;
an empty one stands for the logins in the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from goctl.errors import BuilderError
from goctl.system.files import write_atomic

#: The key by which Docker's file knows Docker Hub.
_HUB: Final = "https://index.docker.io/v1/"


def own_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the docker command's configuration."""
    return Path(environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


@contextlib.contextmanager
def access(logins: Mapping[str, Mapping[str, str]], environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment for the docker command. `logins` are by host, each as Docker's file has it (`auth`, or
    `identitytoken`); without any, the person's own configuration is used as it stands.

    Raises BuilderError for a configuration that cannot be read.
    """
    if not logins:
        yield dict(environment)
        return
    own = own_folder(environment)
    with tempfile.TemporaryDirectory(prefix="goctl-docker-") as name:
        folder = Path(name)  # made for its owner alone
        content = json.dumps(configuration(_read(own / "config.json"), own, logins)).encode()
        write_atomic(folder / "config.json", content, durable=False, private=True)
        if (own / "contexts").is_dir():
            # They hold where engines are, and the keys that open them.
            shutil.copytree(own / "contexts", folder / "contexts")
        buildx = environment.get("BUILDX_CONFIG") or str(own / "buildx")
        yield {**environment, "DOCKER_CONFIG": str(folder), "BUILDX_CONFIG": buildx}


def configuration(own: Mapping[str, Any], folder: Path, logins: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A person's configuration with other logins for some hosts, and plugins where they were."""
    keys = {host: _HUB if host == "docker.io" else host for host in logins}
    auths = {**(own.get("auths") or {}), **{keys[host]: dict(login) for host, login in logins.items()}}
    helpers = {**(own.get("credHelpers") or {}), **dict.fromkeys(keys.values(), "")}
    plugins = [*(own.get("cliPluginsExtraDirs") or ()), str(folder / "cli-plugins")]
    return {**own, "auths": auths, "credHelpers": helpers, "cliPluginsExtraDirs": plugins}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        # What it says is not repeated: the file holds passwords.
        raise BuilderError(
            f"{file} is not what Docker would have written there", hint="repair it, or move it away"
        ) from None
    return found if isinstance(found, dict) else {}
