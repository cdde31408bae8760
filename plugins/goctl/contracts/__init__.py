"""What an extension implements, and what it is handed.

Engines and destinations come in through the entry-point groups `goctl.engines` and `goctl.destinations`; goctl's own
register in the same way. The value of an entry point is a class:

    class MyEngine:                                 # [project.entry-points."goctl.engines"]  mine = "my_package:MyEngine"
        Options = MyOptions                         # a frozen msgspec.Struct, validated like goctl's own tables
        kinds = frozenset({"compile"})
        def __init__(self, options: MyOptions, host: Host) -> None: ...
        def run(self, steps, inputs): ...

Only those that a goctl.toml names are loaded, and each is checked against its Protocol before it is used.
"""

from __future__ import annotations

from goctl.contracts.artifacts import Archive, Artifact, Binary, Image, Index, Outcome
from goctl.contracts.compiled import PART, ActionLevel, CompileCache, HasCompileCache, Served
from goctl.contracts.extensions import Bases, Destination, Engine, Host, Mounting, Preparing, Progress
from goctl.contracts.storage import (
    BlobStore,
    BlobWriter,
    CacheLevel,
    Carrier,
    Conditional,
    Held,
    Listing,
    Memo,
    Roomy,
    Sealed,
    SealedBytes,
    Sharing,
    Shelf,
)

ENGINES = "goctl.engines"
DESTINATIONS = "goctl.destinations"

__all__ = [
    "DESTINATIONS",
    "ENGINES",
    "PART",
    "ActionLevel",
    "Archive",
    "Artifact",
    "Bases",
    "Binary",
    "BlobStore",
    "BlobWriter",
    "CacheLevel",
    "Carrier",
    "CompileCache",
    "Conditional",
    "Destination",
    "Engine",
    "HasCompileCache",
    "Held",
    "Host",
    "Image",
    "Index",
    "Listing",
    "Memo",
    "Mounting",
    "Outcome",
    "Preparing",
    "Progress",
    "Roomy",
    "Sealed",
    "SealedBytes",
    "Served",
    "Sharing",
    "Shelf",
]
