"""`[deploy.NAME]`: where a release runs, and how it gets there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from goctl.config.cluster import Cluster
from goctl.config.names import CONTROL, check_inside, check_name

if TYPE_CHECKING:
    from goctl.config.convert import Problems

_DURATION = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,5})s)?\Z")

_SHARE = re.compile(r"([1-9][0-9]?)%\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}\Z")
_ADDRESS = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?\Z")
_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z")

#: Schemes of destinations that are files, or Docker's own store: no node pulls from those.
NOT_PULLED = ("oci-layout", "oci-archive", "docker-archive", "docker-daemon")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def doc(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


class Analysis(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What a version has to pass at each step of a canary, besides being ready."""

    restarts: Annotated[int, doc("How often containers of the new version may restart.", ge=0, le=1000)] = 0
    command: Annotated[
        tuple[str, ...],
        doc(
            "A command that has to end well. It finds the share of the new version in GOCTL_WEIGHT (percent), and its name, "
            "version and namespace in GOCTL_DEPLOYMENT, GOCTL_VERSION and GOCTL_NAMESPACE.",
            examples=[["./analyse.sh"]],
        ),
    ] = ()
    prometheus: Annotated[
        str,
        doc("The address of a Prometheus server, which `query` is asked of.", examples=["https://prometheus.example.com"]),
    ] = ""
    query: Annotated[
        str,
        doc(
            "An instant query. `$version`, `$deployment`, `$name` and `$namespace` in it stand for those of the new "
            "version. A query that finds nothing, or no number, does not pass.",
            examples=['sum(rate(errors_total{pod=~"$deployment-.*"}[1m])) or vector(0)'],
        ),
    ] = ""
    at_most: Annotated[float | None, doc("The most that all it finds may be.", examples=[0.01])] = None
    at_least: Annotated[float | None, doc("The least that all it finds may be.")] = None
    token: Annotated[
        str, doc("The variable that holds a bearer token for Prometheus.", examples=["env:PROMETHEUS_TOKEN"])
    ] = ""


class Strategy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """How requests get from the version that runs to a new one."""

    kind: Annotated[
        Literal["rolling", "blue-green", "canary"],
        doc(
            "`rolling`: as each workload says. `blue-green`: Deployments that a Service selects run in both versions until "
            "the Service is switched. `canary`: the new version gets a growing share of requests, by `steps`.",
        ),
    ] = "rolling"
    smoke: Annotated[
        tuple[str, ...],
        doc(
            "blue-green: a command that has to end well before requests go to the new version. It finds that at the address "
            "in GOCTL_URL, and the name of the Service in GOCTL_SERVICE.",
            examples=[["./smoke.sh"]],
        ),
    ] = ()
    keep: Annotated[bool, doc("blue-green: whether the version before keeps running, so that going back is at once.")] = True
    by: Annotated[
        Literal["replicas", "routes"],
        doc(
            "canary: what shares out requests. `replicas`: the number of Pods. `routes`: weights of HTTPRoutes of the "
            "Gateway API that the manifests have.",
        ),
    ] = "replicas"
    headers: Annotated[
        dict[str, str],
        doc(
            "canary by routes: requests with all of these headers go to the new version, from the first step on.",
            examples=[{"x-canary": "yes"}],
        ),
    ] = {}
    mirror: Annotated[
        str,
        doc(
            "canary by routes: a share of requests, from 1% to 100%, that is sent to the new version too before the first "
            "step, whose answers nobody sees.",
            examples=["10%"],
        ),
    ] = ""
    steps: Annotated[
        tuple[str, ...], doc("canary: shares of the new version, from 1% to 99%, each larger than the one before.")
    ] = ("10%", "50%")
    pause: Annotated[str, doc("canary: how long each step is watched before it is judged.", examples=["2m"])] = "30s"
    analysis: Annotated[Analysis, doc("canary: how each step is judged.", examples=[{"command": ["./analyse.sh"]}])] = (
        Analysis()
    )


class Deploy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A place in a cluster that releases are deployed to."""

    cluster: Annotated[
        Cluster, doc("The cluster: one of kind's, or a context of your kubeconfig.", examples=[{"kind": "shop"}])
    ]
    manifests: Annotated[
        tuple[str, ...],
        doc(
            "Files, folders, patterns, or folders with a kustomization. `goctl://TARGET` and `ko://IMPORTPATH` become the "
            "image's name@digest. Without any, each target gets a Deployment, and a Service for its ports.",
            examples=[["deploy/*.yaml"]],
        ),
    ] = ()
    namespace: Annotated[
        str, doc("The namespace of objects that name none; by default the context's.", examples=["shop"])
    ] = ""
    registry: Annotated[
        str,
        doc(
            "The registry that the cluster's nodes pull from, by its name here; by default the first that is pushed to and "
            "is none of files.",
            examples=["corp"],
        ),
    ] = ""
    pull_secret: Annotated[
        bool,
        doc("Whether the login for that registry, found as for a push, is put into the cluster for the nodes to pull with."),
    ] = False
    replicas: Annotated[int, doc("How many Pods each Deployment made by goctl has.", ge=0, le=1000)] = 1
    probe: Annotated[
        str,
        doc(
            "The path that Deployments made by goctl answer at on their first port when they are ready. Default: the port "
            "takes connections.",
            examples=["/healthz"],
        ),
    ] = ""
    drain: Annotated[
        str,
        doc(
            "How long Pods of Deployments made by goctl serve on when they are to end, so that nodes and load balancers "
            "learn of it before the program does. Needs Kubernetes 1.30; `0s`: not at all.",
            examples=["30s"],
        ),
    ] = "10s"
    grace: Annotated[
        str,
        doc(
            "How long programs in Deployments made by goctl have to end after SIGTERM, which comes when `drain` is over.",
            examples=["2m"],
        ),
    ] = "30s"
    timeout: Annotated[
        str, doc("How long a rollout may take before it has failed: seconds, minutes, hours.", examples=["2m", "90s"])
    ] = "2m"
    rollback: Annotated[bool, doc("Whether a rollout that failed is taken back to the last release that ran.")] = True
    strategy: Annotated[
        Strategy, doc("How requests get to a new version.", examples=[{"kind": "blue-green", "smoke": ["./smoke.sh"]}])
    ] = Strategy()
    verify: Annotated[
        tuple[Literal["architecture"], ...],
        doc(
            "What is verified of a new release before anything is changed. `architecture`: each platform's image is run on "
            "a node of its architecture, or emulated where there is none, and has to report that architecture.",
            examples=[["architecture"]],
        ),
    ] = ()


def seconds(text: str) -> float | None:
    """A duration like `90s`, `2m` or `1h30m` in seconds; None where it is none."""
    match = _DURATION.match(text)
    if match is None or not text:
        return None
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + rest) or None


def context_of(cluster: Cluster) -> str:
    """The kubeconfig's name for a cluster. kind calls its own so."""
    return cluster.context or f"kind-{cluster.kind}"


def is_pulled_from(url: str) -> bool:
    """Whether nodes can pull from the registry at a `[registries]` url."""
    return url.partition(":")[0] not in NOT_PULLED


def check(deploys: Mapping[str, Deploy], chosen: str, registries: Mapping[str, str], root: Path, problems: Problems) -> None:
    """Adds a problem for everything in `[deploy]` tables that cannot be; `chosen` is release.deploy, `registries` are urls
    by name."""
    from goctl.config.convert import suggestion

    if chosen and chosen not in deploys:
        hint = suggestion(chosen, deploys) if deploys else "write its table"
        problems.add(("release", "deploy"), f"there is no [deploy.{chosen}]", hint=hint)
    for name, deploy in deploys.items():
        where = ("deploy", name)
        check_name(name, where, problems)
        if seconds(deploy.timeout) is None:
            problems.add((*where, "timeout"), f"{deploy.timeout!r} is no time", expected='text like "90s" or "2m"')
        for setting, text in (("drain", deploy.drain), ("grace", deploy.grace)):
            if seconds(text) is None and text != "0s":
                problems.add((*where, setting), f"{text!r} is no time", expected='text like "90s" or "2m"')
        if deploy.namespace and not _NAMESPACE.match(deploy.namespace):
            problems.add(
                (*where, "namespace"), f"{deploy.namespace!r} is no namespace", expected="lower-case letters, digits and -"
            )
        if deploy.probe and (not deploy.probe.startswith("/") or CONTROL.search(deploy.probe)):
            problems.add((*where, "probe"), f"{deploy.probe!r} is no path", expected='text like "/healthz"')
        _check_strategy(deploy.strategy, (*where, "strategy"), problems)
        for source in deploy.manifests:
            check_inside(source, (*where, "manifests"), root, problems)
        if deploy.registry and deploy.registry not in registries:
            hint = suggestion(deploy.registry, registries)
            problems.add((*where, "registry"), f"{deploy.registry!r} is no registry", hint=hint)
        elif deploy.registry and not is_pulled_from(registries[deploy.registry]):
            problems.add((*where, "registry"), f"no node can pull from {registries[deploy.registry]!r}")


#: The settings of each strategy.
_SETTINGS = {
    "rolling": (),
    "blue-green": ("smoke", "keep"),
    "canary": ("by", "headers", "mirror", "steps", "pause", "analysis"),
}


def _check_strategy(strategy: Strategy, where: tuple[str, ...], problems: Problems) -> None:
    for kind, names in _SETTINGS.items():
        for name in names:
            if strategy.kind != kind and getattr(strategy, name) != getattr(Strategy(), name):
                problems.add((*where, name), f"is a setting of {kind}", expected=f'kind = "{kind}"')
    shares = [share(text) for text in strategy.steps]
    if not all(shares) or not shares or sorted(set(shares)) != shares:
        problems.add((*where, "steps"), "these are no growing shares", expected='texts like "10%", from 1% to 99%')
    if strategy.by != "routes" and (strategy.headers or strategy.mirror):
        name = "headers" if strategy.headers else "mirror"
        problems.add((*where, name), "is what routes do", expected='by = "routes"')
    if strategy.mirror and not mirrored(strategy.mirror):
        problems.add((*where, "mirror"), f"{strategy.mirror!r} is no share", expected='text like "10%", from 1% to 100%')
    for name, value in strategy.headers.items():
        if not _HEADER.match(name) or CONTROL.search(value) or not value:
            problems.add((*where, "headers", name), "is no header", expected="a name and a value of HTTP")
    if seconds(strategy.pause) is None and strategy.pause != "0s":
        problems.add((*where, "pause"), f"{strategy.pause!r} is no time", expected='text like "90s" or "2m"')
    _check_analysis(strategy.analysis, (*where, "analysis"), problems)


def share(text: str) -> int:
    """A text like `10%` as a number from 1 to 99; 0 for any other."""
    match = _SHARE.match(text)
    return int(match[1]) if match else 0


def mirrored(text: str) -> int:
    """A text like `10%` or `100%` as a number; 0 for any other."""
    return 100 if text == "100%" else share(text)


def _check_analysis(analysis: Analysis, where: tuple[str, ...], problems: Problems) -> None:
    bounds = [one for one in (analysis.at_most, analysis.at_least) if one is not None]
    if not all(math.isfinite(one) for one in bounds):
        problems.add(where, "a bound has to be a number")
    if analysis.prometheus and not _ADDRESS.match(analysis.prometheus):
        # It may hold a password: the text is not repeated.
        problems.add((*where, "prometheus"), "is no address, or holds a login", expected="http://HOST[:PORT][/PATH]")
    if bool(analysis.prometheus) != bool(analysis.query) or bool(analysis.query) != bool(bounds):
        problems.add(where, "prometheus, query and a bound go together", expected="at-most, at-least or both")
    if analysis.token and not _VARIABLE.match(analysis.token):
        problems.add((*where, "token"), "names no variable", expected='"env:NAME"', hint="goctl.toml holds no secrets")
