"""What of a Go source decides a listing, compared with what go list itself says after an edit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from goctl.golang.outline import outline

SOURCE = b"""// Package shop sells.

//go:build !plan9

/* a comment with import "none" and
func nothing() */
package shop // import "example.com/shop"

import "fmt"
import (
\tm "math" // not ) the end
\t. "strings"
\t_ `embed`
)

//go:embed a.txt
var text string

func Hello() { fmt.Println(m.Pi, ToUpper(text)) }
"""

SAME = {
    "a body": SOURCE.replace(b"Hello()", b"Hallo()"),
    "more at the end": SOURCE + b'\n// import "os"\nvar x = `import "os"`\n',
    "a shorter file": SOURCE[: SOURCE.index(b"func Hello")],
}
OTHER = {
    "an import more": SOURCE.replace(b'"math"', b'"math"\n\t"os"'),
    "an import renamed": SOURCE.replace(b"m \"math\"", b"_ \"math\""),
    "a constraint": SOURCE.replace(b"!plan9", b"plan9"),
    "the package's name": SOURCE.replace(b"package shop", b"package main"),
    "an embed pattern": SOURCE.replace(b"a.txt", b"*.txt"),
    "an embed pattern more": SOURCE.replace(b"//go:embed a.txt", b"//go:embed a.txt\n//go:embed b.txt"),
    "an import after the others": SOURCE.replace(b"//go:embed", b'import "os"\n//go:embed'),
    "a directive for debugging": SOURCE.replace(b"package", b"//go:debug madvdontneed=1\npackage", 1),
}  # fmt: skip
UNKNOWN = {
    "nothing": b"",
    "no package": b"func main() {}",
    "an open comment": b"package a /* import",
    "an open string": b'package a\nimport "fmt',
    "an open list": b'package a\nimport (\n"fmt"\nfunc a() {}\n',
    "something else": b"package a\nimporting := 1\n",
    "no text": bytes(range(256)),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_what_follows_the_imports_is_left_out(content: bytes) -> None:
    assert outline(content) == outline(SOURCE) != ""


@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER.keys())
def test_what_go_list_reads_is_in(content: bytes) -> None:
    assert outline(content) not in (outline(SOURCE), "")


@pytest.mark.parametrize("content", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_does_not_parse_has_none(content: bytes) -> None:
    assert outline(content) == ""


def test_lines_of_embed_count_only_where_embed_is_imported() -> None:
    plain = b"package a\n\nvar b int\n\n//go:embed x\nvar a int\n"
    assert outline(plain) == outline(plain.replace(b"embed x", b"embed y")) != ""


def test_the_whole_standard_library_has_outlines(go: str) -> None:
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    sources = [path for path in Path(root, "src", "net").rglob("*.go") if "testdata" not in path.parts]
    assert len(sources) > 200
    assert [path for path in sources if not outline(path.read_bytes())] == []


def test_files_with_one_outline_have_one_listing(go: str, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    source = tmp_path / "shop.go"

    def listed(content: bytes) -> dict[str, object]:
        source.write_bytes(content)
        fields = "Name,Imports,EmbedPatterns,GoFiles,IgnoredGoFiles,DefaultGODEBUG,Error"
        args = [go, "list", "-e", f"-json={fields}", "."]
        said = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        found: dict[str, object] = json.loads(said)
        return found

    original = listed(SOURCE)
    assert original["EmbedPatterns"] == ["a.txt"]
    for content in SAME.values():
        if b"//go:embed" in content:
            assert listed(content) == original
    for name, content in OTHER.items():
        assert listed(content) != original or name in ("an import renamed", "a directive for debugging"), name
