"""What of a Go source decides a listing: the part that go/build reads, and nothing after it.

go/build reads a file up to the end of its imports (go/build/read.go, readGoInfo): build constraints, `//go:debug`, the
package clause, the imports, cgo's preamble. Only where `embed` is imported it looks further, for lines of `//go:embed`.
"""

from __future__ import annotations

import hashlib
import re

# Atomic groups, and not `(...)*+`: that takes too much where a repetition fails half way (Python before 3.11.5).
_COMMENT = rb"//[^\n]*|/\*.*?\*/"
_STRING = rb'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
_BEFORE = re.compile(rb"(?:\xef\xbb\xbf)?(?>(?:[\s;]+|" + _COMMENT + rb")*)", re.DOTALL)
_PACKAGE = re.compile(rb"package\b(?>(?:\s+|" + _COMMENT + rb")*)\w++", re.DOTALL)
_IMPORTS = re.compile(
    rb"(?>(?:[\s;]+|"
    + _COMMENT
    + rb"|import\b(?>(?:[\s\w.]+|"
    + _COMMENT
    + rb")*)(?:"
    + _STRING
    + rb"|\((?>(?:[\s\w.;]+|"
    + _COMMENT
    + rb"|"
    + _STRING
    + rb")*)\)))*)",
    re.DOTALL,
)
_DECLARATION = re.compile(rb"(?:func|var|const|type)\b|\Z")
_EMBED = re.compile(rb"^.*//go:embed.*$", re.MULTILINE)


def outline(content: bytes) -> str:
    """A digest of what decides listings; empty where that cannot be told, as in a file that does not parse so far."""
    start = _BEFORE.match(content)
    package = _PACKAGE.match(content, start.end() if start else 0)
    if package is None:
        return ""
    imports = _IMPORTS.match(content, package.end())
    end = imports.end() if imports else package.end()
    if not _DECLARATION.match(content, end):
        return ""
    head = content[:end]
    # More lines than go takes for embed patterns, those in strings for example: a change among them only costs a listing.
    embeds = _EMBED.findall(content, end) if b'"embed"' in head or b"`embed`" in head else []
    # Comments and space between the imports and the first declaration decide nothing, but are in no one's way.
    return hashlib.sha256(b"\0".join((head, *embeds))).hexdigest()
