"""Tasks for modules, Go's environment, caches, and the project's folder."""

from __future__ import annotations

from inspect import Parameter

from goctl.menu.kind import CHECK, COMMON, PLAIN, SELECTING, Kind, options

_SIMPLE = {
    "config": "show every setting, its value and where it came from",
    "doctor": "check the machine and the project, and say what to mend",
    "generate": "run `go generate` for the packages of go.generate",
    "mod.init": "write go.mod, named after the git remote",
    "mod.download": "download the modules",
    "mod.verify": "verify the downloaded modules against go.sum",
    "mod.outdated": "show which modules have a newer version, or are retracted or deprecated",
    "go.env": "show what of Go's environment matters here, and what it means",
    "clean": "remove dist/ and what goctl remembers of this project",
}
_CHECKING = {
    "mod.tidy": "bring go.mod and go.sum in line with the code",
    "mod.vendor": "copy the modules into vendor/",
}

KINDS = {
    "cache.stats": Kind("show what each cache level holds, what it cost and what it saved", options(**PLAIN), COMMON),
    "cache.why": Kind(
        "say which cache level knows a target, or what keeps all from it",
        options(target=Parameter.empty, **PLAIN),
        {"target": "a target, or project:target@platform with globs", **COMMON},
        positional=("target",),
    ),
    "cache.prune": Kind("throw away what cache levels hold beyond their size and age", options(**PLAIN), COMMON),
    "cache.warm": Kind(
        "bring what cache levels know to this machine, and send what they lack",
        options(select=None, **PLAIN),
        SELECTING,
        ("select",),
    ),
    "cache.export": Kind(
        "write what this project knows to one file",
        options(file=Parameter.empty, **PLAIN),
        {"file": "the file to write", **COMMON},
        positional=("file",),
    ),
    "cache.import": Kind(
        "take in what cache.export wrote",
        options(file=Parameter.empty, **PLAIN),
        {"file": "the file to read", **COMMON},
        positional=("file",),
    ),
    "cache.invalidate": Kind(
        "declare results void, here and in cache levels",
        options(target="", key="", older="", toolchain="", **PLAIN),
        {
            "target": "results of these targets: project:target@platform with globs",
            "key": "the result with this key, as `invoke plan` shows it",
            "older": "results stored longer ago than this: 12h, 30d, 8w",
            "toolchain": "programs that this Go made, like 1.26.4",
            **COMMON,
        },
    ),
    **{name: Kind(words, options(**PLAIN), COMMON) for name, words in _SIMPLE.items()},
    **{name: Kind(words, options(check=False, **PLAIN), {"check": CHECK, **COMMON}) for name, words in _CHECKING.items()},
    "ci.nightly": Kind(
        "write the workflow that runs the benchmark every night",
        options(system="", check=False, **PLAIN),
        {"system": "github or gitlab (default: gitlab where there is a .gitlab-ci.yml)", "check": CHECK, **COMMON},
    ),
    "mod.why": Kind(
        "say which imports lead to a package or module",
        options(package=Parameter.empty, **PLAIN),
        {"package": "the import path of a package, or a module", **COMMON},
        positional=("package",),
    ),
    "go.prune": Kind(
        "keep Go's build cache within a size, removing what was unused for longest",
        options(size="", unused="", **PLAIN),
        {
            "size": "how much to leave: 500MB, 10GiB (default: 10GiB)",
            "unused": "remove nothing that was used since: 12h, 2d, 1w (default, and at least: 2h)",
            **COMMON,
        },
    ),
}
