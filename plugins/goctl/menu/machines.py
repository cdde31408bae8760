"""Tasks for clusters, builders and Docker's engine."""

from __future__ import annotations

from goctl.menu.kind import COMMON, PLAIN, Kind, options

_CLUSTER = "one of them, by its name for kind (default: all)"
_BUILDER = {"name": "the builder (default: buildkit.builder)", **COMMON}
_FOREIGN = {"force": "even where goctl did not make the builder"}

KINDS = {
    "tools.install": Kind(
        "fetch the kind command with `go install`, at the version goctl is tested with", options(**PLAIN), COMMON
    ),
    "cluster.up": Kind(
        "make the kind clusters that [deploy] declares, or bring them in line",
        options(cluster="", replace=False, kubeconfig="", **PLAIN),
        {
            "cluster": _CLUSTER,
            "replace": "make one anew that is not as it is declared; what runs in it is lost",
            "kubeconfig": "a file to add the access to; its current context stays what it is",
            **COMMON,
        },
    ),
    "cluster.down": Kind(
        "remove the kind clusters that [deploy] declares", options(cluster="", **PLAIN), {"cluster": _CLUSTER, **COMMON}
    ),
    "cluster.status": Kind(
        "show the nodes of the declared kind clusters, and what differs",
        options(cluster="", **PLAIN),
        {"cluster": _CLUSTER, **COMMON},
    ),
    "builder.create": Kind(
        "make the builder of buildx that [buildkit] declares",
        options(replace=False, force=False, **PLAIN),
        {"replace": "make it anew where it is not as declared", **_FOREIGN, **COMMON},
    ),
    "builder.inspect": Kind(
        "show a builder's machines and platforms, and what is not as declared",
        options(name="", bootstrap=False, **PLAIN),
        {"bootstrap": "start it first", **_BUILDER},
    ),
    "builder.use": Kind("make a builder the one that `docker buildx` takes by itself", options(name="", **PLAIN), _BUILDER),
    "builder.remove": Kind(
        "remove a builder, what it runs, and its cache",
        options(name="", keep_cache=False, force=False, **PLAIN),
        {"keep_cache": "leave its cache for one that is made with its name", **_FOREIGN, **_BUILDER},
    ),
    "builder.usage": Kind(
        "show what a builder's cache holds",
        options(name="", older="", **PLAIN),
        {"older": "only what was not used for about this long: 12h, 30d, 8w", **_BUILDER},
    ),
    "builder.prune": Kind(
        "remove from a builder's cache by age and size",
        options(name="", older="", keep="", everything=False, force=False, **PLAIN),
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
        options(write=False, file="", **PLAIN),
        {
            "write": "change the file, and keep it as it was beside it; without, show what would change",
            "file": "the daemon.json (default: the one that Docker's engine reads)",
            **COMMON,
        },
    ),
}
