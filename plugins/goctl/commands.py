"""From a task's call to its exit code: options, the configuration, a listener, signals, errors.

Everything below raises; here, and only here, an error becomes words and an exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from goctl.errors import BuildError, ConfigError, GoctlError, Interrupted
from goctl.events import Event, Failed
from goctl.report import Reporter, reporter
from goctl.system.process import children

if TYPE_CHECKING:
    from goctl.release.crew import Crew
    from goctl.release.run import Request

STAGES = ("release", "build", "image", "archive", "push")
QUESTIONS = ("plan", "explain", "affected", "config")
BAKING = ("bake", "dockerfile.write", "dockerfile.check")
#: Tasks that write nothing below the project.
LOOKING = (
    *QUESTIONS,
    "go.env",
    "base.status",
    "cache.stats",
    "cache.why",
    "cluster.status",
    "manifest.inspect",
    "tags.list",
    "referrer.list",
    "deploy.status",
    "deploy.history",
    "deploy.verify",
    "dockerfile.check",
    "builder.inspect",
    "builder.usage",
)
#: Tasks that release what manifests name; the name that a run of each has.
DEPLOYING = {"deploy.run": "deploy", "apply": "apply", "resolve": "resolve"}


def command(file: Path, name: str, /, *, dry: bool, defaults: Mapping[str, Any], **options: Any) -> None:
    """Runs the task of that name. Raises invoke's Exit with the error's own code when it fails."""
    if name in ("explain", "cache.why"):
        options["select"] = (options.pop("target"),)
    options = {**options, **{key: value for key, value in defaults.items() if key in options and not options[key]}}
    listener = reporter(json=options.pop("json", False), aside=name == "resolve")
    output = _Output(listener)
    code = 0
    try:
        with _signals():
            code = _run(file, name, dry=dry, emit=output, options=options) or 0
    except GoctlError as error:
        code = error.exit_code
        output.last(_failed(error))
    except KeyboardInterrupt:
        code = 130
        output.last(_failed(Interrupted()))
    finally:
        if code >= 128:
            children.end()
        output.close()
    if code:
        raise Exit(code=code)


def _run(file: Path, name: str, *, dry: bool, emit: _Output, options: dict[str, Any]) -> int | None:
    if name == "doctor":
        from goctl.release.doctor import doctor

        return doctor(file, emit, profile=options.get("profile", ""))
    from goctl.release.crew import assemble

    look_only = dry or name in LOOKING
    profile, jobs, offline = options.pop("profile", ""), options.pop("jobs", 0), options.pop("offline", False)
    crew = assemble(file, profile=profile, emit=emit, jobs=jobs, look_only=look_only, offline=offline)
    ended = False
    try:
        _do(crew, name, dry=dry, options=options)
        ended = True
    finally:
        # What was made so far is right, whatever failed after it; who interrupts a run does not wait for it.
        crew.first.stores.close(abandon=not ended and children.ended.is_set())
    return None


def _do(crew: Crew, name: str, *, dry: bool, options: dict[str, Any]) -> None:
    select = tuple(options.pop("select", None) or ())
    if name in (*STAGES, *DEPLOYING, *QUESTIONS):
        _release(crew, name, select, dry=dry, options=options)
    elif name in BAKING:
        _bake(crew, name, select, dry=dry, options=options)
    elif name == "parity":
        _parity(crew, select, dry=dry)
    elif name == "merge":
        from goctl.release.run import merge

        merge(crew, tuple(options["folder"] or ()))
    elif name.startswith("cache."):
        from goctl.release import cachework

        if name in ("cache.why", "cache.warm"):
            options["select"] = select
        cachework.run(crew, name, dry=dry, **options)
    else:
        from goctl.release import chores

        chores.run(crew, name, dry=dry, **options)


def _release(crew: Crew, name: str, select: tuple[str, ...], *, dry: bool, options: dict[str, Any]) -> None:
    """What is made from the plan, and what can be asked of it."""
    named = options.get("deploy") or options.get("to") or ""
    if name == "deploy.run" or (named and name in (*STAGES, *DEPLOYING)):
        from goctl.release.sites import aim

        aim(crew, named)
    if name in (*STAGES, *DEPLOYING) and not dry:
        from goctl.release.run import release

        release(crew, _request(name, select, options))
        return
    from goctl.release import answers

    match name:
        case "affected":
            answers.affected(crew, select, options["since"])
        case "explain":
            answers.explain(crew, select)
        case "config":
            answers.config(crew)
        case _:
            task = DEPLOYING.get(name, "release" if name == "plan" else name)
            answers.plan(crew, select, task, options.get("since", ""))


def _parity(crew: Crew, select: tuple[str, ...], *, dry: bool) -> None:
    if dry:
        from goctl.release import answers

        answers.plan(crew, select, "image", "")
        return
    from goctl.release.parity import parity

    parity(crew, select)


def _request(name: str, select: tuple[str, ...], options: Mapping[str, Any]) -> Request:
    from goctl.release.run import Request

    told = {key: options[key] for key in ("since", "shard", "force_conflicts", "prune") if key in options}
    return Request(
        task=DEPLOYING.get(name, name),
        select=select,
        deploy=options.get("deploy") or options.get("to") or "",
        files=tuple(options.get("file") or ()),
        **told,
    )


def _bake(crew: Crew, name: str, select: tuple[str, ...], *, dry: bool, options: dict[str, Any]) -> None:
    from goctl.release import bake

    if name == "dockerfile.check":
        bake.dockerfile_check(crew, options["file"])
        return
    with contextlib.nullcontext() if dry else crew.first.lock():
        if name == "bake":
            bake.bake(crew, select, form=options["format"], output=options["output"], check=options["check"], dry=dry)
        else:
            bake.dockerfile(crew, select, explain=options["explain"], dry=dry)


class _Output:
    """What a run emits to. A reader that went away (`| head -1`) ends the run."""

    def __init__(self, listener: Reporter) -> None:
        self._listener = listener
        self._gone = False

    def __call__(self, event: Event) -> None:
        if self._gone:
            raise Interrupted("nobody reads the output", exit_code=141)
        try:
            self._listener.emit(event)
        except BrokenPipeError:
            self._gone = True
            raise Interrupted("nobody reads the output", exit_code=141) from None

    def last(self, event: Event) -> None:
        with contextlib.suppress(Interrupted):
            self(event)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._listener.close()
            sys.stdout.flush()
        if self._gone:
            # Python flushes stdout once more when it ends, and would complain (docs.python.org: signal, "Note on SIGPIPE").
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: GoctlError) -> Failed:
    problems: tuple[str, ...] = ()
    if isinstance(error, ConfigError):
        problems = tuple(str(problem) for problem in error.problems)
    elif isinstance(error, BuildError):
        problems = tuple(
            (f"{d.location}: " if d.location else "") + d.message + (f" [{', '.join(d.platforms)}]" if d.platforms else "")
            for d in error.diagnostics
        )
    hint = error.hint
    return Failed(type(error).__name__, error.exit_code, str(error), hint, problems)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end every child, in a thread that insists, while this one unwinds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if not children.ended.is_set():
            threading.Thread(target=children.end, name="end-children").start()
            children.ended.set()
        raise Interrupted(exit_code=128 + number)

    # Ctrl-Break is a signal that only Windows has.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
