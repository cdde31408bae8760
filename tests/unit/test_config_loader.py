"""goctl.toml is read whole: layers, defaults, origins, and every problem at once with its line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from goctl.config.loader import Loaded, load
from goctl.config.model import Image, Target
from goctl.config.show import settings
from goctl.errors import ConfigError

GOLDEN = Path(__file__).parent / "golden"
TARGET = '[targets.api]\npackages = ["./cmd/api"]\n'

Read = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str | bytes, profile: str = "", **environment: str) -> Loaded:
        Path("goctl.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(Path("goctl.toml"), profile=profile, environment=environment)

    return write_and_load


def problems(read: Read, text: str | bytes, **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **more)
    return [str(problem) for problem in caught.value.problems]


def image(loaded: Loaded, target: str = "api") -> Image:
    found = loaded.config.targets[target].image
    assert isinstance(found, Image)
    return found


def test_every_problem_is_told_at_once_with_its_line(read: Read) -> None:
    text = (GOLDEN / "many-problems.toml").read_text(encoding="utf-8")
    told = "\n".join(problems(read, text, GOCTL_IMAGE_COMPRESSION="brotli")) + "\n"
    if os.environ.get("GOCTL_WRITE_GOLDEN"):
        (GOLDEN / "many-problems.txt").write_text(told, encoding="utf-8", newline="\n")
    assert told == (GOLDEN / "many-problems.txt").read_text(encoding="utf-8")


def test_a_password_in_an_address_is_not_repeated(read: Read) -> None:
    text = TARGET + '[registries.a]\nurl = "me:hunter2@example.com/a"\n[image]\nbase = "me:hunter2@example.com/b"\n'
    told = problems(read, text)
    assert len(told) == 2
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    "login",
    [
        'username = "env:U", password = "hunter2"',
        'username = "hunter2", password = "env:P"',
        'username = "env:U", password = "env:hunter2 x"',
        'username = "env:U", password = "$hunter2"',
        'identity-token = "hunter2"',
        'username = "env:U", password = ["hunter2"]',
        'username = "env:U", password = { value = "hunter2" }',
    ],
)
def test_a_secret_in_place_of_a_variables_name_is_not_repeated(read: Read, login: str) -> None:
    told = problems(read, TARGET + f'[registries.a]\nurl = "example.com/a"\ncredentials = {{ {login} }}\n')
    assert all(problem.startswith("goctl.toml:5: registries.a.credentials") for problem in told)
    assert "hunter2" not in "".join(told)
    assert "env:NAME" in told[0] or "expected text" in told[0]


@pytest.mark.parametrize("text", ['"hunter2"', "[5]", "true"])
def test_a_login_that_is_no_table_is_not_repeated(read: Read, text: str) -> None:
    told = problems(read, TARGET + f'[registries.a]\nurl = "example.com/a"\ncredentials = {text}\n')
    assert told == ["goctl.toml:5: registries.a.credentials: what stands there will not do; expected a table"]


def test_half_a_login_is_none(read: Read) -> None:
    for login, expected in (
        ('username = "env:U"', "needs a password or an identity-token"),
        ('password = "env:P"', "has a password and no username"),
        ('username = "env:U", password = "env:P", identity-token = "env:T"', "and not both"),
        ("", "needs a password"),
    ):
        told = problems(read, TARGET + f'[registries.a]\nurl = "example.com/a"\ncredentials = {{ {login} }}\n')
        assert expected in "".join(told)


def test_names_of_variables_are_shown(read: Read) -> None:
    loaded = read(TARGET + '[registries.a]\nurl = "h.example/a"\ncredentials = { username = "env:U", password = "env:P" }\n')
    shown = {row.path: row.value for row in settings(loaded)}
    assert shown["registries.a.credentials.password"] == "env:P"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('client-key = "k.pem"', "client-key: is the key of no certificate"),
        ('client-certificate = "../k.pem"', "client-certificate: '../k.pem' leaves the project"),
        ('client-certificate = "k.pem"\nplain-http = true', "client-certificate: cannot be shown over plain http"),
        ('mirrors = ["https://m.example.com"]', "mirrors: 'https://m.example.com' is no registry"),
        ('mirrors = ["m.example.com/x", "M.example.com/Y"]', "mirrors: 'M.example.com/Y' is no registry"),
        ('mirrors = ["me:hunter2@m.example.com"]', "mirrors: one of them holds a user name"),
    ],
)
def test_what_a_registrys_table_cannot_say(read: Read, line: str, expected: str) -> None:
    told = problems(read, TARGET + f'[registries.a]\nurl = "example.com/a"\n{line}\n')
    assert len(told) == 1
    assert told[0].startswith(f"goctl.toml:5: registries.a.{expected}")
    assert "hunter2" not in told[0]


def test_a_registry_for_bases_alone_leaves_the_layout_to_push_to(read: Read) -> None:
    only = TARGET + '[registries.hub]\nurl = "docker.io"\npush = false\nmirrors = ["m.example.com/hub"]\n'
    assert set(read(only).config.registries) == {"local", "hub"}
    assert read(only + '[publish]\nto = ["local"]\n').config.publish.to == ("local",)
    assert set(read(only + '[registries.corp]\nurl = "c.example.com"\n').config.registries) == {"hub", "corp"}


def test_the_images_defaults_reach_every_target(read: Read) -> None:
    text = (
        '[image]\nuser = "root"\nports = [1]\n'
        + TARGET
        + '[targets.api.image]\nports = [2]\n[targets.x]\npackages = ["./x"]\n'
    )
    loaded = read(text)
    assert (image(loaded).user, image(loaded).ports, image(loaded).repository) == ("root", (2,), "api")
    assert (image(loaded, "x").user, image(loaded, "x").ports) == ("root", (1,))


@pytest.mark.parametrize(("written", "wanted"), [("image = true\n", True), ("", True), ("image = false\n", False)])
def test_an_image_is_there_unless_refused(read: Read, written: str, wanted: bool) -> None:
    assert isinstance(read(TARGET + written).config.targets["api"].image, Image) is wanted


def test_nearer_layers_win_and_origins_say_so(read: Read) -> None:
    text = (
        TARGET
        + '[project]\nversion = "1"\n[go]\ntoolchain = "auto"\n[image]\nuser = "root"\n[profiles.p]\nproject.version = "2"\n'
    )
    loaded = read(text, profile="p", GOCTL_GO_TOOLCHAIN=">=1.25", GOCTL_PUBLISH_TO="local", GOCTL_PROJECT_NAME="")
    assert (loaded.config.project.version, loaded.config.go.toolchain) == ("2", ">=1.25")
    assert str(loaded.origin("project", "version")) == "profile p (goctl.toml:10)"
    assert str(loaded.origin("go", "toolchain")) == "environment GOCTL_GO_TOOLCHAIN"
    assert str(loaded.origin("targets", "api", "image", "user")) == "file (goctl.toml:8)"
    assert str(loaded.origin("project", "name")) == "default"
    assert loaded.config.publish.to == ("local",)


def test_variables_hold_lists_and_numbers(read: Read) -> None:
    loaded = read(TARGET, GOCTL_PLATFORMS_DEFAULT="linux/arm, linux/amd64", GOCTL_IMAGE_COMPRESSION_LEVEL="9")
    assert loaded.config.platforms.default == ("linux/arm", "linux/amd64")
    assert image(loaded).compression_level == 9
    assert problems(read, TARGET, GOCTL_IMAGE_COMPRESSION_LEVEL="high")[0].startswith("GOCTL_IMAGE_COMPRESSION_LEVEL: ")


def test_platforms_are_known_by_one_spelling(read: Read) -> None:
    loaded = read(TARGET + '[platforms."linux/aarch64"]\nbase = "scratch"\n')
    assert list(loaded.config.platforms.settings) == ["linux/arm64"]
    assert str(loaded.origin("platforms", "linux/arm64", "base")) == "file (goctl.toml:4)"


def test_what_a_file_need_not_say(read: Read, tmp_path: Path) -> None:
    (tmp_path / "cmd" / "api").mkdir(parents=True)
    (tmp_path / "cmd" / "api" / "main.go").write_text("package main\n", encoding="utf-8")
    loaded = read('[release]\ndist = "out"\n[image]\nuser = "root"\n')
    assert loaded.config.targets["api"].packages == ("./cmd/api",)
    assert (image(loaded).user, image(loaded).repository) == ("root", "api")
    assert str(loaded.origin("targets", "api", "packages")) == "discovered"
    assert loaded.config.registries["local"].url == "oci-layout:out/images"
    assert (loaded.root, loaded.file) == (tmp_path, tmp_path / "goctl.toml")


def test_profiles_that_are_not_used_are_checked_too(read: Read) -> None:
    text = TARGET + '[profiles.p.targets.api]\nstmap = "none"\n'
    assert problems(read, text) == [
        "goctl.toml:4: with --profile p: targets.api.stmap: unknown setting (did you mean 'stamp'?)"
    ]


def test_an_unknown_profile_names_the_known_ones(read: Read) -> None:
    told = problems(read, TARGET + "[profiles.production]\n[profiles.test]\n", profile="prodction")
    assert "did you mean 'production'?" in told[0]


def test_one_wrong_default_is_told_once(read: Read) -> None:
    more = "".join(f'[targets.t{n}]\npackages = ["./t{n}"]\n' for n in range(20))
    assert problems(read, '[image]\ncompression = "brotli"\nports = [0]\n' + more) == [
        "goctl.toml:2: image.compression: 'brotli' will not do; expected one of gzip, zstd",
        'goctl.toml:3: image.ports: 0 is no port; expected 1 to 65535, or as text "53/udp"',
    ]


@pytest.mark.parametrize(
    ("stamp", "place", "fine"),
    [
        ("none", 'ldflags = ["-X main.v={version}"]', False),
        ("label", 'ldflags = ["-X main.v={git.short}"]', False),
        ("binary", 'ldflags = ["-X main.v={date}"]', True),
        ("label", 'image.env = { V = "{version}" }', False),
        ("binary", 'image.env = { V = "{version}" }', True),
        ("none", 'image.labels = { v = "{version}" }', False),
        ("label", 'image.annotations = { v = "{version}" }', True),
        ("none", 'image.labels = { v = "{target}{{}}" }', True),
    ],
)
def test_what_the_stamp_allows(read: Read, stamp: str, place: str, fine: bool) -> None:
    text = f'{TARGET}stamp = "{stamp}"\n{place}\n'
    if fine:
        assert read(text).config.targets["api"].stamp == stamp
    else:
        (told,) = problems(read, text)
        assert told.startswith("goctl.toml:4: ")
        assert "expected stamp = " in told


@pytest.mark.parametrize("flags", ["-toolexec=x", "-mod=mod '-toolexec=a b'", '"--overlay=x"', "-modfile=/x"])
def test_goflags_cannot_hide_a_refused_flag(read: Read, flags: str) -> None:
    (told,) = problems(
        read, f"{TARGET}env = {{ GOFLAGS = {flags!r} }}\n" if '"' in flags else f'{TARGET}env = {{ GOFLAGS = "{flags}" }}\n'
    )
    assert "is refused" in told


@pytest.mark.parametrize(
    ("packages", "clash"),
    [
        ('"./cmd/api", "./tools/api"', True),
        ('"./cmd/api", "./cmd/API/"', True),
        ('"example.com/a/v2", "example.com/b/v2"', False),
        ('"example.com/a/v2", "./cmd/a"', True),
        ('"./a/...", "./b/..."', False),
    ],
)
def test_programs_of_one_name(read: Read, packages: str, clash: bool) -> None:
    text = f"[targets.x]\npackages = [{packages}]\n"
    if clash:
        assert "would both be called" in problems(read, text)[0]
    else:
        assert isinstance(read(text).config.targets["x"], Target)


@pytest.mark.parametrize(
    "setting",
    [
        '[targets.api.image.assets]\n"../x" = "/x"',
        '[targets.api.image.assets]\n"/etc" = "/x"',
        '[targets.api.image.assets]\n"C:x" = "/x"',
        '[targets.api.image.assets]\n"a\\\\..\\\\..\\\\x" = "/x"',
        '[targets.api.image.assets]\nx = "../x"',
        '[release]\ndist = "a/../../x"',
        '[release]\ndist = "."',
        '[go]\ndirectory = "/"',
        '[registries.x]\nurl = "oci-layout:../x"',
        '[registries.x]\nurl = "oci-layout:"',
    ],
)
def test_paths_stay_in_the_project(read: Read, setting: str) -> None:
    assert len(problems(read, f"{TARGET}{setting}\n")) == 1


def test_byte_order_mark_and_windows_line_ends(read: Read) -> None:
    assert "api" in read(b"\xef\xbb\xbf" + TARGET.replace("\n", "\r\n").encode()).config.targets


def test_a_missing_file_shows_a_useful_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "goctl.toml", environment={})
    assert "[targets.api]" in caught.value.problems[0].hint


def test_secrets_are_not_shown(read: Read) -> None:
    text = (
        TARGET
        + '[go]\nproxy = ["https://me:hunter2@proxy.example.com"]\nenv = { API_TOKEN = "hunter2" }\n'
        + '[registries.s3]\nurl = "s3:bucket"\noptions = { secret-key = "hunter2", region = "north" }\n'
    )
    shown = " ".join(" ".join(row) for row in settings(read(text)))
    assert "hunter2" not in shown
    assert "north" in shown
