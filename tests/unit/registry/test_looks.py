from __future__ import annotations

import gzip
import zlib

import pytest
import zstandard
from tests import images

from goctl.errors import ImageError
from goctl.oci.unpacked import measure
from goctl.registry.looks import compare, inspect
from goctl.values import Digest

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def test_an_index_with_layers_what_made_them_and_attestations(host, registry):
    place = images.place(host, registry)
    history = [
        {"created_by": "FROM base"},
        {"created_by": "/bin/sh -c #(nop)  ENV a=b", "empty_layer": True},
        {"created_by": "COPY api  /"},
    ]
    amd64 = images.image(place, layers=(b"base", b"api"), history=history, created="2026-01-02T03:04:05Z")
    about = images.attestation(place, amd64)
    top = images.index(place, [images.entry(place, amd64, platform={"os": "linux", "architecture": "amd64"}), about], "1.0")
    whole = inspect(place, "1.0", "api:1.0")
    assert whole.digest == top
    assert [part.platform for part in whole.parts] == ["linux/amd64", ""]
    assert whole.parts[1].attests == amd64
    image = whole.images["linux/amd64"]
    assert [(layer.made_by, layer.size, layer.unpacked) for layer in image.layers] == [
        ("FROM base", 4, 0),
        ("COPY api /", 3, 0),
    ]
    assert image.created == "2026-01-02T03:04:05Z"


def test_history_that_does_not_fit_says_nothing(host, registry):
    place = images.place(host, registry)
    images.image(place, "1.0", layers=(b"a", b"b"), history=[{"created_by": "only one"}])
    assert [layer.made_by for layer in inspect(place, "1.0", "x").parts[0].layers] == ["", ""]


def test_sizes_unpacked_are_measured_and_compared_with_the_config(host, registry):
    place = images.place(host, registry)
    tar = b"x" * 3_000_000
    images.image(place, "1.0", layers=(gzip.compress(tar),), diff_ids=[Digest.of(tar)], layer_type=GZIP)
    assert inspect(place, "1.0", "x", unpacked=True).parts[0].layers[0].unpacked == len(tar)
    images.image(place, "2.0", layers=(gzip.compress(tar),), diff_ids=[Digest.of(b"")], layer_type=GZIP)
    with pytest.raises(ImageError, match="unpacks to another"):
        inspect(place, "2.0", "x", unpacked=True)


def test_a_damaged_layer_is_not_measured(host, registry):
    place = images.place(host, registry)
    images.image(place, "1.0", layers=(b"abc", b"def"))
    registry.fault(method="GET", path=f"*/blobs/{Digest.of(b'def')}", content=b"xyz")
    with pytest.raises(ImageError, match=r"the content of .* is not what the manifest says"):
        inspect(place, "1.0", "x", unpacked=True)


@pytest.mark.parametrize("content", [b"{}", b"longer than the config"])
def test_a_damaged_config_is_not_read(host, registry, content):
    place = images.place(host, registry)
    images.image(place, "1.0")
    registry.fault(method="GET", path="*/blobs/*", content=content, times=9)
    with pytest.raises(ImageError, match="is not what the manifest says"):
        inspect(place, "1.0", "x")


def test_what_two_images_share(host, registry):
    place = images.place(host, registry)
    images.image(place, "1", layers=(b"base", b"one!!"))
    images.image(place, "2", layers=(b"base", b"two"))
    found = compare(inspect(place, "1", "1"), inspect(place, "2", "2"))
    assert [(one.platform, one.shared, one.shared_bytes, one.only_first, one.only_second) for one in found.platforms] == [
        ("linux/amd64", (Digest.of(b"base"),), 4, 5, 3)
    ]


def test_an_artifact_shows_its_files(host, registry):
    place = images.place(host, registry)
    config = images.blob(place, b"{}", "application/vnd.oci.empty.v1+json")
    file = images.blob(place, b"sbom", "text/plain")
    layer = {
        "mediaType": "text/plain",
        "digest": file.digest,
        "size": 4,
        "annotations": {"org.opencontainers.image.title": "sbom.txt"},
    }
    images.manifest(
        place,
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/spdx+json",
            "config": config,
            "layers": [layer],
        },
        "a",
    )
    part = inspect(place, "a", "x").parts[0]
    assert (part.platform, part.artifact_type, part.layers[0].made_by) == ("", "application/spdx+json", "sbom.txt")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'{"schemaVersion":1}',
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":[],"layers":[{"mediaType":"a","digest":"sha256:%s","size":1}]}' % (b"0" * 64),
        b'{"schemaVersion":2,"manifests":[{}]}',
        b"[" * 5000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_manifest_is_one_error(host, registry, content):
    place = images.place(host, registry)
    images.image(place, "1.0")
    registry.fault(method="GET", path="*/manifests/*", status=200, content=content)
    with pytest.raises(ImageError):
        inspect(place, "1.0", "x")


def parts(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


TAR = b"".join(bytes([number % 251]) * 1000 for number in range(3000))


@pytest.mark.parametrize("size", [1 << 20, 1000, 7])
@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("tar", TAR),
        ("tar+gzip", gzip.compress(TAR)),
        ("tar.gzip", gzip.compress(TAR[:5]) + gzip.compress(TAR[5:]) + b"\0" * 100),
        ("tar+zstd", zstandard.compress(TAR)),
        ("tar+zstd", zstandard.compress(TAR[:9]) + zstandard.compress(TAR[9:])),
    ],
)
def test_measures_do_not_depend_on_how_the_bytes_come(media_type, content, size):
    found = measure(media_type, parts(content, size))
    assert (found.size, found.diff_id) == (len(TAR), Digest.of(TAR))


def test_a_bomb_is_counted_in_little_memory():
    import tracemalloc

    packer = zlib.compressobj(9, wbits=31)
    content = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    assert measure("tar+gzip", [content]).size == 300 << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(TAR)[:-9], gzip.compress(TAR) + b"rest", b"\x1f\x8b"])
def test_what_is_no_gzip_file_is_an_error(content):
    with pytest.raises(ImageError):
        measure("tar+gzip", [content])


def test_what_is_no_zstd_file_is_an_error():
    with pytest.raises(ImageError):
        measure("tar+zstd", [b"no zstd at all"])
