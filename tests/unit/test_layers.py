"""Layers: others can read them, and no machine changes a byte of them."""

from __future__ import annotations

import gzip
import random
import threading
import time
from pathlib import Path

import pytest
import zstandard

from goctl.errors import Interrupted
from goctl.oci.compress import PIECE, compressors
from goctl.oci.layers import Compression, Layer, known, remembered, write_layer
from goctl.oci.tar import Entry
from goctl.testing import Host
from goctl.values import Digest

#: Three pieces of what compresses well, badly and not at all.
CONTENT = b"goctl " * 200_000 + random.Random(1).randbytes(PIECE) + bytes(300_000)
GOLDEN = {
    ("gzip", 1): "sha256:2ae70ef904ef16daf75074f1628408e98b52ab14c7998f17f06fe08c660b0b51",
    ("gzip", 9): "sha256:59bec72d56ef65e7132e889dd2f3d461117915ca1908c3f14e88dc2d34984bef",
    ("zstd", 3): "sha256:67d7a86c0a7dcb072e97460045574804699b24ead2958c8c6c442ab6e7737f1d",
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def compression(kind: str, level: int) -> Compression:
    return Compression(kind, level, compressors()[kind])


def made(host: Host, kind: str = "gzip", level: int = 1, workers: int = 0) -> Layer:
    return write_layer([Entry(name="bin/program", source=CONTENT)], compression(kind, level), host.blobs, workers=workers)


@pytest.mark.parametrize(("kind", "level"), [("gzip", 1), ("gzip", 6), ("gzip", 12), ("zstd", 1), ("zstd", 19)])
def test_others_unpack_it_to_what_the_diff_id_says(host: Host, kind: str, level: int) -> None:
    layer = made(host, kind, level)
    content = host.blobs.read(layer.descriptor.digest)
    assert len(content) == layer.descriptor.size
    if kind == "gzip":
        unpacked = gzip.decompress(content)
    else:
        unpacked = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    assert Digest.of(unpacked) == layer.diff_id
    assert CONTENT in unpacked
    assert layer.descriptor.media_type.endswith(f"tar+{kind}")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_number_of_workers_changes_no_byte(tmp_path: Path, kind: str) -> None:
    digests = {made(Host(tmp_path / str(workers)), kind, 2, workers).descriptor.digest for workers in range(1, 9)}
    assert len(digests) == 1


@pytest.mark.parametrize(("kind", "level"), GOLDEN)
def test_the_bytes_are_those_of_every_machine(host: Host, kind: str, level: int) -> None:
    if compressors() != {"gzip": "deflate 0.9.0", "zstd": "zstandard 0.25.0"}:
        pytest.skip("the digests are those of other versions of the compressors")
    assert made(host, kind, level).descriptor.digest == GOLDEN[kind, level]


def test_gzip_has_no_time_and_no_name(host: Host) -> None:
    content = host.blobs.read(made(host).descriptor.digest)
    assert content[:10] == bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 255))


def test_a_layer_is_remembered_for_as_long_as_it_is_there(host: Host) -> None:
    calls = []

    def make() -> Layer:
        calls.append(1)
        return made(host)

    def ask(*content: str, level: int = 1) -> Layer:
        return remembered(content, compression("gzip", level), host.blobs, host.memo, make)

    assert known(("a",), compression("gzip", 1), host.blobs, host.memo) is None
    first = ask("a")
    assert ask("a") == first == known(("a",), compression("gzip", 1), host.blobs, host.memo)
    assert len(calls) == 1
    ask("b")
    ask("a", level=2)
    assert len(calls) == 3
    host.blobs.path(first.descriptor.digest).unlink()
    ask("a")
    assert len(calls) == 4


def test_many_threads_make_one_layer_once(host: Host) -> None:
    calls = []

    def make() -> Layer:
        calls.append(1)
        time.sleep(0.05)
        return made(host)

    threads = [
        threading.Thread(target=remembered, args=(("same",), compression("gzip", 1), host.blobs, host.memo, make))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_an_interrupt_keeps_nothing(host: Host) -> None:
    checks = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        write_layer([Entry(name="x", source=CONTENT)], compression("gzip", 1), host.blobs, check)
    assert [path for path in (host.root / "blobs").rglob("*") if path.is_file()] == []


def test_the_memory_it_takes_does_not_grow_with_the_content(host: Host, tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(random.Random(2).randbytes(PIECE))
    tracemalloc.start()
    try:
        write_layer([Entry(name="x", source=path)], compression("gzip", 1), host.blobs, workers=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * PIECE
