"""The fake registry itself: what its users may rely on."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.request import urlopen

import pytest

from goctl.testing import Registry
from goctl.values import Digest


def ask(url: str, body: bytes | None = None) -> bytes:
    with urlopen(url, body) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 100_000, 1_000_000])
def test_who_has_the_whole_answer_finds_the_request(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    record = Registry.record

    def slowly(registry: Registry, request: Any) -> None:
        time.sleep(0.05)
        record(registry, request)

    monkeypatch.setattr(Registry, "record", slowly)
    content = os.urandom(size)
    with Registry() as registry:
        digest = Digest.of(content)
        blobs = f"http://{registry.address}/v2/shop/blobs/"
        ask(f"{blobs}uploads/?digest={digest}", content)
        assert ask(blobs + digest) == content
        assert [request.method for request in registry.requests] == ["POST", "GET"]
