"""A GOPROXY of files, and hosts that use nothing else: modules come from a folder that the test makes.

The layout is that of go.dev/ref/mod#goproxy-protocol.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

Versions = dict[str, dict[str, str]]


def publish(proxy: Path, path: str, versions: Versions) -> None:
    """Puts versions of a module, each with its files, into a proxy's folder. go.mod is made where it is not given."""
    folder = proxy.joinpath(*path.split("/"), "@v")
    folder.mkdir(parents=True, exist_ok=True)
    for version, files in versions.items():
        mod = files.get("go.mod", f"module {path}\n\ngo 1.21\n")
        (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": "2026-01-01T00:00:00Z"}))
        (folder / f"{version}.mod").write_bytes(mod.encode())
        with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
            for name, text in (files | {"go.mod": mod}).items():
                archive.writestr(f"{path}@{version}/{name}", text)
    (folder / "list").write_text("".join(f"{file.stem}\n" for file in sorted(folder.glob("*.info"))))


def use(monkeypatch: pytest.MonkeyPatch, proxy: Path, cache: Path) -> None:
    """Has every go command take modules from `proxy` alone, into a cache of its own that can be deleted."""
    monkeypatch.setenv("GOPROXY", proxy.as_uri())
    monkeypatch.setenv("GONOSUMDB", "*")
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setenv("GOMODCACHE", str(cache))
    # What go downloads is read-only otherwise, and nobody could remove it.
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    for name in ("GOPRIVATE", "GONOPROXY", "GOINSECURE", "GOWORK"):
        monkeypatch.delenv(name, raising=False)
