"""A host to hand to an engine or a destination under test, and small images to give it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goctl.cache.store import Blobs, Records
from goctl.config.model import Config
from goctl.contracts import Image, Index
from goctl.errors import ToolchainError
from goctl.events import Event
from goctl.plan.facts import Base, Toolchain
from goctl.values import Descriptor, Digest, Platform, to_json

_OCI = "application/vnd.oci.image"


class _Bases:
    def fetch(self, base: Base) -> None:
        """There is nothing to fetch."""


class Host:
    """contracts.Host over a folder: real stores, no toolchain, events kept in `events`."""

    def __init__(self, root: Path, config: Config | None = None) -> None:
        self.root = self.module = root
        self.config = config or Config()
        self.dist = self.output = root / "dist"
        self.scratch = root / "scratch"
        self.blobs = Blobs(root / "blobs")
        self.memo = Records(root / "records")
        self.bases = _Bases()
        self.jobs = os.cpu_count() or 2
        self.offline = False
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def toolchain(self) -> Toolchain:
        raise ToolchainError("this host has no Go")

    def check(self) -> None:
        """Nothing interrupts a run with this host."""


def make_base(
    host: Host,
    platform: str = "linux/amd64",
    *,
    os_version: str = "",
    config: Mapping[str, Any] | None = None,
    layers: Sequence[bytes] = (b"base",),
) -> Base:
    """A base image in a host's store, to build on: `config` is how it is run (Env, User...), `os_version` is for Windows."""
    document = {
        **_words(Platform.parse(platform)),
        **({"os.version": os_version} if os_version else {}),
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
        "history": [{"created_by": "base"} for _ in layers],
    }
    stored = _keep(host, f"{_OCI}.config.v1+json", to_json(document))
    blobs = tuple(_keep(host, f"{_OCI}.layer.v1.tar", layer) for layer in layers)
    manifest = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json", "config": stored, "layers": blobs}
    made = _keep(host, f"{_OCI}.manifest.v1+json", to_json(manifest))
    diff_ids = tuple(Digest.of(layer) for layer in layers)
    return Base(f"registry.test/base@{made.digest}", made.digest, stored, blobs, diff_ids)


def make_index(
    host: Host, platforms: Sequence[str] = ("linux/amd64", "linux/arm64"), layers: Sequence[bytes] = (b"layer",)
) -> Index:
    """A valid index over images of some platforms in a host's store; each has the layers, and a config of its own."""
    images = tuple(_image(host, Platform.parse(platform), layers) for platform in platforms)
    entries = [
        {"mediaType": i.manifest.media_type, "digest": i.digest, "size": i.manifest.size, "platform": _words(i.platform)}
        for i in images
    ]
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries}
    return Index(_keep(host, f"{_OCI}.index.v1+json", to_json(index)), images)


def _image(host: Host, platform: Platform, layers: Sequence[bytes]) -> Image:
    config = {
        **_words(platform),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
    }
    stored = _keep(host, f"{_OCI}.config.v1+json", to_json(config))
    blobs = tuple(_keep(host, f"{_OCI}.layer.v1.tar", layer) for layer in layers)
    manifest = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json", "config": stored, "layers": blobs}
    return Image(platform, _keep(host, f"{_OCI}.manifest.v1+json", to_json(manifest)), stored, blobs)


def _words(platform: Platform) -> dict[str, str]:
    words = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {name: word for name, word in words.items() if word}


def _keep(host: Host, media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type, host.blobs.add(content), len(content))
