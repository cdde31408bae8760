"""Whether a process still runs, asked from outside."""

from __future__ import annotations

import os
from pathlib import Path

#: Where there is such a system of files. A process may end between any two looks at it.
_PROCESSES = Path("/proc")


def runs(pid: int) -> bool:
    """Whether there is such a process; one that ended and that nobody has asked about (a zombie) is none."""
    try:
        os.kill(pid, 0)
        state = (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not (_PROCESSES / "self/stat").exists()
    return state != "Z"
