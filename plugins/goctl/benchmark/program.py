"""The program that is measured: a copy of the project that pushes nowhere but to the benchmark's own registry.

Measured are the files as they are now, with what is not committed. The user's checkout, caches and registries are left
alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goctl.config.loader import Loaded
from goctl.config.members import member_files, peek, top_file
from goctl.config.read import read
from goctl.errors import ConfigError
from goctl.system.files import storage_errors
from goctl.system.process import Completed, run

#: The stages that are measured: those that reach no further than a registry. Engines other than goctl's own do as they do.
STAGES = ("mod", "generate", "build", "image", "archive", "push")
#: What is of no use in a copy of a folder that is no git checkout.
_LEFT = (".git", ".goctl", ".venv", ".nox", ".benchmarks", "__pycache__")
#: The registry that images are pushed to, the level of the cache in the state `remote`, and the file that `edit` edits.
REGISTRY = "goctl-benchmark"
LEVEL = "beside"
EDITED = "goctl_benchmark.go"
_MARK = "// goctl benchmark "
#: Who makes the images: whoever goctl.toml says, goctl's BuildKit engine, or `docker buildx bake` with programs and all.
Images = Literal["", "buildkit", "bake"]
_DESTINATION = re.compile(r"[a-z][a-z0-9+-]*:(?!\d+(?:/|\Z))")


class Program(msgspec.Struct, frozen=True):
    """Where the project is: the top of its checkout or workspace; paths of the rest count from there.

    `file` is its goctl.toml, `shared` the workspace's (its own, where it is in none), `files` all of them. `edited` is the
    folder of the package that edits go to, `module` that of its go.mod.
    """

    top: Path
    file: str
    shared: str
    files: tuple[str, ...]
    edited: str
    module: str


def find(loaded: Loaded) -> Program:
    """What has to be copied of a project, and what is edited in it. Raises ConfigError where that cannot be told."""
    file = loaded.file.resolve()
    shared = (top_file(file) or file).resolve()
    found = _git(file.parent, "rev-parse", "--show-toplevel")
    top = Path(found.text.strip()).resolve() if found.code == 0 and found.text.strip() else shared.parent
    files = {shared, file, *(path.resolve() for path in member_files(shared.parent, peek(shared)))}
    edited = _edited_folder(loaded)
    module = next((folder for folder in (edited, *edited.parents) if (folder / "go.mod").is_file()), None)
    if module is None or not edited.is_relative_to(top):
        raise ConfigError(
            f"{edited} is in no Go module of this project",
            location=loaded.place("benchmark", "edit"),
            hint="name the folder of a package to edit: [benchmark] edit",
        )
    return Program(
        top=top,
        file=file.relative_to(top).as_posix(),
        shared=shared.relative_to(top).as_posix(),
        files=tuple(sorted(path.relative_to(top).as_posix() for path in files)),
        edited=edited.relative_to(top).as_posix(),
        module=module.relative_to(top).as_posix(),
    )


def _edited_folder(loaded: Loaded) -> Path:
    """The package that `edit` edits: what the settings name, or the first program's."""
    config = loaded.config
    if config.benchmark.edit:
        return (loaded.file.parent / config.benchmark.edit).resolve()
    module = loaded.root / config.go.directory
    for target in config.targets.values():
        for pattern in target.packages:
            base, _, rest = pattern.partition("...")
            folder = (module / base).resolve()
            for package in sorted(folder.rglob("*.go")) if rest or "..." in pattern else sorted(folder.glob("*.go")):
                if _package(package) == "main":
                    return package.parent
    raise ConfigError(
        "no program is found that the state `edit` could edit",
        location=loaded.place("benchmark"),
        hint="name the folder of a package: [benchmark] edit",
    )


def _package(file: Path) -> str:
    """The name of a Go file's package; empty for a test's."""
    if file.name.endswith("_test.go"):
        return ""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # An ignored file, as `go run` takes it, is no part of the package beside it.
    found = re.search(r"^package\s+(\w+)", text, re.MULTILINE)
    return found[1] if found and not re.search(r"^//go:build\s+ignore\b", text, re.MULTILINE) else ""


def copy(program: Program, folder: Path, registry: str, level: Path | None = None, images: Images = "") -> Path:
    """Copies the program into an empty folder, made ready to be measured. Its goctl.toml there.

    It pushes to `registry`, its cache has the folder `level`, or no level at all, and `images` says who makes its images.
    """
    with storage_errors(str(folder)):
        if (program.top / ".git").exists():
            _copy_checkout(program.top, folder)
        else:
            shutil.copytree(program.top, folder, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT))
        for name in program.files:
            _settle(folder / name, registry, level, images, is_top=name == program.shared)
    edit(program, folder, 0)
    return folder / program.file


def _copy_checkout(top: Path, folder: Path) -> None:
    """The files that git knows or would know, and a repository that answers as this one does."""
    cloned = _git(top, "clone", "--quiet", "--no-checkout", "--", str(top), str(folder))
    if cloned.code:
        raise ConfigError(
            f"git cannot copy this checkout: {cloned.errors.strip()}", hint="`git -C DIR status` has to work in it"
        )
    listed = _git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in dict.fromkeys(filter(None, listed.decode("utf-8", "surrogateescape").split("\0"))):
        source, target = top / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        elif (source / ".git").exists():  # a submodule
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_LEFT))
    _git(folder, "reset", "--quiet")


def _git(folder: Path, *args: str) -> Completed:
    from goctl.errors import ToolchainError

    try:
        return run(("git", "-C", str(folder), *args))
    except ToolchainError:  # no git: then there is no checkout either
        return Completed(args, 1, b"", b"git is not installed")


def _settle(file: Path, registry: str, level: Path | None, images: Images, *, is_top: bool) -> None:
    """Makes a goctl.toml push to one registry alone, and do nothing that reaches beyond this machine."""
    tree, _ = read(file, str(file))
    tree.pop("profiles", None)
    # Levels of the cache are the user's too, and his team's.
    cache = tree.pop("cache", {})
    if is_top and level is not None:
        tree["cache"] = _cache(cache, os.path.relpath(level, file.parent))
    known = tree.get("registries", {})
    # Registries are kept for the bases that come from them, with their logins and mirrors.
    kept = {name: {**table, "push": False} for name, table in known.items() if not _DESTINATION.match(table.get("url", ""))}
    publish = {key: value for key, value in tree.get("publish", {}).items() if key != "to"}
    if is_top:
        kept[REGISTRY] = {"url": registry, "plain-http": True, "push": True}
        publish["to"] = [REGISTRY]
    release = tree.get("release", {})
    if is_top or "stages" in release:
        release = {**release, "stages": [stage for stage in release.get("stages", STAGES) if stage in STAGES]}
    # Caches of BuildKit are the user's too.
    buildkit = {key: value for key, value in tree.get("buildkit", {}).items() if key not in ("cache-to", "cache-from")}
    if images:
        _bake(tree, inside=images == "bake")
    changed = {**tree, "registries": kept, "publish": publish, "release": release, "buildkit": buildkit}
    file.write_text(toml(changed), encoding="utf-8", newline="\n")


def _bake(tree: dict[str, Any], *, inside: bool) -> None:
    """Has every image made by BuildKit; programs too, where they are to be compiled `inside` of it."""
    tree["image"] = {**tree.get("image", {}), "engine": "buildkit"}
    for target in tree.get("targets", {}).values():
        own = target.get("image", {})
        if isinstance(own, dict):
            rest = {key: value for key, value in own.items() if key not in ("engine", "compile")}
            target["image"] = {**rest, "compile": "buildkit" if inside else own.get("compile", "host")}


def _cache(declared: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """One level, a directory as machines share it. Pull requests write it too: nobody else reads it."""
    level = {"url": f"file:{Path(folder).as_posix()}", "reserve": ""}
    kept = {key: value for key, value in declared.items() if key == "go-actions"}
    return {**kept, "levels": [LEVEL], "pull-request-mode": "readwrite", LEVEL: level}


def edit(program: Program, folder: Path, number: int | str) -> None:
    """Makes the edited package another one than with any other number, and with it every program that imports it."""
    package = next(filter(None, map(_package, sorted((folder / program.edited).glob("*.go")))), "main")
    text = f'package {package}\n\nvar goctlBenchmark string\n\nfunc init() {{ goctlBenchmark = "{number}" }}\n'
    (folder / program.edited / EDITED).write_text(text, encoding="utf-8", newline="\n")


def touch_module(program: Program, folder: Path, number: int | str) -> None:
    """Writes another comment into go.mod: it has to be read, and every package listed anew; none is compiled."""
    file = folder / program.module / "go.mod"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith(_MARK)]
    file.write_text("\n".join([*lines, f"{_MARK}{number}", ""]), encoding="utf-8", newline="\n")


def toml(tree: Mapping[str, Any]) -> str:
    """Plain values as TOML: one line for each of the topmost keys."""
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in tree.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    # JSON's escapes are TOML's too, but for DEL, which JSON leaves alone.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return str(value)
