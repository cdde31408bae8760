"""The one door to child processes: argument lists, groups of their own, no survivors.

Every child leads a process group (POSIX: a session; Windows: a job object that ends with its last handle), so that what
it started ends with it. Ending is asked for, then insisted on: interrupt, terminate, kill (as pypa/build and nox do for
one process, here for the group).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from goctl.errors import GoctlError, Interrupted, ToolchainError

#: Seconds a child has after being interrupted, and then after being terminated. Together well under the five seconds
#: within which everything must be gone.
INTERRUPT_GRACE: Final = 1.0
TERMINATE_GRACE: Final = 1.0

OnLine = Callable[[str], None]
Take = Callable[[bytes], None]


class Completed(msgspec.Struct, frozen=True):
    """A child that ended: exit code (negative: the signal), and what it printed."""

    args: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def errors(self) -> str:
        return self.stderr.decode("utf-8", "replace")


class Children:
    """The children of this run. `end` ends them all and refuses new ones; safe to call from any thread, repeatedly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.ended = threading.Event()

    def start(
        self, args: Sequence[str], *, cwd: Path | None, env: Mapping[str, str] | None, stdin: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.ended.is_set():
                raise Interrupted
            try:
                child = subprocess.Popen(
                    list(args),
                    cwd=cwd,
                    env=None if env is None else dict(env),
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=os.name != "nt",
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            except FileNotFoundError as error:
                raise ToolchainError(f"{args[0]!r} was not found", hint="install it, or put its folder on PATH") from error
            except OSError as error:
                raise ToolchainError(f"{args[0]!r} cannot be started: {error.strerror or error}") from error
            _adopt(child)
            self._running.add(child)
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(child)

    def end(self) -> None:
        """Ends every child and its descendants: interrupt, terminate, kill. Returns when they are gone, within seconds."""
        self.ended.set()
        with self._lock:
            children = list(self._running)
        for send, grace in ((_interrupt, INTERRUPT_GRACE), (_terminate, TERMINATE_GRACE), (_kill, 1.0)):
            alive = [child for child in children if _group_alive(child)]
            if not alive:
                return
            for child in alive:
                send(child)
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and any(_group_alive(child) for child in alive):
                time.sleep(0.02)


#: The children of this process. One registry, because a signal reaches the whole process too.
children: Final = Children()


def run(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
    on_stdout: OnLine | None = None,
    on_stderr: OnLine | None = None,
    take_stdout: Take | None = None,
    error: type[GoctlError] | None = None,
) -> Completed:
    """Runs a child to its end.

    `on_stdout` and `on_stderr` are called with each line as it comes, in a thread of their own; `take_stdout` is handed the
    lines as bytes in place of keeping them. With `error`, an exit code other than 0 raises it with the last lines of stderr.
    Raises Interrupted when the run is ended meanwhile.
    """
    child = children.start(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
    sinks: tuple[list[bytes], list[bytes]] = ([], [])
    readers = [
        threading.Thread(target=_read, args=(pipe, take, on_line), daemon=True)
        for pipe, take, on_line in (
            (child.stdout, take_stdout or sinks[0].append, on_stdout),
            (child.stderr, sinks[1].append, on_stderr),
        )
    ]
    try:
        for reader in readers:
            reader.start()
        if input is not None and child.stdin is not None:
            with contextlib.suppress(OSError), child.stdin as pipe:
                pipe.write(input)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            end_one(child)
            raise (error or GoctlError)(f"{_name(args)} did not end within {timeout:g} s") from None
    except BaseException:
        end_one(child)
        raise
    finally:
        # A grandchild may hold the pipes open after its parent ended: what it prints is no longer ours.
        for reader in readers:
            if reader.ident is not None:
                reader.join(5)
        children.forget(child)
    if children.ended.is_set():
        raise Interrupted
    completed = Completed(tuple(args), child.returncode, b"".join(sinks[0]), b"".join(sinks[1]))
    if error is not None and completed.code != 0:
        raise error(f"{_name(args)} ended with {completed.code}: {_last_lines(completed.errors or completed.text)}")
    return completed


def _read(pipe: IO[bytes] | None, take: Take, on_line: OnLine | None) -> None:
    if pipe is None:
        return
    with contextlib.suppress(ValueError, OSError), pipe:
        for line in pipe:
            take(line)
            if on_line is not None:
                on_line(line.decode("utf-8", "replace").rstrip("\r\n"))


def _name(args: Sequence[str]) -> str:
    """The command without what may be long or private: its first words."""
    words = [Path(args[0]).stem]
    for word in args[1:3]:
        if word.startswith("-"):
            break
        words.append(word)
    return "`" + " ".join(words) + "`"


def _last_lines(text: str, count: int = 12) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it printed nothing"


def end_one(child: subprocess.Popen[bytes]) -> None:
    """Ends one child and what it started."""
    for send, grace in ((_interrupt, INTERRUPT_GRACE), (_terminate, TERMINATE_GRACE), (_kill, 1.0)):
        if not _group_alive(child):
            return
        send(child)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and _group_alive(child):
            time.sleep(0.02)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateJobObjectW.restype = wintypes.HANDLE
    _jobs: dict[int, int] = {}

    def _adopt(child: subprocess.Popen[bytes]) -> None:
        # JOBOBJECT_EXTENDED_LIMIT_INFORMATION with JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE (winnt.h): the job, and with it every
        # descendant, ends when its last handle is closed, also when goctl itself is killed.
        job = _kernel32.CreateJobObjectW(None, None)
        limits = (ctypes.c_byte * (144 if ctypes.sizeof(ctypes.c_void_p) == 8 else 112))()
        ctypes.c_uint32.from_buffer(limits, 16).value = 0x2000
        _kernel32.SetInformationJobObject(wintypes.HANDLE(job), 9, ctypes.byref(limits), ctypes.sizeof(limits))
        _kernel32.AssignProcessToJobObject(wintypes.HANDLE(job), wintypes.HANDLE(int(child._handle)))  # noqa: SLF001 - subprocess has no public name for it
        _jobs[child.pid] = job

    def _group_alive(child: subprocess.Popen[bytes]) -> bool:
        return child.poll() is None

    def _interrupt(child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            child.send_signal(signal.CTRL_BREAK_EVENT)

    def _terminate(child: subprocess.Popen[bytes]) -> None:
        job = _jobs.pop(child.pid, None)
        if job is not None:
            _kernel32.TerminateJobObject(wintypes.HANDLE(job), 1)
        with contextlib.suppress(OSError):
            child.terminate()

    _kill = _terminate

else:

    def _adopt(child: subprocess.Popen[bytes]) -> None:
        """Nothing to do: the child leads a session, and with it a process group, of its own."""

    def _group_alive(child: subprocess.Popen[bytes]) -> bool:
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

    def _interrupt(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGINT)

    def _terminate(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGTERM)

    def _kill(child: subprocess.Popen[bytes]) -> None:
        _send(child, signal.SIGKILL)
