"""Modules with the real go: download, verify, vendor, setup, private ones, workspaces; all from a GOPROXY of files."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from goctl.errors import ModuleError, UntidyError
from goctl.events import Notice, Output, StepFinished, StepProgress
from goctl.golang import modules
from goctl.plan.facts import ListingKey
from goctl.values import Platform
from tests.go.conftest import GoHost, write
from tests.go.proxy import publish, use

pytestmark = pytest.mark.usefixtures("go")
MAIN = 'package main\n\nimport "example.com/Dep/hello"\n\nfunc main() { println(hello.Text) }\n'
HELLO = 'package hello\n\nconst Text = "hello"\n'
GO_MOD = "module example.com/shop\n\ngo 1.21\n\nrequire example.com/Dep v1.0.0\n"


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "proxy"
    # In a proxy, as in the cache, capitals are escaped.
    publish_dep(folder, "v1.0.0", "v1.1.0")
    use(monkeypatch, folder, tmp_path / "cache")
    return folder


def publish_dep(proxy: Path, *versions: str) -> None:
    made = proxy / "made"
    publish(made, "example.com/Dep", {version: {"hello/hello.go": HELLO} for version in versions})
    (proxy / "example.com").mkdir(exist_ok=True)
    shutil.rmtree(proxy / "example.com" / "!dep", ignore_errors=True)
    shutil.move(made / "example.com" / "Dep", proxy / "example.com" / "!dep")


@pytest.fixture
def shop(tmp_path: Path, proxy: Path) -> GoHost:
    host = GoHost(tmp_path / "shop")
    write(host.root, {"go.mod": GO_MOD, "main.go": MAIN})
    return host


def tidied(host: GoHost) -> GoHost:
    from goctl.golang.tidying import tidy

    tidy(host, check=False, dry=False)
    host.events.clear()
    return host


def finished(host: GoHost) -> StepFinished:
    return [event for event in host.events if isinstance(event, StepFinished)][-1]


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")


def test_download_tells_each_module_as_it_comes_and_how_many_are_missing(shop: GoHost, tmp_path: Path) -> None:
    tidied(shop)
    shutil.rmtree(tmp_path / "cache")
    modules.download(shop, dry=False)
    assert Output("go", "downloaded example.com/Dep v1.0.0") in shop.events
    assert [(e.done, e.total) for e in shop.events if isinstance(e, StepProgress)] == [(0, 1), (1, 1)]
    assert finished(shop).detail == "1 downloaded"
    shop.events.clear()
    modules.download(shop, dry=False)
    assert finished(shop).detail == "all there"
    assert not any(isinstance(event, StepProgress) for event in shop.events)


def test_no_network_is_needed_when_all_is_there(shop: GoHost, monkeypatch: pytest.MonkeyPatch) -> None:
    modules.download(tidied(shop), dry=False)
    offline(monkeypatch)
    modules.setup(shop)
    modules.verify(shop, dry=False)
    assert "all modules verified" in finished(shop).detail
    assert listed(shop) == ["example.com/shop"]


def test_setup_asks_go_once_and_again_after_go_mod_changed(shop: GoHost, monkeypatch: pytest.MonkeyPatch) -> None:
    modules.setup(tidied(shop))
    asked: list[int] = []
    monkeypatch.setattr(modules, "download", lambda host, dry: asked.append(1))
    modules.setup(shop)
    assert asked == []
    write(shop.root, {"go.mod": GO_MOD + "\n// moved\n"})
    modules.setup(shop)
    assert asked == [1]


def test_a_module_that_nothing_imports_need_not_be_there(shop: GoHost, proxy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tidied(shop)
    write(shop.root, {"go.mod": GO_MOD + "\nrequire example.com/unused v1.0.0\n"})
    publish(proxy, "example.com/unused", {"v1.0.0": {}})
    with (shop.root / "go.sum").open("a") as file:
        file.write(f"example.com/unused v1.0.0/go.mod h1:{mod_hash('module example.com/unused', 'go 1.21')}\n")
    assert listed(shop) == ["example.com/shop"]
    offline(monkeypatch)
    modules.setup(shop)
    told = [event.message for event in shop.events if isinstance(event, Notice)]
    assert len(told) == 1
    assert "all that is compiled is there" in told[0]
    (shop.root / "main.go").write_text(MAIN.replace("Dep/hello", "unused"), encoding="utf-8")
    with pytest.raises(ModuleError, match="GOPROXY=off"):
        modules.setup(shop)


def mod_hash(*lines: str) -> str:
    """What go.sum says of a go.mod (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    import base64
    import hashlib

    content = lines[0] + "\n\n" + lines[1] + "\n"
    inner = hashlib.sha256(content.encode()).hexdigest()
    return base64.b64encode(hashlib.sha256(f"{inner}  go.mod\n".encode()).digest()).decode()


def listed(host: GoHost) -> list[str]:
    """Main packages by goctl's own listing."""
    from goctl.golang.snapshot import packages

    key = ListingKey(Platform.parse("linux/amd64"), (), ())
    return [
        main.import_path
        for listing in packages(host, {key: (".",)}).values()
        for found in listing.mains.values()
        for main in found
    ]


def test_a_missing_go_sum_entry_says_what_to_do(shop: GoHost) -> None:
    modules.download(shop, dry=False)
    (shop.root / "go.sum").unlink(missing_ok=True)
    with pytest.raises(ModuleError, match=r"missing go\.sum entry") as caught:
        listed(shop)
    assert "mod.tidy" in caught.value.hint


def test_a_changed_module_is_told(shop: GoHost, tmp_path: Path) -> None:
    modules.download(tidied(shop), dry=False)
    changed = tmp_path / "cache" / "example.com" / "!dep@v1.0.0" / "hello" / "hello.go"
    changed.chmod(0o644)
    changed.write_text(HELLO + "// changed\n", encoding="utf-8")
    with pytest.raises(ModuleError, match="dir has been modified") as caught:
        modules.verify(shop, dry=False)
    assert "go clean -modcache" in caught.value.hint


def test_a_published_version_that_changed_is_told(shop: GoHost, proxy: Path, tmp_path: Path) -> None:
    tidied(shop)
    shutil.rmtree(tmp_path / "cache")
    publish(proxy / "made", "example.com/Dep", {"v1.0.0": {"hello/hello.go": HELLO + "// other\n"}})
    shutil.copy(proxy / "made/example.com/Dep/@v/v1.0.0.zip", proxy / "example.com/!dep/@v/v1.0.0.zip")
    with pytest.raises(ModuleError, match="checksum mismatch") as caught:
        modules.download(shop, dry=False)
    assert "compare go.sum" in caught.value.hint


def test_vendored_modules_need_neither_cache_nor_network(
    shop: GoHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules.vendor(tidied(shop), check=False, dry=False)
    modules.vendor(shop, check=True, dry=False)
    shutil.rmtree(tmp_path / "cache")
    offline(monkeypatch)
    modules.setup(shop)
    assert listed(shop) == ["example.com/shop"]
    assert not any(isinstance(event, Notice) for event in shop.events)


def test_vendor_check_names_what_differs_and_changes_nothing(shop: GoHost) -> None:
    modules.vendor(tidied(shop), check=False, dry=False)
    vendored = shop.root / "vendor" / "example.com" / "Dep" / "hello"
    (vendored / "hello.go").write_text(HELLO + "// patched\n", encoding="utf-8")
    (vendored / "more.go").write_text("package hello\n", encoding="utf-8")
    with pytest.raises(UntidyError) as caught:
        modules.vendor(shop, check=True, dry=False)
    told = {event.line for event in shop.events if isinstance(event, Output)}
    assert told == {"different: vendor/example.com/Dep/hello/hello.go", "not needed: vendor/example.com/Dep/hello/more.go"}
    assert (vendored / "more.go").exists()
    assert caught.value.exit_code not in (1, 2, ModuleError.exit_code)
    shutil.rmtree(shop.root / "vendor")
    with pytest.raises(UntidyError):
        modules.vendor(shop, check=True, dry=False)


def test_inconsistent_vendoring_says_what_to_do(shop: GoHost) -> None:
    modules.vendor(tidied(shop), check=False, dry=False)
    write(shop.root, {"go.mod": GO_MOD.replace("v1.0.0", "v1.1.0")})
    with pytest.raises(ModuleError, match="inconsistent vendoring") as caught:
        listed(shop)
    assert "mod.vendor" in caught.value.hint


def test_a_replaced_module_is_not_downloaded(shop: GoHost, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        shop.root,
        {
            "go.mod": GO_MOD + "\nreplace example.com/Dep => ./own\n",
            "own/go.mod": "module example.com/Dep\n\ngo 1.21\n",
            "own/hello/hello.go": HELLO,
        },
    )
    offline(monkeypatch)
    modules.setup(shop)
    assert finished(shop).detail == "all there"
    assert listed(shop) == ["example.com/shop"]
    shutil.rmtree(shop.root / "own")
    with pytest.raises(ModuleError) as caught:
        listed(shop)
    assert "`replace` line" in caught.value.hint


def workspace(shop: GoHost) -> GoHost:
    """Two modules, one of which imports the other, and a go.work; no go.mod beside it."""
    write(
        shop.root,
        {
            "go.work": "go 1.21\n\nuse (\n\t./api\n\t./lib\n)\n",
            "api/go.mod": "module example.com/api\n\ngo 1.21\n\nrequire example.com/Dep v1.0.0\n",
            "api/main.go": MAIN.replace("import", 'import _ "example.com/lib"\nimport'),
            "lib/go.mod": "module example.com/lib\n\ngo 1.21\n",
            "lib/lib.go": "package lib\n",
        },
    )
    (shop.root / "go.mod").unlink()
    (shop.root / "main.go").unlink()
    return shop


def test_a_workspace_without_a_go_mod_of_its_own(shop: GoHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(shop)
    modules.setup(shop)
    assert finished(shop).detail == "1 downloaded"
    modules.verify(shop, dry=False)
    modules.vendor(shop, check=False, dry=False)
    assert (shop.root / "vendor" / "modules.txt").exists(), "go work vendor"
    modules.vendor(shop, check=True, dry=False)
    shutil.rmtree(tmp_path / "cache")
    offline(monkeypatch)
    write(shop.root, {"go.work": "go 1.21\n\nuse (\n\t./api\n\t./lib\n)\n// touched\n"})
    modules.setup(shop)


def test_checksums_that_go_adds_to_a_workspace_make_no_version_dirty(shop: GoHost) -> None:
    from goctl.release import git as checkout
    from tests.unit.test_git import run as git

    workspace(shop)
    write(shop.root, {"go.work.sum": ""})
    git(shop.root, "init", "--quiet")
    git(shop.root, "add", ".")
    git(shop.root, "commit", "--quiet", "--message", "one")
    modules.setup(shop)
    assert git(shop.root, "status", "--porcelain", "--untracked-files=no") == "M go.work.sum"
    found = checkout.look(shop.root)
    assert found is not None
    assert not found.dirty


def test_a_workspaces_module_alone_is_set_up_in_the_workspace(shop: GoHost) -> None:
    workspace(shop)
    shop.module = shop.root / "api"
    modules.setup(shop)
    assert finished(shop).detail == "1 downloaded"


def test_modules_below_a_root_without_one_are_named(shop: GoHost) -> None:
    workspace(shop)
    (shop.root / "go.work").unlink()
    with pytest.raises(ModuleError, match="there are some in: api, lib") as caught:
        modules.setup(shop)
    assert 'go.directory = "api"' in caught.value.hint
    assert "go work init ./api ./lib" in caught.value.hint


def test_a_package_of_another_module_below_says_what_to_do(shop: GoHost) -> None:
    tidied(shop)
    write(
        shop.root,
        {"tools/go.mod": "module example.com/shop/tools\n\ngo 1.21\n", "tools/main.go": "package main\n\nfunc main() {}\n"},
    )
    from goctl.golang.snapshot import packages

    key = ListingKey(Platform.parse("linux/amd64"), (), ())
    with pytest.raises(ModuleError) as caught:
        packages(shop, {key: ("./tools",)})
    assert "go work use" in caught.value.hint


def test_dry_only_tells(shop: GoHost) -> None:
    before = sorted(shop.root.rglob("*"))
    modules.download(shop, dry=True)
    modules.verify(shop, dry=True)
    modules.vendor(shop, check=False, dry=True)
    assert sorted(shop.root.rglob("*")) == before
    assert [type(event) for event in shop.events] == [Notice] * 3
    assert msgspec.json.encode(shop.events[0])
