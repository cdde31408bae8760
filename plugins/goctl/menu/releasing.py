"""Tasks that make, publish and deploy what goctl.toml declares, and questions about that."""

from __future__ import annotations

from inspect import Parameter

from goctl.menu.kind import CHECK, COMMON, PLAIN, SELECTING, Kind, options

_SINCE = {"since": "only what is made differently from how it was made at this branch, tag or commit"}
_SHARD = {"shard": "a part of it, for one of several machines: 1/4 is the first of four"}
_STAGE = {
    **SELECTING,
    **_SINCE,
    **_SHARD,
    "jobs": "how many things to do at once (default: one for each core)",
    "offline": "ask nothing of any network: modules and bases are on this machine, or it fails",
}
_STAGES = {
    "release": "run every stage that [release] names, and print what was released by digest",
    "build": "compile every target for every platform into dist/",
    "image": "assemble every target's multi-platform image",
    "archive": "pack every target for people: programs and files, with checksums",
    "push": "push every image to its registries",
}
_TO = {"to": "its table: [deploy.NAME]; may be left out where there is one, or release.deploy names it"}
_APPLYING = {
    "force_conflicts": "take over fields that others have set",
    "prune": "remove what was deployed before and is in the manifests no more",
}
_FILE = {"file": "manifests: a file, folder, pattern or - (default: those of its table); may be repeated"}
_LOOK_AT_DEPLOYED = {
    "deploy.status": "show what runs of a deployment, object by object",
    "deploy.history": "show the releases of a deployment that its cluster knows of",
    "deploy.verify": "run each platform's image in the cluster, and have it tell its architecture",
}

KINDS = {
    **{
        name: Kind(words, options(select=None, since="", shard="", jobs=0, offline=False, **PLAIN), _STAGE, ("select",))
        for name, words in _STAGES.items()
    },
    "release": Kind(
        _STAGES["release"],
        options(select=None, since="", shard="", deploy="", jobs=0, offline=False, **PLAIN),
        {**_STAGE, "deploy": "deploy to [deploy.NAME] at the end (default: release.deploy)"},
        ("select",),
    ),
    "deploy.run": Kind(
        "release and deploy, and follow until it runs or is taken back",
        options(to="", select=None, force_conflicts=False, prune=False, jobs=0, **PLAIN),
        {**_TO, **SELECTING, **_APPLYING, "jobs": _STAGE["jobs"]},
        ("select",),
    ),
    "deploy.rollback": Kind(
        "make an earlier release of a deployment run again",
        options(to="", release="", **PLAIN),
        {**_TO, "release": "its number (default: the last that ran before the newest)", **COMMON},
    ),
    **{name: Kind(words, options(to="", **PLAIN), {**_TO, **COMMON}) for name, words in _LOOK_AT_DEPLOYED.items()},
    "apply": Kind(
        "publish what manifests name, apply them, and wait for nothing",
        options(file=None, to="", select=None, force_conflicts=False, prune=False, jobs=0, **PLAIN),
        {**_FILE, **_TO, **SELECTING, **_APPLYING, "jobs": _STAGE["jobs"]},
        ("file", "select"),
    ),
    "resolve": Kind(
        "publish what manifests name, and print them with digests in place",
        options(file=None, to="", select=None, jobs=0, **PLAIN),
        {**_FILE, **_TO, **SELECTING, "jobs": _STAGE["jobs"]},
        ("file", "select"),
    ),
    "parity": Kind(
        "prove that both engines make the same programs and images",
        options(select=None, jobs=0, offline=False, **PLAIN),
        {**SELECTING, "jobs": _STAGE["jobs"], "offline": _STAGE["offline"]},
        ("select",),
    ),
    "plan": Kind(
        "print the plan: steps, keys, inputs, what will be skipped and why",
        options(select=None, since="", **PLAIN),
        {**SELECTING, **_SINCE},
        ("select",),
    ),
    "merge": Kind(
        "join what the shards of a release made into indexes and tags",
        options(folder=None, **PLAIN),
        {"folder": "a shard's result (default: all below dist/shards); may be repeated", **COMMON},
        ("folder",),
    ),
    "affected": Kind(
        "say which targets are made differently since a commit, and why",
        options(since="main", select=None, **PLAIN),
        {**SELECTING, **_SINCE},
        ("select",),
    ),
    "explain": Kind(
        "say why a target would be rebuilt",
        options(target=Parameter.empty, **PLAIN),
        {"target": "a target, or project:target@platform with globs", **COMMON},
        positional=("target",),
    ),
    "bake": Kind(
        "write a bake file, and the Dockerfiles it names, for `docker buildx bake`",
        options(select=None, format="json", output="", check=False, **PLAIN),
        {
            "format": "json or hcl",
            "output": "the file to write (default: dist/docker-bake.json), or - to show it",
            "check": CHECK,
            **SELECTING,
        },
        ("select",),
    ),
    "dockerfile.write": Kind(
        "write the Dockerfile of every target, and the list of files that it needs",
        options(select=None, explain=False, **PLAIN),
        {"explain": "show each line with the practice behind it, and write nothing", **SELECTING},
        ("select",),
    ),
    "dockerfile.check": Kind(
        "say what a Dockerfile does against the practices that goctl's own follow",
        options(file=Parameter.empty, **PLAIN),
        {"file": "the Dockerfile", **COMMON},
        positional=("file",),
    ),
}
