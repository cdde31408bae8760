"""Archives for people: others can unpack them, no machine changes a byte of them, and nothing unexpected is in them."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from goctl.config.loader import load
from goctl.config.model import ArchiveDefaults, Archives, Config, Project, Target
from goctl.contracts import Archive, Binary
from goctl.errors import ConfigError, ImageError
from goctl.oci.archives import Archiver
from goctl.oci.compress import compressors
from goctl.oci.tar import Entry
from goctl.oci.zip import zip_archive
from goctl.plan.facts import Facts, File, Git, Listing, Main
from goctl.plan.make import listing_key, make
from goctl.plan.model import ArchiveStep, ChecksumsStep, Plan
from goctl.release.files import archive_files
from goctl.release.session import Session
from goctl.system.ledger import Ledger
from goctl.testing import Host
from goctl.values import Digest, Platform

AMD, ARM7, WINDOWS = (Platform.parse(name) for name in ("linux/amd64", "linux/arm/v7", "windows/amd64"))
PROGRAM = b"\x7fELF" + bytes(range(256)) * 20_000
FILES = {"LICENSE": b"free\n", "docs/a.md": b"# a\n", "run.sh": b"#!/bin/sh\n", "docs/ü.md": b""}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return filled(tmp_path / "project")


def filled(root: Path) -> Host:
    for name, content in {**FILES, "dist/api": PROGRAM}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return Host(root)


def configuration(archive: ArchiveDefaults | None = None, **target: Any) -> Config:
    archive = archive or ArchiveDefaults(files=("all",))
    made = Target(packages=("./cmd/api",), image=False, archive=archive, **target)
    return Config(project=Project(name="shop"), targets={"api": made}, archive=Archives())


def planned(config: Config, *platforms: Platform, **facts: Any) -> Plan:
    chosen = dict.fromkeys(config.targets, platforms or (AMD,))
    main = Main("example.com/cmd/api", "main", Digest.of(b"source"))
    listings = {
        listing_key(config, target, platform): Listing({"./cmd/api": (main,)}, Digest.of(b"detail"))
        for target in config.targets.values()
        for platform in chosen["api"]
    }
    files = {"all": tuple(File(name, Digest.of(content)) for name, content in FILES.items())}
    known = Facts(listings=listings, files=files, version="1.0", compressors=compressors())
    return make(config, replace(known, **facts), chosen)


def archives(plan: Plan) -> list[ArchiveStep]:
    return [step for step in plan.steps if isinstance(step, ArchiveStep)]


def packed(host: Host, plan: Plan) -> Path:
    """The first archive of a plan, made."""
    step = archives(plan)[0]
    made = Archiver(host).archive(step, {step.needs[0]: Binary("dist/api", Digest.of(PROGRAM), len(PROGRAM))})
    path = host.root / made.path
    assert (Digest.of(path.read_bytes()), path.stat().st_size) == (made.digest, made.size)
    return path


EXPECTED = {"api": (PROGRAM, 0o755), **{name: (content, 0o644) for name, content in FILES.items()}}
EXPECTED["run.sh"] = (FILES["run.sh"], 0o755)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_python_unpacks_a_tar(host: Host, kind: str) -> None:
    content = packed(host, planned(configuration(ArchiveDefaults(format=kind, files=("all",))))).read_bytes()  # type: ignore[arg-type]
    if kind == "tar.gz":
        content = gzip.decompress(content)
    else:
        content = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        found = {m.name: (file.extractfile(m).read(), m.mode) for m in file.getmembers()}  # type: ignore[union-attr]
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in file.getmembers()} == {(0, 0, "", 0)}
    assert found == EXPECTED


def test_python_unpacks_a_zip(host: Host) -> None:
    with zipfile.ZipFile(packed(host, planned(configuration(), WINDOWS))) as file:
        assert file.testzip() is None
        found = {info.filename: (file.read(info), info.external_attr >> 16) for info in file.infolist()}
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        methods = {info.filename: info.compress_type for info in file.infolist()}
    expected = {("api.exe" if name == "api" else name): value for name, value in EXPECTED.items()}
    assert found == {name: (content, stat.S_IFREG | mode) for name, (content, mode) in expected.items()}
    # What does not get smaller is stored as it is.
    assert (methods["api.exe"], methods["LICENSE"]) == (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)


@pytest.mark.parametrize(("platform", "command"), [(AMD, ("tar", "-xzf")), (WINDOWS, ("unzip", "-q"))], ids=["tar", "unzip"])
def test_common_tools_unpack_it(host: Host, tmp_path: Path, platform: Platform, command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    archive = packed(host, planned(configuration(), platform))
    to = tmp_path / "to"
    to.mkdir()
    subprocess.run([*command, str(archive)], cwd=to, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    name = "api.exe" if platform == WINDOWS else "api"
    assert {p.relative_to(to).as_posix() for p in to.rglob("*") if p.is_file()} == {name, *FILES}
    if os.name != "nt":
        assert os.access(to / name, os.X_OK)
        assert os.access(to / "run.sh", os.X_OK)
        assert not (to / "LICENSE").stat().st_mode & 0o111


@pytest.mark.parametrize("platform", [AMD, WINDOWS], ids=str)
def test_no_machine_changes_a_byte(tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(filled(tmp_path / "one"), planned(configuration(), platform)).read_bytes()
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LC_ALL", "C")
    if hasattr(time, "tzset"):
        time.tzset()
    before = os.umask(0o077)
    try:
        other = filled(tmp_path / "other" / "deeper")
        for path in other.root.rglob("*"):
            os.utime(path, (1, 1))
        second = packed(other, planned(configuration(), platform)).read_bytes()
    finally:
        os.umask(before)
        monkeypatch.undo()
        if hasattr(time, "tzset"):
            time.tzset()
    assert first == second


@pytest.mark.parametrize(
    ("stamp", "epoch", "seconds"), [("none", None, 0), ("label", None, 1_700_000_001), ("binary", "5", 5)]
)
def test_times_are_the_commits_only_with_a_stamp(host: Host, stamp: str, epoch: str | None, seconds: int) -> None:
    git = Git("a" * 40, "aaaaaaa", "main", "v1.0", 1_700_000_001, dirty=False)
    environment = {} if epoch is None else {"SOURCE_DATE_EPOCH": epoch}
    plan = planned(configuration(stamp=stamp), git=git, environment=environment)
    with tarfile.open(packed(host, plan)) as file:
        assert {member.mtime for member in file.getmembers()} == {seconds}
    with zipfile.ZipFile(
        packed(host, planned(configuration(stamp=stamp), WINDOWS, git=git, environment=environment))
    ) as zipped:
        times = {info.date_time for info in zipped.infolist()}
    expected = {1_700_000_001: (2023, 11, 14, 22, 13, 20)}  # a zip tells every other second, and begins in 1980
    assert times == {expected.get(seconds, (1980, 1, 1, 0, 0, 0))}


def test_a_file_edited_after_the_plan_is_refused_and_leaves_no_archive(host: Host) -> None:
    for platform in (AMD, WINDOWS):
        plan = planned(configuration(), platform)
        (host.root / "LICENSE").write_bytes(b"other")
        with pytest.raises(ImageError, match="changed while it was read"):
            packed(host, plan)
        (host.root / "LICENSE").write_bytes(FILES["LICENSE"])
        assert not (host.dist / archives(plan)[0].path).exists()
    assert not list(host.scratch.iterdir())


def test_what_a_zip_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goctl.oci.zip._MOST_BYTES", 10)
    with pytest.raises(ImageError, match="too much for a zip"):
        list(zip_archive([Entry(name="a", source=bytes(11))], 6))


# --- names

NAMES = [
    ({}, AMD, "api_1.0_linux_amd64.tar.gz"),
    ({}, ARM7, "api_1.0_linux_armv7.tar.gz"),
    ({}, Platform.parse("linux/amd64/v3"), "api_1.0_linux_amd64v3.tar.gz"),
    ({}, Platform.parse("linux/mips/softfloat"), "api_1.0_linux_mips-softfloat.tar.gz"),
    ({}, WINDOWS, "api_1.0_windows_amd64.zip"),
    ({"format": "zip"}, AMD, "api_1.0_linux_amd64.zip"),
    ({"format": "tar.zst", "name": "{project}-{platform}"}, ARM7, "shop-linux-arm-v7.tar.zst"),
]


@pytest.mark.parametrize(("settings", "platform", "name"), NAMES)
def test_a_file_is_named_by_template(settings: dict[str, Any], platform: Platform, name: str) -> None:
    (step,) = archives(planned(configuration(ArchiveDefaults(**settings)), platform))
    assert step.path == f"dist/archives/{name}"


def test_what_file_names_cannot_hold_becomes_a_dash() -> None:
    (step,) = archives(planned(configuration(ArchiveDefaults(folder="{target}-{version}")), version="feature/x:1+b"))
    assert (step.path, step.folder) == ("dist/archives/api_feature-x-1+b_linux_amd64.tar.gz", "api-feature-x-1+b")


def test_two_archives_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"linux/amd64 and that of api for linux/arm/v7 would both be api\.tar\.gz"):
        planned(configuration(ArchiveDefaults(name="{target}"), platforms=("linux/amd64", "linux/arm/v7")), AMD, ARM7)
    # Those that were not asked for count too: they lie in the same folder.
    with pytest.raises(ConfigError, match="would both be"):
        planned(configuration(ArchiveDefaults(name="{target}"), platforms=("linux/amd64", "linux/arm/v7")), AMD)
    with pytest.raises(ConfigError, match="the file of checksums"):
        planned(
            replace(
                configuration(),
                archive=Archives(checksums="API_1.0_linux_amd64.tar.gz"),
                targets={"api": Target(packages=("./cmd/api",), platforms=("linux/amd64",), archive=ArchiveDefaults())},
            )
        )


@pytest.mark.parametrize(
    ("files", "platform", "words"),
    [
        (("api",), AMD, "would be one file"),
        (("API.EXE",), WINDOWS, "would be one file"),
        (("README", "readme"), WINDOWS, "would be one file"),
        (("api/README",), AMD, "would be a file and the folder"),
        (("README", "readme"), AMD, ""),
    ],
)
def test_two_things_at_one_place_are_refused(files: tuple[str, ...], platform: Platform, words: str) -> None:
    known = {"all": tuple(File(name, Digest.of(b"")) for name in files)}
    if not words:
        assert len(archives(planned(configuration(), platform, files=known))[0].files) == 2
        return
    with pytest.raises(ConfigError, match=words):
        planned(configuration(), platform, files=known)


# --- checksums


def checksums_of(host: Host, step: ChecksumsStep, **digests: str) -> str:
    inputs = {
        need: Archive("x", Digest.of(text.encode()), 1) for need, text in zip(step.needs, digests.values(), strict=True)
    }
    return (host.root / Archiver(host).checksums(step, inputs).path).read_text(encoding="utf-8")


def test_checksums_keep_the_lines_of_archives_that_were_not_asked_for(host: Host) -> None:
    step = ChecksumsStep(
        id="checksums", title="", needs=("a",), path="dist/archives/SUMS", names=("b.zip",), others=("a.zip", "c.zip")
    )
    ledger = Ledger(host.memo, host.root, host.scratch)
    for name in ("a.zip", "c.zip"):
        (host.dist / "archives").mkdir(exist_ok=True)
        (host.dist / "archives" / name).write_bytes(name.encode())
        ledger.made(host.dist / "archives" / name, Digest.of(name.encode()))
    (host.dist / "archives/c.zip").write_bytes(b"by somebody else")
    assert checksums_of(host, step, a="b") == f"{Digest.of(b'a.zip').hex}  a.zip\n{Digest.of(b'b').hex}  b.zip\n"


# --- files


def session(root: Path, text: str) -> Session:
    (root / "goctl.toml").write_text('[targets.api]\npackages = ["."]\n' + text, encoding="utf-8")
    return Session(load(root / "goctl.toml", environment={}), emit=lambda event: None)


def found(root: Path, *patterns: str) -> list[str]:
    text = "[archive]\nfiles = [" + ", ".join(f"'{pattern}'" for pattern in patterns) + "]\n"
    files = archive_files(session(root, text), {"api": (AMD,)})
    return [file.path for pattern in patterns for file in files[pattern]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = "LICENSE README.md docs/a.md docs/b.txt docs/deep/c.md docs/.hidden .env .git/x.md dist/d.md .goctl/e.md [x].md"
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("LICENSE", "LICENSE"),
        ("docs", "docs/.hidden docs/a.md docs/b.txt docs/deep/c.md"),
        ("docs/", "docs/.hidden docs/a.md docs/b.txt docs/deep/c.md"),
        ("docs/*.md", "docs/a.md"),
        ("docs/**", "docs/a.md docs/b.txt docs/deep/c.md"),
        ("**/*.md", "README.md [x].md docs/a.md docs/deep/c.md"),
        ("**/deep/*", "docs/deep/c.md"),
        ("d*/?.md", "docs/a.md"),
        (".e*", ".env"),
        ("[[]x].md", "[x].md"),
        ("[A-Z]*", "LICENSE README.md"),
    ],
)
def test_a_pattern_takes_files(tree: Path, pattern: str, taken: str) -> None:
    assert found(tree, pattern) == taken.split()


@pytest.mark.parametrize("pattern", ["missing", "missing/x", "docs/*.pdf", "LICENSE/x", "docs/deep/*.txt"])
def test_what_somebody_wrote_has_to_be_there(tree: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"goctl\.toml:4: archive\.files of api: .*" + pattern.replace("*", r"\*")):
        found(tree, pattern)


def test_what_is_there_by_default_may_be_missing(tmp_path: Path) -> None:
    assert archive_files(session(tmp_path, "[archive]\n"), {"api": (AMD,)}) == {"LICENSE*": (), "README*": ()}
    assert archive_files(session(tmp_path, ""), {"api": (AMD,)}) == {}


@pytest.mark.parametrize("pattern", ["dist", "dist/d.md", ".goctl", "docs/out", "docs/o*", "docs"])
def test_neither_goctls_own_files_nor_those_outside_are_taken(tree: Path, pattern: str) -> None:
    if pattern.startswith("docs"):
        (tree.parent / "outside").mkdir(exist_ok=True)
        (tree.parent / "outside" / "x").write_text("x", encoding="utf-8")
        (tree / "docs/out").symlink_to(tree.parent / "outside" / ("x" if "*" in pattern else ""))
    with pytest.raises(ConfigError, match=r"own folder|leaves the project|link to a folder"):
        found(tree, pattern)


def test_links_are_followed_inside_the_project(tree: Path) -> None:
    (tree / "COPYING").symlink_to("LICENSE")
    (tree / "manual").symlink_to("docs", target_is_directory=True)
    (tree / "docs/loop").symlink_to("..", target_is_directory=True)
    assert found(tree, "COPYING", "manual/*.md") == ["COPYING", "manual/a.md"]
    assert found(tree, "docs/**/*.md") == ["docs/a.md", "docs/deep/c.md"]
    (tree / "gone").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="no file, nor a link to one"):
        found(tree, "gone")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_cannot_be_unpacked_everywhere_are_refused(tree: Path) -> None:
    (tree / "docs/a\\b").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="not every system"):
        found(tree, "docs")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps any bytes as a name")
def test_names_that_are_no_text_are_refused(tree: Path) -> None:
    (tree / os.fsdecode(b"docs/\xff")).write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="not every system"):
        found(tree, "docs/*")


# --- goctl.toml

TARGETS = '[targets.api]\npackages = ["./a"]\n{api}\n[targets.tool]\npackages = ["./b"]\n'


@pytest.mark.parametrize(
    ("table", "api", "formats"),
    [
        ("", "", [None, None]),
        ("[archive]\n", "", ["tar.gz", "tar.gz"]),
        ('[archive]\nformat = "zip"\n', "archive = false", [None, "zip"]),
        ('[archive]\nformat = "zip"\n', "archive = true", ["zip", "zip"]),
        ("", "archive = true", ["tar.gz", None]),
        ('[archive]\nformat = "zip"\n', 'archive = { format = "tar.zst" }', ["tar.zst", "zip"]),
        ('[archive]\nformat = "zip"\n', 'archive = { folder = "x" }', ["zip", "zip"]),
    ],
)
def test_targets_have_what_the_table_says(tmp_path: Path, table: str, api: str, formats: list[str | None]) -> None:
    (tmp_path / "goctl.toml").write_text(TARGETS.format(api=api) + table, encoding="utf-8")
    targets = load(tmp_path / "goctl.toml", environment={}).config.targets.values()
    assert [target.archive.format if isinstance(target.archive, ArchiveDefaults) else None for target in targets] == formats


def test_discovered_targets_have_archives_too(tmp_path: Path) -> None:
    (tmp_path / "cmd/api").mkdir(parents=True)
    (tmp_path / "cmd/api/main.go").write_text("package main\n", encoding="utf-8")
    (tmp_path / "goctl.toml").write_text('[archive]\nfolder = "x"\nchecksums = "SUMS"\n', encoding="utf-8")
    loaded = load(tmp_path / "goctl.toml", environment={})
    assert loaded.config.targets["api"].archive == ArchiveDefaults(folder="x")
    assert str(loaded.origin("targets", "api", "archive", "folder")).startswith("file")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "{vershun}"', "did you mean"),
        ('name = "a/b"', "holds a slash"),
        ('name = ""', "is empty"),
        ('name = "CON.{os}"', "device"),
        ('folder = "../x"', "holds a slash|begins with a dot"),
        ('checksums = "{target}.txt"', "stands for all"),
        ('checksums = "{os}.txt"', "stands for all"),
        ('files = ["../x"]', "leaves the project"),
        ('files = ["/etc/passwd"]', "leaves the project"),
        ('files = ["C:/x"]', "leaves the project"),
        ("files = ['a\\b']", "backslash"),
        ('files = ["."]', "says nothing"),
        ('files = ["a//b"]', "says nothing"),
        ('files = ["a**/b"]', "whole folders"),
        ('files = [""]', "is no path"),
        ('format = "rar"', "one of tar.gz, tar.zst, zip"),
        ("compression-level = 13", "too high"),
        ('checksum = "x"', "did you mean 'checksums'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "goctl.toml").write_text(f'[targets.api]\npackages = ["."]\n[archive]\n{text}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path / "goctl.toml", environment={})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].location is not None
    assert caught.value.problems[0].location.line == 4


def test_an_archive_needs_no_stamp_for_the_version_in_its_name(tmp_path: Path) -> None:
    text = '[targets.api]\npackages = ["."]\nstamp = "none"\n[archive]\nname = "{version}"\n'
    (tmp_path / "goctl.toml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "goctl.toml", environment={})
