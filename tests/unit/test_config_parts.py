"""The parts of the loader: lines, templates, discovered targets, the generated documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from goctl.config.discover import discover
from goctl.config.docs import documents
from goctl.config.lines import index
from goctl.config.schema import json_schema
from goctl.config.template import fill, names

TOML = '''# first
a = """
[no.table]
x = 1
"""
[t."q.k"]
one.two = [ # [[
  "]", 'x=1',
]
inline = { b = { c = 1 }, "d" = "}" }
[[many]]
k = 1
"esc\\u0061ped" = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("t", "q.k"), 6),
        (("t", "q.k", "one", "two"), 7),
        (("t", "q.k", "inline"), 10),
        (("t", "q.k", "inline", "b", "c"), 10),
        (("t", "q.k", "inline", "d"), 10),
        (("many",), 11),
        (("many", "escaped"), 13),
    ],
)
def test_lines(path: tuple[str, ...], line: int) -> None:
    assert index(TOML)[path][0] == line
    assert ("no", "table") not in index(TOML)


def test_templates() -> None:
    assert names("{version}-{env.A_1}-{{x}}-{version}") == ("version", "env.A_1")
    assert fill("{target}:{{{version}}}", {"target": "api", "version": "1"}) == "api:{1}"


@pytest.mark.parametrize("text", ["{", "}", "{version", "{vershun}", "{}", "{env.}", "{env.A-B}", "{a{b}}", "{version!r}"])
def test_bad_templates(text: str) -> None:
    with pytest.raises(ValueError):
        names(text)


def go(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def test_discovered_targets(tmp_path: Path) -> None:
    cmd = tmp_path / "cmd"
    go(cmd / "api", "doc.go", "/*\npackage fake\n*/\n// Command.\npackage main\n")
    go(cmd / "nested" / "api", "x.go", "package main\n")
    go(cmd / "tool", "gen.go", "//go:build ignore\n\npackage main\n")
    go(cmd / "tool", "tool.go", "package tool\n")
    go(cmd / "Job Runner", "main.go", "package main\n")
    go(cmd / "tests", "main_test.go", "package main\n")
    for skipped in ("_x", ".x", "testdata", "vendor"):
        go(cmd / skipped, "main.go", "package main\n")
    go(cmd / "other", "main.go", "package main\n")
    go(cmd / "other", "go.mod", "module other\n")
    found = {name: target.packages for name, target in discover(tmp_path).items()}
    assert found == {"api": ("./cmd/api",), "job-runner": ("./cmd/Job Runner",), "nested-api": ("./cmd/nested/api",)}


def test_no_two_discovered_targets_share_a_name(tmp_path: Path) -> None:
    for name in ("a/x", "b/x", "b-x", "b_x/x", "B X"):
        go(tmp_path / "cmd" / name, "main.go", "package main\n")
    assert len(discover(tmp_path)) == 5


def test_the_root_package_is_a_target_named_after_its_module(tmp_path: Path) -> None:
    go(tmp_path, "main.go", "package main\n")
    go(tmp_path, "go.mod", "module example.com/shop/v2\n")
    assert [(name, target.packages) for name, target in discover(tmp_path).items()] == [("shop", (".",))]


def test_generated_documents_are_current() -> None:
    folder = Path(__file__).resolve().parents[2] / "docs"
    assert {name: (folder / name).read_text(encoding="utf-8") for name in documents()} == documents()


def test_the_schema_is_of_draft_4() -> None:
    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    schema = json_schema()
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert not keys(schema) & {"const", "$defs", "$id", "if", "examples", "exclusiveMinimum"}
    assert {"base", "assets"} <= set(schema["definitions"]["Image"]["properties"])
