"""What this machine says of itself: disks, WSL, Windows' registry, case. Reads, and never writes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from goctl.golang.advice.situation import LOCAL, MEMORY, NETWORK, WINDOWS, WSL, Folder

_NETWORK = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs afpfs webdav davfs afs ceph glusterfs lustre fuse.sshfs fuse.s3fs fuse.rclone".split()
)
#: How files of Windows come into WSL: drvfs in version 1, 9p or virtiofs in version 2.
_OF_WINDOWS = frozenset(("drvfs", "9p", "v9fs", "virtiofs"))


def system() -> str:
    """windows, darwin or linux; other systems are like linux for all that is told here."""
    return {"win32": "windows", "darwin": "darwin"}.get(sys.platform, "linux")


def in_wsl(environment: Mapping[str, str]) -> bool:
    """Whether this is Linux within Windows."""
    if system() != "linux":
        return False
    if environment.get("WSL_DISTRO_NAME") or environment.get("WSL_INTEROP"):
        return True
    try:
        return "microsoft" in Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii", errors="replace").lower()
    except OSError:
        return False


def folder(path: str, *, wsl: bool) -> Folder:
    """A folder as it is; of one that is not there, the nearest above says whether it could be made."""
    real = os.path.realpath(path)
    there = Path(real)
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = -1
    return Folder(real, os.path.isdir(real), os.access(there, os.W_OK), _kind(real, wsl=wsl), free)


def _kind(path: str, *, wsl: bool) -> str:
    if system() == "windows":
        return _windows_kind(path)
    kind = _file_system(path, _mounts())
    if wsl and kind in _OF_WINDOWS:
        return WINDOWS
    return NETWORK if kind in _NETWORK else MEMORY if kind in ("tmpfs", "ramfs") else LOCAL


def _windows_kind(path: str) -> str:
    text = path.replace("/", "\\").lower().removeprefix("\\\\?\\")
    text = "\\\\" + text.removeprefix("unc\\") if text.startswith("unc\\") else text
    if text.startswith(("\\\\wsl$\\", "\\\\wsl.localhost\\")):
        return WSL
    if text.startswith("\\\\"):
        return NETWORK
    return NETWORK if _is_remote(f"{text[:1]}:\\") else LOCAL


def _mounts() -> dict[str, str]:
    """File systems by where they are mounted."""
    if system() == "linux":
        try:
            return parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return {}
    import psutil

    return {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}


def parse_mounts(text: str) -> dict[str, str]:
    """/proc/self/mountinfo (man 5 proc_pid_mountinfo): the fifth word is where, the first after ` - ` is what."""
    found = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words = left.split()
        if len(words) > 4 and right:
            found[words[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")] = right.split()[0]
    return found


def _file_system(path: str, mounts: Mapping[str, str]) -> str:
    above = [place for place in mounts if path == place or path.startswith(place.rstrip("/") + "/")]
    return mounts[max(above, key=len)] if above else ""


def case_blind(file: str) -> bool | None:
    """Whether the disk takes `GO.MOD` for `go.mod`; None where nothing could be asked."""
    head, name = os.path.split(file)
    if name.swapcase() == name or not os.path.exists(file):
        return None
    try:
        return os.path.samefile(file, os.path.join(head, name.swapcase()))
    except OSError:
        return False


def opening(cache: str) -> float | None:
    """Seconds to open a file of GOCACHE, the mean of at most twenty; None where it is empty."""
    files: list[str] = []
    try:
        for number in range(4):
            with os.scandir(os.path.join(cache, f"{number:02x}")) as entries:
                files += [entry.path for _, entry in zip(range(5), entries, strict=False)]
    except OSError:
        pass
    started = time.perf_counter()
    for file in files:
        try:
            with open(file, "rb") as opened:
                opened.read(64)
        except OSError:
            continue
    return (time.perf_counter() - started) / len(files) if files else None


def long_paths() -> bool | None:
    """Windows' LongPathsEnabled; None elsewhere."""
    found = _registry(r"SYSTEM\CurrentControlSet\Control\FileSystem", "LongPathsEnabled")
    return found == 1 if system() == "windows" else None


_DEFENDER = r"SOFTWARE\Microsoft\Windows Defender"


def scanner_off() -> bool:
    """Whether Windows Defender says that it looks at nothing."""
    return _registry(rf"{_DEFENDER}\Real-Time Protection", "DisableRealtimeMonitoring") == 1


def excluded() -> tuple[str, ...]:
    """Folders that Windows Defender leaves alone, as far as this user may know."""
    return tuple(_value_names(rf"{_DEFENDER}\Exclusions\Paths"))


if sys.platform == "win32":
    import ctypes
    import winreg

    def _is_remote(drive: str) -> bool:
        # fileapi.h: DRIVE_REMOTE is 4.
        return bool(ctypes.windll.kernel32.GetDriveTypeW(drive) == 4)

    def _registry(key: str, name: str) -> object:
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                found: object = winreg.QueryValueEx(opened, name)[0]
                return found
        except OSError:
            return None

    def _value_names(key: str) -> list[str]:
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                return [winreg.EnumValue(opened, number)[0] for number in range(winreg.QueryInfoKey(opened)[1])]
        except OSError:
            return []

else:

    def _is_remote(drive: str) -> bool:
        del drive
        return False

    def _registry(key: str, name: str) -> object:
        """A value below HKEY_LOCAL_MACHINE; None where there is none."""
        del key, name
        return None

    def _value_names(key: str) -> list[str]:
        """The names of a key's values."""
        del key
        return []
