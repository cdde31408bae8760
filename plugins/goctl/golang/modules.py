"""The modules that a project needs: there, whole, vendored; and `go generate`."""

from __future__ import annotations

import filecmp
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from goctl.contracts import Carrier, Host
from goctl.errors import ModuleError, UntidyError
from goctl.events import Notice, Output, StepFinished, StepStarted
from goctl.golang import modulecache
from goctl.golang.arriving import arriving
from goctl.golang.command import check, environment, go, modules_in_use, only_tell, shown, telling, workspace
from goctl.golang.environment import effective
from goctl.golang.modfiles import required_go
from goctl.golang.refusal import refusal
from goctl.golang.versions import meets

_INDEX = "go.mod", "go.sum", "vendor/modules.txt"
#: Since this language version a go.mod names all modules that its packages are compiled from.
_PRUNED = ">=1.17"
_VARIABLES = ("GOMODCACHE", "GOPATH", "GOWORK", "GOFLAGS", "HOME", "USERPROFILE")


def setup(host: Host, carrier: Carrier | None = None) -> None:
    """The mod stage: every module that go.mod or go.work asks for is there. Costs a few small reads when that is known.

    Vendored modules need nothing. With a `carrier`, what it has of them is not downloaded. Raises ModuleError without a
    go.mod.
    """
    folders = modules_in_use(host)
    key = _state(host, folders)
    if host.memo.get("modules", key) is not None:
        return
    if not _is_vendored(host, folders):
        left = modulecache.bring(host, modulecache.lacking(host, folders), carrier) if carrier is not None else []
        try:
            download(host, dry=False)
            if carrier is not None:
                modulecache.send(left, carrier)
        except ModuleError as error:
            if not _enough_there(host):
                raise
            # Nothing is remembered: what is missing may be needed by the next platform or target.
            words = str(error).splitlines()
            host.emit(
                Notice(f"not every module could be downloaded, all that is compiled is there: {words[-1]}", level="info")
            )
            return
    host.memo.put("modules", key, b"1")


def setup_for(host: Host, carrier: Carrier | None, sums: Collection[str] | None) -> None:
    """Sees to the modules that what is compiled is made of, by their sums in go.sum; to all where those are not known, or
    where the `carrier` lacks one.

    Raises ModuleError without a go.mod.
    """
    folders = modules_in_use(host)
    if sums is None or carrier is None or not _is_pruned(host, folders):
        setup(host, carrier)
        return
    if is_set_up(host) or _is_vendored(host, folders):
        return
    parts = modulecache.lacking(host, folders, sums)
    if modulecache.bring(host, parts, carrier):
        setup(host, carrier)
    elif brought := sum(part.kind == "zip" for part in parts):
        host.emit(StepFinished("mod:download", "done", "modules", detail=f"{brought} brought"))


def offer(host: Host, carrier: Carrier) -> int:
    """Offers the modules that are here to levels that lack them; how many files. They have to stay until all is sent."""
    folders = modules_in_use(host)
    return 0 if _is_vendored(host, folders) else modulecache.offer(host, folders, carrier)


def _is_pruned(host: Host, folders: Sequence[Path]) -> bool:
    """Whether go builds without the go.mod of modules that nothing is compiled from: go.mod names all others since Go 1.17
    (go.dev/ref/mod#graph-pruning); a workspace loads them all."""
    return workspace(host) is None and all(meets(required_go(str(folder / "go.mod"))[0], _PRUNED) for folder in folders)


def is_set_up(host: Host) -> bool:
    """Whether setup() would find all modules there without asking go."""
    return host.memo.get("modules", _state(host, modules_in_use(host))) is not None


def _state(host: Host, folders: Sequence[Path]) -> str:
    """A digest of all that says which modules are needed, and of where they are kept."""
    work = workspace(host)
    files = [folder / name for folder in folders for name in _INDEX]
    if work is not None:
        files += [work, work.with_name(work.name + ".sum"), work.parent / "vendor" / "modules.txt"]
    hasher = hashlib.sha256()
    for file in files:
        try:
            hasher.update(file.read_bytes())
        except OSError:
            hasher.update(b"\0none")
        hasher.update(b"\0")
    variables = environment(host)
    for name in _VARIABLES:
        hasher.update(f"{name}={effective(name, variables)}\0".encode())
    return hasher.hexdigest()


def _is_vendored(host: Host, folders: Sequence[Path]) -> bool:
    work = workspace(host)
    roots = [work.parent] if work is not None else folders
    vendored = all((folder / "vendor" / "modules.txt").is_file() for folder in roots)
    return vendored and not {"-mod=mod", "-mod=readonly"} & set(host.toolchain().flags)


def _enough_there(host: Host) -> bool:
    """Whether the packages of this project load from what is on this machine. go.mod may list more than they import."""
    patterns = [pattern for target in host.config.targets.values() for pattern in target.packages]
    listed = go(host, "list", "-deps", "-f", "{{.ImportPath}}", *(patterns or ["./..."]), env={"GOPROXY": "off"})
    return listed.code == 0


def download(host: Host, *, dry: bool) -> None:
    """Downloads what go.mod asks for; tells each module as it comes. Needs no network for what is there."""
    folders = modules_in_use(host)
    if only_tell(host, "go mod download", dry=dry):
        return
    step = "mod:download"
    host.emit(StepStarted(step, "download modules"))
    with arriving(host, step, folders, environment(host)) as arrived:
        completed = go(host, "mod", "download")
    check(completed)
    detail = f"{arrived.count} downloaded" if arrived.count else "all there"
    host.emit(StepFinished(step, "done", "modules", detail=detail))


def verify(host: Host, *, dry: bool) -> None:
    """`go mod verify`: what was downloaded is still what go.sum says."""
    modules_in_use(host)
    if only_tell(host, "go mod verify", dry=dry):
        return
    completed = go(host, "mod", "verify")
    if completed.code:
        changed = [line for line in completed.errors.splitlines() if "modified" in line or "missing ziphash" in line]
        if not changed:
            raise refusal(completed.errors or completed.text)
        raise ModuleError(
            "downloaded modules are not what go.sum says:\n" + "\n".join(changed),
            hint="`go clean -modcache`, then `invoke mod.download`",
        )
    host.emit(StepFinished("mod:verify", "done", "go mod verify", detail=completed.text.strip()))


def vendor(host: Host, *, check: bool, dry: bool) -> None:
    """`go mod vendor`, or `go work vendor` in a workspace.

    With `check`, raises UntidyError where vendor/ is not what it would make, and changes nothing.
    """
    folders = modules_in_use(host)
    work = workspace(host)
    words = ("mod", "vendor") if work is None else ("work", "vendor")
    places = folders if work is None else [work.parent]
    if only_tell(host, "go " + " ".join(words), dry=dry):
        return
    for place in places:
        if check:
            _check_vendor(host, words, place)
            continue
        completed = go(host, *words, folder=place, on_stderr=telling(host))
        if completed.code:
            raise refusal(completed.errors or completed.text)
    title = "vendor/ is what go would make" if check else "go " + " ".join(words)
    host.emit(StepFinished("mod:vendor", "done", title))


def _check_vendor(host: Host, words: Sequence[str], place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="goctl-vendor-") as scratch:
        made = Path(scratch, "vendor")
        completed = go(host, *words, "-o", str(made), folder=place)
        if completed.code:
            raise refusal(completed.errors or completed.text)
        wrong = sorted(_differences(made, place / "vendor"))
    for line in wrong[:50]:
        host.emit(Output("go", line))
    if wrong:
        raise UntidyError(
            f"{shown(host, place / 'vendor')} is not what go would make: {len(wrong)} files differ",
            hint="run `invoke mod.vendor`, and commit vendor/",
        )


def _differences(made: Path, there: Path) -> Iterator[str]:
    """Files of two trees that are not the same, by content."""
    left, right = _files(made), _files(there)
    yield from (f"missing: vendor/{name}" for name in left - right)
    yield from (f"not needed: vendor/{name}" for name in right - left)
    same = left & right
    _, differ, unread = filecmp.cmpfiles(made, there, sorted(same), shallow=False)
    yield from (f"different: vendor/{name}" for name in (*differ, *unread))


def _files(root: Path) -> set[str]:
    found = set()
    for folder, _, names in os.walk(root):
        found |= {Path(folder, name).relative_to(root).as_posix() for name in names}
    return found


def generate(host: Host, patterns: Sequence[str]) -> None:
    """`go generate` for these packages, its output told line by line."""
    step = "generate"
    host.emit(StepStarted(step, "go generate " + " ".join(patterns)))
    completed = go(host, "generate", *patterns, on_stdout=telling(host), on_stderr=telling(host))
    if completed.code:
        raise ModuleError(f"go generate ended with {completed.code}:\n{completed.errors.strip()[-2000:]}")
    host.emit(StepFinished(step, "done", "go generate"))
