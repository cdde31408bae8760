"""A build: one `docker buildx bake` for all targets, its progress as events, its metadata as digests.

Targets are baked together, for they share stages. When one fails, `buildx` gives up all: those that did not fail are baked
again, which the builder's cache makes quick, and one that failed for a reason that may pass is tried again.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.buildkit.docker import BUILDX, docker, hint
from goctl.buildkit.hcl import to_json
from goctl.buildkit.nodes import Builder
from goctl.buildkit.nodes_checks import check
from goctl.buildkit.progress import Progress
from goctl.buildkit.run_access import access
from goctl.buildkit.run_document import Output, Piece, prepared, secrets, wanted
from goctl.errors import BuilderError, BuildError, ConfigError, GoctlError
from goctl.events import Emit, Notice
from goctl.system.files import storage_errors, write_atomic
from goctl.values import Digest, Platform, from_json

#: What BuildKit says when another attempt may go better.
_PASSING: Final = re.compile(
    r"connection (reset|refused)|i/o timeout|TLS handshake timeout|unexpected EOF|temporary failure|no such host"
    r"|too many requests|bad gateway|service unavailable|gateway timeout|unexpected status.*\b(429|5\d\d)\b"
    r"|transport is closing|error reading from server|broken pipe",
    re.IGNORECASE,
)
#: What a step of the Dockerfile itself is to blame for.
_STEP_FAILED: Final = re.compile(r"did not complete successfully: exit code")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to build. `document` is a bake file; its relative paths count from `root`.

    `files` are bake files besides it. `executed` are the platforms that steps are run on (nodes_checks.Wanted). `readable`
    are folders outside of `root` that contexts and secrets come from. `logins` as in run_access. `buildx` is the command for
    buildx.
    """

    document: Mapping[str, Any]
    outputs: Mapping[str, Output]
    root: Path
    scratch: Path
    builder: Builder
    files: tuple[Path, ...] = ()
    executed: tuple[Platform, ...] | None = None
    emulated: bool = True
    containerd_store: bool = False
    retries: int = 1
    keep_going: bool = False
    readable: tuple[Path, ...] = ()
    logins: Mapping[str, Mapping[str, str]] = {}
    buildx: tuple[str, ...] = BUILDX


class Baked(msgspec.Struct, frozen=True):
    """A target that was built: the digest of each piece with its platforms. Files and caches have none."""

    target: str
    digests: tuple[tuple[Digest, tuple[Platform, ...]], ...] = ()


class Results(msgspec.Struct, frozen=True):
    """What came of a build: targets that were made, and those that failed, each with its error."""

    baked: Mapping[str, Baked]
    failed: Mapping[str, GoctlError]


def bake(job: Job, emit: Emit) -> Results:
    """Builds all targets. With `keep_going` a target that fails keeps none of the others from being built, and is told of
    in the results; else the first failure is raised.

    Raises BuilderError, before anything runs, for what the builder cannot do; BuildError for a step that failed;
    ConfigError for a secret that is not there.
    """
    asked = [wanted(job.document, target, output, job.executed) for target, output in job.outputs.items()]
    check(job.builder, asked, emulated=job.emulated, containerd_store=job.containerd_store)
    hidden = _secrets(job)
    ready = prepared(job.document, job.outputs, job.builder)
    for folder in ready.folders:
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)  # buildx asks for leave to write to the nearest folder that is there
    with storage_errors(str(job.scratch)):
        job.scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bake-", dir=job.scratch) as name,
        access(job.logins, os.environ) as environment,
    ):
        file = Path(name, "docker-bake.json")
        write_atomic(file, to_json(ready.document), durable=False, private=True)
        # Provenance is attached to images; the file of digests need not repeat all of it.
        environment.setdefault("BUILDX_METADATA_PROVENANCE", "disabled")
        if not any(one.attestations for one in asked):
            # buildx asks git for the checkout's commit and address, process after process, for provenance alone.
            environment.setdefault("BUILDX_GIT_INFO", "false")
        once = partial(_once, job, ready.folders, file, environment, hidden, emit)
        digests, failed = _all(once, ready.pieces, job, emit)
    return _results(ready.pieces, digests, failed)


Digests = dict[str, Digest | None]


class _Fault(msgspec.Struct, frozen=True):
    """A bake that ended badly: what went wrong by piece, the first that failed before others, and in general."""

    pieces: Mapping[str, str]
    error: GoctlError


def _all(
    once: Callable[[Mapping[str, str]], Digests | _Fault], pieces: Sequence[Piece], job: Job, emit: Emit
) -> tuple[Digests, dict[str, GoctlError]]:
    """Bakes until every piece is made or has failed for good."""
    targets = {piece.name: piece.target for piece in pieces}
    left = list(targets)
    tries = dict.fromkeys(left, 0)
    failed: dict[str, GoctlError] = {}
    while left:
        outcome = once({name: targets[name] for name in left})
        if not isinstance(outcome, _Fault):
            return outcome, failed
        # The first to fail is to blame: buildx then cancels the others, and what is killed amid its work may fail too. Where
        # nobody in particular is to blame, all are.
        for name in [name for name in outcome.pieces if name in left][:1] or list(left):
            words = outcome.pieces.get(name, str(outcome.error))
            tries[name] += 1
            if tries[name] <= job.retries and _PASSING.search(words):
                emit(Notice(f"{targets[name]}: {words}", hint="it is tried again", level="info"))
                continue
            failed[targets[name]] = outcome.error
            left = [other for other in left if targets[other] != targets[name]]
        if failed and not job.keep_going:
            raise next(iter(failed.values()))
    return {}, failed


def _once(
    job: Job,
    folders: Sequence[Path],
    file: Path,
    environment: Mapping[str, str],
    hidden: Sequence[str],
    emit: Emit,
    names: Mapping[str, str],
) -> Digests | _Fault:
    """One bake of some pieces, each with its target."""
    metadata = file.with_name("metadata.json")
    progress = Progress(names, emit, secrets=hidden)
    args = ["bake", "--builder", job.builder.name, "--progress", "rawjson", "--metadata-file", str(metadata)]
    for one in (*job.files, file):
        args += ["--file", str(one)]
    for kind, paths in (("fs.write", folders), ("fs.read", job.readable)):
        for path in paths:
            args += ["--allow", f"{kind}={path}"]
    try:
        done = docker(
            [*args, *names], command=job.buildx, cwd=job.root, env=environment, timeout=None, on_stderr=progress.line
        )
    finally:
        progress.close()
    if done.code != 0:
        return _fault(progress, list(names), done.code)
    return _digests(metadata, list(names))


def _fault(progress: Progress, names: Sequence[str], code: int) -> _Fault:
    """What went wrong: buildx ends with `ERROR: target NAME: ...` where it was one target, after an excerpt of its file."""
    said = progress.said
    begin = next((number for number in reversed(range(len(said))) if said[number].startswith("ERROR:")), len(said))
    words = "\n".join(said[begin:]).removeprefix("ERROR: ") or f"it ended with {code}"
    match = re.match(r"target ([A-Za-z0-9_-]+): ", words)
    pieces = dict(progress.failed)
    if match is not None and match[1] in names:
        pieces = {match[1]: pieces.get(match[1], words), **pieces}
    excerpt = "\n".join(said[max(0, begin - 12) : begin])
    text = f"docker buildx bake: {words}" + (f"\n{excerpt}" if excerpt else "")
    kind = BuildError if _STEP_FAILED.search(words) else BuilderError
    return _Fault(pieces, kind(text, hint=hint(words)))


def _digests(metadata: Path, names: Sequence[str]) -> Digests:
    """The digest of each piece. Raises BuilderError for a file that is not what buildx writes."""
    try:
        told = from_json(metadata.read_bytes(), dict[str, Any])
        found: Digests = {}
        for name in names:
            entry = told.get(name)
            digest = entry.get("containerimage.digest") if isinstance(entry, dict) else None
            found[name] = Digest(digest) if digest else None
    except (OSError, ValueError) as error:
        raise BuilderError(f"docker buildx told of no digests: {error}", hint="see `docker buildx version`") from None
    return found


def _results(pieces: Sequence[Piece], digests: Digests, failed: Mapping[str, GoctlError]) -> Results:
    baked: dict[str, Baked] = {}
    for piece in pieces:
        if piece.target in failed:
            continue
        before = baked.get(piece.target, Baked(piece.target))
        digest = digests.get(piece.name)
        more = ((digest, piece.platforms),) if digest is not None else ()
        baked[piece.target] = Baked(piece.target, (*before.digests, *more))
    return Results(baked, failed)


def _secrets(job: Job) -> tuple[str, ...]:
    """The secrets themselves, so that they can be kept out of sight. Raises ConfigError for one that is not there."""
    found = []
    for name, kind, where in secrets(job.document, list(job.outputs)):
        if kind == "env":
            if where not in os.environ:
                raise ConfigError(f"secret {name}: the environment has no {where}", hint=f"set {where}")
            found.append(os.environ[where])
            continue
        try:
            found.append((job.root / os.path.expanduser(where)).read_text(encoding="utf-8", errors="replace").strip())
        except OSError as error:
            raise ConfigError(f"secret {name}: {where} cannot be read: {error.strerror or error}") from None
    return tuple(found)
