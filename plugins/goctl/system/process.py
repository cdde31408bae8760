"""The one door to child processes: argument lists, groups of their own, no survivors.

Every child leads a process group (POSIX: a session; Windows: a job object that ends with its last handle), so that what
it started ends with it. Ending is asked for, then insisted on: interrupt, terminate, kill (as pypa/build and nox do for
one process, here for the group).
"""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from goctl.errors import GoctlError, Interrupted, StorageError, ToolchainError
from goctl.system import groups

#: Seconds that what a child started may go on writing to the child's streams after it ended.
LINGER: Final = 1.0
#: Bytes that are kept of stderr: the last ones. A longer line than LONGEST_LINE is taken in pieces.
KEPT_OF_STDERR: Final = 2**23
LONGEST_LINE: Final = 2**20

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
                if cwd is not None and not cwd.is_dir():
                    raise StorageError(f"there is no folder {cwd} to run {args[0]!r} in") from error
                raise ToolchainError(f"{args[0]!r} was not found", hint="install it, or put its folder on PATH") from error
            except OSError as error:
                raise ToolchainError(f"{args[0]!r} cannot be started: {error.strerror or error}") from error
            groups.adopt(child)
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
        groups.end(children)


#: The children of this process. One registry, because a signal reaches the whole process too.
children: Final = Children()


def run(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | Iterable[bytes] | None = None,
    timeout: float | None = None,
    on_start: Callable[[int], object] | None = None,
    on_stdout: OnLine | None = None,
    on_stderr: OnLine | None = None,
    take_stdout: Take | None = None,
    error: type[GoctlError] | None = None,
) -> Completed:
    """Runs a child to its end.

    `input` is what it reads: bytes, or parts that are made meanwhile. `on_start` is told its process id before anything of
    it is read. `on_stdout` and `on_stderr` are called with each line as it comes, in a thread of their own; `take_stdout`
    is handed the lines as bytes in place of keeping them. With `error`, an exit code other than 0 raises it with the last
    lines of stderr. What a listener or the input raises ends the child and is raised here; the run's end raises Interrupted.
    """
    child = children.start(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
    kept: list[bytes] = []
    tail = _Tail()
    out = _Reader(child, child.stdout, take_stdout or kept.append, on_stdout)
    err = _Reader(child, child.stderr, tail.append, on_stderr, LONGEST_LINE)
    feeder = _Feeder(child, (input,) if isinstance(input, bytes) else input or ())
    try:
        _wait(child, (out, err, feeder), timeout, on_start)
    except subprocess.TimeoutExpired:
        raise (error or GoctlError)(f"{_name(args)} did not end within {timeout:g} s") from None
    finally:
        _leave(child, (out, err))
    _raise_what_ended_it(feeder, out, err)
    completed = Completed(tuple(args), child.returncode, b"".join(kept), b"".join(tail.parts))
    if error is not None and completed.code != 0:
        raise error(f"{_name(args)} ended with {completed.code}: {_last_lines(completed.errors or completed.text)}")
    return completed


class _Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self.parts: collections.deque[bytes] = collections.deque()
        self._size = 0

    def append(self, part: bytes) -> None:
        self.parts.append(part)
        self._size += len(part)
        while self._size > KEPT_OF_STDERR:
            self._size -= len(self.parts.popleft())


class _Reader(threading.Thread):
    """Reads one of a child's streams to its end. What a listener raises ends the child, and is kept for who waits."""

    def __init__(
        self, child: subprocess.Popen[bytes], pipe: IO[bytes] | None, take: Take, on_line: OnLine | None, longest: int = -1
    ) -> None:
        super().__init__(daemon=True)
        self.raised: BaseException | None = None
        self._child = child
        self._pipe = pipe
        self._take = take
        self._on_line = on_line
        self._longest = longest

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001 - raised again where the child is waited for
            self.raised = error
            groups.end([self._child])

    def _read(self) -> None:
        if self._pipe is None:
            return
        with self._pipe as pipe:
            while line := pipe.readline(self._longest):
                self._take(line)
                if self._on_line is not None:
                    self._on_line(line.decode("utf-8", "replace").rstrip("\r\n"))


class _Feeder(threading.Thread):
    """Writes what a child reads. What the parts raise ends the child, which never sees the end of a half-made input."""

    def __init__(self, child: subprocess.Popen[bytes], parts: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self.raised: BaseException | None = None
        self._child = child
        self._parts = parts

    def run(self) -> None:
        pipe = self._child.stdin
        if pipe is None:
            return
        try:
            for part in self._parts:
                if not _written(pipe, part):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again where the child is waited for
            self.raised = error
            groups.end([self._child])
        with contextlib.suppress(OSError):
            pipe.close()


def _written(pipe: IO[bytes], part: bytes) -> bool:
    """Whether the child took a part, which reaches it now: the next may be made when it has answered. One that ends without
    reading breaks the pipe: its exit code says what that means."""
    try:
        pipe.write(part)
        pipe.flush()
    except OSError:
        return False
    return True


def _wait(
    child: subprocess.Popen[bytes],
    threads: Iterable[threading.Thread],
    timeout: float | None,
    on_start: Callable[[int], object] | None,
) -> None:
    """Until the child has ended, or is ended because of what is raised here."""
    try:
        if on_start is not None:
            on_start(child.pid)
        for thread in threads:
            thread.start()
        child.wait(timeout)
    except BaseException:
        groups.end([child])
        raise


def _leave(child: subprocess.Popen[bytes], readers: Sequence[_Reader]) -> None:
    """Ends what is left of a child that ended: what it printed is read, what holds its streams open is ended too."""
    started = [reader for reader in readers if reader.ident is not None]
    for patience in (LINGER, 0.5):
        deadline = time.monotonic() + patience
        for reader in started:
            reader.join(max(0.0, deadline - time.monotonic()))
        if not any(reader.is_alive() for reader in started):
            break
        groups.end([child])
    # Whatever left the group and holds a stream still, is not waited for: what it prints is no longer ours.
    groups.release(child)
    children.forget(child)


def _raise_what_ended_it(*threads: _Feeder | _Reader) -> None:
    """Raises what the input or a listener raised, or Interrupted where the run has ended."""
    for thread in threads:
        if thread.raised is not None:
            raise thread.raised
    if children.ended.is_set():
        raise Interrupted


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
