"""Templates: `{version}`, `{git.short}`, `{env.NAME}`... in the texts of goctl.toml. `{{` and `}}` stand for braces."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

#: What is different from one platform to the next.
OF_PLATFORM = ("platform", "os", "arch", "variant")
KNOWN = ("version", "git.sha", "git.short", "git.branch", "date", "project", "target", *OF_PLATFORM)

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_VARIABLE = re.compile(r"env\.[A-Za-z_][A-Za-z0-9_]*\Z")


def names(text: str) -> tuple[str, ...]:
    """The names in a template, each once. Raises ValueError for an unknown one, or a brace without its partner."""
    found: dict[str, None] = {}
    for match in _TOKEN.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] is None:
            raise ValueError(f"{text!r} has a single {match[0]!r}; write {match[0] * 2} for the character itself")
        found[_known(match[1])] = None
    return tuple(found)


def _known(name: str) -> str:
    if name in KNOWN or _VARIABLE.match(name):
        return name
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.5)
    hint = (
        f"did you mean {{{close[0]}}}?" if close else f"known are {', '.join(f'{{{one}}}' for one in KNOWN)}, {{env.NAME}}"
    )
    raise ValueError(f"{{{name}}} is unknown; {hint}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The template with its names replaced. What `values` raises for a name it lacks goes through."""

    def put(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        return values[_known(match[1] or "")]

    return _TOKEN.sub(put, text)


#: Names that Windows keeps for devices, with any extension.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?\Z", re.IGNORECASE)


def file_name_problem(name: str) -> str:
    """Why text will not do as the name of one file on every system, in words; empty where it will."""
    if not name or name.startswith((".", "-", " ")):
        return "is empty, or begins with a dot, a dash or a space"
    if re.search(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f]', name):
        return "holds a slash or another character that file names cannot hold"
    if name.endswith((".", " ")) or len(name.encode("utf-8", "surrogatepass")) > 200:
        return "ends with a dot or a space, or is too long"
    if _DEVICES.match(name):
        return "is a device on Windows"
    return ""
