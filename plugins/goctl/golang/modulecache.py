"""Modules by way of the levels of a cache: brought into Go's module cache before go would download them, and sent from
there.

Only what go.sum vouches for travels. A zip or a go.mod whose sum is another is as good as none, so that go never meets it;
go itself compares them once more, for there is no `.ziphash` beside them (cmd/go/internal/modfetch, downloadZip).
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from goctl.contracts import Carrier, Host
from goctl.golang.arriving import escaped
from goctl.golang.environment import child_environment
from goctl.golang.installed import module_cache
from goctl.system.files import move
from goctl.values import from_json

SPACE = "module"
_BRINGERS = 16
_BLOCK = 1 << 20


class Part(NamedTuple):
    """A file of the module cache: `kind` is zip, mod or info, `sum` what go.sum says of the module or of its go.mod."""

    version: str
    kind: str
    sum: str
    path: Path

    @property
    def key(self) -> str:
        # The sum covers the module's path, which is part of every name in its zip, and what its go.mod says.
        return hashlib.sha256(f"{self.version} {self.kind} {self.sum}".encode()).hexdigest()


def lacking(host: Host, folders: Sequence[Path], only: Collection[str] | None = None) -> list[Part]:
    """The files of modules in go.sum that are not in the module cache; with `only`, of the modules that have these sums."""
    return [part for part in _parts(host, folders, only) if not part.path.exists()]


def offer(host: Host, folders: Sequence[Path], carrier: Carrier) -> int:
    """Offers all files of modules in go.sum that are in the module cache to levels that lack them; how many."""
    right = _right(_parts(host, folders, None))
    for part in right:
        carrier.offer(SPACE, part.key, part.path)
    return len(right)


def _parts(host: Host, folders: Sequence[Path], only: Collection[str] | None) -> list[Part]:
    cache = module_cache(child_environment(host.config.go, host.config.go.env))
    if not cache:
        return []
    found: list[Part] = []
    for folder in folders:
        lines = list(_sums(folder / "go.sum"))
        wanted = {(name, version) for name, version, sum in lines if only is None or sum in only}
        for name, version, sum in lines:
            if (name, version.removesuffix("/go.mod")) not in wanted and only is not None:
                continue
            place = Path(cache, "cache", "download", *escaped(name).split("/"), "@v")
            plain = version.removesuffix("/go.mod")
            kinds = ("mod", "info") if version != plain else ("zip",)
            found += (Part(plain, kind, sum, place / f"{escaped(plain)}.{kind}") for kind in kinds)
    return list(dict.fromkeys(found))


def _sums(file: Path) -> Iterable[tuple[str, str, str]]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) == 3 and words[2].startswith("h1:"):
            yield words[0], words[1], words[2]


def bring(host: Host, parts: Sequence[Part], carrier: Carrier) -> list[Part]:
    """Brings what levels have of these files; those that they have not."""
    if not parts:
        return []
    host.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="modules.", dir=host.scratch) as folder:

        def one(number: int) -> bool:
            part, beside = parts[number], Path(folder, str(number))
            try:
                if not carrier.fetch(SPACE, part.key, beside) or not is_right(part, beside):
                    return False
                part.path.parent.mkdir(parents=True, exist_ok=True)
                move(beside, part.path)
            except OSError:
                return False  # go will say what is wrong with its cache
            return True

        with ThreadPoolExecutor(_BRINGERS, "modules") as pool:
            done = list(pool.map(one, range(len(parts))))
    return [part for part, is_there in zip(parts, done, strict=True) if not is_there]


def send(parts: Sequence[Part], carrier: Carrier) -> None:
    """Sends those of these files that are there by now."""
    for part in _right(parts):
        carrier.store(SPACE, part.key, part.path)


def _right(parts: Iterable[Part]) -> list[Part]:
    """Those of these files that are there, and what go.sum says."""
    return [part for part in parts if part.path.is_file() and is_right(part, part.path)]


def is_right(part: Part, path: Path) -> bool:
    """Whether a file is what go.sum says. Of an `.info` it says nothing: that has to name the version, and a time."""
    try:
        if part.kind == "zip":
            return zip_sum(path) == part.sum
        content = path.read_bytes()
        if part.kind == "mod":
            return _sum({"go.mod": hashlib.sha256(content).hexdigest()}) == part.sum
        return from_json(content, dict[str, object]).get("Version") == part.version
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return False


def zip_sum(path: Path) -> str:
    """The sum of a module's zip as go.sum has it (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith("/"):
                continue
            hasher = hashlib.sha256()
            with archive.open(info) as file:
                while piece := file.read(_BLOCK):
                    hasher.update(piece)
            found[info.filename] = hasher.hexdigest()
    return _sum(found)


def _sum(hashes: dict[str, str]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(hashes, key=lambda name: name.encode("utf-8", "surrogateescape")):
        hasher.update(f"{hashes[name]}  {name}\n".encode())
    return "h1:" + base64.b64encode(hasher.digest()).decode("ascii")
