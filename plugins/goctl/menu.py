"""Every task's name, words, options and help: what `invoke --list` and `--help` show."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What tasks of one name share: the words, options and help that `--list` and `--help` show."""

    words: str
    options: Signature
    help: dict[str, str]
    iterable: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()


#: What a group does when it is called by its own name.
DEFAULT_TASKS = ("dockerfile.write", "deploy.run")


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
    "generate": "run `go generate` for the packages of go.generate",
    "mod.init": "write go.mod, named after the git remote",
    "mod.download": "download the modules",
    "mod.verify": "verify the downloaded modules against go.sum",
    "mod.outdated": "show which modules have a newer version, or are retracted or deprecated",
    "go.env": "show what of Go's environment matters here, and what it means",
    "base.update": "look base images up anew and note them in goctl.lock",
    "tools.install": "fetch the kind command with `go install`, at the version goctl is tested with",
    "clean": "remove dist/ and what goctl remembers of this project",
}
_IMAGE = "HOST/REPOSITORY:TAG or @DIGEST, NAME/... below the url of [registries.NAME], oci-layout:DIR:REPOSITORY:TAG"
_REPOSITORY = "HOST/REPOSITORY, or NAME/... below the url of [registries.NAME]"
_CLUSTER = "one of them, by its name for kind (default: all)"
_BUILDER = {"name": "the builder (default: buildkit.builder)", **_COMMON}
_FOREIGN = {"force": "even where goctl did not make the builder"}
_CHECK = "change nothing, and fail where something would change"
_CHECKING = {
    "mod.tidy": "bring go.mod and go.sum in line with the code",
    "mod.vendor": "copy the modules into vendor/",
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


def _options(**defaults: Any) -> Signature:
    return Signature([Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()])


_PLAIN = {"profile": "", "json": False}
#: By name; a dot stands between a group and its tasks.
KINDS = {
    **{
        name: Kind(words, _options(select=None, since="", shard="", jobs=0, offline=False, **_PLAIN), _STAGE, ("select",))
        for name, words in _STAGES.items()
    },
    "release": Kind(
        _STAGES["release"],
        _options(select=None, since="", shard="", deploy="", jobs=0, offline=False, **_PLAIN),
        {**_STAGE, "deploy": "deploy to [deploy.NAME] at the end (default: release.deploy)"},
        ("select",),
    ),
    "deploy.run": Kind(
        "release and deploy, and follow until it runs or is taken back",
        _options(to="", select=None, force_conflicts=False, prune=False, jobs=0, **_PLAIN),
        {**_TO, **_SELECTING, **_APPLYING, "jobs": _STAGE["jobs"]},
        ("select",),
    ),
    "deploy.rollback": Kind(
        "make an earlier release of a deployment run again",
        _options(to="", release="", **_PLAIN),
        {**_TO, "release": "its number (default: the last that ran before the newest)", **_COMMON},
    ),
    **{name: Kind(words, _options(to="", **_PLAIN), {**_TO, **_COMMON}) for name, words in _LOOK_AT_DEPLOYED.items()},
    "apply": Kind(
        "publish what manifests name, apply them, and wait for nothing",
        _options(file=None, to="", select=None, force_conflicts=False, prune=False, jobs=0, **_PLAIN),
        {**_FILE, **_TO, **_SELECTING, **_APPLYING, "jobs": _STAGE["jobs"]},
        ("file", "select"),
    ),
    "resolve": Kind(
        "publish what manifests name, and print them with digests in place",
        _options(file=None, to="", select=None, jobs=0, **_PLAIN),
        {**_FILE, **_TO, **_SELECTING, "jobs": _STAGE["jobs"]},
        ("file", "select"),
    ),
    **{name: Kind(words, _options(**_PLAIN), _COMMON) for name, words in _SIMPLE.items()},
    **{
        name: Kind(words, _options(check=False, **_PLAIN), {"check": _CHECK, **_COMMON}) for name, words in _CHECKING.items()
    },
    "bake": Kind(
        "write a bake file, and the Dockerfiles it names, for `docker buildx bake`",
        _options(select=None, format="json", output="", check=False, **_PLAIN),
        {
            "format": "json or hcl",
            "output": "the file to write (default: dist/docker-bake.json), or - to show it",
            "check": _CHECK,
            **_SELECTING,
        },
        ("select",),
    ),
    "parity": Kind(
        "prove that both engines make the same programs and images",
        _options(select=None, jobs=0, offline=False, **_PLAIN),
        {**_SELECTING, "jobs": _STAGE["jobs"], "offline": _STAGE["offline"]},
        ("select",),
    ),
    "dockerfile.write": Kind(
        "write the Dockerfile of every target, and the list of files that it needs",
        _options(select=None, explain=False, **_PLAIN),
        {"explain": "show each line with the practice behind it, and write nothing", **_SELECTING},
        ("select",),
    ),
    "dockerfile.check": Kind(
        "say what a Dockerfile does against the practices that goctl's own follow",
        _options(file=Parameter.empty, **_PLAIN),
        {"file": "the Dockerfile", **_COMMON},
        positional=("file",),
    ),
    "plan": Kind(
        "print the plan: steps, keys, inputs, what will be skipped and why",
        _options(select=None, since="", **_PLAIN),
        {**_SELECTING, **_SINCE},
        ("select",),
    ),
    "merge": Kind(
        "join what the shards of a release made into indexes and tags",
        _options(folder=None, **_PLAIN),
        {"folder": "a shard's result (default: all below dist/shards); may be repeated", **_COMMON},
        ("folder",),
    ),
    "affected": Kind(
        "say which targets are made differently since a commit, and why",
        _options(since="main", select=None, **_PLAIN),
        {**_SELECTING, **_SINCE},
        ("select",),
    ),
    "explain": Kind(
        "say why a target would be rebuilt",
        _options(target=Parameter.empty, **_PLAIN),
        {"target": "a target, or project:target@platform with globs", **_COMMON},
        positional=("target",),
    ),
    "cache.stats": Kind("show what each cache level holds, what it cost and what it saved", _options(**_PLAIN), _COMMON),
    "cache.why": Kind(
        "say which cache level knows a target, or what keeps all from it",
        _options(target=Parameter.empty, **_PLAIN),
        {"target": "a target, or project:target@platform with globs", **_COMMON},
        positional=("target",),
    ),
    "cache.prune": Kind("throw away what cache levels hold beyond their size and age", _options(**_PLAIN), _COMMON),
    "cache.warm": Kind(
        "bring what cache levels know to this machine, and send what they lack",
        _options(select=None, **_PLAIN),
        _SELECTING,
        ("select",),
    ),
    "cache.export": Kind(
        "write what this project knows to one file",
        _options(file=Parameter.empty, **_PLAIN),
        {"file": "the file to write", **_COMMON},
        positional=("file",),
    ),
    "cache.import": Kind(
        "take in what cache.export wrote",
        _options(file=Parameter.empty, **_PLAIN),
        {"file": "the file to read", **_COMMON},
        positional=("file",),
    ),
    "cache.invalidate": Kind(
        "declare results void, here and in cache levels",
        _options(target="", key="", older="", toolchain="", **_PLAIN),
        {
            "target": "results of these targets: project:target@platform with globs",
            "key": "the result with this key, as `invoke plan` shows it",
            "older": "results stored longer ago than this: 12h, 30d, 8w",
            "toolchain": "programs that this Go made, like 1.26.4",
            **_COMMON,
        },
    ),
    "base.status": Kind(
        "show which base images have moved since goctl.lock pinned them",
        _options(check=False, **_PLAIN),
        {"check": "fail where one has moved, or is not pinned", **_COMMON},
    ),
    "manifest.create": Kind(
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
    "manifest.inspect": Kind(
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
    "tags.list": Kind(
        "show every tag of a repository",
        _options(repository=Parameter.empty, **_PLAIN),
        {"repository": _REPOSITORY, **_COMMON},
        positional=("repository",),
    ),
    "tags.delete": Kind(
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
    "referrer.attach": Kind(
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
    "referrer.list": Kind(
        "show what is attached to an image",
        _options(reference=Parameter.empty, artifact_type="", **_PLAIN),
        {"reference": _IMAGE, "artifact_type": "only what is of this type", **_COMMON},
        positional=("reference",),
    ),
    "cluster.up": Kind(
        "make the kind clusters that [deploy] declares, or bring them in line",
        _options(cluster="", replace=False, kubeconfig="", **_PLAIN),
        {
            "cluster": _CLUSTER,
            "replace": "make one anew that is not as it is declared; what runs in it is lost",
            "kubeconfig": "a file to add the access to; its current context stays what it is",
            **_COMMON,
        },
    ),
    "cluster.down": Kind(
        "remove the kind clusters that [deploy] declares", _options(cluster="", **_PLAIN), {"cluster": _CLUSTER, **_COMMON}
    ),
    "cluster.status": Kind(
        "show the nodes of the declared kind clusters, and what differs",
        _options(cluster="", **_PLAIN),
        {"cluster": _CLUSTER, **_COMMON},
    ),
    "builder.create": Kind(
        "make the builder of buildx that [buildkit] declares",
        _options(replace=False, force=False, **_PLAIN),
        {"replace": "make it anew where it is not as declared", **_FOREIGN, **_COMMON},
    ),
    "builder.inspect": Kind(
        "show a builder's machines and platforms, and what is not as declared",
        _options(name="", bootstrap=False, **_PLAIN),
        {"bootstrap": "start it first", **_BUILDER},
    ),
    "builder.use": Kind(
        "make a builder the one that `docker buildx` takes by itself", _options(name="", **_PLAIN), _BUILDER
    ),
    "builder.remove": Kind(
        "remove a builder, what it runs, and its cache",
        _options(name="", keep_cache=False, force=False, **_PLAIN),
        {"keep_cache": "leave its cache for one that is made with its name", **_FOREIGN, **_BUILDER},
    ),
    "builder.usage": Kind(
        "show what a builder's cache holds",
        _options(name="", older="", **_PLAIN),
        {"older": "only what was not used for about this long: 12h, 30d, 8w", **_BUILDER},
    ),
    "builder.prune": Kind(
        "remove from a builder's cache by age and size",
        _options(name="", older="", keep="", everything=False, force=False, **_PLAIN),
        {
            "older": "what was not used for this long: 12h, 30d, 8w",
            "keep": "what may stay: 10GiB",
            "everything": "all that no build uses now",
            **_FOREIGN,
            **_BUILDER,
        },
    ),
    "docker.mirrors": Kind(
        "add declared mirrors and plain registries to Docker's daemon.json",
        _options(write=False, file="", **_PLAIN),
        {
            "write": "change the file, and keep it as it was beside it; without, show what would change",
            "file": "the daemon.json (default: the one that Docker's engine reads)",
            **_COMMON,
        },
    ),
    "ci.nightly": Kind(
        "write the workflow that runs the benchmark every night",
        _options(system="", check=False, **_PLAIN),
        {"system": "github or gitlab (default: gitlab where there is a .gitlab-ci.yml)", "check": _CHECK, **_COMMON},
    ),
    "mod.why": Kind(
        "say which imports lead to a package or module",
        _options(package=Parameter.empty, **_PLAIN),
        {"package": "the import path of a package, or a module", **_COMMON},
        positional=("package",),
    ),
    "go.prune": Kind(
        "keep Go's build cache within a size, removing what was unused for longest",
        _options(size="", unused="", **_PLAIN),
        {
            "size": "how much to leave: 500MB, 10GiB (default: 10GiB)",
            "unused": "remove nothing that was used since: 12h, 2d, 1w (default, and at least: 2h)",
            **_COMMON,
        },
    ),
    "registry.login": Kind(
        "try a login at a registry, and keep it where Docker does",
        _options(registry="", username="", **_PLAIN),
        {"registry": _REGISTRY, "username": "who logs in; the password is read from standard input", **_COMMON},
    ),
    "registry.logout": Kind(
        "forget the login for a registry", _options(registry="", **_PLAIN), {"registry": _REGISTRY, **_COMMON}
    ),
    "registry.copy": Kind(
        "copy an image, with all its platforms, from one repository to another",
        _options(source=Parameter.empty, target=Parameter.empty, **_PLAIN),
        {"source": "HOST/NAME:TAG or HOST/NAME@DIGEST", "target": "HOST/NAME[:TAG]", **_COMMON},
        positional=("source", "target"),
    ),
    "registry.retag": Kind(
        "give an image further tags",
        _options(reference=Parameter.empty, tags=Parameter.empty, **_PLAIN),
        {"reference": "HOST/NAME:TAG or HOST/NAME@DIGEST", "tags": "tags, separated by commas", **_COMMON},
        positional=("reference", "tags"),
    ),
}
