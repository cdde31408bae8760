"""What go.mod and go.work say of folders on this machine: replacements by a directory, and the modules of a workspace.

Only these two are read here, to know what to watch; what they mean is the go command's affair. The syntax is that of
golang.org/x/mod/modfile: a line each, blocks in parentheses, `//` comments, paths plain or quoted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|[^\s"`]+')


def local_replacements(file: str) -> set[str]:
    """The folders that `replace` lines of a go.mod or go.work put in the place of modules."""
    found = set()
    for words in _lines(file, "replace"):
        # modfile, IsDirectoryPath: a version follows every path that is no folder.
        if "=>" in words and len(words) == words.index("=>") + 2:
            found.add(_path(file, words[-1]))
    return found


def used_modules(file: str) -> set[str]:
    """The folders that `use` lines of a go.work name."""
    return {_path(file, words[0]) for words in _lines(file, "use") if words}


def _path(file: str, text: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(file), text))


def _lines(file: str, verb: str) -> Iterator[list[str]]:
    """The words after a verb, line by line, whether alone or in a block."""
    try:
        with open(file, encoding="utf-8", errors="replace") as text:
            lines = text.read().splitlines()
    except OSError:
        return
    inside = False
    for line in lines:
        words = [word.strip('"`') for word in _WORD.findall(line.partition("//")[0])]
        if inside and words[:1] == [")"]:
            inside = False
        elif inside:
            yield words
        elif words[:1] == [verb]:
            inside = words[1:] == ["("]
            if not inside:
                yield words[1:]
