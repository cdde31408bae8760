"""Archive files: what they hold, that their bytes depend on it alone, and that they are there whole or as they were."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from goctl.config.model import Registry
from goctl.errors import ConfigError, GoctlError, StorageError
from goctl.oci import bundle
from goctl.oci.archivefiles import ArchiveDestination, ArchiveOptions, DockerArchiveDestination
from goctl.testing import Host, make_index
from goctl.values import Digest, Platform


def archive(host, kind=ArchiveDestination, address="out/images.tar", platform=""):
    return kind("file", Registry(url=f"oci-archive:{address}"), address, ArchiveOptions(platform), host)


def release(there, images, tags=("1.0", "latest")):
    """As a run does: all are asked for, all are sent, all are named."""
    wanting = [(name, index, missing) for name, index in images.items() if (missing := there.missing(name, index, tags))]
    for name, index, _ in wanting:
        for content in (*index.images, index):
            there.upload(name, content, lambda done, total: None)
    for name, index, missing in wanting:
        there.tag(name, index, missing)
    return [name for name, _, _ in wanting]


def members(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def index_json(path):
    return json.loads(members(path)["index.json"])["manifests"]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "project")


def test_an_archive_holds_what_its_names_lead_to(host):
    index = make_index(host, layers=(b"one", b"two" * 50_000))
    release(archive(host), {"shop/api": index})
    found = members(host.root / "out/images.tar")
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert {entry["digest"] for entry in json.loads(found["index.json"])["manifests"]} == {index.digest}
    assert len(json.loads(found["index.json"])["manifests"]) == 2
    blobs = {name: content for name, content in found.items() if name.startswith("blobs/")}
    assert len(blobs) == 7
    assert all(Digest.of(content).hex == name.rpartition("/")[2] for name, content in blobs.items())


def test_the_same_images_make_the_same_bytes(host, tmp_path):
    images = {f"shop/{name}": make_index(host, layers=(name.encode(),)) for name in ("api", "web")}
    release(archive(host), images)
    first = (host.root / "out/images.tar").read_bytes()
    other = Host(tmp_path / "other")
    again = {f"shop/{name}": make_index(other, layers=(name.encode(),)) for name in ("web", "api")}
    release(archive(other, address="b.tar"), again)
    assert (other.root / "b.tar").read_bytes() == first


def test_with_nothing_new_nothing_is_written(host):
    images = {"shop/api": make_index(host)}
    release(archive(host), images)
    path = host.root / "out/images.tar"
    before = path.stat().st_mtime_ns
    assert release(archive(host), images) == []
    assert path.stat().st_mtime_ns == before


def test_what_is_not_new_comes_from_the_file_as_it_was(host):
    images = {f"shop/{name}": make_index(host, layers=(name.encode() * 1000,)) for name in ("api", "web")}
    release(archive(host), images)
    gone = images["shop/api"].images[0].layers[0]
    host.blobs.path(gone.digest).unlink()
    images["shop/web"] = make_index(host, layers=(b"new",))
    assert release(archive(host), images) == ["shop/web"]
    found = members(host.root / "out/images.tar")
    assert found[bundle.path_of(gone)] == b"api" * 1000
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index_json(host.root / "out/images.tar")]
    assert names == ["shop/api:1.0", "shop/api:latest", "shop/web:1.0", "shop/web:latest"]
    assert not any(Digest.of(b"web" * 1000).hex in name for name in found)


def test_until_everything_is_named_the_file_is_as_it_was(host):
    images = {f"shop/{name}": make_index(host, layers=(name.encode(),)) for name in ("api", "web")}
    there = archive(host)
    for name, index in images.items():
        there.missing(name, index, ("1",))
    for name, index in images.items():
        there.upload(name, index, lambda done, total: None)
    there.tag("shop/api", images["shop/api"], ("1",))
    assert not (host.root / "out/images.tar").exists()
    there.tag("shop/web", images["shop/web"], ("1",))
    assert len(index_json(host.root / "out/images.tar")) == 2
    assert [path.name for path in (host.root / "out").iterdir()] == ["images.tar"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"x" * 10240, bytes(10240)])
def test_a_file_that_is_none_of_ours_is_replaced(host, content):
    path = host.root / "out/images.tar"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    release(archive(host), {"shop/api": make_index(host)})
    assert len(index_json(path)) == 2


def test_a_cut_archive_is_missed(host):
    images = {"shop/api": make_index(host, layers=(b"z" * 5000,))}
    release(archive(host), images)
    path = host.root / "out/images.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert release(archive(host), images) == ["shop/api"]
    assert path.read_bytes() == whole


def test_a_damaged_blob_makes_no_archive(host):
    index = make_index(host, layers=(b"z" * 5000,))
    path = host.blobs.path(index.images[0].layers[0].digest)
    path.chmod(0o644)
    path.write_bytes(b"y" * 5000)
    with pytest.raises(StorageError, match="damaged"):
        release(archive(host), {"shop/api": index})
    assert not (host.root / "out/images.tar").exists()


def test_dockers_format_takes_one_platform(host):
    index = make_index(host)
    release(archive(host, DockerArchiveDestination, platform="linux/arm64"), {"shop/api": index})
    found = members(host.root / "out/images.tar")
    (entry,) = json.loads(found["manifest.json"])
    arm = index.images[1]
    assert entry == {
        "Config": bundle.path_of(arm.config),
        "RepoTags": ["shop/api:1.0", "shop/api:latest"],
        "Layers": [bundle.path_of(layer) for layer in arm.layers],
    }
    assert bundle.path_of(index.images[0].config) not in found
    assert release(archive(host, DockerArchiveDestination, platform="linux/arm64"), {"shop/api": index}) == []
    with pytest.raises(GoctlError, match="linux/s390x"):
        release(archive(host, DockerArchiveDestination, platform="linux/s390x"), {"shop/api": index})


def test_without_a_word_docker_gets_this_machines_image_or_the_first(host, monkeypatch):
    index = make_index(host)
    monkeypatch.setattr(bundle, "this_machine", lambda: Platform.parse("linux/arm64"))
    assert bundle.choose(index, None) == index.images[1]
    monkeypatch.setattr(bundle, "this_machine", lambda: Platform.parse("linux/riscv64"))
    assert bundle.choose(index, None) == index.images[0]


@pytest.mark.parametrize("address", ["../out.tar", "/etc/out.tar", "", "."])
def test_an_archive_stays_in_the_project(host, address):
    host.root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError):
        archive(host, address=address)


def test_skopeo_reads_both(host, skopeo, tmp_path: Path):
    import subprocess

    index = make_index(host)
    release(archive(host), {"shop/api": index})
    release(archive(host, DockerArchiveDestination, "docker.tar", "linux/amd64"), {"shop/api": index})
    for name in (f"oci-archive:{host.root}/out/images.tar:shop/api:1.0", f"docker-archive:{host.root}/docker.tar"):
        done = subprocess.run([skopeo, "inspect", "--raw", name], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert json.loads(
        subprocess.check_output([skopeo, "inspect", "--raw", f"oci-archive:{host.root}/out/images.tar:shop/api:1.0"])
    ) == json.loads(host.blobs.read(index.digest))
