"""What GOTOOLCHAIN and the go and toolchain lines come to; the table follows go.dev/doc/toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from goctl.golang.modfiles import module_path, modules_below, required_go, requirements, work_file
from goctl.golang.switching import advice, choice


def module(folder: Path, *lines: str, name: str = "go.mod") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("setting", "lines", "version", "too_old"),
    [
        ("local", ["go 1.26"], "1.26.2", False),
        ("local", ["go 1.26.3"], "1.26.2", True),
        ("local", ["go 1.25", "toolchain go1.27.1"], "1.26.2", False),
        ("auto", ["go 1.25", "toolchain go1.27.1"], "1.27.1", False),
        ("auto", ["go 1.25", "toolchain go1.26.1"], "1.26.2", False),
        ("auto", ["go 1.27"], "1.27.0", False),
        ("auto", ["go 1.27rc2"], "1.27rc2", False),
        ("auto", ["go 1.27.1", "toolchain go1.26.9"], "1.27.1", False),
        ("auto", ["go 1.27", "toolchain default"], "1.26.2", True),
        ("auto", ["go 1.25", "toolchain big-go1.27.1"], "1.27.1", False),
        ("auto", [], "1.26.2", False),
        ("path", ["go 1.28.0"], "1.28.0", False),
        ("go1.24.1", ["go 1.25"], "1.24.1", True),
        ("go1.24.1+auto", ["go 1.25"], "1.25.0", False),
        ("go1.27.3+path", ["go 1.25"], "1.27.3", False),
    ],
)
def test_the_version_that_works(tmp_path: Path, setting: str, lines: list[str], version: str, too_old: bool) -> None:
    module(tmp_path, "module m", *lines)
    found = choice("1.26.2", "/nowhere", tmp_path, {"GOTOOLCHAIN": setting, "GOENV": "off"})
    assert (found.version, found.too_old, found.fetched) == (version, too_old, version != "1.26.2")
    assert found.words.startswith(f"GOTOOLCHAIN={setting}: ")
    assert version in found.words


def test_gotoolchain_comes_from_the_environment_then_go_env_w_then_goroot_and_is_local_without(tmp_path: Path) -> None:
    module(tmp_path, "module m", "go 1.27")
    written, goroot = tmp_path / "written", tmp_path / "root"
    written.write_text("GOTOOLCHAIN=path\n", encoding="utf-8")
    goroot.mkdir()
    (goroot / "go.env").write_text("GOTOOLCHAIN=auto\n", encoding="utf-8")

    def setting(root: Path, **env: str) -> str:
        return choice("1.26.2", str(root), tmp_path, env).setting

    assert setting(goroot, GOENV=str(written), GOTOOLCHAIN="go1.20") == "go1.20"
    assert setting(goroot, GOENV=str(written)) == "path"
    assert setting(goroot, GOENV="off") == "auto"
    assert setting(tmp_path / "none", GOENV="off") == "local"
    old = choice("1.20.14", str(goroot), tmp_path, {"GOENV": "off"})
    assert (old.version, old.too_old) == ("1.20.14", True), "Go before 1.21 never switches"


def test_a_workspace_file_counts_in_place_of_go_mod(tmp_path: Path) -> None:
    inner = module(tmp_path / "a" / "b", "module m", "go 1.30")
    module(tmp_path, "go 1.27 // newest", "toolchain go1.27.4", "use (", "\t./a/b", ")", name="go.work")
    env = {"GOENV": "off", "GOTOOLCHAIN": "auto"}
    assert choice("1.26.2", "/nowhere", inner, env).version == "1.27.4"
    assert choice("1.26.2", "/nowhere", inner, env | {"GOWORK": "off"}).version == "1.30.0"
    named = module(tmp_path / "elsewhere", "go 1.29", name="my.work") / "my.work"
    assert choice("1.26.2", "/nowhere", inner, env | {"GOWORK": str(named)}).version == "1.29.0"
    assert work_file(inner, env) == tmp_path / "go.work"
    assert work_file(inner, env | {"GOWORK": "off"}) is None


def test_advice_names_an_installed_one_else_what_to_install(tmp_path: Path) -> None:
    module(tmp_path, "module m", "go 1.27")
    local = choice("1.26.2", "/nowhere", tmp_path, {"GOTOOLCHAIN": "local", "GOENV": "off"})
    assert "/new/go" in advice(local, {"/old/go": "1.26.3", "/new/go": "1.27.3"})
    assert "GOTOOLCHAIN=auto" in advice(local, {"/old/go": "1.26.3"})
    auto = choice("1.26.2", "/nowhere", tmp_path, {"GOTOOLCHAIN": "auto", "GOENV": "off"})
    assert "GOPROXY" in advice(auto, {})


def test_what_go_mod_says(tmp_path: Path) -> None:
    file = module(
        tmp_path,
        'module "example.com/shop" // the shop',
        "go 1.26",
        "require example.com/a v1.0.0",
        "require (",
        "\texample.com/b v1.2.0 // indirect",
        "\texample.com/c v0.1.0",
        "\texample.com/d v0.1.0",
        ")",
        "replace example.com/a => ../a",
        "replace (",
        "\texample.com/b v1.2.0 => example.com/fork/b v1.2.1",
        "\texample.com/c v0.0.9 => ../c",
        ")",
    )
    text = str(file / "go.mod")
    assert module_path(text) == "example.com/shop"
    assert required_go(text) == ("1.26", "")
    assert requirements(text) == {"example.com/fork/b": "v1.2.1", "example.com/c": "v0.1.0", "example.com/d": "v0.1.0"}


def test_modules_below_are_found_where_go_looks(tmp_path: Path) -> None:
    for folder in ("", "api", "tools/gen", "vendor/x", ".hidden", "_old", "a/testdata/m", "node_modules/go"):
        module(tmp_path / folder, "module m")
    assert [path.relative_to(tmp_path).as_posix() for path in modules_below(tmp_path)] == [".", "api", "tools/gen"]
