"""Modules that a level of the cache has are not downloaded; what go.sum does not vouch for is never taken."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from goctl.cache.chain import Chain, Member
from goctl.cache.folder import FolderShelf
from goctl.cache.shelved import ShelvedLevel
from goctl.golang import modulecache, modules
from goctl.golang.command import go as run_go
from tests.go.conftest import GoHost, write
from tests.go.proxy import publish, use

FILES = {
    "go.mod": "module example.com/shop\n\ngo 1.24\n\nrequire example.com/Dep v1.2.3\n",
    "main.go": 'package main\n\nimport "example.com/Dep"\n\nfunc main() { println(dep.Name) }\n',
}
DEP = {"v1.2.3": {"dep.go": 'package dep\n\nconst Name = "dep"\n'}}


class Place:
    """A proxy, a level, and hosts with module caches of their own."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.patch = monkeypatch
        self.proxy = root / "proxy"
        publish(self.proxy, "example.com/!dep", DEP)
        for file in (self.proxy / "example.com/!dep/@v").iterdir():
            if file.suffix == ".zip":
                _named(file)
            elif file.suffix == ".mod":
                file.write_text("module example.com/Dep\n\ngo 1.21\n")

    def host(self, name: str) -> GoHost:
        host = GoHost(self.root / name)
        write(host.root, FILES)
        use(self.patch, self.proxy, self.root / f"{name}-cache")
        self.patch.setenv("GONOSUMDB", "*")
        return host

    def chain(self) -> Chain:
        level = ShelvedLevel("team", FolderShelf(self.root / "level"))
        return Chain([Member(level)], warn=print)


def _named(file: Path) -> None:
    """The zip of a module whose path has capitals: names in it are as the path is, not as it is escaped."""
    import zipfile

    with zipfile.ZipFile(file) as archive:
        content = {name.replace("!dep", "Dep"): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data.replace(b"!dep", b"Dep"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: str) -> Place:
    return Place(tmp_path, monkeypatch)


def first(place: Place) -> str:
    """A machine that downloads and sends; what go.sum became."""
    host = place.host("one")
    assert run_go(host, "mod", "tidy").code == 0
    for path in (place.root / "one-cache").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(place.root / "one-cache")
    chain = place.chain()
    modules.setup(host, chain)
    assert chain.close()
    assert chain.tallies()["team"].stored == 3
    return (host.root / "go.sum").read_text()


def test_what_a_level_has_is_not_downloaded(place: Place) -> None:
    sums = first(place)
    host = place.host("two")
    (host.root / "go.sum").write_text(sums)
    place.patch.setenv("GOPROXY", "off")
    chain = place.chain()
    modules.setup(host, chain)
    assert chain.tallies()["team"].hits == 3
    assert run_go(host, "build", "-o", str(host.root / "shop"), ".").code == 0
    assert run_go(host, "mod", "verify").code == 0


def test_modules_that_were_here_before_are_offered(place: Place) -> None:
    host = place.host("one")
    assert run_go(host, "mod", "tidy").code == 0
    assert run_go(host, "mod", "download").code == 0
    chain = place.chain()
    assert modules.offer(host, chain) == 3
    assert chain.close()
    assert chain.tallies()["team"].stored == 3
    again = place.chain()
    assert modules.offer(host, again) == 3
    assert again.close()
    assert not again.tallies()


def test_what_programs_are_made_of_is_brought_alone(place: Place) -> None:
    """By the sums of what is compiled: all is downloaded only where those are unknown, or a level lacks one."""
    sums = first(place)
    host = place.host("two")
    (host.root / "go.sum").write_text(sums)
    place.patch.setenv("GOPROXY", "off")
    chain = place.chain()
    modules.setup_for(host, chain, set())
    assert not chain.tallies()
    (own,) = [line.split()[2] for line in sums.splitlines() if "/go.mod" not in line]
    modules.setup_for(host, chain, {own})
    assert chain.tallies()["team"].hits == 3
    assert run_go(host, "build", "-o", str(host.root / "shop"), ".").code == 0
    empty = Chain([], warn=print)
    other = place.host("three")
    (other.root / "go.sum").write_text(sums)
    place.patch.setenv("GOPROXY", place.proxy.as_uri())
    modules.setup_for(other, empty, {own})
    assert modules.is_set_up(other)


def test_what_go_sum_does_not_vouch_for_is_left(place: Place) -> None:
    sums = first(place)
    level = ShelvedLevel("team", FolderShelf(place.root / "level"))
    for one in list(level.shelf.held()):  # type: ignore[attr-defined]
        space, _, key = one.name.partition("/")
        evil = place.root / "evil"
        evil.write_bytes(b"not what it was")
        level.store(space, key, evil)
    host = place.host("two")
    (host.root / "go.sum").write_text(sums)
    chain = place.chain()
    # The proxy has them still, and go never sees the others.
    modules.setup(host, chain)
    assert run_go(host, "build", "-o", str(host.root / "shop"), ".").code == 0


def test_the_sum_of_a_go_mod(tmp_path: Path) -> None:
    path = tmp_path / "x.mod"
    path.write_bytes(b"module rsc.io/quote\n")
    hashed = hashlib.sha256(b"module rsc.io/quote\n").hexdigest()
    sum = modulecache._sum({"go.mod": hashed})
    assert modulecache.is_right(modulecache.Part("v1", "mod", sum, path), path)
    path.write_bytes(b"module rsc.io/quote/v2\n")
    assert not modulecache.is_right(modulecache.Part("v1", "mod", sum, path), path)
