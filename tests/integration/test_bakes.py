"""Builds by real builders: pushed by digest, named last, into layouts and folders, with secrets and logins."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from goctl.buildkit import builders as making
from goctl.buildkit.nodes import Builder, needed
from goctl.buildkit.nodes_declared import declared
from goctl.buildkit.nodes_toml import daemon
from goctl.buildkit.run import Job, Results, bake
from goctl.buildkit.run_document import Daemon, Files, Layout, Nowhere, Output, Push
from goctl.config.model import BuildKit, BuildNode, Config, Login, Registry
from goctl.errors import BuilderError, GoctlError
from goctl.events import Output as Said
from goctl.events import StepFinished
from goctl.registry.client import connect
from goctl.release import baking
from goctl.testing import Host
from goctl.values import Digest, ImageRef, Platform
from tests.services.authority import Authority
from tests.services.distribution import PASSWORD, Distribution, htpasswd

pytestmark = [pytest.mark.integration, pytest.mark.slow]
PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7"]


class Shop:
    """Two targets of which nothing is run while they are built, and a registry."""

    def __init__(self, root: Path, registry: str) -> None:
        self.space = f"{registry}/goctl-test-{secrets.token_hex(4)}"
        tables = {"there": Registry(url=self.space, plain_http=True)}
        self.host = Host(root, Config(registries=tables))
        self.root = root
        self.write("one")

    def write(self, content: str) -> None:
        (self.root / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY content /$TARGETARCH\n")
        (self.root / "content").write_text(content)

    def document(self, **more: Mapping[str, Any]) -> dict[str, Any]:
        target = {"context": ".", "platforms": PLATFORMS, "tags": [f"{self.space}/never:1"], "attest": []}
        return {"target": {"api": target, "web": {**target, "platforms": PLATFORMS[:1]}, **more}}

    def outputs(self, *targets: str) -> dict[str, Output]:
        return {target: Push((f"{self.space}/{target}",)) for target in targets}

    def bake(self, builder: Builder, outputs: Mapping[str, Output], **more: Any) -> Results:
        job = {"document": self.document(), "executed": (), "scratch": self.root / "scratch", **more}
        return bake(Job(outputs=outputs, root=self.root, builder=builder, **job), self.host.emit)

    def named(self, target: str, tag: str) -> Digest | None:
        place = ImageRef.parse(f"{self.space}/{target}:{tag}")
        return connect(self.host, place.host).head_manifest(place.repository, tag)

    def manifest(self, target: str, digest: Digest) -> dict[str, Any]:
        place = ImageRef.parse(f"{self.space}/{target}")
        content = connect(self.host, place.host).get_manifest(place.repository, digest)
        assert content is not None
        found: dict[str, Any] = json.loads(content)
        return found

    def platforms(self, target: str, digest: Digest) -> set[str]:
        entries = self.manifest(target, digest)["manifests"]
        platforms = [entry["platform"] for entry in entries if entry["platform"]["os"] != "unknown"]
        return {str(Platform(one["os"], one["architecture"], one.get("variant", ""))) for one in platforms}


@pytest.fixture
def shop(tmp_path: Path, registry_address: str) -> Shop:
    return Shop(tmp_path, registry_address)


@pytest.fixture
def each(builders: list[str]) -> list[Builder]:
    """Every builder that may be used."""
    known = making.builders()
    return [needed(known, name) for name in builders]


def test_images_are_pushed_by_digest_and_named_last(shop: Shop, each: list[Builder]) -> None:
    for number, builder in enumerate(each):
        outputs = shop.outputs("api", "web")
        results = shop.bake(builder, outputs)
        # Everything is there, and has no name: neither that of the document, nor those to come.
        ((api, _),) = results.baked["api"].digests
        assert shop.platforms("api", api) == set(PLATFORMS)
        tag = f"v{number}"
        assert (shop.named("api", tag), shop.named("web", tag), shop.named("never", "1")) == (None, None, None)
        made = baking.name(shop.host, results, outputs, {"api": (tag, "latest"), "web": (tag,)})
        assert made["api"] == api == shop.named("api", tag) == shop.named("api", "latest")
        assert made["web"] == shop.named("web", tag)
        finished = [event for event in shop.host.events if isinstance(event, StepFinished)]
        assert {one.target for one in finished} >= {"api", "web"}
        assert len({one.step for one in finished}) >= 4


def test_two_repositories_get_the_same_image(shop: Shop, each: list[Builder]) -> None:
    outputs: dict[str, Output] = {"web": Push((f"{shop.space}/web", f"{shop.space}/copy"))}
    made = baking.name(shop.host, shop.bake(each[0], outputs), outputs, {"web": ("1",)})
    assert shop.named("web", "1") == shop.named("copy", "1") == made["web"]


def test_one_that_fails_leaves_every_tag_where_it_was(shop: Shop, each: list[Builder]) -> None:
    outputs = shop.outputs("api", "web")
    first = baking.name(shop.host, shop.bake(each[0], outputs), outputs, {"api": ("latest",), "web": ("latest",)})
    shop.write("two")
    broken = {"context": ".", "dockerfile-inline": "FROM scratch\nCOPY gone /\n", "platforms": PLATFORMS}
    outputs = shop.outputs("api", "web", "broken")
    for builder in each:
        with pytest.raises(GoctlError, match="gone"):
            shop.bake(builder, outputs, document=shop.document(broken=broken))
        results = shop.bake(builder, outputs, document=shop.document(broken=broken), keep_going=True)
        assert set(results.baked) == {"api", "web"}
        assert results.baked["api"].digests[0][0] != first["api"]
        with pytest.raises(GoctlError, match="gone"):
            baking.name(shop.host, results, outputs, {"api": ("latest",), "web": ("latest",), "broken": ("latest",)})
        assert {target: shop.named(target, "latest") for target in ("api", "web")} == first
        assert shop.named("broken", "latest") is None


def test_layouts_folders_and_platforms_that_nothing_runs(
    shop: Shop, each: list[Builder], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("else") / "where"
    odd = {"context": ".", "platforms": ["linux/s390x", "windows/amd64"], "attest": []}
    outputs: dict[str, Output] = {"api": Layout(elsewhere / "layout"), "web": Files(elsewhere / "files"), "odd": Nowhere()}
    shop.bake(each[0], outputs, document=shop.document(odd=odd))
    index = json.loads((elsewhere / "layout/index.json").read_text())
    assert len(index["manifests"]) == 1
    assert (elsewhere / "files/amd64").read_text() == "one"
    with pytest.raises(BuilderError, match="linux/s390x"):
        shop.bake(each[0], {"odd": Nowhere()}, document=shop.document(odd=odd), executed=(Platform.parse("linux/s390x"),))


def test_an_engine_takes_one_platform(shop: Shop, each: list[Builder], docker_engine: str) -> None:
    name = f"goctl-test-{secrets.token_hex(4)}:1"
    with pytest.raises(BuilderError, match="one platform"):
        shop.bake(each[0], {"api": Daemon(name)})
    shop.bake(each[0], {"web": Daemon(name)})
    assert subprocess.run([docker_engine, "rmi", name], capture_output=True).returncode == 0


def test_dockers_own_driver_is_refused_beforehand(shop: Shop, docker_engine: str, buildx: str) -> None:
    with pytest.raises(BuilderError, match="push by digest"):
        shop.bake(needed(making.builders(), "default"), shop.outputs("web"))


def test_a_secret_is_mounted_and_kept_out_of_sight(
    shop: Shop, each: list[Builder], registry_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = os.environ.get("GOCTL_TEST_BASE", f"{registry_address}/debian:bookworm-slim")
    (shop.root / "Dockerfile").write_text(
        f"FROM {base}\nRUN --mount=type=secret,id=one --mount=type=secret,id=two "
        "cat /run/secrets/one /run/secrets/two; exit 3\n"
    )
    monkeypatch.setenv("GOCTL_TEST_SECRET", token := secrets.token_hex(16))
    (shop.root / "two").write_text(other := secrets.token_hex(16))
    target = {
        "context": ".",
        "platforms": PLATFORMS[:1],
        "secret": [{"id": "one", "env": "GOCTL_TEST_SECRET"}, {"id": "two", "src": "two"}],
        "args": {"FRESH": secrets.token_hex(4)},
    }
    with pytest.raises(GoctlError, match="exit code: 3") as caught:
        shop.bake(each[0], {"secretive": Nowhere()}, document=shop.document(secretive=target))
    said = [event.line for event in shop.host.events if isinstance(event, Said)]
    assert "***" in "".join(said)
    for secret in (token, other):
        assert secret not in str(caught.value) + "".join(map(str, shop.host.events))


@pytest.fixture
def own(
    buildx: str, docker_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Builder]]:
    """Makes builders that are the test's own, in a store of buildx's that is too, and takes them away."""
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))
    made: list[str] = []

    def make(settings: BuildKit, registries: Mapping[str, Registry]) -> Builder:
        want = declared(settings, daemon(settings, registries, tmp_path))
        made.append(want.name)
        making.create(want)
        return making.bootstrap(want.name)

    yield make
    for name in made:
        subprocess.run([docker_engine, "buildx", "rm", "--force", name], capture_output=True)


def test_what_two_machines_built_is_one_image(shop: Shop, own: Callable[..., Builder], tmp_path: Path) -> None:
    # The same engine by another name: buildx takes it for another machine.
    (tmp_path / "engine.sock").symlink_to("/var/run/docker.sock")
    name = f"goctl-test-{secrets.token_hex(4)}"
    here = BuildNode(platforms=("linux/amd64",))
    there = BuildNode(endpoint=f"unix://{tmp_path}/engine.sock", platforms=("linux/arm64", "linux/arm/v7"))
    nodes = (here, there)
    builder = own(BuildKit(builder=name, options={"network": "host"}, nodes=nodes), shop.host.config.registries)
    with pytest.raises(BuilderError, match="several machines"):
        shop.bake(builder, {"api": Layout(shop.root / "layout")})
    outputs = shop.outputs("api")
    results = shop.bake(builder, outputs)
    assert len(results.baked["api"].digests) == 3
    made = baking.name(shop.host, results, outputs, {"api": ("1",)})
    assert shop.named("api", "1") == made["api"]
    assert shop.platforms("api", made["api"]) == set(PLATFORMS)


def test_logins_that_goctl_toml_names_are_used(
    docker_registry: str, own: Callable[..., Builder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "certificates")
    # A store of logins that cannot be asked: goctl's own go before it.
    before = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(
        json.dumps({"credsStore": "none-such", "cliPluginsExtraDirs": [str(before / "cli-plugins")]})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("CORP_USER", "user")
    monkeypatch.setenv("CORP_PASSWORD", PASSWORD)
    with Distribution(tmp_path / "registry", authority.server(), auth=htpasswd(tmp_path / "auth")) as running:
        (tmp_path / "project").mkdir()
        shop = Shop(tmp_path / "project", running.address)
        login = Login(username="env:CORP_USER", password="env:CORP_PASSWORD")
        tables = {"corp": Registry(url=shop.space, ca=str(authority.file), credentials=login)}
        shop.host.config = Config(registries=tables)
        name = f"goctl-test-{secrets.token_hex(4)}"
        builder = own(BuildKit(builder=name, options={"network": "host"}), tables)
        outputs = shop.outputs("web")
        with pytest.raises(BuilderError, match=r"401|unauthorized|authorization failed|no basic auth|none-such"):
            shop.bake(builder, outputs)
        logins = baking.logins(shop.host)
        assert base64.b64decode(logins[running.address]["auth"]).decode() == f"user:{PASSWORD}"
        results = shop.bake(builder, outputs, logins=logins)
        made = baking.name(shop.host, results, outputs, {"web": ("1",)})
        assert shop.named("web", "1") == made["web"]
