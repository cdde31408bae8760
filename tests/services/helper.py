"""A credential helper that keeps its secrets in a file, as a program on a PATH of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_PROGRAM = """
import json, os, sys
file, calls = {file!r}, {calls!r}
kept = json.load(open(file)) if os.path.exists(file) else {{}}
given = sys.stdin.read()
open(calls, "a").write(" ".join(sys.argv[1:]) + "\\n")
verb, key = sys.argv[1], given.strip()
if verb == "store":
    login = json.loads(given)
    kept[login["ServerURL"]] = login
elif verb == "list":
    print(json.dumps({{key: login["Username"] for key, login in kept.items()}}))
elif key not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    print(json.dumps(kept[key]))
else:
    del kept[key]
json.dump(kept, open(file, "w"))
"""


class KeepingHelper:
    """`docker-credential-NAME`. `path` is the PATH that finds it."""

    def __init__(self, folder: Path, name: str = "kept") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._calls = folder / "secrets.json", folder / "calls.txt"
        source = folder / f"{name}.py"
        source.write_text(_PROGRAM.format(file=str(self._file), calls=str(self._calls)))
        if os.name == "nt":
            (folder / f"docker-credential-{name}.bat").write_text(f'@"{sys.executable}" "{source}" %*\n')
        else:
            program = folder / f"docker-credential-{name}"
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{source}" "$@"\n')
            program.chmod(0o755)
        self.path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def kept(self) -> dict[str, dict[str, str]]:
        """What it keeps, by key."""
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []
