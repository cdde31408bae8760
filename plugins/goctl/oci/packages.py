"""Which version of a package is installed, found without importing it or reading its metadata: every run asks."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.util import find_spec


@cache
def installed(package: str) -> str:
    """The version of an installed distribution, by its name (`import-linter`). Raises ModuleNotFoundError.

    Installers keep a folder NAME-VERSION.dist-info beside the package (PyPA, "Recording installed projects"); its name is
    all that is read. Where there is none, as in some systems' own packages, importlib.metadata is asked.
    """
    name = package.replace("-", "_")
    spec = find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    for folder in spec.submodule_search_locations or ():
        try:
            beside = os.listdir(os.path.dirname(folder))
        except OSError:
            continue
        prefix = f"{name}-"
        found = [entry for entry in beside if entry.startswith(prefix) and entry.endswith(".dist-info")]
        if len(found) == 1:
            return _plain(found[0].removeprefix(prefix).removesuffix(".dist-info"))
    from importlib.metadata import version

    return _plain(version(package))


def _plain(version: str) -> str:
    """A version as PEP 440 normalises its numbers: tools write 2025.01.31 and 2025.1.31 for the same release."""
    return re.sub(r"(?<![0-9A-Za-z])0+(?=[0-9])", "", version)
