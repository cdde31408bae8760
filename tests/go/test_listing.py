"""Every change is noticed, and nothing else is: the record of files, and the digests of packages."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goctl.errors import ModuleError
from goctl.golang import snapshot
from goctl.golang.explain import difference
from goctl.golang.graph import decode_graph
from goctl.plan.facts import Listing, ListingKey
from goctl.values import Digest, Platform

LINUX = ListingKey(Platform.parse("linux/amd64"))
WINDOWS = ListingKey(Platform.parse("windows/amd64"))
PATTERNS = ("./cmd/api", "./cmd/worker")


def digests(host: Any, key: ListingKey = LINUX) -> dict[str, Digest]:
    listing: Listing = snapshot.packages(host, {key: PATTERNS})[key]
    return {pattern: listing.mains[pattern][0].digest for pattern in PATTERNS}


def settle() -> None:
    """Waits until every file is older than a tick, so that the record trusts stat."""
    time.sleep(0.08)


class Counting:
    """Counts how often go list is started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = snapshot.list_packages

        def counted(*args: object) -> object:
            self.count += 1
            return real(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(snapshot, "list_packages", counted)


def edit(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def add(path: Path, text: str) -> None:
    path.parent.mkdir()
    edit(path, text)


def edit_back(path: Path, text: str) -> None:
    """An edit of the same length whose times are set back to what they were."""
    before = path.stat()
    edit(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a source is edited": lambda r: edit(r / "internal/text/text.go", (r / "internal/text/text.go").read_text() + "// x\n"),
    "an edit with its time set back": lambda r: edit_back(r / "third/dep/dep.go", 'package dep\n\nconst Name = "ped"\n'),
    "a source is added": lambda r: edit(r / "internal/text/more.go", "package text\n\nvar More = 1\n"),
    "a source is removed": lambda r: (r / "internal/text/system.go").unlink(),
    "a source is renamed": lambda r: (r / "internal/text/system.go").rename(r / "internal/text/other.go"),
    "an embedded file is edited": lambda r: edit(r / "internal/text/pages/deep/b.html", "<p>c</p>\n"),
    "an embedded file is added": lambda r: edit(r / "internal/text/pages/c.html", "c"),
    "an embedded file is added below": lambda r: edit(r / "internal/text/pages/deep/c.html", "c"),
    "an embedded folder is added": lambda r: (
        (r / "internal/text/pages/new").mkdir(),
        edit(r / "internal/text/pages/new/n", "n"),
    ),
    "a glob matches in a folder it did not match in": lambda r: edit(r / "internal/text/two/extra.txt", "two"),
    "a replaced module is edited": lambda r: edit(r / "third/dep/dep.go", 'package dep\n\nconst Name = "other"\n'),
    "a profile is added": lambda r: edit(r / "cmd/api/default.pgo", "profile"),
    "the language version rises": lambda r: edit(r / "go.mod", (r / "go.mod").read_text().replace("1.24", "1.25")),
    "a debug setting comes": lambda r: edit(
        r / "cmd/api/main.go", "//go:debug madvdontneed=1\n" + (r / "cmd/api/main.go").read_text()
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(host: Any, change: str) -> None:
    settle()
    before = digests(host)
    CHANGES[change](host.root)
    assert digests(host)["./cmd/api"] != before["./cmd/api"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_same_tick_is_noticed(host: Any, change: str) -> None:
    # No waiting: the record is made in the tick in which the files were written.
    before = digests(host)
    CHANGES[change](host.root)
    assert digests(host)["./cmd/api"] != before["./cmd/api"]


HARMLESS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda r: None,
    "a test is edited": lambda r: edit(r / "internal/text/text_test.go", "package text\n\n// more\n"),
    "a test is added": lambda r: edit(r / "cmd/api/new_test.go", "package main\n"),
    "a file that go ignores": lambda r: edit(r / "cmd/api/_x.go", "package text\n"),
    "a readme": lambda r: edit(r / "cmd/api/README.md", "# text\n"),
    "a touch": lambda r: os.utime(r / "internal/text/text.go"),
    "a save without a change": lambda r: edit(r / "internal/text/text.go", (r / "internal/text/text.go").read_text()),
    "a file beside an embedded folder": lambda r: edit(r / "cmd/worker/notes.txt", "notes"),
    "an unrelated folder": lambda r: add(r / "docs/x.go", "package docs\n"),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_nothing_else_starts_go(host: Any, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settle()
    before = digests(host)
    counting = Counting(monkeypatch)
    HARMLESS[change](host.root)
    assert digests(host) == before
    assert counting.count == 0


@pytest.mark.parametrize("change", [*CHANGES, *HARMLESS])
def test_what_is_recorded_is_what_a_fresh_checkout_lists(host: Any, change: str) -> None:
    settle()
    digests(host)
    digests(host, WINDOWS)
    (CHANGES | HARMLESS)[change](host.root)
    after = digests(host), digests(host, WINDOWS)
    again = digests(host), digests(host, WINDOWS)
    shutil.rmtree(host.root / ".goctl")
    assert after == again == (digests(host), digests(host, WINDOWS))


CONTENT: dict[str, Callable[[Path], object]] = {
    name: CHANGES[name]
    for name in (
        "a source is edited",
        "an edit with its time set back",
        "an embedded file is edited",
        "a replaced module is edited",
    )
}


@pytest.mark.parametrize("change", CONTENT)
def test_an_edit_below_the_imports_starts_no_go(host: Any, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settle()
    before = digests(host)
    counting = Counting(monkeypatch)
    CONTENT[change](host.root)
    assert digests(host)["./cmd/api"] != before["./cmd/api"]
    assert counting.count == 0
    snapshot.packages(host, {LINUX: PATTERNS, WINDOWS: PATTERNS})
    assert counting.count == 1


def test_an_edit_is_explained_without_go(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(host)["./cmd/api"]
    old = snapshot.GRAPHS[before]
    CONTENT["a source is edited"](host.root)
    counting = Counting(monkeypatch)
    after = digests(host)["./cmd/api"]
    said = difference(decode_graph(old), decode_graph(snapshot.GRAPHS[after]), "example.com/shop/cmd/api")
    assert said == ["example.com/shop/internal/text/text.go changed"]
    assert counting.count == 0


def test_a_change_counts_only_for_those_who_import_it(host: Any) -> None:
    before = digests(host)
    edit(host.root / "internal/text/text.go", (host.root / "internal/text/text.go").read_text() + "// x\n")
    after = digests(host)
    assert after["./cmd/worker"] == before["./cmd/worker"]
    assert after["./cmd/api"] != before["./cmd/api"]


def test_the_folder_does_not_count(host: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = digests(host)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "checkout"
    shutil.copytree(host.root, elsewhere, ignore=shutil.ignore_patterns(".goctl"))
    assert digests(type(host)(elsewhere)) == before


def test_build_constraints_make_platforms_differ(host: Any) -> None:
    edit(host.root / "internal/text/text_windows.go", "package text\n\nvar W = 1\n")
    assert digests(host)["./cmd/api"] != digests(host, WINDOWS)["./cmd/api"]
    before = digests(host)
    settle()
    edit(host.root / "internal/text/text_windows.go", "package text\n\nvar W = 2\n")
    assert digests(host) == before


def test_a_second_listing_keeps_watching_for_the_first(host: Any) -> None:
    settle()
    before = digests(host)
    digests(host, WINDOWS)
    edit(host.root / "internal/text/pages/new.html", "new")
    assert digests(host)["./cmd/api"] != before["./cmd/api"]


def test_a_damaged_record_is_only_made_again(host: Any) -> None:
    before = digests(host)
    for path in (host.root / ".goctl" / "records").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    assert digests(host) == before


@pytest.mark.parametrize("often", [1, snapshot.ATTEMPTS])
def test_what_goes_while_it_is_listed_is_listed_anew(host: Any, often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = snapshot.list_packages, [FileNotFoundError("gone")] * often

    def going(*args: Any) -> object:
        if left:
            raise left.pop()
        return real(*args)

    monkeypatch.setattr(snapshot, "list_packages", going)
    if often < snapshot.ATTEMPTS:
        assert digests(host)
        return
    with pytest.raises(ModuleError, match="being edited while they are listed"):
        digests(host)


def test_changed_since_listing_names_the_file(host: Any) -> None:
    digests(host)
    assert snapshot.changed_since_listing(host) == []
    edit(host.root / "cmd/api/main.go", "package main\n\nfunc main() {}\n")
    assert snapshot.changed_since_listing(host) == [os.path.join("cmd", "api", "main.go")]


def test_without_write_nothing_is_written(host: Any) -> None:
    snapshot.packages(host, {LINUX: PATTERNS}, write=False)
    assert not list((host.root / ".goctl" / "records").rglob("snapshot/*"))


@pytest.mark.parametrize(
    ("files", "words", "hint"),
    [
        ({"cmd/api/main.go": "package api\n"}, "no main package", "package main"),
        ({"cmd/api/main.go": 'package main\n\nimport _ "example.com/gone"\n'}, "main.go:3", "mod.tidy"),
        ({"cmd/api/main.go": "//go:build plan9\n\npackage main\n"}, "build constraints", "build constraints"),
        ({"cmd/api/main.go": "package main\n\nimport (\n\nfunc main() {}\n"}, "main.go:5", ""),
        ({"go.mod": "module example.com/shop\n\ngo 1.24\n\nrequire nonsense\n"}, "go.mod:5", ""),
    ],
)
def test_what_does_not_load_is_told_in_gos_words(host: Any, files: dict[str, str], words: str, hint: str) -> None:
    for name, text in files.items():
        edit(host.root / name, text)
    with pytest.raises(ModuleError) as caught:
        digests(host)
    assert words in str(caught.value)
    assert hint in caught.value.hint


def test_the_difference_names_files_and_packages(host: Any) -> None:
    before = digests(host)["./cmd/api"]
    old = snapshot.GRAPHS[before]
    edit(host.root / "third/dep/dep.go", 'package dep\n\nimport _ "embed"\n\nconst Name = "x"\n')
    edit(host.root / "internal/text/added.go", "package text\n")
    after = digests(host)["./cmd/api"]

    said = difference(decode_graph(old), decode_graph(snapshot.GRAPHS[after]), "example.com/shop/cmd/api")
    assert said == ["example.com/dep/dep.go changed", "example.com/shop/internal/text/added.go was added"]
