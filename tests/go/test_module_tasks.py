"""mod.init, mod.tidy, mod.why and mod.outdated with the real go, and what is said of private modules."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.config.model import Config, Go, Project
from goctl.errors import ModuleError, UntidyError
from goctl.events import Document, Notice, Output, StepFinished, Table
from goctl.golang import moduleinfo, modules, tidying
from goctl.golang.moduleinit import init
from tests.go.conftest import GoHost, write
from tests.go.proxy import publish, use

pytestmark = pytest.mark.usefixtures("go")
MAIN = 'package main\n\nimport _ "example.com/dep/a"\n\nfunc main() {}\n'


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "proxy"
    deeper = "module example.com/dep\n\ngo 1.21\n\nrequire example.com/deep v0.1.0\n"
    code = {"go.mod": deeper, "a/a.go": 'package a\n\nimport _ "example.com/deep"\n'}
    publish(folder, "example.com/dep", {"v1.0.0": code, "v1.2.0": code, "v1.10.0": code})
    publish(folder, "example.com/deep", {"v0.1.0": {"deep.go": "package deep\n"}, "v0.2.0": {"deep.go": "package deep\n"}})
    use(monkeypatch, folder, tmp_path / "cache")
    return folder


@pytest.fixture
def shop(tmp_path: Path, proxy: Path) -> GoHost:
    host = GoHost(tmp_path / "shop")
    write(host.root, {"go.mod": "module example.com/shop\n\ngo 1.21\n\nrequire example.com/dep v1.2.0\n", "main.go": MAIN})
    return host


def tidy(host: GoHost) -> GoHost:
    tidying.tidy(host, check=False, dry=False)
    host.events.clear()
    return host


def diff(host: GoHost) -> str:
    """What the check says would change; empty where nothing would."""
    host.events.clear()
    try:
        tidying.tidy(host, check=True, dry=False)
    except UntidyError:
        return "\n".join(event.line for event in host.events if isinstance(event, Output))
    return ""


def contents(root: Path) -> dict[str, bytes]:
    """The project's files, but for what goctl remembers of it."""
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and ".goctl" not in path.parts}


@pytest.fixture(params=["-diff", "copies"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Go that has `go mod tidy -diff` does it, and as one that has not."""
    if request.param == "copies":
        monkeypatch.setattr(tidying, "_FIRST_WITH_DIFF", "9.9")


@pytest.mark.usefixtures("either_way")
def test_check_prints_the_diff_and_changes_nothing(shop: GoHost) -> None:
    before = contents(shop.root)
    told = diff(shop)
    assert "+require example.com/deep v0.1.0 // indirect" in told
    assert "+example.com/dep v1.2.0 h1:" in told
    assert contents(shop.root) == before
    tidy(shop)
    assert diff(shop) == ""
    write(shop.root, {"main.go": "package main\n\nfunc main() {}\n"})
    assert "-require example.com/dep v1.2.0" in diff(shop)


@pytest.mark.usefixtures("either_way")
def test_what_cannot_be_checked_is_another_error_than_what_is_untidy(shop: GoHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(ModuleError, match="GOPROXY=off") as caught:
        tidying.tidy(shop, check=True, dry=False)
    assert caught.value.exit_code != UntidyError.exit_code
    write(shop.root, {"go.mod": "module example.com/shop\n\ngo 1.21\n\nreplace example.com/dep => ./own\n"})
    write(shop.root, {"own/go.mod": "module example.com/dep\n", "own/a/a.go": "package a\n"})
    assert "+require example.com/dep v0.0.0" in diff(shop), "a relative replacement holds in the copy"


def test_every_module_of_a_workspace_is_tidied_and_others_are_named(shop: GoHost) -> None:
    write(
        shop.root,
        {
            "go.work": "go 1.21\n\nuse (\n\t.\n\t./api\n)\n",
            "api/go.mod": "module example.com/api\n\ngo 1.21\n\nrequire example.com/deep v0.1.0\n",
            "api/api.go": "package api\n",
            "tools/go.mod": "module example.com/tools\n\ngo 1.21\n",
        },
    )
    assert "example.com/deep" in diff(shop)
    with pytest.raises(UntidyError, match=r"\./go\.mod, api/go\.mod"):
        tidying.tidy(shop, check=True, dry=False)
    tidy(shop)
    assert "require" not in (shop.root / "api" / "go.mod").read_text()
    assert diff(shop) == ""
    assert [event.message for event in shop.events if isinstance(event, Notice)] == [
        "left alone, for no go.work in use names them: tools"
    ]


def why(host: GoHost, package: str) -> dict[str, object]:
    moduleinfo.why(host, package, dry=False)
    document = host.events[-1]
    assert isinstance(document, Document)
    assert document.text
    return dict(json.loads(bytes(document.data)))


def test_why_shows_the_chain_for_packages_and_for_modules(shop: GoHost) -> None:
    tidy(shop)
    chain = ["example.com/shop", "example.com/dep/a", "example.com/deep"]
    assert why(shop, "example.com/deep") == {"package": "example.com/deep", "needed": True, "chain": chain}
    assert why(shop, "example.com/dep")["chain"] == chain[:2], "a module without a package in its root"
    assert why(shop, "example.com/none") == {"package": "example.com/none", "needed": False, "chain": []}
    with pytest.raises(ModuleError, match="is no package"):
        moduleinfo.why(shop, "-m", dry=False)


def test_outdated_is_a_table_with_direct_ones_first(shop: GoHost, proxy: Path) -> None:
    tidy(shop)
    moduleinfo.outdated(shop, dry=False)
    table = shop.events[-2]
    assert isinstance(table, Table)
    assert table.columns == moduleinfo.OUTDATED
    assert table.rows == (
        ("example.com/dep", "v1.2.0", "v1.10.0", "yes", ""),
        ("example.com/deep", "v0.1.0", "v0.2.0", "no", ""),
    )
    newest = "module example.com/dep // Deprecated: use example.com/other\n\ngo 1.21\n\nretract v1.2.0 // loses data\n"
    publish(proxy, "example.com/dep", {"v1.11.0": {"go.mod": newest}})
    moduleinfo.outdated(shop, dry=False)
    note = shop.events[-2].rows[0][4]  # type: ignore[attr-defined]
    assert "retracted: loses data" in note
    assert "deprecated: use example.com/other" in note


def test_outdated_works_on_vendored_modules_and_says_when_all_is_new(shop: GoHost) -> None:
    write(
        shop.root,
        {
            "go.mod": "module example.com/shop\n\ngo 1.21\n\n"
            "require (\n\texample.com/deep v0.2.0\n\texample.com/dep v1.10.0\n)\n"
        },
    )
    tidy(shop)
    modules.vendor(shop, check=False, dry=False)
    shop.events.clear()
    moduleinfo.outdated(shop, dry=False)
    assert [event.detail for event in shop.events if isinstance(event, StepFinished)] == ["0 of 2 need a look"]
    assert not any(isinstance(event, Table) for event in shop.events)


@pytest.mark.parametrize("address", ["off", "http://127.0.0.1:9"])
def test_outdated_without_a_network_says_so(shop: GoHost, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    tidy(shop)
    monkeypatch.setenv("GOPROXY", address)
    with pytest.raises(ModuleError, match="without a network") as caught:
        moduleinfo.outdated(shop, dry=False)
    assert "GOPROXY" in caught.value.hint


class Denying(http.server.BaseHTTPRequestHandler):
    """A module proxy that answers every request with one status, and with words of its own."""

    status = 404

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"not for you")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def denying() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_private_module_is_told_in_gos_words_with_what_to_do(
    shop: GoHost, denying: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Denying, "status", status)
    monkeypatch.setenv("GOPROXY", f"http://{denying}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter3\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    write(shop.root, {"go.mod": "module example.com/shop\n\ngo 1.21\n\nrequire git.example.com/me/secret/lib v1.0.0\n"})
    with pytest.raises(ModuleError) as caught:
        modules.setup(shop)
    assert str(status) in str(caught.value)
    assert "git.example.com/me/secret/lib" in str(caught.value)
    assert 'go.private = ["git.example.com/me"]' in caught.value.hint
    assert "machine git.example.com login" in caught.value.hint
    everything = str(caught.value) + caught.value.hint + repr(shop.events)
    assert "hunter" not in everything


def test_a_password_in_a_proxys_address_is_not_shown(shop: GoHost, denying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", f"http://me:hunter2@{denying}")
    write(shop.root, {"go.mod": "module example.com/shop\n\ngo 1.21\n\nrequire git.example.com/me/secret/lib v1.0.0\n"})
    with pytest.raises(ModuleError, match="refusing to pass credentials to insecure URL") as caught:
        modules.setup(shop)
    assert "hunter" not in str(caught.value) + caught.value.hint + repr(shop.events)


def test_a_declared_private_module_is_asked_for_at_its_host(
    shop: GoHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = GoHost(shop.root, config=Config(go=Go(private=("git.invalid/*",))))
    write(shop.root, {"go.mod": "module example.com/shop\n\ngo 1.21\n\nrequire git.invalid/me/lib v1.0.0\n"})
    with pytest.raises(ModuleError) as caught:
        modules.setup(host)
    assert "git.invalid" in str(caught.value)
    assert str(tmp_path / "proxy") not in str(caught.value), "the proxy was not asked"


def test_init_names_the_module_after_the_remote_and_says_which_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for command in (("init", "-q"), ("remote", "add", "origin", "ssh://git@Code.Example.com:2222/me/shop.git")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_bytes(b"*.log\r\n.goctl\r\n# end")
    host = GoHost(tmp_path, config=Config(go=Go(directory="services/api")))
    init(host, dry=True)
    assert not (tmp_path / "services").exists()
    init(host, dry=False)
    lines = (tmp_path / "services/api/go.mod").read_text().split("\n")
    version = host.toolchain().version.removeprefix("go").split(".")
    assert lines[0] == "module code.example.com/me/shop/services/api"
    assert f"go {version[0]}.{version[1].split('rc')[0]}" in lines
    assert (tmp_path / ".gitignore").read_bytes() == b"*.log\r\n.goctl\r\n# end\r\n/dist/\r\n"
    with pytest.raises(ModuleError, match="already"):
        init(host, dry=False)


def test_init_uses_project_module_and_tells_of_a_workspace(tmp_path: Path) -> None:
    host = GoHost(tmp_path, config=Config(project=Project(module="example.com/x"), go=Go(directory="x")))
    write(tmp_path, {"go.work": "go 1.21\n"})
    init(host, dry=False)
    assert (tmp_path / "x/go.mod").read_text().startswith("module example.com/x\n")
    assert [event.hint for event in host.events if isinstance(event, Notice)] == ["`go work use ./x`"]


def test_init_without_a_name_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="path is not known") as caught:
        init(GoHost(tmp_path), dry=False)
    assert "project.module" in caught.value.hint
