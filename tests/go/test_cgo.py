"""Programs with C code in them: by the machine's compiler, by zig, and what is said where neither may be used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from goctl.config.model import Config, Target
from goctl.errors import ModuleError, ToolchainError
from goctl.golang import cgo
from goctl.oci.elf import interpreter
from goctl.plan.facts import Facts, ListingKey, Toolchain
from goctl.plan.goflags import NO_DEBUG_INFORMATION
from goctl.plan.make import make
from goctl.plan.model import CompileStep
from goctl.testing import Host
from goctl.values import Platform
from tests.go.project import TASKS, Project

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc on Linux")
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="needs the ziglang package")

FILES = {
    "go.mod": "module example.com/sum\n\ngo 1.24\n",
    "cmd/sum/main.go": 'package main\n\nimport "example.com/sum/add"\n\nfunc main() { println("sum", add.Add(40, 2)) }\n',
    "cmd/plain/main.go": 'package main\n\nfunc main() { println("plain") }\n',
    "add/add.go": (
        'package add\n\n// #include "add.h"\nimport "C"\n\n'
        "// Add adds.\nfunc Add(a, b int) int { return int(C.add(C.int(a), C.int(b))) }\n"
    ),
    "add/add.h": "int add(int a, int b);\n#define MORE 0\n",
    "add/add.c": '#include "add.h"\nint add(int a, int b) { return a + b + MORE; }\n',
    "tasks.py": TASKS,
}
TOML = """[project]
name = "sum"
version = "1"
[targets.sum]
packages = ["./cmd/sum"]
platforms = [{platforms}]
cgo = {cgo}
image = {image}
[targets.plain]
packages = ["./cmd/plain"]
platforms = ["linux/amd64"]
image = false
[registries.out]
url = "oci-layout:out"
"""


def project(root: Path, cgo: str, *platforms: str, image: str = "false") -> Project:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    names = ", ".join(f'"{platform}"' for platform in platforms or ("linux/amd64",))
    (root / "goctl.toml").write_text(TOML.format(cgo=cgo, platforms=names, image=image))
    return Project(root)


def said(made: Project, platform: str = "linux-amd64") -> str:
    path = made.root / "dist/sum" / platform / "sum"
    return subprocess.run([path], capture_output=True, text=True, check=True).stderr


def test_a_package_that_needs_cgo_is_named_with_who_imports_it(tmp_path: Path) -> None:
    words = project(tmp_path, "false").invoke("build", code=5)
    assert "example.com/sum/add needs cgo, which is off for linux/amd64" in words
    assert "example.com/sum/cmd/sum imports example.com/sum/add" in words
    assert 'cgo = "zig"' in words


def test_true_says_too_little(tmp_path: Path) -> None:
    words = project(tmp_path, "true").invoke("build", code=3)
    assert "goctl.toml:7: targets.sum.cgo: says not which C compiler" in words


@needs_gcc
def test_the_machines_compiler_is_used_and_its_sources_count(tmp_path: Path) -> None:
    made = project(tmp_path, '"host"')
    made.invoke("build")
    assert said(made) == "sum 42\n"
    assert set(made.outcomes("build").values()) == {"cached"}
    made.edit("add/add.h", lambda text: text.replace("MORE 0", "MORE 1"))
    outcomes = made.outcomes("build")
    assert outcomes["compile:example.com/sum/cmd/sum@linux/amd64"] == "done"
    assert outcomes["compile:example.com/sum/cmd/plain@linux/amd64"] == "cached"
    assert said(made) == "sum 43\n"
    made.edit("add/add.c", lambda text: text.replace("a + b", "a * b"))
    made.invoke("build")
    assert said(made) == "sum 81\n"
    assert "up to date" in made.invoke("explain", "sum")


@needs_gcc
def test_flags_of_the_c_compiler_count(tmp_path: Path) -> None:
    made = project(tmp_path, '"host"')
    made.invoke("build")
    for flags in ("-O0 -DX=1", "-O1"):
        words = made.invoke("build", CGO_CFLAGS=flags)
        assert "cmd/sum for linux/amd64, done" in words
        assert "cmd/plain for linux/amd64, cached" in words


@needs_gcc
def test_a_dynamic_program_is_not_put_where_it_cannot_run(tmp_path: Path) -> None:
    made = project(tmp_path, '"host"', image='{ base = "static" }')
    # What net and os/user bring makes a program dynamic; so does any C library.
    made.edit("cmd/sum/main.go", lambda text: text.replace("import ", 'import _ "os/user"\nimport '))
    made.invoke("build")
    assert interpreter(made.root / "dist/sum/linux-amd64/sum").startswith("/lib")
    words = made.invoke("release", code=7)
    assert "is linked dynamically and needs /lib" in words
    assert not (made.root / "out/index.json").exists()


@needs_gcc
def test_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    programs = []
    for name in ("one", "another/deeper"):
        made = project(tmp_path / name, '"host"')
        made.invoke("build", GOCACHE=str(tmp_path / f"cache-{name[:3]}"))
        programs.append((made.root / "dist/sum/linux-amd64/sum").read_bytes())
    assert programs[0] == programs[1]


@needs_gcc
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_what_pkg_config_says_counts(tmp_path: Path) -> None:
    made = project(tmp_path / "sum", '"host"')
    made.edit("add/add.go", lambda text: text.replace("// #include", "// #cgo pkg-config: more\n// #include"))
    library = tmp_path / "lib"
    words = made.invoke("build", code=5, PKG_CONFIG_PATH=str(library))
    assert "pkg-config does not know more" in words
    library.mkdir()
    (library / "more.pc").write_text("Name: more\nDescription: more\nVersion: 1\nCflags: -DMORE_OF_IT=1\n")
    made.invoke("build", PKG_CONFIG_PATH=str(library))
    assert "cached" in made.invoke("build", PKG_CONFIG_PATH=str(library))
    (library / "more.pc").write_text("Name: more\nDescription: more\nVersion: 1\nCflags: -DMORE_OF_IT=2\n")
    assert "cmd/sum for linux/amd64, done" in made.invoke("build", PKG_CONFIG_PATH=str(library))


#: Platforms that zig reaches, and the machine in the head of a program (ELF's e_machine; none in Windows' own format).
MACHINES = {"linux/amd64": 62, "linux/arm/v7": 40, "linux/arm64": 183, "windows/amd64": None}


@needs_zig
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.long)])
def test_zig_reaches_other_platforms(count: int, tmp_path: Path) -> None:
    """zig compiles the C library of each platform that it meets for the first time, which takes it minutes."""
    platforms = [*MACHINES][:count]
    made = project(tmp_path / "one", '"zig"', *platforms, image='{ base = "static" }')
    made.invoke("release")
    again = project(tmp_path / "another/one", '"zig"', *platforms, image='{ base = "static" }')
    again.invoke("release")
    index = (made.root / "out/index.json").read_bytes()
    assert (again.root / "out/index.json").read_bytes() == index
    for platform in platforms:
        folder = made.root / "dist/sum" / platform.replace("/", "-")
        if (machine := MACHINES[platform]) is None:
            assert (folder / "sum.exe").read_bytes()[:2] == b"MZ"
            continue
        assert interpreter(folder / "sum") == ""
        head = (folder / "sum").read_bytes()[:20]
        assert (head[:4], int.from_bytes(head[18:20], "little")) == (b"\x7fELF", machine)
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert said(made) == "sum 42\n"
    assert "nothing to do" in made.invoke("release")


@needs_zig
@pytest.mark.slow
@pytest.mark.parametrize("imports", ["net", "os/user", "strings"])
def test_zig_links_programs_whose_only_c_code_is_gos_own(imports: str, tmp_path: Path) -> None:
    made = project(tmp_path, '"zig"', "linux/amd64", "linux/arm/v7", image='{ base = "scratch" }')
    made.edit("cmd/sum/main.go", lambda _: f'package main\n\nimport _ "{imports}"\n\nfunc main() {{ println("alone") }}\n')
    made.invoke("release")
    assert interpreter(made.root / "dist/sum/linux-arm-v7/sum") == interpreter(made.root / "dist/sum/linux-amd64/sum") == ""
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert said(made) == "alone\n"


@pytest.mark.parametrize(
    ("ldflags", "goflags", "expected"),
    [
        ((), "", "-linkmode=external"),
        (("-s", "-w"), "-ldflags=-X=a.b=c", "-linkmode=external -s -w"),
        ((), "-ldflags=-w -ldflags=-s", "-linkmode=external -s"),
        (("-linkmode=internal",), "", "-linkmode=internal"),
    ],
)
def test_zig_links_and_flags_of_the_linker_are_kept(ldflags: tuple[str, ...], goflags: str, expected: str) -> None:
    config = Config(targets={"a": Target(packages=("./a",), cgo="zig", ldflags=ldflags, image=False)})
    facts = Facts(toolchain=Toolchain("go", "PATH", "go1.26.8", "/go", tuple(goflags.split())))
    step = make(config, facts, {"a": (Platform.parse("linux/amd64"),)}).steps[0]
    assert isinstance(step, CompileStep)
    rest = () if expected.endswith(("external", "internal")) else (NO_DEBUG_INFORMATION,)
    assert step.flags == (f"-ldflags={expected}", *rest)


@needs_zig
def test_zig_says_what_it_does_not_make(tmp_path: Path) -> None:
    words = project(tmp_path, '"zig"', "darwin/arm64").invoke("build", code=4)
    assert 'cgo = "zig" makes no programs for darwin/arm64' in words


def key(platform: str, kind: str, **env: str) -> ListingKey:
    return ListingKey(Platform.parse(platform), env=tuple(sorted(env.items())), cgo=kind)


def test_without_zig_it_says_how_to_come_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgo, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="needs the ziglang package") as caught:
        cgo.environment(Host(tmp_path), key("linux/amd64", "zig:musl"))
    assert "pip install ziglang" in caught.value.hint


TRIPLES = {
    ("linux/amd64", "musl"): "-target x86_64-linux-musl",
    ("linux/amd64/v3", "gnu.2.28"): "-target x86_64-linux-gnu.2.28",
    ("linux/arm/v7", "gnu.2.28"): "-target arm-linux-gnueabihf.2.28",
    ("linux/arm/v5", "musl"): "-target arm-linux-musleabi -mcpu=arm926ej_s",
    ("linux/arm/v6", "musl"): "-target arm-linux-musleabihf -mcpu=arm1176jzf_s",
    ("windows/arm64", "musl"): "-target aarch64-windows-gnu",
}


@needs_zig
@pytest.mark.parametrize(("platform", "libc"), TRIPLES)
def test_zigs_names_of_platforms(tmp_path: Path, platform: str, libc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a b/python")
    env = cgo.environment(Host(tmp_path), key(platform, f"zig:{libc}"))
    assert env["CC"] == f'"/a b/python" -m ziglang cc {TRIPLES[platform, libc]}'
    assert env["CXX"] == env["CC"].replace(" cc ", " c++ ")
    assert env["CGO_ENABLED"] == "1"


@pytest.mark.skipif(os.name == "nt", reason="scripts of POSIX")
def test_cross_compilers_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin/aarch64-linux-gnu-gcc"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho fake $1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    host, wanted = Host(tmp_path), key("linux/arm64", "host")
    found = cgo.compiler(host, wanted, cgo.child_environment(host.config.go, {}, wanted.platform))
    assert found.env["CC"] == "aarch64-linux-gnu-gcc"
    assert found.env["CXX"] == "aarch64-linux-gnu-g++"
    assert found.version == "fake --version fake -dumpmachine"
    with pytest.raises(ToolchainError, match="no C compiler for linux/s390x: looked for s390x-linux-gnu-gcc"):
        cgo.environment(host, key("linux/s390x", "host"))
    named = cgo.environment(host, key("linux/s390x", "host", CC="aarch64-linux-gnu-gcc -static"))
    assert named["CC"] == "aarch64-linux-gnu-gcc -static"
    with pytest.raises(ModuleError, match="pkg-config is needed for x"):
        cgo.identity(host, key("linux/arm64", "host", PKG_CONFIG="no-such-command"), ["x"])


def test_what_is_no_elf_file_has_no_interpreter(tmp_path: Path) -> None:
    for number, content in enumerate(
        (b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + bytes(60), b"\x7fELF\x02\x01" + b"\xff" * 100)
    ):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert interpreter(path) == ""
