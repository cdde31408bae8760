"""What go compiles, shared between machines: settings of `[cache]`."""

from __future__ import annotations

import os
import re
from typing import Annotated

from goctl.config.convert import Problems
from goctl.config.fields import Table, Text, doc


class Cache(Table, frozen=True):
    """What machines share."""

    go_actions: Annotated[
        bool,
        doc("Share what the go command compiles: packages that one machine has compiled, another one fetches."),
    ] = True
    shared: Annotated[
        Text,
        doc(
            "`file:FOLDER`: the folder that machines share, on a file server or a volume that CI keeps. Whoever "
            "may write to it decides what others link into their programs.",
            examples=["file:/mnt/builds/cache"],
        ),
    ] = ""


def check(cache: Cache, problems: Problems) -> None:
    """Adds a problem for everything in `[cache]` that cannot be. Reads nothing."""
    where = ("cache", "shared")
    if cache.shared and not cache.shared.startswith("file:"):
        problems.add(where, f"{cache.shared!r} is no folder", expected="file:FOLDER")
    elif cache.shared and not os.path.isabs(os.path.expanduser(cache.shared.removeprefix("file:"))):
        problems.add(where, f"{cache.shared!r} does not begin at the root or at ~", expected="file:/FOLDER or file:~/FOLDER")
    if re.search(r"[\x00-\x1f]", cache.shared):
        problems.add(where, "holds a control character")
