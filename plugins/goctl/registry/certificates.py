"""Whom we believe at a registry, and what we show: from its table in goctl.toml, else from the folders of other tools.

Docker and podman keep `*.crt` (authorities) and `*.cert` with `*.key` (an identity) in certs.d/HOST[:PORT] (docker/docs,
"Verify repository client with certificates"; containers-certs.d(5)).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from goctl.config.model import Registry
from goctl.errors import RegistryError
from goctl.system.tls import Identity, Trust


def trust(host: str, settings: Registry, root: Path, environment: Mapping[str, str] | None = None) -> Trust:
    """What a registry's table says, completed by the first certs.d folder there is for the host.

    Relative paths count from `root`. Raises RegistryError for an identity of which half is missing.
    """
    authorities = [root / settings.ca] if settings.ca else []
    identity = None
    if settings.client_certificate:
        key = root / settings.client_key if settings.client_key else None
        identity = Identity(host, root / settings.client_certificate, key)
    folder = next((one for one in folders(host, os.environ if environment is None else environment) if one.is_dir()), None)
    if folder is not None:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise RegistryError(f"{folder} cannot be read: {error.strerror or error}") from None
        authorities += [folder / name for name in names if name.endswith(".crt")]
        identity = identity or _identity(host, folder, names)
    return Trust(tuple(authorities), identity)


def _identity(host: str, folder: Path, names: list[str]) -> Identity | None:
    certificates = [name for name in names if name.endswith(".cert")]
    if not certificates:
        return None
    key = certificates[0].removesuffix(".cert") + ".key"
    if key not in names:
        raise RegistryError(f"{folder / certificates[0]} has no key beside it", hint=f"put it there as {key}")
    return Identity(host, folder / certificates[0], folder / key)


def folders(host: str, environment: Mapping[str, str]) -> list[Path]:
    """Where certificates for a host may be: the user's before the machine's, Docker's before podman's."""
    docker = environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    config = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if os.name == "nt":
        machine = [Path(environment.get("ProgramData") or "C:\\ProgramData", "docker")]
        host = host.replace(":", "")  # as Docker spells it, where a colon cannot be in a name
    else:
        machine = [Path("/etc/docker"), Path("/etc/containers")]
    user = [Path(docker), Path(config, "containers")]
    return [place / "certs.d" / host for place in (*user, *machine)]
