"""What go.mod and go.work say: modules and what they require, replacements by a directory, the modules of a workspace.

They are read here to know what to watch, which modules a project is made of and which Go they ask for; what they mean is the
go command's affair. The syntax is that of golang.org/x/mod/modfile: a line each, blocks in parentheses, `//` comments, paths
plain or quoted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from goctl.golang.environment import effective

#: Folders in which nobody keeps a module of the project (cmd/go leaves out vendor, testdata and names with . or _ before).
_NO_MODULES = frozenset({"vendor", "testdata", "node_modules"})
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


def required_go(file: str) -> tuple[str, str]:
    """What the `go` and the `toolchain` line of a go.mod or go.work say, as `1.24` and `go1.26.8`; empty without one."""
    go = next((words[0] for words in _lines(file, "go") if words), "")
    return go, next((words[0] for words in _lines(file, "toolchain") if words), "")


def module_path(file: str) -> str:
    """The name on the `module` line of a go.mod; empty without one."""
    return next((words[0] for words in _lines(file, "module") if words), "")


def requirements(file: str) -> dict[str, str]:
    """Path and version of each module that a go.mod requires and no `replace` line turns into a folder.

    Where a replacement is another module, it stands here in the place of the replaced one.
    """
    found = {words[0]: words[1] for words in _lines(file, "require") if len(words) > 1}
    for words in _lines(file, "replace"):
        if "=>" not in words:
            continue
        arrow = words.index("=>")
        old, new = words[:arrow], words[arrow + 1 :]
        if found.get(old[0]) is None or (len(old) > 1 and found[old[0]] != old[1]):
            continue
        del found[old[0]]
        if len(new) > 1:
            found[new[0]] = new[1]
    return found


def work_file(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """The go.work that is in use in a folder: the one GOWORK names, or the nearest above; None for none."""
    named = effective("GOWORK", environment)
    if named == "off":
        return None
    if named:
        return Path(named)
    return next((above / "go.work" for above in (folder, *folder.parents) if (above / "go.work").is_file()), None)


def modules_below(root: Path, *, deepest: int = 6) -> list[Path]:
    """The folders below `root` that hold a go.mod, in order. Leaves out what the go command leaves out."""
    found = []
    for folder, names, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(name for name in names if not name.startswith((".", "_")) and name not in _NO_MODULES)
        if depth >= deepest:
            names[:] = []
        if "go.mod" in files:
            found.append(Path(folder))
    return sorted(found)
