from __future__ import annotations

import pytest
from tests import images

from goctl.errors import ConfigError, ImageError
from goctl.registry.client import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from goctl.registry.joining import join, publish
from goctl.testing import Registry


def platforms(document):
    return ["/".join(entry["platform"][name] for name in ("os", "architecture")) for entry in document["manifests"]]


def send(host, joined, target, tag="all"):
    came = []
    sent = publish(host, joined, target, tag, lambda part, count: came.append((part.platform, count)))
    return sent, came


def test_images_of_one_repository_are_joined_without_moving_anything(host, registry):
    place = images.place(host, registry)
    amd64, arm = images.image(place, "amd64"), images.image(place, "arm", "linux/arm/v7")
    joined = join([(place, "amd64"), (place, "arm")], replace=False)
    registry.forget_requests()
    sent, came = send(host, joined, place)
    assert (sent, came) == (len(joined.content), [])
    assert [request.method for request in registry.requests] == ["PUT"]
    found = images.named(place, "all")
    assert found["mediaType"] == OCI_INDEX
    assert [entry["digest"] for entry in found["manifests"]] == [amd64, arm]
    assert found["manifests"][1]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert registry.tags("shop/api")["all"] == joined.digest


def test_what_a_config_says_of_windows_is_kept(host, registry):
    place = images.place(host, registry)
    for version in ("10.0.1", "10.0.2"):
        images.image(place, version, "windows/amd64", **{"os.version": version, "os.features": ["win32k"]})
    joined = join([(place, "10.0.1"), (place, "10.0.2")], replace=False)
    send(host, joined, place)
    entries = images.named(place, "all")["manifests"]
    assert [entry["platform"]["os.version"] for entry in entries] == ["10.0.1", "10.0.2"]
    assert entries[0]["platform"]["os.features"] == ["win32k"]


def test_children_come_from_another_repository_by_mounting(host, registry):
    source, target = images.place(host, registry, "ci/api"), images.place(host, registry, "shop/api")
    images.image(source, "amd64", layers=(b"x" * 1000, b"y" * 1000))
    joined = join([(source, "amd64")], replace=False)
    registry.forget_requests()
    sent, came = send(host, joined, target)
    mounts = [request for request in registry.requests if "mount=" in request.query]
    assert [request.status for request in mounts] == [201, 201, 201]
    assert sent < 2000
    assert came == [("linux/amd64", joined.parts[0].entry.size)]
    puts = [request.path.rpartition("/")[2] for request in registry.requests if "/manifests/" in request.path]
    assert puts[-2:] == [joined.parts[0].entry.digest, "all"]


def test_children_come_from_another_registry_verified(host, registry):
    with Registry() as other:
        source, target = images.place(host, other, "ci/api"), images.place(host, registry)
        images.image(source, "amd64", layers=(b"x" * 100_000,))
        joined = join([(source, "amd64")], replace=False)
        sent, _ = send(host, joined, target)
        assert sent > 100_000
        assert images.named(target, "all")["manifests"][0]["digest"] == other.tags("ci/api")["amd64"]


def test_a_damaged_child_is_not_passed_on(host, registry):
    with Registry() as other:
        source, target = images.place(host, other, "ci/api"), images.place(host, registry)
        images.image(source, "amd64", layers=(b"x" * 1000,))
        joined = join([(source, "amd64")], replace=False)
        other.fault(method="GET", path="*/blobs/*", content=b"y" * 1000, times=99)
        with pytest.raises(Exception, match="is not what the manifest says"):
            send(host, joined, target)
        assert registry.tags("shop/api") == {}


def test_a_registry_that_does_not_mount_is_sent_to(host, registry):
    source, target = images.place(host, registry, "ci/api"), images.place(host, registry)
    images.image(source, "amd64", layers=(b"x" * 1000,))
    registry.fault(method="POST", path="*/blobs/uploads/", status=403, times=2)
    sent, _ = send(host, join([(source, "amd64")], replace=False), target)
    assert sent > 1000


def test_indexes_are_taken_apart_and_their_entries_kept_byte_for_byte(host, registry):
    place = images.place(host, registry)
    amd64, arm = images.image(place), images.image(place, platform="linux/arm64")
    about = images.attestation(place, amd64)
    inner = images.index(
        place, [images.entry(place, amd64, platform={"os": "linux", "architecture": "amd64", "os.features": ["a"]})]
    )
    images.index(place, [images.entry(place, inner), about], "first")
    images.index(place, [images.entry(place, arm)], "second")  # an entry without a platform: its config has it
    joined = join([(place, "first"), (place, "second")], replace=False)
    send(host, joined, place)
    found = images.named(place, "all")["manifests"]
    assert [entry["digest"] for entry in found] == [amd64, arm, about["digest"]]
    assert found[0]["platform"]["os.features"] == ["a"]
    assert found[2] == about


def test_two_images_for_one_platform_are_refused_or_replaced_with_what_attests_them(host, registry):
    place = images.place(host, registry)
    one, two = images.image(place, layers=(b"one",)), images.image(place, "two", layers=(b"two",))
    images.index(
        place,
        [images.entry(place, one, platform={"os": "linux", "architecture": "amd64"}), images.attestation(place, one)],
        "one",
    )
    with pytest.raises(ConfigError, match=r"shop/api:one and .*shop/api:two both have an image for linux/amd64"):
        join([(place, "one"), (place, "two")], replace=False)
    joined = join([(place, "one"), (place, "two")], replace=True)
    assert [part.entry.digest for part in joined.parts] == [two]


def test_the_same_image_twice_is_one(host, registry):
    place = images.place(host, registry)
    images.image(place, "a")
    images.image(place, "b")
    assert len(join([(place, "a"), (place, "b")], replace=False).parts) == 1


def test_arm64_with_and_without_v8_is_one_platform(host, registry):
    place = images.place(host, registry)
    images.image(place, "a", "linux/arm64", (b"a",))
    images.image(place, "b", "linux/arm64/v8", (b"b",))
    with pytest.raises(ConfigError, match="linux/arm64"):
        join([(place, "a"), (place, "b")], replace=False)


def test_dockers_own_images_make_dockers_own_list(host, registry):
    place = images.place(host, registry)
    images.image(place, "a", kind=DOCKER_MANIFEST)
    images.image(place, "b", "linux/arm64", kind=DOCKER_MANIFEST)
    images.image(place, "c", "linux/386")
    assert join([(place, "a"), (place, "b")], replace=False).media_type == DOCKER_LIST
    assert join([(place, "a"), (place, "c")], replace=False).media_type == OCI_INDEX


def test_what_is_no_image_is_named(host, registry):
    place = images.place(host, registry)
    config = images.blob(place, b"{}", "application/vnd.cncf.helm.config.v1+json")
    images.manifest(place, {"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []}, "c")
    with pytest.raises(ImageError, match=r"shop/api:c is no image but application/vnd.cncf.helm"):
        join([(place, "c")], replace=False)


def test_nesting_has_an_end(host, registry):
    place = images.place(host, registry)
    digest = images.index(place, [images.entry(place, images.image(place))])
    for _ in range(6):
        digest = images.index(place, [images.entry(place, digest)])
    with pytest.raises(ImageError, match="nested too deeply"):
        join([(place, digest)], replace=False)
