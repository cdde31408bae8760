"""One go command's requests, answered from go's own cache, and of what is not there by what a level has."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from goctl.cacheprog.folder import Entry, Folder
from goctl.cacheprog.protocol import HELLO, ID_SIZE, ProtocolError, Request, Response, Stream, moment

Read = Callable[[int], bytes | None]
Write = Callable[[memoryview], int | None]


class Build(Protocol):
    """One go build: whose requests these are."""

    @property
    def folder(self) -> Folder: ...

    def may_ask(self, action: bytes) -> bool:
        """Whether an action that is not in the folder may come from elsewhere. Waits for nothing."""
        ...

    def ask(self, action: bytes) -> bool:
        """Waits for an action that is not in the folder; whether it came."""
        ...

    def found(self, action: bytes, entry: Entry) -> None: ...

    def made(self, action: bytes, entry: Entry) -> None: ...


class Session:
    """Answers requests until the go command says goodbye, goes, or says what nobody understands."""

    def __init__(self, build: Build, read: Read, write: Write, waiters: Executor) -> None:
        self._build = build
        self._stream = Stream(lambda count: read(count) or b"")
        self._write = write
        self._waiters = waiters
        self._writing = threading.Lock()
        self._ended = False

    def end(self) -> None:
        self._ended = True

    def run(self) -> None:
        # A go command whose program ends too early says so itself. RuntimeError: the server is closed.
        with contextlib.suppress(OSError, ValueError, RuntimeError, ProtocolError):
            self._answer(HELLO)
            while not self._ended and (request := self._stream.request()) is not None:
                if not self._handle(request):
                    return

    def _handle(self, request: Request) -> bool:
        """Answers a request, now or later; whether more may follow."""
        if request.Command == "close":
            self._answer(Response(request.ID))
            return False
        if request.Command == "put":
            self._answer(self._put(request))
        elif request.Command != "get":
            self._answer(Response(request.ID, Err=f"there is no command {request.Command!r}"))
        elif len(request.ActionID) != ID_SIZE:
            self._answer(Response(request.ID, Err="an action's id has 32 bytes"))
        else:
            hit = self._look(request)
            if hit is not None:
                self._answer(hit)
            elif self._build.may_ask(request.ActionID):
                self._waiters.submit(self._ask, request)
            else:
                self._answer(Response(request.ID, Miss=True))
        return True

    def _look(self, request: Request) -> Response | None:
        found = self._build.folder.find(request.ActionID)
        if found is None:
            return None
        entry, path = found
        self._build.found(request.ActionID, entry)
        return Response(request.ID, OutputID=entry.output, Size=entry.size, Time=moment(entry.made), DiskPath=path)

    def _ask(self, request: Request) -> None:
        """What is not here: waits for it, and answers at last."""
        there = False
        with contextlib.suppress(Exception):
            there = self._build.ask(request.ActionID)
        hit = self._look(request) if there else None
        with contextlib.suppress(OSError, ValueError):
            self._answer(hit or Response(request.ID, Miss=True))

    def _put(self, request: Request) -> Response:
        body = self._stream.body(request.BodySize)
        try:
            if len(request.ActionID) != ID_SIZE or len(request.OutputID) != ID_SIZE:
                raise ValueError("an id has 32 bytes")
            entry = Entry(request.OutputID, request.BodySize, time.time_ns())
            with self._build.folder.writer(entry.output, entry.size) as writer:
                for piece in body:
                    writer.write(piece)
                path = writer.commit()
            self._build.folder.note(request.ActionID, entry)
        except (OSError, ValueError) as error:
            # What follows a body begins behind it.
            for _ in body:
                pass
            return Response(request.ID, Err=f"cannot keep it: {error}")
        self._build.made(request.ActionID, entry)
        return Response(request.ID, DiskPath=path)

    def _answer(self, response: Response) -> None:
        line = memoryview(response.line())
        with self._writing:
            while line:
                line = line[self._write(line) or 0 :]
