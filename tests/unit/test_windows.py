"""Images for Windows: what is in their layers, what their documents say, and what cannot be one."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from goctl.config.loader import load
from goctl.config.model import Config, Image, Platforms, PlatformSettings, Target
from goctl.contracts import Binary
from goctl.contracts import Image as MadeImage
from goctl.errors import ConfigError, ImageError
from goctl.oci.assemble import Assembler
from goctl.oci.assets import asset_digest
from goctl.oci.compress import compressors
from goctl.oci.static import scratch_base
from goctl.plan.facts import Base, Facts, Listing, Main
from goctl.plan.make import listing_key, make
from goctl.plan.model import CompileStep, ImageStep, IndexStep, Plan
from goctl.testing import Host, make_base
from goctl.values import Descriptor, Digest, Platform

LINUX, WINDOWS, WASM = (Platform.parse(name) for name in ("linux/amd64", "windows/amd64", "wasip1/wasm"))
NANO = "mcr.microsoft.com/windows/nanoserver:ltsc2022"
VERSION = "10.0.20348.2113"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/api").write_bytes(b"program")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/index.html").write_bytes(b"<p>")
    return Host(tmp_path)


def configuration(image: Image | bool | None = None, *platforms: str, base: str | None = NANO) -> Config:
    settings = {} if base is None else {str(WINDOWS): PlatformSettings(base=base)}
    target = Target(packages=("./cmd/api",), platforms=platforms, image=Image() if image is None else image)
    return Config(targets={"api": target}, platforms=Platforms(settings=settings))


def planned(host: Host, config: Config, *platforms: Platform, bases: dict[str, Base] | None = None) -> Plan:
    main = Main("example.com/cmd/api", "main", Digest.of(b"source"))
    listing = Listing({"./cmd/api": (main,)}, Digest.of(b"detail"))
    image = config.targets["api"].image
    assets = {source: asset_digest(host.root / source) for source in (image.assets if isinstance(image, Image) else {})}
    facts = Facts(
        listings={listing_key(config, config.targets["api"], platform): listing for platform in platforms},
        bases={(reference, WINDOWS): base for reference, base in (bases or {}).items()},
        compressors=compressors(),
        assets=assets,
    )
    return make(config, facts, {"api": platforms})


def image_steps(plan: Plan) -> list[ImageStep]:
    return [step for step in plan.steps if isinstance(step, ImageStep)]


def windows_base(host: Host, **more: Any) -> Base:
    return make_base(host, "windows/amd64", os_version=VERSION, config={"User": "ContainerUser", "Cmd": ["cmd"]}, **more)


def assembled(host: Host, image: Image | None = None, base: Base | None = None) -> MadeImage:
    bases = {NANO: base or windows_base(host)}
    (step,) = image_steps(planned(host, configuration(image), WINDOWS, bases=bases))
    content = (host.root / "dist/api").read_bytes()
    return Assembler(host).image(step, {step.needs[0]: Binary("dist/api", Digest.of(content), len(content))})


def document(host: Host, descriptor: Descriptor) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.blobs.read(descriptor.digest))
    return found


def members(host: Host, layer: Descriptor) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(host.blobs.read(layer.digest)))) as file:
        return {member.name: member for member in file.getmembers()}


def rights(member: tarfile.TarInfo) -> list[tuple[str, int]]:
    """Who may do what, of a security descriptor in binary (MS-DTYP, 2.4.6): account and access mask of each entry."""
    raw = base64.b64decode(member.pax_headers["MSWINDOWS.rawsd"], validate=True)
    revision, _, control, _, _, _, at = struct.unpack_from("<BBHIIII", raw)
    assert (revision, control & 0x8004) == (1, 0x8004)  # self-relative, with a list of who may do what
    count = struct.unpack_from("<H", raw, at + 4)[0]
    found, at = [], at + 8
    for _ in range(count):
        kind, _, size, mask = struct.unpack_from("<BBHI", raw, at)
        assert kind == 0  # allowed
        parts = raw[at + 9], *struct.unpack_from(f"<{raw[at + 9]}I", raw, at + 16)
        found.append(("-".join(map(str, parts[1:])), mask))
        at += size
    assert at == len(raw)
    return found


SYSTEM, ADMINISTRATORS, USERS = "18", "32-544", "32-545"
EVERYTHING, READ_AND_START = 0x1F01FF, 0x1200A9


def test_files_are_below_files_and_may_be_started(host: Host) -> None:
    assets, programs = assembled(host, Image(assets={"web": "/srv/www"})).layers[1:]
    assert list(members(host, assets)) == ["Files", "Files/srv", "Files/srv/www", "Files/srv/www/index.html", "Hives"]
    found = members(host, programs)
    assert list(found) == ["Files", "Files/app", "Files/app/api.exe", "Hives"]
    program = found["Files/app/api.exe"]
    assert program.pax_headers["MSWINDOWS.fileattr"] == "32"
    assert dict(rights(program)) == {SYSTEM: EVERYTHING, ADMINISTRATORS: EVERYTHING, USERS: READ_AND_START}
    assert found["Files/app"].pax_headers["MSWINDOWS.fileattr"] == "16"
    assert (USERS, READ_AND_START) in rights(found["Files/app"])
    assert "MSWINDOWS.rawsd" not in found["Files"].pax_headers


def test_folders_of_the_base_keep_their_rights(host: Host) -> None:
    layer = assembled(host, Image(assets={"web": "/Windows/System32/web", "web/index.html": "/Users/index.html"})).layers
    found = {name: member for each in layer[1:] for name, member in members(host, each).items()}
    assert "MSWINDOWS.rawsd" not in found["Files/Windows/System32"].pax_headers
    assert "MSWINDOWS.rawsd" not in found["Files/Users"].pax_headers
    assert "MSWINDOWS.rawsd" in found["Files/Users/index.html"].pax_headers


def test_a_layer_for_windows_is_not_taken_for_one_of_linux(host: Host) -> None:
    first = assembled(host, Image(assets={"web": "/srv/www"})).layers
    (step,) = image_steps(planned(host, configuration(Image(assets={"web": "/srv/www"}, base="scratch")), LINUX))
    base, content = scratch_base(LINUX)
    host.blobs.add(content)
    made = Assembler(host).image(
        ImageStep(**{name: getattr(step, name) for name in step.__struct_fields__} | {"base": base}),
        {step.needs[0]: Binary("dist/api", Digest.of(b"program"), 7)},
    )
    assert "srv/www/index.html" in members(host, made.layers[0])
    assert {layer.digest for layer in first}.isdisjoint(layer.digest for layer in made.layers)


def test_the_bases_version_of_windows_is_in_the_config_and_the_index(host: Host) -> None:
    image = assembled(host)
    config = document(host, image.config)
    assert (config["os"], config["architecture"], config["os.version"]) == ("windows", "amd64", VERSION)
    assert config["config"] == {"User": "ContainerUser", "Entrypoint": ["C:\\app\\api.exe"]}
    wanted = IndexStep(id="index:api", title="", target="api", needs=("image",), recipe=Digest.of(b""))
    index = document(host, Assembler(host).index(wanted, {"image": image}).descriptor)
    platform = {"architecture": "amd64", "os": "windows", "os.version": VERSION}
    assert [entry["platform"] for entry in index["manifests"]] == [platform]
    assert document(host, image.manifest)["layers"][0]["digest"] == image.layers[0].digest


def test_a_base_that_says_no_version_is_refused(host: Host) -> None:
    with pytest.raises(ImageError, match=r"no os\.version"):
        assembled(host, base=make_base(host, "windows/amd64"))
    with pytest.raises(ImageError, match="is for linux/amd64, not for windows/amd64"):
        assembled(host, base=make_base(host, "linux/amd64"))


@pytest.mark.parametrize(
    ("assets", "words"),
    [
        ({"web": "/APP/Api.exe"}, "needs a folder|would both be"),
        ({"web/index.html": "/App/API.EXE"}, "would both be at /app/api.exe"),
    ],
)
def test_names_that_differ_in_case_alone_are_one(host: Host, assets: dict[str, str], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        assembled(host, Image(assets=assets))


@pytest.mark.parametrize(
    "name", ["aux", "NUL.txt", "com1.a.b", "a:b", "what?", "dot.", "space ", 'a"b', "a|b", "a<b", "\x01"]
)
def test_names_that_windows_forbids_are_refused(host: Host, name: str) -> None:
    with pytest.raises(ImageError, match="no name there"):
        assembled(host, Image(assets={"web": f"/srv/{name}/www"}))


@pytest.mark.parametrize("name", ["auxiliary", "console.txt", "null", "com", "a.b", ".hidden", "ü"])
def test_names_that_only_look_so_are_taken(host: Host, name: str) -> None:
    assert assembled(host, Image(assets={"web": f"/srv/{name}"}))


@pytest.mark.parametrize(
    ("user", "made"),
    [("nonroot", None), ("0", None), ("65532:65532", None), ("ContainerAdministrator", "ContainerAdministrator")],
)
def test_users_of_linux_are_not_there(host: Host, user: str, made: str | None) -> None:
    config = document(host, assembled(host, Image(user=user)).config)
    assert config["config"]["User"] == (made or "ContainerUser")


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (("/usr/local/bin/api", "-v"), ["C:\\app\\api.exe", "-v"]),
        (("/app/api.exe",), ["C:\\app\\api.exe"]),
        (("C:\\app\\api.exe",), ["C:\\app\\api.exe"]),
        (("/usr/local/bin/other",), ["C:\\usr\\local\\bin\\other"]),
        (("cmd", "/c", "ver"), ["cmd", "/c", "ver"]),
    ],
)
def test_an_entrypoint_is_written_as_windows_has_it(host: Host, written: tuple[str, ...], made: list[str]) -> None:
    image = assembled(host, Image(entrypoint=written, working_directory="/srv"))
    config = document(host, image.config)["config"]
    assert (config["Entrypoint"], config["WorkingDir"]) == (made, "C:\\srv")


def test_the_platforms_base_is_that_of_windows_alone(host: Host) -> None:
    plan = planned(host, configuration(Image(base="static")), LINUX, WINDOWS, bases={NANO: windows_base(host)})
    assert [(step.platform, step.base_reference) for step in image_steps(plan)] == [(LINUX, "static"), (WINDOWS, NANO)]
    assert plan.skipped == ()
    assert [step.programs[0].path for step in image_steps(plan)] == ["/usr/local/bin/api", "/app/api.exe"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (configuration(base=None), 'needs a base of Windows: set platforms."windows/amd64".base'),
        (
            configuration(Image(base="example.com/linux:1"), "linux/amd64", "windows/amd64", base=None),
            "needs a base of Windows",
        ),
        (configuration(Image(base=NANO), "windows/amd64", base=None), ""),
        (configuration(False), None),
    ],
)
def test_without_a_base_of_windows_there_are_programs_alone(host: Host, config: Config, words: str | None) -> None:
    plan = planned(host, config, WINDOWS)
    assert len([step for step in plan.steps if isinstance(step, CompileStep)]) == 1
    assert bool(image_steps(plan)) == (words == "")
    assert [skipped.what for skipped in plan.skipped] == (["image api@windows/amd64"] if words else [])
    assert all((words or "") in skipped.why for skipped in plan.skipped)


def test_a_built_in_base_is_refused_where_it_is_assembled(host: Host) -> None:
    base, content = scratch_base(WINDOWS)
    host.blobs.add(content)
    with pytest.raises(ImageError, match="Windows starts programs on its own bases only"):
        assembled(host, base=base)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[platforms."windows/amd64"]\nbase = "static"', "no base of Windows"),
        ('[platforms."windows/amd64"]\nbase = "scratch"', "no base of Windows"),
        ('[platforms."darwin/arm64"]\nbase = "static"', "no images are made for darwin"),
        ('[platforms."linux/amd64"]\nflags = ["-toolexec=x"]', "toolexec"),
        ('[targets.api]\npackages = ["."]\nplatforms = ["linux/mips", "linux/mips/softfloat"]', "the same platform"),
        (
            '[platforms]\ndefault = ["linux/mips", "linux/mips/softfloat"]\n[targets.api]\npackages = ["."]',
            "the same platform",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "goctl.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path / "goctl.toml", environment={})
    assert all(problem.location is not None and problem.location.line >= 1 for problem in caught.value.problems)


def test_flags_of_a_platform_stand_before_the_targets(host: Host) -> None:
    settings = {str(WINDOWS): PlatformSettings(flags=("-race", "-v"))}
    target = Target(packages=("./cmd/api",), flags=("-race=false",), image=False)
    config = Config(targets={"api": target}, platforms=Platforms(settings=settings))
    steps = [step for step in planned(host, config, LINUX, WINDOWS).steps if isinstance(step, CompileStep)]
    assert [step.flags for step in steps] == [("-race=false",), ("-race", "-v", "-race=false")]


def test_a_program_of_webassembly_is_called_so(host: Host) -> None:
    (step,) = [step for step in planned(host, configuration(), WASM).steps if isinstance(step, CompileStep)]
    assert (step.file_name, step.linked_name) == ("api.wasm", "api")
