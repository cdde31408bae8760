from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from goctl.values import ByteSize, Descriptor, Digest, Duration, ImageRef, Platform, from_json, from_msgpack, to_json

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_is_what_sha256_says() -> None:
    assert Digest.of(b"") == EMPTY
    assert Digest(EMPTY).short == "e3b0c44298fc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        EMPTY + "\n",
        "sha256:../" + "0" * 61,
    ],
)
def test_no_bad_digest_gets_past_the_parser(text: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        Digest(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("windows/x86_64", "windows/amd64"),
    ],
)
def test_platforms_are_normalised(text: str, normal: str) -> None:
    platform = Platform.parse(text)
    assert str(platform) == normal
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linux", "os/architecture"),
        ("linux/", "os/architecture"),
        ("a/b/c/d", "os/architecture"),
        ("linus/amd64", "did you mean linux/amd64"),
        ("linux/amd46", "did you mean linux/amd64"),
        ("linux/amd64/v7", "it has v1, v2, v3, v4"),
        ("linux/s390x/v2", "it has none"),
    ],
)
def test_a_wrong_platform_says_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("acme/api:1", "docker.io/acme/api:1"),
        ("index.docker.io/acme/api", "docker.io/acme/api:latest"),
        ("localhost/api", "localhost/api:latest"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        (f"ghcr.io/a/b@{EMPTY}", f"ghcr.io/a/b@{EMPTY}"),
        (f"ghcr.io/a/b:1@{EMPTY}", f"ghcr.io/a/b:1@{EMPTY}"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
    ],
)
def test_image_references_have_dockers_defaults(text: str, full: str) -> None:
    assert str(ImageRef.parse(text)) == full


@pytest.mark.parametrize("text", ["", "x/UPPER", "a b", "x:", "x:-bad", "http://x/y", "x@sha256:1", "x/../y", "-x/y.z"])
def test_a_wrong_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ImageRef.parse(text)


def test_sizes_and_durations_read_well() -> None:
    assert [str(ByteSize(n)) for n in (0, 999, 1000, 12_345_678, 120_000_000, 3_400_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "12.3 MB",
        "120 MB",
        "3.4 GB",
    ]
    assert ByteSize.parse("10GiB") == 10 * 2**30
    with pytest.raises(ValueError, match="size"):
        ByteSize.parse("ten")
    assert [str(Duration(s)) for s in (0.214, 12.34, 65)] == ["0.21 s", "12.3 s", "1 m 5 s"]


def test_json_keeps_values_and_refuses_bad_ones() -> None:
    descriptor = Descriptor("text/plain", Digest(EMPTY), 0, annotations={"a": "b"})
    assert from_json(to_json(descriptor), Descriptor) == descriptor
    with pytest.raises(ValueError, match="digest"):
        from_json(b'{"mediaType": "x", "digest": "sha256:1", "size": 0}', Descriptor)


def test_messagepack_is_read_as_json_is() -> None:
    descriptor = Descriptor("text/plain", Digest(EMPTY), 0)
    assert from_msgpack(msgspec.msgpack.encode(msgspec.json.decode(to_json(descriptor))), Descriptor) == descriptor
    with pytest.raises(ValueError, match="digest"):
        from_msgpack(msgspec.msgpack.encode({"mediaType": "x", "digest": "sha256:1", "size": 0}), Descriptor)


def test_json_of_any_form_is_left_as_it_is() -> None:
    assert from_json(b'{"a": "b", "c": [1, null]}', dict[str, object]) == {"a": "b", "c": [1, None]}


_TYPES_OF_THREADS = """
import sys, threading, typing
import msgspec
from goctl.values import from_json, from_msgpack

sys.setswitchinterval(1e-6)
content = {"middle": {"inner": {"x": 1}, "more": [{"x": 2}]}, "others": {"a": {"inner": {"x": 3}}}}
encoded = msgspec.json.encode(content) if sys.argv[1] == "json" else msgspec.msgpack.encode(content)
decoded = from_json if sys.argv[1] == "json" else from_msgpack
for number in range(400):
    inner = msgspec.defstruct("Inner", [("x", int, 0)])
    middle = msgspec.defstruct("Middle", [("inner", inner), ("more", tuple[inner, ...], ())])
    outer = msgspec.defstruct("Outer", [("middle", middle), ("others", dict[str, middle], {})])
    begin = threading.Barrier(6)

    def decode():
        begin.wait()
        decoded(encoded, outer)

    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_threads_that_meet_a_type_at_once_all_read_it(form: str) -> None:
    """Where each learns it by itself the process ends with a fault of memory, within a few of these."""
    done = subprocess.run([sys.executable, "-c", _TYPES_OF_THREADS, form], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
