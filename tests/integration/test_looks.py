"""Lists and looks against real registries: the one that GOCTL_TEST_REGISTRY names, and go-containerregistry's."""

from __future__ import annotations

import datetime
import json
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from goctl.errors import RegistryError
from goctl.registry import tags
from goctl.registry.attaching import attach_files
from goctl.registry.client import connect
from goctl.registry.joining import join, publish
from goctl.registry.looks import compare, inspect
from goctl.registry.referrers import referrers
from goctl.registry.sources import Repository
from goctl.testing import Host
from tests import images

pytestmark = pytest.mark.integration
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def craned(crane: str) -> Iterator[str]:
    """The address of a registry that crane serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen([crane, "registry", "serve", "--address", address], stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://{address}/v2/", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()


@pytest.fixture(params=["distribution", "crane"])
def address(request: pytest.FixtureRequest) -> str:
    name = "registry_address" if request.param == "distribution" else "craned"
    return str(request.getfixturevalue(name))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "project")


@pytest.fixture
def place(host: Host, address: str) -> Repository:
    return Repository(connect(host, address), f"goctl-test-{secrets.token_hex(4)}/api")


def test_images_joined_from_another_repository_can_be_read_by_others(host: Host, place: Repository, skopeo: str) -> None:
    other = Repository(place.client, place.repository + "-ci")
    amd64 = images.image(other, "amd64", layers=(b"base", secrets.token_bytes(1000)))
    arm = images.image(other, "arm64", "linux/arm64", layers=(b"base", b"arm"))
    entry = images.entry(other, arm, platform={"os": "linux", "architecture": "arm64"})
    images.index(other, [entry, images.attestation(other, arm)], "b")
    joined = join([(other, "amd64"), (other, "b")], replace=False)
    publish(host, joined, place, "all", lambda part, sent: None)
    whole = inspect(place, "all", "all", unpacked=True)
    assert [part.digest for part in whole.parts[:2]] == [amd64, arm]
    assert whole.parts[2].attests == arm
    assert compare(whole, inspect(other, "amd64", "x")).shared == 2
    command = [skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{place.name}:all"]
    assert json.loads(subprocess.run(command, check=True, capture_output=True).stdout) == json.loads(joined.content)


def test_tags_are_listed_and_deleted(host: Host, place: Repository) -> None:
    for name in ("v1.9", "v1.10", "also-v1.9"):
        images.image(place, name, layers=(name.removeprefix("also-").encode(),), created=LONG_AGO)
    kept = images.image(place, "v2", layers=(b"v2",), created="2026-01-01T00:00:00Z")
    assert tags.list_tags(place.client, place.repository) == ["also-v1.9", "v1.9", "v1.10", "v2"]
    rule = tags.Rule(older=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
    verdicts = tags.judge(tags.look(host, place.client, place.repository), rule)
    try:
        ended = [how for _, how in tags.delete(place.client, place.repository, verdicts)]
    except RegistryError as error:
        if "storage.delete.enabled" not in error.hint:
            raise
        return  # it allows no deletion, and that is what was said
    assert ended == ["deleted"] * 3
    assert tags.list_tags(place.client, place.repository) == ["v2"]
    assert place.client.head_manifest(place.repository, "v2") == kept


def test_the_name_of_what_is_kept_is_deleted_alone_or_stays(host: Host, place: Repository) -> None:
    child = images.image(place, "child", layers=(b"child",), created=LONG_AGO)
    other = images.image(place, platform="linux/arm64", layers=(b"other",), created="2026-01-01T00:00:00Z")
    images.index(place, [images.entry(place, other), images.entry(place, child)], "v2")
    rule = tags.Rule(older=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
    verdicts = tags.judge(tags.look(host, place.client, place.repository), rule)
    list(tags.delete(place.client, place.repository, verdicts))
    assert [part.digest for part in inspect(place, "v2", "v2").parts] == [other, child]


def test_what_is_attached_is_listed(host: Host, place: Repository, tmp_path: Path) -> None:
    images.image(place, "1.0")
    made = set()
    for name in ("a", "b"):
        (tmp_path / name).write_text(name, encoding="utf-8")
        subject, digest = attach_files(host, place, "1.0", [tmp_path / name], ("application/spdx+json", ""), {"n": name})
        made.add(digest)
    assert {one.digest for one in referrers(place, subject)} == made
    assert {one.artifact_type for one in referrers(place, subject, "application/spdx+json")} == {"application/spdx+json"}
