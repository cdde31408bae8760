"""Processes and all that they started, of which each system has another notion: a process group, or a job object.

A child is adopted when it has been started, and released when it has ended and nobody reads what it prints any more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Final

#: Seconds a child has after being interrupted, and then after being terminated. Together well under the five seconds
#: within which everything must be gone.
INTERRUPT_GRACE: Final = 1.0
TERMINATE_GRACE: Final = 1.0


def end(children: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ends children and their descendants: interrupt, terminate, kill. Returns when they are gone, within seconds."""
    alive = list(children)
    for send, grace in ((interrupt, INTERRUPT_GRACE), (terminate, TERMINATE_GRACE), (kill, 1.0)):
        alive = [child for child in alive if is_alive(child)]
        if not alive:
            return
        for child in alive:
            send(child)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and any(is_alive(child) for child in alive):
            time.sleep(0.02)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateJobObjectW.restype = wintypes.HANDLE
    _jobs: dict[int, int] = {}

    def adopt(child: subprocess.Popen[bytes]) -> None:
        # JOBOBJECT_EXTENDED_LIMIT_INFORMATION with JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE (winnt.h): the job, and with it every
        # descendant, ends when its last handle is closed, also when goctl itself is killed.
        job = _kernel32.CreateJobObjectW(None, None)
        limits = (ctypes.c_byte * (144 if ctypes.sizeof(ctypes.c_void_p) == 8 else 112))()
        ctypes.c_uint32.from_buffer(limits, 16).value = 0x2000
        _kernel32.SetInformationJobObject(wintypes.HANDLE(job), 9, ctypes.byref(limits), ctypes.sizeof(limits))
        handle = int(getattr(child, "_handle"))  # noqa: B009 - subprocess has no public name for it
        _kernel32.AssignProcessToJobObject(wintypes.HANDLE(job), wintypes.HANDLE(handle))
        _jobs[child.pid] = job

    def release(child: subprocess.Popen[bytes]) -> None:
        job = _jobs.pop(child.pid, None)
        if job is not None:
            _kernel32.CloseHandle(wintypes.HANDLE(job))

    def is_alive(child: subprocess.Popen[bytes]) -> bool:
        return child.poll() is None

    def interrupt(child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            child.send_signal(signal.CTRL_BREAK_EVENT)

    def terminate(child: subprocess.Popen[bytes]) -> None:
        job = _jobs.pop(child.pid, None)
        if job is not None:
            _kernel32.TerminateJobObject(wintypes.HANDLE(job), 1)
            _kernel32.CloseHandle(wintypes.HANDLE(job))
        with contextlib.suppress(OSError):
            child.terminate()

    kill = terminate

else:

    def adopt(child: subprocess.Popen[bytes]) -> None:
        """Nothing to do: the child leads a session, and with it a process group, of its own."""

    def release(child: subprocess.Popen[bytes]) -> None:
        """Nothing to give back."""

    def is_alive(child: subprocess.Popen[bytes]) -> bool:
        child.poll()  # reaps the leader, so that it does not count as alive
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _send(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)

    def interrupt(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGINT)

    def terminate(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGTERM)

    def kill(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGKILL)
