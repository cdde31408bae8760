"""Repositories whose sources hide a change: links, embedded trees, build constraints, generated files, odd names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.go.conftest import write
from tests.go.project import done
from tests.go.shapes import (
    APP,
    MAIN,
    PROGRAM,
    TOML,
    Change,
    check_change,
    edit,
    embedding,
    holds,
    importing,
    link,
    make,
    remove,
    says,
)

pytestmark = pytest.mark.usefixtures("go")


class Shape(NamedTuple):
    """Files and links of a repository, and a change after which its program holds `word`, or no longer `lost`; without
    both, nothing is done."""

    files: Mapping[str, str]
    change: Change
    word: str = ""
    links: Mapping[str, str] = {}
    toml: str = TOML + APP
    lost: str = ""
    program: str = PROGRAM


BELOW_CMD = TOML + '[targets.app]\npackages = ["./cmd/..."]\n'
PAGES = {
    "cmd/app/main.go": embedding("pages"),
    "cmd/app/pages/a.txt": "page.first",
    "cmd/app/pages/deep/b.txt": "page.second",
}
ALL = {**PAGES, "cmd/app/main.go": embedding("all:pages")}
LINKED = {"cmd/app/main.go": importing("example.com/shop/text"), "real/text/text.go": says("shape.before", "text")}


def move(old: str, new: str) -> Change:
    return lambda root: (root / old).rename(root / new)


def becomes_file(name: str, text: str) -> Change:
    return lambda root: (remove(root / name), edit(name, text)(root))


SHAPES: dict[str, Shape] = {
    "a linked source is edited": Shape(
        {"cmd/app/main.go": MAIN, "real/text.go": says("shape.before")},
        edit("real/text.go", says("shape.after")),
        "shape.after",
        {"cmd/app/text.go": "../../real/text.go"},
    ),
    "a linked source leads elsewhere": Shape(
        {"cmd/app/main.go": MAIN, "real/text.go": says("shape.before"), "real/next.go": says("shape.after")},
        lambda root: link(root / "cmd/app/text.go", "../../real/next.go"),
        "shape.after",
        {"cmd/app/text.go": "../../real/text.go"},
    ),
    "a linked package is edited": Shape(
        LINKED, edit("real/text/text.go", says("shape.after", "text")), "shape.after", {"text": "real/text"}
    ),
    "a linked package gets a file": Shape(
        LINKED, edit("real/text/more.go", says("shape.after", "text")), "shape.after", {"text": "real/text"}
    ),
    "a linked package leads elsewhere": Shape(
        {**LINKED, "next/text/text.go": says("shape.after", "text")},
        lambda root: link(root / "text", "next/text"),
        "shape.after",
        {"text": "real/text"},
    ),
    "a program is named by a link": Shape(
        {"real/app/main.go": MAIN, "real/app/text.go": says("shape.before"), "cmd/README": ""},
        edit("real/app/text.go", says("shape.after")),
        "shape.after",
        {"cmd/app": "../real/app"},
    ),
    "a pattern begins with a link": Shape(
        {"real/app/main.go": MAIN, "real/app/text.go": says("shape.before")},
        edit("real/app/more.go", says("shape.after")),
        "shape.after",
        {"cmd": "real"},
        BELOW_CMD,
    ),
    "a link below a pattern is no package": Shape(
        {"cmd/app/main.go": MAIN, "real/other/main.go": MAIN},
        lambda root: link(root / "cmd/other", "../real/other"),
        toml=BELOW_CMD,
    ),
    "a source that is kept out leads nowhere": Shape(
        {"cmd/app/main.go": MAIN, "cmd/app/text.go": says("shape.before")},
        edit("cmd/app/text.go", says("shape.after")),
        "shape.after",
        {"cmd/app/text_windows.go": "../../gone/text.go"},
    ),
    "an embed pattern matches a new file": Shape(
        {
            "cmd/app/main.go": embedding("*.txt pages/*.html"),
            "cmd/app/a.txt": "page.first",
            "cmd/app/pages/a.html": "page.second",
        },
        edit("cmd/app/pages/b.html", "page.after"),
        "page.after",
    ),
    "an embedded folder gets a file": Shape(PAGES, edit("cmd/app/pages/deep/c.txt", "page.after"), "page.after"),
    "an embedded folder gets a folder": Shape(PAGES, edit("cmd/app/pages/next/one/c.txt", "page.after"), "page.after"),
    "an embedded folder gets a hidden file": Shape(PAGES, edit("cmd/app/pages/.c.txt", "page.after")),
    "a folder embedded with all: gets a hidden file": Shape(
        ALL, edit("cmd/app/pages/deep/.c.txt", "page.after"), "page.after"
    ),
    "a folder embedded with all: gets a hidden folder": Shape(
        ALL, edit("cmd/app/pages/_c/.d.txt", "page.after"), "page.after"
    ),
    "a link in an embedded folder becomes a file": Shape(
        PAGES,
        becomes_file("cmd/app/pages/c.txt", "page.after"),
        "page.after",
        {"cmd/app/pages/c.txt": "../../../goctl.toml"},
    ),
    "a folder in an embedded folder becomes a file": Shape(
        {**PAGES, "cmd/app/pages/c/.hidden": "never"}, becomes_file("cmd/app/pages/c", "page.after"), "page.after"
    ),
    "an embedded folder's part becomes a module": Shape(
        PAGES, edit("cmd/app/pages/deep/go.mod", "module example.com/deep\n"), lost="page.second"
    ),
    "a constraint lets a file in": Shape(
        {"cmd/app/main.go": MAIN, "cmd/app/text.go": "//go:build never\n\n" + says("shape.after")},
        edit("cmd/app/text.go", "//go:build linux && !never\n\n" + says("shape.after")),
        "shape.after",
    ),
    "a constraint keeps a file out": Shape(
        {
            "cmd/app/main.go": MAIN,
            "cmd/app/a.go": "//go:build never\n\n" + says("shape.after"),
            "cmd/app/b.go": says("shape.before"),
        },
        lambda root: (
            edit("cmd/app/a.go", "//go:build !never\n\n" + says("shape.after"))(root),
            edit("cmd/app/b.go", "//go:build never\n\n" + says("shape.before"))(root),
        ),
        "shape.after",
    ),
    "a file's name lets it in": Shape(
        {"cmd/app/main.go": MAIN, "cmd/app/text_windows.go": says("shape.after")},
        move("cmd/app/text_windows.go", "cmd/app/text_linux.go"),
        "shape.after",
    ),
    "a kept-out file is edited": Shape(
        {"cmd/app/main.go": MAIN, "cmd/app/text_windows.go": says("shape.before")},
        edit("cmd/app/text_windows.go", says("shape.after")),
    ),
    "a tag lets a file in": Shape(
        {"cmd/app/main.go": MAIN, "cmd/app/text.go": "//go:build special\n\n" + says("shape.after")},
        edit("goctl.toml", TOML + APP + 'build-tags = ["special"]\n'),
        "shape.after",
    ),
    "a program is let in": Shape(
        {"cmd/app/main.go": MAIN, "cmd/other/main.go": "//go:build never\n\n" + says("shape.after") + "\nfunc main() {}\n"},
        edit("cmd/other/main.go", says("shape.after") + "\nfunc main() {}\n"),
        "shape.after",
        toml=BELOW_CMD,
        program="dist/app/linux-amd64/other",
    ),
    "CRLF ends the lines": Shape(
        {
            "cmd/app/main.go": embedding("*.txt").replace("\n", "\r\n"),
            "cmd/app/a.txt": "one\r\n",
            "go.mod": "module x\r\n\r\ngo 1.24\r\n",
        },
        edit("cmd/app/b.txt", "page.after\r\n"),
        "page.after",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_change_that_is_easy_to_miss(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    project = make(tmp_path / "shop", shape.files, shape.toml, shape.links)
    check_change(project, shape.change, shape.word, lost=shape.lost, program=shape.program)


def test_a_module_between_a_package_and_what_it_embeds(tmp_path: Path) -> None:
    files = {"cmd/app/main.go": embedding("pages/deep/b.txt"), "cmd/app/pages/deep/b.txt": "page"}
    project = make(tmp_path, files)
    project.invoke("release")
    edit("cmd/app/pages/go.mod", "module example.com/pages\n")(tmp_path)
    assert "in different module" in project.invoke("release", code=5)


GENERATED = {
    "cmd/app/main.go": "//go:generate go run ../../gen\n\n" + MAIN,
    "gen/main.go": (
        'package main\n\nimport "os"\n\nfunc main() {\n\ttext, err := os.ReadFile("../../words.txt")\n'
        "\tif err != nil {\n\t\tpanic(err)\n\t}\n"
        '\tsource := "package main\\n\\nfunc init() { println(\\"" + string(text) + "\\") }\\n"\n'
        '\tos.WriteFile("text.go", []byte(source), 0o666)\n}\n'
    ),
    "words.txt": "shape.before",
}
GENERATE = TOML + APP + '[go]\ngenerate = ["./cmd/..."]\n'


def test_what_go_generate_writes_is_what_is_compiled(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", GENERATED, GENERATE)
    check_change(project, edit("words.txt", "shape.after"), "shape.after", generated=True)


def test_a_generator_that_fails_ends_the_release(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", GENERATED, GENERATE)
    (project.root / "words.txt").unlink()
    assert "words.txt" in project.invoke("release", code=5)
    assert not (project.root / "dist").exists()


def test_without_the_stage_nothing_is_generated(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", GENERATED, GENERATE + '[release]\nstages = ["mod", "build", "image", "push"]\n')
    project.invoke("release")
    assert not holds(project, "shape.before")
    assert not (project.root / "cmd/app/text.go").exists()


def test_generate_alone_generates_and_builds_nothing(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", GENERATED, GENERATE)
    assert "would run: go generate ./cmd/..." in project.invoke("--dry", "generate")
    assert not (project.root / "cmd/app/text.go").exists()
    project.invoke("generate")
    assert "shape.before" in (project.root / "cmd/app/text.go").read_text()
    assert not (project.root / "dist").exists()


def test_generate_without_packages_says_what_to_write(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", GENERATED)
    assert 'generate = ["./..."]' in project.invoke("generate", code=3)


@pytest.mark.parametrize("name", ["a shop", "läden-店", "it's", "a,b;c=d", "$HOME", "100%"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    if os.name == "nt" and set(name) & set('<>:"|?*'):
        pytest.skip("no name on Windows")
    project = make(
        tmp_path / name,
        {
            "cmd/app/main.go": embedding('"a page.txt" ü.txt'),
            "cmd/app/a page.txt": "page.first",
            "cmd/app/ü.txt": "page.before",
        },
    )
    check_change(project, edit("cmd/app/ü.txt", "page.after"), "page.after")


def test_a_module_below_a_folder_of_an_odd_name(tmp_path: Path) -> None:
    toml = TOML + '[go]\ndirectory = "my läden"\n' + APP
    write(tmp_path, {"my läden/go.mod": "module example.com/shop\n\ngo 1.24\n", "my läden/cmd/app/main.go": MAIN})
    project = make(tmp_path, {"README": ""}, toml)
    (tmp_path / "go.mod").unlink()
    check_change(project, edit("my läden/cmd/app/text.go", says("shape.after")), "shape.after")


def test_a_checkout_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    project = make(tmp_path / "shop", {"cmd/app/main.go": MAIN}, BELOW_CMD)
    project.invoke("release")
    link(tmp_path / "linked", "shop")
    linked = type(project)(tmp_path / "linked")
    linked.invoke("release")
    assert done(linked.outcomes()) == set()
    edit("cmd/app/text.go", says("shape.after"))(tmp_path / "shop")
    linked.invoke("release")
    assert holds(project, "shape.after")
    assert done(project.outcomes()) == set()


def test_packages_with_one_base_name_in_two_targets(tmp_path: Path) -> None:
    files = {f"{area}/tool/main.go": MAIN + f'\nfunc init() {{ println("shape.{area}") }}\n' for area in ("one", "two")}
    toml = TOML + "".join(f'[targets.{area}]\npackages = ["./{area}/tool"]\n' for area in ("one", "two"))
    project = make(tmp_path, files, toml)
    check_change(project, edit("two/tool/text.go", says("shape.after")), "shape.after", program="dist/two/linux-amd64/tool")
    assert holds(project, "shape.one", "dist/one/linux-amd64/tool")


def test_packages_with_one_base_name_in_one_target_are_refused(tmp_path: Path) -> None:
    files = {f"{area}/tool/main.go": MAIN for area in ("one", "two")}
    project = make(tmp_path, files, TOML + '[targets.app]\npackages = ["./..."]\n')
    said = project.invoke("release", code=3)
    assert "example.com/shop/one/tool" in said
    assert "example.com/shop/two/tool" in said
    assert "two targets" in said


def test_names_that_differ_by_case_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    if (tmp_path / "A").exists():
        pytest.skip("this disk knows no such names")
    project = make(tmp_path, {"cmd/app/main.go": MAIN, "cmd/app/text.go": says("a"), "cmd/app/Text.go": says("b")})
    assert "case-insensitive file name collision" in project.invoke("release", code=5)
    (tmp_path / "cmd/app/Text.go").unlink()
    write(tmp_path, {"cmd/App/main.go": MAIN})
    edit("goctl.toml", TOML + '[targets.app]\npackages = ["./cmd/..."]\n')(tmp_path)
    said = project.invoke("release", code=5)
    assert "case-insensitive import collision" in said
    assert "rename" in said


def test_a_main_package_of_tests_alone_is_no_program(tmp_path: Path) -> None:
    project = make(tmp_path, {"cmd/app/main.go": MAIN, "cmd/check/check_test.go": "package main\n"}, BELOW_CMD)
    check_change(project, edit("cmd/app/text.go", says("shape.after")), "shape.after")
    check_change(
        project,
        edit("cmd/check/main.go", says("shape.more") + MAIN.removeprefix("package main\n")),
        "shape.more",
        program="dist/app/linux-amd64/check",
    )
    (tmp_path / "cmd/check/main.go").unlink()
    edit("goctl.toml", TOML + '[targets.app]\npackages = ["./cmd/check"]\n')(tmp_path)
    assert "no main package" in project.invoke("release", code=5)


def test_a_project_without_targets_leaves_out_what_is_no_program(tmp_path: Path) -> None:
    files = {
        "cmd/app/main.go": MAIN,
        "cmd/check/check_test.go": "package main\n",
        "cmd/only/main_windows.go": MAIN,
        "cmd/tool/main.go": "//go:build ignore\n\n" + MAIN,
    }
    project = make(tmp_path, files, TOML)
    assert "only" in project.invoke("release", code=5)
    remove(tmp_path / "cmd/only")
    project.invoke("release")
    beside = {"images", "buildkit", "docker-bake.json"}
    assert {path.name for path in (tmp_path / "dist").iterdir()} - beside == {"app"}
