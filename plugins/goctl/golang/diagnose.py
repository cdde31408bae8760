"""What the compiler and the linker print, as places and words."""

from __future__ import annotations

import os
import re
from pathlib import Path

from goctl.errors import BuildError, Diagnostic, Location
from goctl.values import Platform

_PLACE = re.compile(
    r"(?P<file>(?:[A-Za-z]:)?[^:\s][^:]*\.(?:go|s|S|c|h|mod|work)):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<words>.*)"
)
_HINTS = (
    ("undefined:", "is the name behind a build constraint, or in a file that needs cgo? (`cgo` of the target turns it on)"),
    ("build constraints exclude all Go files", "take the platform from the target, or mend the build constraints or tags"),
    ("no space left on device", "free some space: go builds below .goctl/ and in its own cache (`go clean -cache`)"),
    ("cannot find package", "run `invoke mod.tidy`"),
    ("missing go.sum entry", "run `invoke mod.tidy`, and commit go.sum"),
    ("signal: killed", "the machine ran out of memory: use --jobs 1"),
)
MOST = 50


def diagnose(text: str, platform: Platform, folder: Path) -> BuildError:
    """The error for what a failed go build printed: each line once, with its file, line and column where it has them."""
    found: dict[Diagnostic, None] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith(("# ", "go: downloading ")):
            continue
        match = _PLACE.match(line.strip())
        if match is None:
            found[Diagnostic(line.strip(), None, (str(platform),))] = None
            continue
        place = Location(_shown(match["file"], folder), int(match["line"]), int(match["column"] or 0))
        found[Diagnostic(match["words"], place, (str(platform),))] = None
    diagnostics = list(found)[:MOST]
    hint = next((advice for words, advice in _HINTS if words in text), "")
    return BuildError(f"go build failed for {platform}", diagnostics=diagnostics, hint=hint)


def _shown(file: str, folder: Path) -> str:
    """Relative to the module's folder where the file is below it. go prints ./x.go, or ../x.go from elsewhere."""
    path = os.path.normpath(os.path.join(folder, file))
    try:
        shown = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    return path if shown.startswith("..") else shown
