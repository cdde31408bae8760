"""`invoke release` as a person runs it: what is done, what is known, what is noticed, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goctl.contracts import Image, Index
from goctl.testing import Host, Registry, make_base
from goctl.values import Descriptor, Digest, Platform
from tests.go.project import TASKS, Project, done
from tests.waiting import until

TOML = """schema = 1
[project]
name = "shop"
version = "1.0"
[targets.api]
packages = ["./cmd/api"]
platforms = ["linux/amd64", "linux/arm/v7", "windows/amd64"]
[targets.worker]
packages = ["./cmd/worker"]
platforms = ["linux/amd64"]
ldflags = ["-s", "-w"]
[publish]
tags = ["{version}", "latest"]
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was released once; copied for each test."""
    from tests.go.conftest import FILES, write

    root = tmp_path_factory.mktemp("released")
    write(root, {**FILES, "goctl.toml": TOML, "tasks.py": TASKS})
    Project(root).invoke("release")
    return root


@pytest.fixture
def project(released: Path, tmp_path: Path) -> Project:
    root = tmp_path / "shop"
    shutil.copytree(released, root)
    made = Project(root)
    made.invoke("release")
    return made


def test_a_release_leaves_programs_and_an_image_layout(project: Project) -> None:
    programs = {str(p.relative_to(project.root / "dist")) for p in (project.root / "dist").rglob("api*") if p.is_file()}
    expected = {"api/linux-amd64/api", "api/linux-arm-v7/api", "api/windows-amd64/api.exe"}
    expected |= {"buildkit/api.Dockerfile", "buildkit/api.Dockerfile.dockerignore"}
    assert programs == {str(Path(name)) for name in expected}
    assert set(project.digests()) == {"api:1.0", "api:latest", "worker:1.0", "worker:latest"}
    assert not list((project.root / ".goctl/scratch").glob("build.*"))


def test_nothing_changed_does_nothing_and_starts_no_go(project: Project) -> None:
    # A go command that cannot run: whoever starts it fails. The record knows the toolchain by its file.
    assert done(project.outcomes()) == set()
    assert "nothing to do" in project.invoke("release")


def test_nothing_changed_starts_neither_go_nor_git(project: Project) -> None:
    log = project.root.parent / "started"
    site = project.root.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import subprocess\n"
        "real = subprocess.Popen.__init__\n"
        "def told(self, args, *more, **options):\n"
        f"    open({str(log)!r}, 'a').write(repr(args) + '\\n')\n"
        "    real(self, args, *more, **options)\n"
        "subprocess.Popen.__init__ = told\n"
    )
    project.invoke("release", PYTHONPATH=str(site))
    assert not log.exists(), log.read_text()


def flip(path: Path) -> None:
    """Changes the last byte of a file, in its place."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


NOTICED: dict[str, tuple[Callable[[Project], object], set[str]]] = {
    "a program below dist/ is gone": (
        lambda p: (p.root / "dist/worker/linux-amd64/worker").unlink(),
        {"compile:example.com/shop/cmd/worker@linux/amd64"},
    ),
    "a program below dist/ is edited": (
        lambda p: (p.root / "dist/worker/linux-amd64/worker").write_bytes(b"not it"),
        {"compile:example.com/shop/cmd/worker@linux/amd64"},
    ),
    "a program below dist/ is edited where go does not look": (
        lambda p: flip(p.root / "dist/worker/linux-amd64/worker"),
        {"compile:example.com/shop/cmd/worker@linux/amd64"},
    ),
    "a tag is gone": (
        lambda p: p.edit("dist/images/index.json", lambda text: text.replace("worker:1.0", "worker:0.9")),
        {"push:worker>local"},
    ),
    "a tag is moved": (
        lambda p: p.edit(
            "dist/images/index.json", lambda text: text.replace(p.digests()["api:1.0"], p.digests()["worker:1.0"])
        ),
        {"push:api>local"},
    ),
    "a new tag": (
        lambda p: p.edit("goctl.toml", lambda text: text.replace('"latest"', '"latest", "stable"')),
        {"push:api>local", "push:worker>local"},
    ),
    "a label": (
        lambda p: p.edit("goctl.toml", lambda text: text.replace("[publish]", '[image.labels]\na = "b"\n[publish]')),
        {"image:api@linux/amd64", "image:api@linux/arm/v7", "image:worker@linux/amd64", "index:api", "index:worker"}
        | {"push:api>local", "push:worker>local"},
    ),
    "a linker flag": (
        lambda p: p.edit("goctl.toml", lambda text: text.replace('"-s", "-w"', '"-s", "-w", "-X=main.version=2"')),
        {"compile:example.com/shop/cmd/worker@linux/amd64", "image:worker@linux/amd64", "index:worker", "push:worker>local"},
    ),
    "a comment, which no program holds": (
        lambda p: p.edit("third/dep/dep.go", lambda text: text + "// more\n"),
        {f"compile:example.com/shop/cmd/api@{one}" for one in ("linux/amd64", "linux/arm/v7", "windows/amd64")},
    ),
    "a platform fewer": (
        lambda p: p.edit("goctl.toml", lambda text: text.replace('"linux/arm/v7", ', "")),
        {"index:api", "push:api>local"},
    ),
}


@pytest.mark.parametrize("change", NOTICED)
def test_what_changed_is_done_again_and_nothing_else(project: Project, change: str) -> None:
    before = project.digests()
    act, expected = NOTICED[change]
    act(project)
    assert done(project.outcomes()) == expected
    assert done(project.outcomes()) == set()
    if "dist/" in change or "comment" in change or "tag is" in change:
        assert before.items() <= project.digests().items()


def test_a_blob_missing_from_the_layout_is_put_back(project: Project) -> None:
    blobs = sorted((project.root / "dist/images/blobs/sha256").iterdir())
    before = {blob.name for blob in blobs}
    blobs[0].unlink()
    blobs[-1].write_bytes(b"short")
    assert done(project.outcomes()) <= {"push:api>local", "push:worker>local"}
    after = {blob.name: blob.stat().st_size for blob in (project.root / "dist/images/blobs/sha256").iterdir()}
    assert set(after) == before
    assert min(after.values()) > 10


def test_images_whose_content_was_thrown_away_are_made_again(project: Project) -> None:
    shutil.rmtree(project.root / ".goctl/blobs")
    shutil.rmtree(project.root / "dist/images")
    assert not (project.root / "dist/images").exists()
    project.invoke("release")
    assert set(project.digests()) == {"api:1.0", "api:latest", "worker:1.0", "worker:latest"}
    assert "nothing to do" in project.invoke("release")


def test_a_release_from_nothing_gives_the_same_digests(project: Project) -> None:
    before = project.digests()
    for name in (".goctl", "dist"):
        shutil.rmtree(project.root / name)
    project.start("release")
    assert project.digests() == before


def test_a_new_commit_with_unchanged_code_keeps_every_digest(project: Project) -> None:
    before = project.digests()
    for args in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *args], cwd=project.root, check=True)
    project.edit("goctl.toml", lambda text: text.replace('version = "1.0"\n', "").replace("{version}", "{git.short}"))
    project.invoke("release")
    after = project.digests()
    assert after["api:latest"] == before["api:latest"]
    assert any(name.startswith("api:") and len(name) == 11 for name in after)


def test_a_compiler_error_is_told_once_with_its_place(project: Project) -> None:
    project.edit("cmd/worker/main.go", lambda text: text.replace("println(", "printn("))
    said = project.invoke("release", code=6)
    assert said.count("undefined: printn") == 1
    assert os.path.join("cmd", "worker", "main.go") + ":" in said
    # The other target was not held back from compiling, and no tag moved.
    project.edit("cmd/worker/main.go", lambda text: text.replace("printn(", "println("))
    assert "nothing to do" in project.invoke("release")


def test_modules_that_lack_say_what_to_do(project: Project) -> None:
    project.edit(
        "cmd/worker/main.go", lambda text: text.replace('import _ "embed"', 'import _ "embed"\n\nimport _ "example.com/x/y"')
    )
    assert "mod.tidy" in project.invoke("release", code=5)


def test_a_broken_configuration_stops_tasks_but_not_the_list(project: Project) -> None:
    project.edit("goctl.toml", lambda text: text.replace("packages", "pakages", 1))
    assert "release" in project.invoke("--list")
    said = project.invoke("release", code=3)
    assert "goctl.toml:6" in said
    assert "did you mean 'packages'?" in said
    assert "goctl.toml:6" in project.invoke("doctor", code=3)
    assert project.events("plan", code=3)[-1]["exit-code"] == 3


def test_dry_tells_the_plan_and_touches_nothing(project: Project) -> None:
    shutil.rmtree(project.root / "dist")
    before = sorted(str(path) for path in project.root.rglob("*"))
    said = project.invoke("--dry", "release")
    assert "compile example.com/shop/cmd/api for linux/amd64" in said
    assert sorted(str(path) for path in project.root.rglob("*")) == before


def test_plan_in_a_fresh_checkout_writes_nothing(project: Project) -> None:
    shutil.rmtree(project.root / ".goctl")
    (project.root / "goctl.lock").unlink()
    before = sorted(str(path) for path in project.root.rglob("*") if "__pycache__" not in str(path))
    plan = project.events("plan")[-1]["data"]
    assert {step["kind"] for step in plan["steps"]} == {"compile", "image", "index", "push"}
    assert all(step["key"] for step in plan["steps"] if step["kind"] == "compile")
    assert sorted(str(path) for path in project.root.rglob("*") if "__pycache__" not in str(path)) == before


def test_plan_after_a_release_knows_every_step(project: Project) -> None:
    states = {step["id"]: step["state"] for step in project.events("plan")[-1]["data"]["steps"]}
    assert set(states.values()) == {"known", "to check"}
    assert {id.partition(":")[0] for id, state in states.items() if state == "to check"} == {"push"}


def test_explain_does_not_take_an_unknown_base_for_a_changed_one(project: Project) -> None:
    # As on a machine that has the records, and made the base somewhere else.
    for path in (project.root / ".goctl/records/layer").rglob("*"):
        path.unlink()
    said = project.invoke("explain", "api")
    assert "base changed" not in said
    assert "not made on this machine" in said


def test_explain_names_what_changed(project: Project) -> None:
    assert "up to date" in project.invoke("explain", "api")
    project.edit("third/dep/dep.go", lambda text: text.replace('"dep"', '"deep"'))
    assert "example.com/dep/dep.go changed" in project.invoke("explain", "api")
    assert "dep.go" not in project.invoke("explain", "worker")
    project.edit("goctl.toml", lambda text: text.replace('"-s", "-w"', '"-s"'))
    assert "-ldflags=-s" in project.invoke("explain", "worker")


def test_a_selection_does_only_what_it_names(project: Project) -> None:
    shutil.rmtree(project.root / "dist")
    outcomes = project.outcomes("build", "--select", "api@windows/*")
    assert set(outcomes) == {"mod:download", "compile:example.com/shop/cmd/api@windows/amd64"} - (
        {"mod:download"} - set(outcomes)
    )
    assert "did you mean 'api'" in project.invoke("build", "--select", "apo", code=3)


def push_windows_base(registry: Registry, folder: Path, version: str) -> Digest:
    """A base of Windows at `windows/nano:1` of a registry; its digest."""
    from goctl.config.model import Registry as Table
    from goctl.oci.manifests import index
    from goctl.registry.destination import NoOptions, RegistryDestination

    host = Host(folder)
    base = make_base(host, "windows/amd64", os_version=version, config={"User": "ContainerUser"})
    size = len(host.blobs.read(base.digest))
    manifest = Descriptor("application/vnd.oci.image.manifest.v1+json", base.digest, size)
    image = Image(Platform("windows", "amd64", os_version=version), manifest, base.config, base.layers)
    content = index([(manifest, image.platform)], {})
    made = Index(Descriptor("application/vnd.oci.image.index.v1+json", host.blobs.add(content), len(content)), (image,))
    there = RegistryDestination("r", Table(url=registry.address), registry.address, NoOptions(), host)
    for each in (image, made):
        there.upload("windows/nano", each, lambda done, total: None)
    there.tag("windows/nano", made, ("1",))
    return base.digest


def test_an_image_for_windows_is_built_on_a_base_from_a_registry(project: Project) -> None:
    with Registry() as registry:
        version = "10.0.20348.1"
        digest = push_windows_base(registry, project.root.parent / "windows", version)
        table = f'[platforms."windows/amd64"]\nbase = "{registry.address}/windows/nano:1"\n'
        project.edit("goctl.toml", lambda text: text + table)
        outcomes = project.outcomes()
        assert done(outcomes) == {"image:api@windows/amd64", "index:api", "push:api>local"}
    blobs = project.root / "dist/images/blobs/sha256"
    entry = json.loads((blobs / project.digests()["api:1.0"].partition(":")[2]).read_bytes())["manifests"][-1]
    assert entry["platform"] == {"architecture": "amd64", "os": "windows", "os.version": version}
    manifest = json.loads((blobs / entry["digest"].partition(":")[2]).read_bytes())
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == digest
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_bytes())
    assert (config["os.version"], config["config"]["Entrypoint"]) == (version, ["C:\\app\\api.exe"])
    # With the base pinned and its content here, nobody asks the registry, which is gone.
    assert done(project.outcomes()) == set()


ARCHIVES = {
    "api_1.0_linux_amd64.tar.gz", "api_1.0_linux_armv7.tar.gz", "api_1.0_windows_amd64.zip", "worker_1.0_linux_amd64.tar.gz",
}  # fmt: skip


def sums(project: Project) -> dict[str, str]:
    """The digests that SHA256SUMS has; each is compared with its file's."""
    lines = (project.root / "dist/archives/SHA256SUMS").read_text(encoding="utf-8").splitlines()
    found = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for name, digest in found.items():
        assert Digest.of((project.root / "dist/archives" / name).read_bytes()).hex == digest
    return found


@pytest.fixture
def packed(project: Project) -> Project:
    """A project with archives that were made once."""
    project.edit("goctl.toml", lambda text: text + '[archive]\nfiles = ["go.mod", "third/**"]\n')
    expected = {f"archive:api@{platform}" for platform in ("linux/amd64", "linux/arm/v7", "windows/amd64")}
    assert done(project.outcomes()) == {*expected, "archive:worker@linux/amd64", "checksums"}
    return project


def test_archives_that_are_there_are_not_made_again(packed: Project) -> None:
    assert set(sums(packed)) == ARCHIVES
    assert done(packed.outcomes()) == set()
    assert "nothing to do" in packed.invoke("archive")
    before, folder = sums(packed), packed.root / "dist/archives"
    (folder / "api_1.0_windows_amd64.zip").write_bytes(b"edited")
    assert done(packed.outcomes("archive")) == {"archive:api@windows/amd64"}
    (folder / "worker_1.0_linux_amd64.tar.gz").unlink()
    (folder / "SHA256SUMS").write_text("", encoding="utf-8")
    assert done(packed.outcomes("archive")) == {"archive:worker@linux/amd64", "checksums"}
    assert sums(packed) == before
    packed.invoke("clean")
    packed.start("archive")
    assert sums(packed) == before


def test_an_edited_file_or_program_makes_its_archives_anew(packed: Project) -> None:
    before = sums(packed)
    packed.edit("cmd/worker/main.go", lambda text: text.replace('"worker"', '"another"'))
    assert "a program in it is compiled anew" in packed.invoke("explain", "worker")
    worker = {"compile:example.com/shop/cmd/worker@linux/amd64", "archive:worker@linux/amd64", "checksums"}
    assert done(packed.outcomes("archive")) == worker
    packed.edit("third/dep/go.mod", lambda text: text + "// edited\n")
    assert "file third/dep/go.mod changed" in packed.invoke("explain", "api@windows/amd64")
    after = packed.outcomes("archive")
    assert {step for step in done(after) if step.startswith("archive")} == {
        step for step in after if step.startswith("archive")
    }
    assert set(sums(packed).values()).isdisjoint(before.values())


def test_archives_of_a_selection_keep_the_lines_of_others(packed: Project) -> None:
    before = sums(packed)
    (packed.root / "third/dep/README").write_text("new", encoding="utf-8")
    assert done(packed.outcomes("archive", "--select", "worker")) == {"archive:worker@linux/amd64", "checksums"}
    after = sums(packed)
    assert {name for name in ARCHIVES if before[name] != after[name]} == {"worker_1.0_linux_amd64.tar.gz"}
    (packed.root / "dist/archives/api_1.0_linux_amd64.tar.gz").write_bytes(b"by somebody else")
    packed.outcomes("archive", "--select", "worker")
    assert set(sums(packed)) == ARCHIVES - {"api_1.0_linux_amd64.tar.gz"}


def test_archives_are_told_beforehand_and_afterwards(packed: Project) -> None:
    rows = [event for event in packed.events("archive") if event["event"] == "built-archive"]
    assert {Path(row["path"]).name for row in rows} == {*ARCHIVES, "SHA256SUMS"}
    assert all(row["cached"] and row["digest"].startswith("sha256:") for row in rows)
    said = packed.invoke("archive")
    assert "dist/archives/api_1.0_windows_amd64.zip" in said
    shutil.rmtree(packed.root / "dist/archives")
    plan = packed.invoke("--dry", "archive")
    assert "pack api for windows/amd64\n  to do: not packed yet" in plan
    assert "write the archives' checksums\n  to do" in plan
    assert not (packed.root / "dist/archives").exists()
    packed.invoke("archive")
    assert "to do" not in packed.invoke("--dry", "archive")


def test_without_archives_the_stage_says_what_to_write(project: Project) -> None:
    for args in (("archive",), ("--dry", "archive")):
        said = project.invoke(*args, code=3)
        assert "api, worker have no archives" in said
        assert "write [archive] into goctl.toml" in said
    project.edit("goctl.toml", lambda text: text + '[archive]\nfiles = ["LICENCE"]\n')
    assert "goctl.toml:15: archive.files of api: there is no file or folder 'LICENCE'" in project.invoke("archive", code=3)


def test_a_stage_runs_what_it_depends_on_and_no_more(project: Project) -> None:
    shutil.rmtree(project.root / "dist")
    assert {step.partition(":")[0] for step in project.outcomes("image")} <= {"compile", "image", "index", "mod"}
    assert not (project.root / "dist/images").exists()
    assert "push:api>local" in project.outcomes("push")


def test_no_go_at_all_is_told(project: Project) -> None:
    project.edit("goctl.toml", lambda text: text.replace("[targets.api]", '[go]\ntoolchain = "<1.0"\n[targets.api]'))
    said = project.invoke("release", code=4)
    assert "go.toolchain asks for '<1.0'" in said
    assert "no Go toolchain" in project.invoke("plan")


def test_toolexec_is_refused_wherever_it_stands(project: Project) -> None:
    assert "toolexec" in project.invoke("release", code=3, GOFLAGS="-toolexec=/bin/true")
    project.edit("goctl.toml", lambda text: text.replace('ldflags = ["-s", "-w"]', 'flags = ["-toolexec=x"]'))
    assert "toolexec" in project.invoke("release", code=3)


def test_two_runs_at_once_end_alike(project: Project) -> None:
    project.edit("third/dep/dep.go", lambda text: text.replace('"dep"', '"deep"'))
    command = [sys.executable, "-m", "invoke", "release"]
    runs = [subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    assert [run.wait(120) for run in runs if run.communicate()] == [0, 0, 0]
    assert "nothing to do" in project.invoke("release")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_every_child_within_seconds(project: Project, number: signal.Signals, code: int) -> None:
    # A toolchain whose go build sleeps, and whose grandchild ignores polite signals.
    shutil.rmtree(project.root / "dist")
    goroot = Path(subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip())
    fake = project.root.parent / "fakeroot"
    (fake / "bin").mkdir(parents=True)
    shutil.copy(goroot / "VERSION", fake / "VERSION")
    script = fake / "bin" / "go"
    marker = project.root.parent / "pid"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = build ]; then\n  trap "" INT TERM\n'
        f'  (trap "" INT TERM; echo $$ > {marker}; exec sleep 60) &\n  wait\nfi\nexec {goroot}/bin/go "$@"\n'
    )
    script.chmod(0o755)
    env = {**os.environ, "PATH": f"{fake / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.Popen(
        [sys.executable, "-m", "invoke", "release"],
        cwd=project.root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(marker.exists, 30)
    time.sleep(0.2)
    started = time.monotonic()
    run.send_signal(number)
    output = run.communicate(timeout=20)[0].decode()
    assert time.monotonic() - started < 5
    assert run.returncode == code, output
    assert "Traceback" not in output
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    # A zombie that nobody has reaped yet is dead.
    assert [row for row in listed.splitlines() if row.split()[0] == marker.read_text().strip() and "Z" not in row] == []
    assert not list((project.root / "dist").rglob("*"))


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_goes_away_ends_it_quietly(project: Project) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m invoke plan | head -1; true', sys.executable], cwd=project.root, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_run_that_was_killed_is_no_trouble_for_the_next(project: Project) -> None:
    for delay in (0.15, 0.3, 0.6, 1.0):
        project.edit("third/dep/dep.go", lambda text: text.replace('const Name = "', 'const Name = "x'))
        run = subprocess.Popen(
            [sys.executable, "-m", "invoke", "release"],
            cwd=project.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        run.kill()
        run.wait()
    project.invoke("release")
    said = subprocess.run([project.root / "dist/api/linux-amd64/api"], capture_output=True, text=True, check=True).stdout
    assert said == "hello xxxxdep\n"
    assert "nothing to do" in project.invoke("release")
