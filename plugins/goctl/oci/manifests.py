"""Configs, manifests and indexes: the documents of OCI's image-spec, with their fields always in the same order."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from goctl.plan.model import Settings
from goctl.values import Descriptor, Digest, Platform, to_json

CONFIG: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

#: Docker's names of what a layer is, and OCI's: the content is the same (image-spec, media-types.md, compatibility matrix).
_LAYER_TYPES: Final = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}


def oci_layer(descriptor: Descriptor) -> Descriptor:
    """A base's layer as an OCI manifest may name it."""
    return Descriptor(_LAYER_TYPES.get(descriptor.media_type, descriptor.media_type), descriptor.digest, descriptor.size)


def config(
    base: Mapping[str, Any],
    platform: Platform,
    settings: Settings,
    diff_ids: Sequence[Digest],
    history: Sequence[str],
) -> bytes:
    """An image's config: the base's, with what the settings change, and a history entry for each layer added.

    `diff_ids` are those of the layers that are added.
    """
    created = datetime.datetime.fromtimestamp(settings.created, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    old_ids = base.get("rootfs", {}).get("diff_ids", [])
    old_history = [entry for entry in base.get("history") or [] if isinstance(entry, dict)]
    document = {
        "created": created,
        "architecture": platform.architecture,
        **({"variant": _variant(platform)} if _variant(platform) else {}),
        "os": platform.os,
        **({"os.version": platform.os_version} if platform.os_version else {}),
        **({"os.features": base["os.features"]} if platform.os_version and base.get("os.features") else {}),
        "config": _runtime(base.get("config") or {}, settings),
        "rootfs": {"type": "layers", "diff_ids": [*old_ids, *diff_ids]},
        "history": [*old_history, *({"created": created, "created_by": words} for words in history)],
    }
    return to_json(document)


def _runtime(base: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The part of a config that says how to run it. What the base has and nobody changes stays."""
    made = {name: base[name] for name in sorted(base) if base[name] not in (None, "", [], {})}
    env = dict(text.partition("=")[::2] for text in base.get("Env") or [])
    env |= dict(settings.env)
    if env:
        made["Env"] = [f"{name}={value}" for name, value in env.items()]
    if settings.user is not None:
        made["User"] = settings.user
    if settings.working_directory is not None:
        made["WorkingDir"] = settings.working_directory
    if settings.entrypoint:
        made["Entrypoint"] = list(settings.entrypoint)
        # The base's arguments were for the base's program (so Dockerfile's ENTRYPOINT resets CMD).
        made.pop("Cmd", None)
    if settings.command:
        made["Cmd"] = list(settings.command)
    if settings.ports:
        made["ExposedPorts"] = {port: {} for port in sorted({*(base.get("ExposedPorts") or {}), *settings.ports})}
    if settings.labels:
        made["Labels"] = dict(sorted({**(base.get("Labels") or {}), **dict(settings.labels)}.items()))
    return dict(sorted(made.items()))


def manifest(config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": list(layers),
            **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        }
    )


def index(images: Sequence[tuple[Descriptor, Platform]], annotations: Mapping[str, str]) -> bytes:
    """An index over images, in the order given."""
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {
                    "mediaType": descriptor.media_type,
                    "digest": descriptor.digest,
                    "size": descriptor.size,
                    "platform": platform_object(platform),
                }
                for descriptor, platform in images
            ],
            **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        }
    )


def platform_object(platform: Platform) -> dict[str, str]:
    """A platform as an index spells it."""
    made = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        made["os.version"] = platform.os_version
    if _variant(platform):
        made["variant"] = _variant(platform)
    return made


def _variant(platform: Platform) -> str:
    """The variant as it is written down: arm64 is v8 in every index that Docker makes, amd64/v1 goes without one."""
    return "v8" if platform.architecture == "arm64" and not platform.variant else platform.variant
