"""How much memory there is to work with."""

from __future__ import annotations

import re
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_LINUX = Path("/proc/meminfo")


def available() -> int:
    """Bytes that new processes may take without pushing others out; a container's limit counts."""
    return min(_machine(), *_limits(), 1 << 62)


def _machine() -> int:
    """The machine's own. Linux says so in a file (proc(5), MemAvailable); psutil knows it everywhere, and is imported in the
    time that a small program is compiled in."""
    try:
        found = re.search(r"^MemAvailable: *(\d+) kB$", _LINUX.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    import psutil

    return int(psutil.virtual_memory().available)


def _limits() -> list[int]:
    """The limits of the control groups that this process is in (Linux, Documentation/admin-guide/cgroup-v2)."""
    try:
        groups = _OWN_GROUPS.read_text(encoding="utf-8")
    except OSError:
        return []
    found = []
    for controllers, path in re.findall(r"^\d+:([^:\n]*):(.*)$", groups, re.MULTILINE):
        if controllers == "":
            top, name = _CONTROL_GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = _CONTROL_GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = top / path.strip("/")
        # In a container the path may be one of the machine, and the limit stands at the top. A group's limit holds below it.
        for folder in (own, *own.parents):
            found.append(_number(folder / name))
            if folder == top:
                break
    return [limit for limit in found if limit is not None]


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # `max` is no limit
        return None
