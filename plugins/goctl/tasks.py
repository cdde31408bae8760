"""`namespace("goctl.toml")`: the invoke Collection of a project.

This module is all that `invoke --list` imports: it knows names, options and help, and nothing of Go, images or
registries. A task's body hands over to `goctl.commands` when it is run. The pipeline owns the chaining of stages: no task
has pre-tasks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

_SELECT = "what to do: project:target@platform with globs; may be repeated"
_COMMON = {"profile": "use the settings of [profiles.NAME]", "json": "one event a line, as JSON"}
_SELECTING = {"select": _SELECT, **_COMMON}
_STAGE = {**_SELECTING, "jobs": "how many things to do at once (default: one for each core)"}

#: Scalar defaults, so that INVOKE_GOCTL_PROFILE, INVOKE_GOCTL_JOBS and INVOKE_GOCTL_JSON are heard.
DEFAULTS = {"goctl": {"profile": "", "jobs": 0, "json": False}}

_STAGES = {
    "release": "run every stage that [release] names, and print what was released by digest",
    "build": "compile every target for every platform into dist/",
    "image": "assemble every target's multi-platform image",
    "push": "push every image to its registries",
}
_SIMPLE = {
    "config": "show every setting, its value and where it came from",
    "doctor": "check the machine and the project, and say what to mend",
    "mod.init": "write go.mod, named after the git remote",
    "mod.download": "download the modules",
    "mod.verify": "verify the downloaded modules against go.sum",
    "mod.outdated": "show which modules have a newer version, or are retracted or deprecated",
    "go.env": "show what of Go's environment matters here, and what it means",
    "base.update": "look base images up anew and note them in goctl.lock",
    "clean": "remove dist/ and what goctl remembers of this project",
}
_CHECKING = {
    "mod.tidy": "bring go.mod and go.sum in line with the code",
    "mod.vendor": "copy the modules into vendor/",
}


def namespace(path: str | Path = "goctl.toml") -> Collection:
    """The tasks of the project that a goctl.toml describes.

    `path` counts from the folder of the tasks.py that calls. The file is read when a task runs, so `invoke --list` works
    whatever it holds.
    """
    caller = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - who calls is what the path counts from
    folder = Path(caller).resolve().parent if caller else Path.cwd()
    return _collection(folder / path)


def _collection(file: Path) -> Collection:
    made = Collection()
    groups: dict[str, Collection] = {}
    for name, task in _tasks(file).items():
        group, _, short = name.rpartition(".")
        if group:
            groups.setdefault(group, Collection(group)).add_task(task, name=short)
        else:
            made.add_task(task, name=name)
    for collection in groups.values():
        made.add_collection(collection)
    made.configure(DEFAULTS)
    return made


def _tasks(file: Path) -> dict[str, Task[Any]]:
    tasks = {name: _stage(file, name, words) for name, words in _STAGES.items()}
    tasks |= {name: _simple(file, name, words) for name, words in _SIMPLE.items()}
    tasks["plan"] = _plan(file)
    tasks["explain"] = _explain(file)
    tasks |= {name: _checking(file, name, words) for name, words in _CHECKING.items()}
    tasks["mod.why"] = _why(file)
    tasks["registry.copy"] = _copy(file)
    tasks["registry.retag"] = _retag(file)
    return tasks


class _Task(Task[Any]):
    """A task that equals itself alone. invoke takes tasks of one name and one code for the same, and runs one of them:
    those of two projects in one process differ only in the file they close over.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def _task(body: Callable[..., None], name: str, words: str, help: dict[str, str], **more: Any) -> Task[Any]:
    body.__doc__ = f"{words[0].upper()}{words[1:]}."
    return _Task(body, name=name.rpartition(".")[2], auto_shortflags=False, help=help, **more)


def _call(context: Context, file: Path, name: str, **options: Any) -> None:
    # invoke keeps Python from writing bytecode, so that a tasks.py leaves no folder behind. It is loaded by now, and where
    # an installer compiled nothing (uv, an editable install), every run would compile goctl and its packages anew.
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    try:
        from goctl.commands import command

        command(file, name, dry=bool(context.config.run.dry), defaults=dict(context.config.goctl), **options)
    finally:
        sys.dont_write_bytecode = before


def _stage(file: Path, name: str, words: str) -> Task[Any]:
    def body(context, select=None, profile="", jobs=0, json=False):  # type: ignore[no-untyped-def]
        _call(context, file, name, select=select, profile=profile, jobs=jobs, json=json)

    return _task(body, name, words, _STAGE, iterable=["select"])


def _simple(file: Path, name: str, words: str) -> Task[Any]:
    def body(context, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, name, profile=profile, json=json)

    return _task(body, name, words, _COMMON)


def _plan(file: Path) -> Task[Any]:
    def body(context, select=None, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, "plan", select=select, profile=profile, json=json)

    words = "print the plan: steps, keys, inputs, what will be skipped and why"
    return _task(body, "plan", words, _SELECTING, iterable=["select"])


def _explain(file: Path) -> Task[Any]:
    def body(context, target, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, "explain", select=(target,), profile=profile, json=json)

    help = {"target": "a target, or project:target@platform with globs", **_COMMON}
    return _task(body, "explain", "say why a target would be rebuilt", help, positional=["target"])


def _checking(file: Path, name: str, words: str) -> Task[Any]:
    def body(context, check=False, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, name, check=check, profile=profile, json=json)

    help = {"check": "change nothing, and fail where something would change", **_COMMON}
    return _task(body, name, words, help)


def _why(file: Path) -> Task[Any]:
    def body(context, package, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, "mod.why", package=package, profile=profile, json=json)

    help = {"package": "the import path of a package, or a module", **_COMMON}
    return _task(body, "mod.why", "say which imports lead to a package or module", help, positional=["package"])


def _copy(file: Path) -> Task[Any]:
    def body(context, source, target, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, "registry.copy", source=source, target=target, profile=profile, json=json)

    help = {"source": "HOST/NAME:TAG or HOST/NAME@DIGEST", "target": "HOST/NAME[:TAG]", **_COMMON}
    words = "copy an image, with all its platforms, from one repository to another"
    return _task(body, "registry.copy", words, help, positional=["source", "target"])


def _retag(file: Path) -> Task[Any]:
    def body(context, reference, tags, profile="", json=False):  # type: ignore[no-untyped-def]
        _call(context, file, "registry.retag", reference=reference, tags=tags, profile=profile, json=json)

    help = {"reference": "HOST/NAME:TAG or HOST/NAME@DIGEST", "tags": "tags, separated by commas", **_COMMON}
    return _task(body, "registry.retag", "give an image further tags", help, positional=["reference", "tags"])
