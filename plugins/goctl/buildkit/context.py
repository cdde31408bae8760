"""The smallest context: which files of the project a target's Dockerfile may see."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from goctl.buildkit.dockerfile_recipes import Compilation, Recipe

#: Sources that go build finds by their extension (go/build, Package): a new one in a known folder belongs to it.
_SOURCES = frozenset(".go .c .cc .cpp .cxx .m .h .hh .hpp .hxx .f .F .for .f90 .s .S .sx .swig .swigcxx .syso".split())
#: What no context needs, wherever it is.
_NEVER = ("**/.git", "**/.goctl", "**/.env", "**/.netrc", "**/.DS_Store", "**/node_modules")


def ignore_file(recipe: Recipe) -> str:
    """The .dockerignore of a recipe: everything is left out, then what is used is taken in, in order."""
    lines = [f"# Made by goctl for the target {recipe.target}: the files that its Dockerfile uses.", "**"]
    lines += [f"!{_literal(asset.source)}" for asset in recipe.assets]
    own = recipe.compilation
    if own is None:
        lines += [
            f"!{_literal(f'{recipe.dist}/{platform.slug}/{program.file_name}')}"
            for platform in recipe.platforms
            for program in recipe.programs
        ]
    else:
        lines += [f"!{_literal(file)}" for file in own.sources.module_files]
        lines += [f"!{pattern}" for pattern in _sources(own)]
        if own.files is None:
            # What is made lies below the folder of the programs: it would be another context after every build.
            lines += [*_NEVER, _literal(posixpath.dirname(recipe.dist))]
        lines.append("**/*_test.go")
    return "\n".join(lines) + "\n"


def _sources(own: Compilation) -> Iterator[str]:
    if own.sources.vendored:
        yield _literal(posixpath.normpath(posixpath.join(own.sources.module, "vendor")))
    if own.files is None:
        # "." cannot be taken in by name: everything in it is, and then what nobody needs is left out again.
        yield from (f"{_literal(module)}/**" if module != "." else "**" for module in own.sources.modules)
        return
    yield from dict.fromkeys(map(_taking, own.files))


def _taking(file: str) -> str:
    """What takes a file in: for a source all of its kind in its folder, so that a new file needs no new .dockerignore."""
    extension = posixpath.splitext(file)[1]
    if extension not in _SOURCES:
        return _literal(file)
    folder = posixpath.dirname(file)
    return posixpath.join(_literal(folder) if folder else "", f"*{extension}")


def source_folders(own: Compilation) -> list[tuple[str, str]]:
    """What to COPY, and into which folder of the sources: a module's folders one by one, so that a change in what is beside
    them counts for nothing. The .dockerignore narrows each down to what is used.
    """
    sources = own.sources
    found: dict[tuple[str, str], None] = {}
    if sources.vendored:
        folder = posixpath.normpath(posixpath.join(sources.module, "vendor"))
        found[_pattern(folder), folder] = None
    if own.files is None:
        found |= {(_pattern(module), module): None for module in sources.modules}
        return list(found)
    for file in own.files:
        module = _module_of(file, sources.modules)
        below = file if module == "." else file[len(module) + 1 :]
        first, slash, _ = below.partition("/")
        if slash:
            folder = posixpath.normpath(posixpath.join(module, first))
            found[_pattern(folder), folder] = None
        else:
            found[_copied(file), module] = None
    return list(found)


def _copied(file: str) -> str:
    """A file beside go.mod: with all of its kind."""
    extension = posixpath.splitext(file)[1]
    folder = posixpath.dirname(file)
    return posixpath.join(_pattern(folder), f"*{extension}") if extension in _SOURCES else _pattern(file)


def _module_of(file: str, modules: tuple[str, ...]) -> str:
    holding = [module for module in modules if module == "." or file.startswith(f"{module}/")]
    return max(holding, key=lambda module: 0 if module == "." else len(module), default=".")


def _literal(path: str) -> str:
    """A path as a pattern of .dockerignore that means itself alone (moby/patternmatcher)."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", path)


def _pattern(path: str) -> str:
    return re.sub(r"([\\$\"'])", r"\\\1", re.sub(r"([\[*?])", r"[\1]", path))
