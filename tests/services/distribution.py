"""Debian's docker-registry (distribution), started for a test."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

#: bcrypt of PASSWORD: the only form that distribution reads.
PASSWORD = "s3cret/pass+word"
_BCRYPT = "$2b$05$abcdefghijklmnopqrstuuJWDG3ltcPX8iH1eulaT68hqNekUQ5tO"


class Distribution:
    """A registry on 127.0.0.1 over TLS. `auth` is its part of the configuration."""

    def __init__(
        self,
        folder: Path,
        certificate: tuple[Path, Path],
        *,
        auth: dict[str, Any] | None = None,
        clients: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        tls: dict[str, Any] = {"certificate": str(certificate[0]), "key": str(certificate[1])}
        if clients is not None:
            tls["clientcas"] = [str(clients)]
        config = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.address, "tls": tls, "secret": "for tests"},
            **({"auth": auth} if auth else {}),
        }
        self._file = folder / "config.yml"
        self._file.write_text(json.dumps(config))  # JSON is YAML
        self._log = folder / "log.txt"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self._file)], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        self.__exit__()
        raise AssertionError(self._log.read_text())

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(10)


def htpasswd(folder: Path) -> dict[str, Any]:
    """The configuration of an htpasswd file for `user` and PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "htpasswd"
    file.write_text(f"user:{_BCRYPT}\n")
    return {"htpasswd": {"realm": "registry", "path": str(file)}}


def tokens(realm: str, certificates: Path) -> dict[str, Any]:
    """The configuration of a token service whose tokens these certificates vouch for."""
    return {"token": {"realm": realm, "service": "registry", "issuer": "tests", "rootcertbundle": str(certificates)}}
