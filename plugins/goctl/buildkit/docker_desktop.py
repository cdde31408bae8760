"""Docker Desktop's own files: where its settings are, what it shares with its engine, and Windows' folders seen from WSL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from goctl.errors import GoctlError
from goctl.system.process import run

_RELEASE = Path("/proc/sys/kernel/osrelease")


def is_wsl() -> bool:
    """Whether this is Linux under Windows."""
    try:
        return "microsoft" in _RELEASE.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False


def windows_home() -> Path | None:
    """A person's folder of Windows, as it is called in WSL; None where Windows does not tell."""
    try:
        told = run(["cmd.exe", "/d", "/c", "echo %USERPROFILE%"], timeout=10)
        home = told.text.strip()
        if told.code or not re.match(r"[A-Za-z]:\\", home):
            return None
        path = run(["wslpath", "-u", "--", home], timeout=10)
    except GoctlError:
        return None
    return Path(path.text.strip()) if path.code == 0 and path.text.startswith("/") else None


def settings_files(system: str, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where Docker Desktop keeps its settings: newer name first (docs.docker.com/desktop/settings-and-maintenance)."""
    folder = {
        "win32": Path(environment.get("APPDATA") or home / "AppData" / "Roaming", "Docker"),
        "darwin": home / "Library" / "Group Containers" / "group.com.docker",
    }.get(system, home / ".docker" / "desktop")
    return folder / "settings-store.json", folder / "settings.json"


def shared_folders(files: tuple[Path, ...]) -> tuple[str, ...] | None:
    """The folders that containers may mount; None where that is not known, or all are."""
    for file in files:
        try:
            told: Any = msgspec.json.decode(file.read_bytes())
        except (OSError, msgspec.DecodeError, RecursionError):
            continue
        if not isinstance(told, dict):
            continue
        # The older file begins the same names with a small letter.
        names = {key.casefold(): value for key, value in told.items()}
        folders = names.get("filesharingdirectories")
        if isinstance(folders, list) and all(isinstance(one, str) for one in folders):
            return tuple(folders)
    return None
