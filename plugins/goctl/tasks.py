"""`namespace("goctl.toml")`: the invoke Collection of a project.

This module is all that `invoke --list` imports: it knows names, options and help, and nothing of Go, images or
registries. A task's body hands over to `goctl.commands` when it is run. The pipeline owns the chaining of stages: no task
has pre-tasks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from invoke.collection import Collection
from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Task

_SELECT = "what to do: project:target@platform with globs; may be repeated"
_COMMON = {"profile": "use the settings of [profiles.NAME]", "json": "one event a line, as JSON"}
_SELECTING = {"select": _SELECT, **_COMMON}
_SINCE = {"since": "only what is made differently from how it was made at this branch, tag or commit"}
_SHARD = {"shard": "a part of it, for one of several machines: 1/4 is the first of four"}
_REGISTRY = "its table in goctl.toml, or a host; may be left out where there is one"
_STAGE = {
    **_SELECTING,
    **_SINCE,
    **_SHARD,
    "jobs": "how many things to do at once (default: one for each core)",
    "offline": "ask nothing of any network: modules and bases are on this machine, or it fails",
}

#: Scalar defaults, so that INVOKE_GOCTL_PROFILE, INVOKE_GOCTL_JOBS and the others are heard.
DEFAULTS = {"goctl": {"profile": "", "jobs": 0, "json": False, "offline": False}}

_STAGES = {
    "release": "run every stage that [release] names, and print what was released by digest",
    "build": "compile every target for every platform into dist/",
    "image": "assemble every target's multi-platform image",
    "archive": "pack every target for people: programs and files, with checksums",
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
_IMAGE = "HOST/REPOSITORY:TAG or @DIGEST, NAME/... below the url of [registries.NAME], oci-layout:DIR:REPOSITORY:TAG"
_REPOSITORY = "HOST/REPOSITORY, or NAME/... below the url of [registries.NAME]"
_CHECK = "change nothing, and fail where something would change"
_CHECKING = {
    "mod.tidy": "bring go.mod and go.sum in line with the code",
    "mod.vendor": "copy the modules into vendor/",
}


def namespace(path: str | Path = "goctl.toml") -> Collection:
    """The tasks of the project that a goctl.toml describes; of a workspace, with a sub-collection for each project in it.

    `path` counts from the folder of the tasks.py that calls. The file is read when a task runs, so `invoke --list` works
    whatever it holds; to name a workspace's projects, as much of the files is read as can be.
    """
    file = _beside(sys._getframe(1), path)  # noqa: SLF001 - who calls is what the path counts from
    made = _collection(file, "")
    for name, member in _members(file).items():
        made.add_collection(_collection(member, ""), name=_free(name, made))
    return made


def collection(path: str | Path = "goctl.toml", *, profile: str = "") -> Collection:
    """The tasks of a goctl.toml, to be added to another collection under any name, and twice if need be:

    ns.add_collection(goctl.collection("services/api/goctl.toml", profile="staging"), "staging")

    `path` counts from the calling file's folder; `profile` is what its tasks use unless they are told another.
    """
    return _collection(_beside(sys._getframe(1), path), profile)  # noqa: SLF001 - as in namespace


def _free(name: str, made: Collection) -> str:
    """A project's name for invoke, which takes a dot for the end of a collection's name and `_` for `-`. A project that is
    called like a task keeps out of its way."""
    taken = {*made.tasks, *made.collections}
    plain = name.replace(".", "-").replace("_", "-")
    names = (plain, f"project-{plain}", *(f"project-{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)


def _beside(frame: FrameType, path: str | Path) -> Path:
    caller = frame.f_globals.get("__file__")
    folder = Path(caller).resolve().parent if caller else Path.cwd()
    return folder / path


def _members(file: Path) -> dict[str, Path]:
    """A workspace's projects by name; none where the file is none, or cannot be read."""
    try:
        if b"workspace" not in file.read_bytes():
            return {}
    except OSError:
        return {}
    from goctl.config.members import member_files, name_of, peek

    files = member_files(file.parent, peek(file))
    found: dict[str, Path] = {}
    for member in files:
        found.setdefault(name_of(member, peek(member)), member)
    return found


class _Shared(Collection):
    """A collection that invoke need not copy: nothing in it changes once it is made."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self

    def add_collection(self, coll: Any, name: str | None = None, default: bool | None = None) -> None:
        """As invoke's own, and the collection knows the name it has here: `--list-format=json` tells that one."""
        super().add_collection(coll, name, default)
        if isinstance(coll, _Shared) and not coll.name:
            coll.name = name

    def transform(self, name: str) -> str:
        # invoke goes through each name letter by letter; those of goctl's tasks hold no underscores to begin with.
        return super().transform(name) if "_" in name else name


def _collection(file: Path, profile: str) -> Collection:
    made = _Shared()
    groups: dict[str, Collection] = {}
    for name, task in _tasks(file, profile).items():
        group, _, short = name.rpartition(".")
        if group:
            groups.setdefault(group, _Shared(group)).add_task(task, name=short)
        else:
            made.add_task(task, name=name)
    for inner in groups.values():
        made.add_collection(inner)
    made.configure(DEFAULTS)
    return made


def _tasks(file: Path, profile: str = "") -> dict[str, Task[Any]]:
    return {name: _Task(kind, file, name, profile) for name, kind in _KINDS.items()}


class _Kind(NamedTuple):
    """What tasks of one name share: the words, options and help that `--list` and `--help` show."""

    words: str
    options: Signature
    help: dict[str, str]
    iterable: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()


class _Option(Argument):
    """An option with a short name for itself: invoke writes all of them out for its debug log, read or not."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


_OPTIONS: dict[str, list[Argument]] = {}


class _Task(Task[Any]):
    """One task of one goctl.toml. It equals itself alone: invoke takes tasks of one name and one code for the same, and runs
    one of them.

    A workspace has hundreds of them, so that what is the same for all is made once.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, kind: _Kind, file: Path, name: str, profile: str) -> None:
        def body(context: Context, **options: Any) -> None:
            _call(context, file, name, profile, options)

        body.__doc__ = f"{kind.words[0].upper()}{kind.words[1:]}."
        self._kind = kind
        self._whole_name = name
        super().__init__(
            body,
            name=name.rpartition(".")[2],
            auto_shortflags=False,
            help=dict(kind.help),
            iterable=kind.iterable,
            positional=kind.positional,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Task:
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options as the parser has them; it copies what it fills in, so that tasks of one kind can share theirs."""
        if self._whole_name not in _OPTIONS:
            made = super().get_arguments(ignore_unknown_help)
            for argument in made:
                argument.__class__ = _Option
            _OPTIONS[self._whole_name] = made
        return _OPTIONS[self._whole_name]

    def argspec(self, body: Callable[..., Any]) -> Signature:
        """The options without the context, as invoke asks for them."""
        del body
        return self._kind.options


def _call(context: Context, file: Path, name: str, profile: str, options: dict[str, Any]) -> None:
    # invoke keeps Python from writing bytecode, so that a tasks.py leaves no folder behind. It is loaded by now, and where
    # an installer compiled nothing (uv, an editable install), every run would compile goctl and its packages anew.
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    try:
        from goctl.commands import command

        defaults = dict(context.config.goctl)
        command(
            file,
            name,
            dry=bool(context.config.run.dry),
            defaults=defaults | ({"profile": profile} if profile else {}),
            **options,
        )
    finally:
        sys.dont_write_bytecode = before


def _options(**defaults: Any) -> Signature:
    return Signature([Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()])


_PLAIN = {"profile": "", "json": False}
_KINDS = {
    **{
        name: _Kind(words, _options(select=None, since="", shard="", jobs=0, offline=False, **_PLAIN), _STAGE, ("select",))
        for name, words in _STAGES.items()
    },
    **{name: _Kind(words, _options(**_PLAIN), _COMMON) for name, words in _SIMPLE.items()},
    **{
        name: _Kind(words, _options(check=False, **_PLAIN), {"check": _CHECK, **_COMMON})
        for name, words in _CHECKING.items()
    },
    "plan": _Kind(
        "print the plan: steps, keys, inputs, what will be skipped and why",
        _options(select=None, since="", **_PLAIN),
        {**_SELECTING, **_SINCE},
        ("select",),
    ),
    "merge": _Kind(
        "join what the shards of a release made into indexes and tags",
        _options(folder=None, **_PLAIN),
        {"folder": "a shard's result (default: all below dist/shards); may be repeated", **_COMMON},
        ("folder",),
    ),
    "affected": _Kind(
        "say which targets are made differently since a commit, and why",
        _options(since="main", select=None, **_PLAIN),
        {**_SELECTING, **_SINCE},
        ("select",),
    ),
    "explain": _Kind(
        "say why a target would be rebuilt",
        _options(target=Parameter.empty, **_PLAIN),
        {"target": "a target, or project:target@platform with globs", **_COMMON},
        positional=("target",),
    ),
    "base.status": _Kind(
        "show which base images have moved since goctl.lock pinned them",
        _options(check=False, **_PLAIN),
        {"check": "fail where one has moved, or is not pinned", **_COMMON},
    ),
    "manifest.create": _Kind(
        "join images that exist in a registry into an index of several platforms",
        _options(name=Parameter.empty, amend=None, replace=False, **_PLAIN),
        {
            "name": "the index: HOST/REPOSITORY:TAG, or NAME/... below the url of [registries.NAME]",
            "amend": "an image, or an index of some, to take in; repeated for each",
            "replace": "let a later image take the place of an earlier one for the same platform",
            **_COMMON,
        },
        ("amend",),
        ("name",),
    ),
    "manifest.inspect": _Kind(
        "show an image's platforms, layers, what made them, and sizes",
        _options(reference=Parameter.empty, compare="", unpacked=False, **_PLAIN),
        {
            "reference": _IMAGE,
            "compare": "another image, to say which layers both have",
            "unpacked": "sizes of layers unpacked too: reads each of them to its end, and keeps nothing",
            **_COMMON,
        },
        positional=("reference",),
    ),
    "tags.list": _Kind(
        "show every tag of a repository",
        _options(repository=Parameter.empty, **_PLAIN),
        {"repository": _REPOSITORY, **_COMMON},
        positional=("repository",),
    ),
    "tags.delete": _Kind(
        "delete tags of a repository by number and age; with --dry, say which",
        _options(repository=Parameter.empty, keep="", older="", protect=None, **_PLAIN),
        {
            "repository": _REPOSITORY,
            "keep": "how many of the newest images to keep",
            "older": "delete only what was made longer ago than this: 12h, 30d, 8w",
            "protect": "a pattern of tags to keep in any case, like v*; may be repeated",
            **_COMMON,
        },
        ("protect",),
        ("repository",),
    ),
    "referrer.attach": _Kind(
        "attach files to an image: an SBOM, a report, a signature",
        _options(reference=Parameter.empty, file=None, artifact_type="", media_type="", annotation=None, **_PLAIN),
        {
            "reference": _IMAGE,
            "file": "a file to attach; may be repeated",
            "artifact_type": "what it is, as a media type: application/spdx+json",
            "media_type": "the media type of the files (default: application/octet-stream)",
            "annotation": "NAME=VALUE to note with it; may be repeated",
            **_COMMON,
        },
        ("file", "annotation"),
        ("reference",),
    ),
    "referrer.list": _Kind(
        "show what is attached to an image",
        _options(reference=Parameter.empty, artifact_type="", **_PLAIN),
        {"reference": _IMAGE, "artifact_type": "only what is of this type", **_COMMON},
        positional=("reference",),
    ),
    "mod.why": _Kind(
        "say which imports lead to a package or module",
        _options(package=Parameter.empty, **_PLAIN),
        {"package": "the import path of a package, or a module", **_COMMON},
        positional=("package",),
    ),
    "registry.login": _Kind(
        "try a login at a registry, and keep it where Docker does",
        _options(registry="", username="", **_PLAIN),
        {"registry": _REGISTRY, "username": "who logs in; the password is read from standard input", **_COMMON},
    ),
    "registry.logout": _Kind(
        "forget the login for a registry", _options(registry="", **_PLAIN), {"registry": _REGISTRY, **_COMMON}
    ),
    "registry.copy": _Kind(
        "copy an image, with all its platforms, from one repository to another",
        _options(source=Parameter.empty, target=Parameter.empty, **_PLAIN),
        {"source": "HOST/NAME:TAG or HOST/NAME@DIGEST", "target": "HOST/NAME[:TAG]", **_COMMON},
        positional=("source", "target"),
    ),
    "registry.retag": _Kind(
        "give an image further tags",
        _options(reference=Parameter.empty, tags=Parameter.empty, **_PLAIN),
        {"reference": "HOST/NAME:TAG or HOST/NAME@DIGEST", "tags": "tags, separated by commas", **_COMMON},
        positional=("reference", "tags"),
    ),
}
