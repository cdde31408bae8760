"""Pushes an index to a registry as a process of its own, to be killed: `pusher.py FOLDER ADDRESS SEED`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from goctl.config.model import Registry
from goctl.contracts import Index
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.testing import Host, make_index


def index_of(host: Host, seed: int) -> Index:
    chance = random.Random(seed)
    return make_index(host, layers=[chance.randbytes(chance.randrange(1, 300_000)) for _ in range(6)])


def push(host: Host, address: str, seed: int, **settings: object) -> Index:
    """Everything, then the tags, as a release does."""
    index = index_of(host, seed)
    where = f"{address}/shop"
    destination = RegistryDestination("there", Registry(url=where, **settings), where, NoOptions(), host)
    missing = destination.missing("api", index, ("1.0", "latest"))
    if missing:
        destination.upload("api", index, lambda done, total: None)
        destination.tag("api", index, missing)
    return index


if __name__ == "__main__":
    push(Host(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
