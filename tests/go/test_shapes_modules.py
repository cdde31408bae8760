"""Repositories of several modules: workspaces, nested, replaced, vendored ones, and submodules of git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.go.conftest import write
from tests.go.project import Project, done
from tests.go.shapes import APP, MAIN, MOD, TOML, check_change, edit, holds, importing, link, make, says

pytestmark = pytest.mark.usefixtures("go")
REPLACED = MOD + "\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => {}\n"
DEP_MOD = "module example.com/dep\n\ngo 1.24\n"
USES_DEP = importing("example.com/dep")


def go(folder: Path, *args: str) -> None:
    subprocess.run(["go", *args], cwd=folder, check=True, capture_output=True)


def workspace(root: Path, toml: str = TOML + '[targets.app]\npackages = ["./app"]\n') -> Project:
    """Two modules, one of which imports the other, which no go.mod says; none in the root."""
    files = {
        "go.work": "go 1.24\n\nuse (\n\t./app\n\t./dep\n)\n",
        "app/go.mod": "module example.com/app\n\ngo 1.24\n",
        "app/main.go": USES_DEP,
        "dep/go.mod": DEP_MOD,
        "dep/dep.go": says("shape.before", "dep"),
    }
    project = make(root, files, toml)
    (root / "go.mod").unlink()
    return project


WORKSPACE_CHANGES = {
    "a package of the other module": {"dep/dep.go": says("shape.after", "dep")},
    "another folder for the other module": {
        "next/go.mod": DEP_MOD,
        "next/dep.go": says("shape.after", "dep"),
        "go.work": "go 1.24\n\nuse (\n\t./app\n\t./next\n)\n",
    },
    "a replacement in go.work": {
        "next/go.mod": "module example.com/next\n\ngo 1.24\n",
        "next/next.go": says("shape.after", "next"),
        "app/main.go": importing("example.com/dep", "example.com/next"),
        "app/go.mod": "module example.com/app\n\ngo 1.24\n\nrequire example.com/next v1.0.0\n",
        "go.work": "go 1.24\n\nuse (\n\t./app\n\t./dep\n)\n\nreplace example.com/next v1.0.0 => ./next\n",
    },
}


@pytest.mark.parametrize("name", WORKSPACE_CHANGES)
def test_a_workspace_without_a_go_mod_of_its_own(name: str, tmp_path: Path) -> None:
    check_change(workspace(tmp_path), lambda root: write(root, WORKSPACE_CHANGES[name]), "shape.after")


@pytest.mark.parametrize("name", WORKSPACE_CHANGES)
def test_a_module_of_a_workspace(name: str, tmp_path: Path) -> None:
    project = workspace(tmp_path, TOML + '[go]\ndirectory = "app"\n[targets.app]\npackages = ["."]\n')
    check_change(project, lambda root: write(root, WORKSPACE_CHANGES[name]), "shape.after")


@pytest.mark.parametrize("pattern", ["./dep/...", "example.com/dep/..."])
def test_a_pattern_begins_in_a_module_of_the_workspace(pattern: str, tmp_path: Path) -> None:
    project = workspace(tmp_path, TOML + f'[targets.app]\npackages = ["./app/...", "{pattern}"]\n')
    write(tmp_path, {"dep/cmd/first/main.go": MAIN})
    check_change(
        project,
        edit("dep/cmd/tool/main.go", says("shape.after") + "\nfunc main() {}\n"),
        "shape.after",
        program="dist/app/linux-amd64/tool",
    )
    edit("goctl.toml", TOML + '[targets.app]\npackages = ["./..."]\n')(tmp_path)
    assert "as ./MODULE/..." in project.invoke("release", code=5)


def test_a_workspace_that_comes_and_goes(tmp_path: Path) -> None:
    files = {
        "shop/cmd/app/main.go": USES_DEP,
        "shop/go.mod": REPLACED.format("./own"),
        "shop/own/go.mod": DEP_MOD,
        "shop/own/dep.go": says("shape.before", "dep"),
        "dep/go.mod": DEP_MOD,
        "dep/dep.go": says("shape.after", "dep"),
    }
    write(tmp_path, files)
    project = make(tmp_path / "shop", {"go.mod": files["shop/go.mod"]})
    # Above the project's folder, where go looks for one.
    check_change(
        project, lambda root: write(root.parent, {"go.work": "go 1.24\n\nuse (\n\t./shop\n\t./dep\n)\n"}), "shape.after"
    )
    check_change(project, lambda root: (root.parent / "go.work").unlink(), "shape.before")


@pytest.mark.parametrize("folder", ["../dep", "./own/dep", "../a folder/dep"])
@pytest.mark.parametrize("changed", ["dep.go", "more.go", "sub/go.mod"])
def test_a_replaced_module(folder: str, changed: str, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    quoted = f'"{folder}"' if " " in folder else folder
    write(
        root / folder,
        {
            "go.mod": DEP_MOD,
            "dep.go": 'package dep\n\nimport _ "example.com/dep/sub"\n',
            "sub/sub.go": says("shape.before", "sub"),
        },
    )
    project = make(root, {"go.mod": REPLACED.format(quoted), "cmd/app/main.go": USES_DEP})
    if changed.endswith(".go"):
        check_change(project, lambda root: write(root / folder, {changed: says("shape.after", "dep")}), "shape.after")
        return
    project.invoke("release")
    # A module of its own is cut off from the one above.
    write(root / folder, {changed: "module example.com/dep/sub\n\ngo 1.24\n"})
    assert "example.com/dep/sub" in project.invoke("release", code=5)


def test_a_linked_replacement(tmp_path: Path) -> None:
    write(tmp_path, {"dep/go.mod": DEP_MOD, "dep/dep.go": says("shape.before", "dep")})
    link(tmp_path / "shop" / "own", "../dep")
    project = make(tmp_path / "shop", {"go.mod": REPLACED.format("./own"), "cmd/app/main.go": USES_DEP})
    check_change(project, lambda root: write(root.parent, {"dep/dep.go": says("shape.after", "dep")}), "shape.after")


def test_a_module_below_the_root(tmp_path: Path) -> None:
    files = {
        "services/api/go.mod": MOD,
        "services/api/cmd/app/main.go": MAIN,
        "services/web/go.mod": "module example.com/web\n",
    }
    project = make(tmp_path, files, TOML + '[go]\ndirectory = "services/api"\n' + APP)
    (tmp_path / "go.mod").unlink()
    check_change(project, edit("services/api/cmd/app/text.go", says("shape.after")), "shape.after")


def test_modules_below_are_not_of_the_one_above(tmp_path: Path) -> None:
    files = {"cmd/app/main.go": MAIN, "tools/go.mod": "module example.com/tools\n\ngo 1.24\n", "tools/cmd/x/main.go": MAIN}
    toml = TOML + '[targets.app]\npackages = ["./..."]\n'
    project = make(tmp_path, files, toml)
    check_change(project, edit("tools/cmd/x/main.go", says("shape.other") + "\nfunc main() {}\n"))
    check_change(project, lambda root: (root / "tools/go.mod").unlink(), "shape.other", program="dist/app/linux-amd64/x")
    check_change(project, edit("cmd/app/text.go", says("shape.after")), "shape.after")


def vendored(root: Path) -> Project:
    """A project whose vendor folder holds a module that came from a folder beside it."""
    write(root.parent, {"dep/go.mod": DEP_MOD, "dep/dep.go": says("shape.before", "dep")})
    project = make(root, {"go.mod": REPLACED.format("../dep"), "cmd/app/main.go": USES_DEP})
    go(root, "mod", "vendor")
    return project


@pytest.mark.parametrize("env", [{}, {"GOFLAGS": "-mod=vendor"}], ids=["by itself", "by GOFLAGS"])
def test_vendored_packages_are_those_of_vendor(env: dict[str, str], tmp_path: Path) -> None:
    project = vendored(tmp_path / "shop")
    shutil.rmtree(tmp_path / "dep")
    check_change(project, edit("vendor/example.com/dep/dep.go", says("shape.after", "dep")), "shape.after", **env)


def test_a_vendored_package_gets_a_file(tmp_path: Path) -> None:
    check_change(
        vendored(tmp_path / "shop"), edit("vendor/example.com/dep/more.go", says("shape.after", "dep")), "shape.after"
    )


def test_what_is_vendored_is_not_what_it_came_from(tmp_path: Path) -> None:
    project = vendored(tmp_path / "shop")
    check_change(project, lambda root: write(root.parent, {"dep/dep.go": says("shape.after", "dep")}))
    check_change(project, lambda root: shutil.rmtree(root / "vendor"), "shape.after")


def test_a_vendor_folder_that_comes(tmp_path: Path) -> None:
    write(tmp_path, {"dep/go.mod": DEP_MOD, "dep/dep.go": says("shape.before", "dep")})
    project = make(tmp_path / "shop", {"go.mod": REPLACED.format("../dep"), "cmd/app/main.go": USES_DEP})

    def vendor(root: Path) -> None:
        go(root, "mod", "vendor")
        edit("vendor/example.com/dep/dep.go", says("shape.after", "dep"))(root)

    check_change(project, vendor, "shape.after")


def test_mod_mod_leaves_vendor_alone(tmp_path: Path) -> None:
    project = vendored(tmp_path / "shop")
    check_change(project, edit("vendor/example.com/dep/dep.go", says("shape.after", "dep")), GOFLAGS="-mod=mod")
    project.invoke("release")
    assert holds(project, "shape.after")


def test_a_vendored_workspace(tmp_path: Path) -> None:
    project = workspace(tmp_path)
    write(
        tmp_path, {"third/go.mod": "module example.com/third\n\ngo 1.24\n", "third/third.go": says("shape.third", "third")}
    )
    edit(
        "dep/dep.go", importing("example.com/third").replace("package main", "package dep").replace("func main() {}\n", "")
    )(tmp_path)
    edit("dep/go.mod", DEP_MOD + "\nrequire example.com/third v1.0.0\n\nreplace example.com/third => ../third\n")(tmp_path)
    go(tmp_path, "work", "vendor")
    check_change(project, edit("vendor/example.com/third/third.go", says("shape.after", "third")), "shape.after")


def test_a_go_mod_with_a_new_language_version(tmp_path: Path) -> None:
    # A loop's variable is one for all rounds before Go 1.22 (go.dev/ref/spec#For_clause).
    loop = (
        "package main\n\nfunc main() {\n\tvar f func()\n\tfor i := 0; i < 3; i++ {\n"
        "\t\tif i == 0 {\n\t\t\tf = func() { println(i) }\n\t\t}\n\t}\n\tf()\n}\n"
    )
    project = make(tmp_path, {"cmd/app/main.go": loop, "go.mod": MOD.replace("1.24", "1.21")})
    project.invoke("release")
    edit("go.mod", MOD)(tmp_path)
    assert "compile:example.com/shop/cmd/app@linux/amd64" in done(project.outcomes())
