"""A small Go module with what changes results: packages, an embedded tree, a replaced module, a test file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goctl.cache.store import Blobs, Records
from goctl.config.model import Config
from goctl.contracts import BlobStore, Memo
from goctl.errors import ToolchainError
from goctl.events import Event
from goctl.golang.toolchain import toolchain
from goctl.plan.facts import Base, Toolchain

FILES = {
    "go.mod": (
        "module example.com/shop\n\ngo 1.24\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./third/dep\n"
    ),
    "cmd/api/main.go": (
        'package main\n\nimport (\n\t"fmt"\n\n\t"example.com/dep"\n\t"example.com/shop/internal/text"\n)\n\n'
        "func main() { fmt.Println(text.Hello(), dep.Name) }\n"
    ),
    "cmd/worker/main.go": (
        'package main\n\nimport _ "embed"\n\n//go:embed motd/today.txt\nvar motd string\n\nvar version = "none"\n\n'
        'func main() { println("worker", version, motd) }\n'
    ),
    "cmd/worker/motd/today.txt": "hi\n",
    "internal/text/text.go": (
        'package text\n\nimport "embed"\n\n//go:embed pages */extra.txt\nvar pages embed.FS\n\n'
        'func Hello() string { return "hello" }\n'
    ),
    "internal/text/text_test.go": "package text\n",
    "internal/text/pages/a.html": "<p>a</p>\n",
    "internal/text/pages/deep/b.html": "<p>b</p>\n",
    "internal/text/one/extra.txt": "one\n",
    "internal/text/two/other.txt": "two\n",
    "internal/text/system.go": "package text\n\nconst system = 1\n",
    "third/dep/go.mod": "module example.com/dep\n\ngo 1.24\n",
    "third/dep/dep.go": 'package dep\n\nconst Name = "dep"\n',
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def age(root: Path) -> None:
    """Makes every file look as if it had been there for long, so that stat alone can tell."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000.5))


class NoBases:
    """Bases for images whose base needs no fetching."""

    def fetch(self, base: Base) -> None:
        """Everything is there already."""


class FakeHost:
    """contracts.Host over a folder. Set `found` to hand out a toolchain; `events` holds what was emitted."""

    def __init__(self, root: Path, *, config: Config | None = None, found: Toolchain | None = None, jobs: int = 2) -> None:
        self.root = root
        self.config = config or Config()
        self.module = root / self.config.go.directory
        self.dist = self.output = root / self.config.release.dist
        self.scratch = root / ".goctl" / "scratch"
        self.state = root / ".goctl"
        self.blobs: BlobStore = Blobs(self.state / "blobs")
        self.memo: Memo = Records(self.state / "records")
        self.bases = NoBases()
        self.jobs = jobs
        self.offline = False
        self.events: list[Event] = []
        self._found = found

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def toolchain(self) -> Toolchain:
        if self._found is None:
            raise ToolchainError("this fake has no Go")
        return self._found

    def check(self) -> None:
        """Never interrupted."""


class GoHost(FakeHost):
    """A FakeHost with the machine's Go."""

    def toolchain(self):  # type: ignore[no-untyped-def]
        if self._found is None:
            self._found = toolchain(self)
        return self._found


@pytest.fixture
def host(tmp_path: Path) -> GoHost:
    write(tmp_path, FILES)
    return GoHost(tmp_path)
