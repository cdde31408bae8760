"""daemon.json: where it is, what is added to it, and what stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

from goctl.buildkit import daemon
from goctl.buildkit.daemon import Additions, Home, additions, merged, place
from goctl.buildkit.docker_look import Engine
from goctl.config.model import Registry
from goctl.errors import BuilderError
from goctl.release import dockers
from goctl.tasks import namespace

WANTED = Additions(("https://mirror.example.com",), ("localhost:5000",))
ME = Path("/home/me")
LINUX = Home("linux", ME, {})


def after(text: str, wanted: Additions = WANTED) -> Any:
    return json.loads(merged(text.encode(), wanted, "daemon.json"))


@pytest.mark.parametrize("text", ["", "  \n", "{}", '{"registry-mirrors": null, "insecure-registries": []}'])
def test_lists_are_made_where_there_are_none(text: str) -> None:
    assert after(text) == {"registry-mirrors": ["https://mirror.example.com"], "insecure-registries": ["localhost:5000"]}


def test_all_else_stays_as_it_was() -> None:
    before = {"z": 1.5, "registry-mirrors": ["https://first.example.com/"], "a": {"b": [None, "é"]}, "debug": True}
    found = after(json.dumps(before))
    assert list(found) == [*before, "insecure-registries"]
    assert found["registry-mirrors"] == ["https://first.example.com/", "https://mirror.example.com"]
    assert {key: found[key] for key in ("z", "a", "debug")} == {key: before[key] for key in ("z", "a", "debug")}


@pytest.mark.parametrize(
    "text", ['{"registry-mirrors":["https://MIRROR.example.com/"],"insecure-registries":["localhost:5000"]}']
)
def test_what_is_there_is_not_added_again(text: str) -> None:
    assert merged(text.encode(), WANTED, "x") == text.encode()


def test_the_looks_of_the_file_are_kept() -> None:
    text = b'\xef\xbb\xbf{\r\n\t"debug": true\r\n}\r\n'
    found = merged(text, Additions((), ("a:1",)), "x")
    assert found == b'\xef\xbb\xbf{\r\n\t"debug": true,\r\n\t"insecure-registries": [\r\n\t\t"a:1"\r\n\t]\r\n}\r\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "holds no object"),
        (b"null", "holds no object"),
        (b'"x"', "holds no object"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"registry-mirrors": "https://a"}', "a list of texts as registry-mirrors"),
        (b'{"insecure-registries": [1]}', "a list of texts as insecure-registries"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BuilderError, match=words):
        merged(content, WANTED, "daemon.json")


def test_what_the_engine_has_a_place_for() -> None:
    registries = {
        "hub": Registry(url="docker.io/acme", mirrors=("mirror.example.com", "plain.example.com:5000", "m.example.com/hub")),
        "corp": Registry(url="corp.example.com/shop", mirrors=("other.example.com",)),
        "plain": Registry(url="plain.example.com:5000/x", plain_http=True),
        "layout": Registry(url="oci-layout:dist", plain_http=True),
    }
    old = additions(registries, "24.0.9")
    assert old.mirrors == ("https://mirror.example.com", "http://plain.example.com:5000")
    assert old.insecure == ("plain.example.com:5000",)
    assert len(old.left_out) == 2
    new = additions(registries, "25.0.0")
    assert "https://m.example.com/hub" in new.mirrors
    assert len(new.left_out) == 1


DESKTOP, DEBIAN = Engine(operating_system="Docker Desktop"), Engine(operating_system="Debian GNU/Linux 12")
ROOTLESS = Engine(operating_system="Debian GNU/Linux 12", security_options=("name=seccomp", "name=rootless"))


@pytest.mark.parametrize(
    ("engine", "home", "path"),
    [
        (DEBIAN, LINUX, "/etc/docker/daemon.json"),
        (None, LINUX, "/etc/docker/daemon.json"),
        (ROOTLESS, LINUX, "/home/me/.config/docker/daemon.json"),
        (ROOTLESS, Home("linux", ME, {"XDG_CONFIG_HOME": "/x"}), "/x/docker/daemon.json"),
        (DESKTOP, LINUX, "/home/me/.docker/daemon.json"),
        (DESKTOP, Home("darwin", ME, {}), "/home/me/.docker/daemon.json"),
        (None, Home("darwin", ME, {}), "/home/me/.docker/daemon.json"),
        (DESKTOP, Home("linux", ME, {}, True, Path("/mnt/c/Users/me")), "/mnt/c/Users/me/.docker/daemon.json"),
        (DEBIAN, Home("linux", ME, {}, True), "/etc/docker/daemon.json"),
        (DESKTOP, Home("win32", ME, {}), "/home/me/.docker/daemon.json"),
        (Engine(operating_system="Windows Server 2022"), Home("win32", ME, {"ProgramData": "/pd"}),
         "/pd/docker/config/daemon.json"),
    ],
)  # fmt: skip
def test_where_it_is(engine: Engine | None, home: Home, path: str) -> None:
    assert place(engine, home) == Path(path)


@pytest.mark.parametrize(
    ("engine", "home", "words"),
    [
        (Engine(operating_system="OrbStack"), Home("darwin", ME, {}), "OrbStack keeps them"),
        (DESKTOP, Home("linux", ME, {}, True), "a file of Windows"),
        (DEBIAN, Home("darwin", ME, {}), "not known"),
    ],
)
def test_where_it_is_not(engine: Engine, home: Home, words: str) -> None:
    with pytest.raises(BuilderError, match=words):
        place(engine, home)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "goctl.toml").write_text(
        '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n'
        '[registries.local]\nurl = "localhost:5000/x"\nplain-http = true\n'
    )
    monkeypatch.setattr(dockers, "ask_engine", lambda: (DEBIAN, ""))
    monkeypatch.setattr(dockers, "contexts", lambda: ())
    monkeypatch.setattr(daemon, "place", lambda engine, home: tmp_path / "etc" / "daemon.json")
    return tmp_path


def call(project: Path, dry: bool = False, **options: Any) -> None:
    context = Context()
    context.config.load_overrides(
        {"run": {"dry": dry}, "goctl": {"json": False, "profile": "", "jobs": 0, "offline": False}}
    )
    task = namespace(project / "goctl.toml")["docker.mirrors"]
    task.body(context, **{"write": False, "file": "", "profile": "", "json": False, **options})


def test_nothing_is_written_unless_it_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(project)
    assert '+    "localhost:5000"' in capsys.readouterr().out
    call(project, dry=True, write=True)
    assert not (project / "etc").exists()


def test_the_file_as_it_was_is_kept(project: Path) -> None:
    file = project / "etc" / "daemon.json"
    call(project, write=True)
    assert json.loads(file.read_text()) == {"insecure-registries": ["localhost:5000"]}
    assert [path.name for path in file.parent.iterdir()] == ["daemon.json"]
    file.write_text('{"debug": true}')
    call(project, write=True)
    assert json.loads(file.read_text()) == {"debug": True, "insecure-registries": ["localhost:5000"]}
    (backup,) = file.parent.glob("daemon.json.*.bak")
    assert backup.read_text() == '{"debug": true}'
    call(project, write=True)
    assert len(list(file.parent.iterdir())) == 2
