"""Which builders goctl made: a note beside buildx's own store, for builders are a person's and not a project's.

A builder that is not noted is somebody's: it is changed or removed only when a person says so. A note that got lost, or that
is about another builder of the same name, makes it one of these.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from goctl.buildkit.nodes import Builder
from goctl.system.files import Lock, write_atomic
from goctl.values import from_json, to_json

NAME: Final = "goctl-builders.json"

Notes = dict[str, tuple[str, ...]]


def store() -> Path:
    """Where buildx keeps what it knows of builders (buildx, util/confutil, ConfigDir)."""
    named = os.environ.get("BUILDX_CONFIG")
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    return Path(named) if named else Path(docker, "buildx")


def is_made_here(builder: Builder) -> bool:
    """Whether goctl made this builder, and not another of its name."""
    return _read().get(builder.name) == builder.identity


def note(builder: Builder) -> None:
    """Notes a builder as made by goctl. Raises StorageError."""
    _change(builder.name, builder.identity)


def forget(builder: Builder) -> None:
    """Takes the note of a builder away. Raises StorageError."""
    if builder.name in _read():
        _change(builder.name, None)


def _change(name: str, identity: tuple[str, ...] | None) -> None:
    with Lock(store() / f".{NAME}.lock"):
        notes = {key: value for key, value in _read().items() if key != name}
        if identity is not None:
            notes[name] = identity
        write_atomic(store() / NAME, to_json(dict(sorted(notes.items())), indent=2) + b"\n", durable=False)


def _read() -> Notes:
    try:
        return from_json((store() / NAME).read_bytes(), Notes)
    except (OSError, msgspec.DecodeError):
        return {}
