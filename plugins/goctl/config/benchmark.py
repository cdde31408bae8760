"""`[benchmark]` and `[metrics]`: what is measured, when a slowdown fails, where the figures go."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from msgspec import Meta

from goctl.config.convert import Problems, suggestion
from goctl.config.fields import Table, doc

#: The states that can be measured, each with what it is.
STATES: Final = {
    "cold": "a machine that has nothing: no modules, no compiled packages, no images",
    "modules": "Go's modules are there",
    "compile": "modules are there, and what Go compiled last time",
    "edit": "all is there, and one package was edited",
    "gomod": "all is there, and go.mod was written to",
    "nothing": "all is there, and nothing changed",
    "pushed": "only the registry has it: a new machine, the same commit",
    "remote": "as pushed, beside a level of the cache that knows all of it",
}
ALLOWED: Final = "10%"
OFF: Final = "off"
_SHARE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)%\Z")


class Benchmark(Table, frozen=True):
    """What `nox -s bench` measures, and when it fails."""

    states: Annotated[
        tuple[str, ...],
        doc(
            f"States of a machine to release in, of {', '.join(f'`{name}`' for name in STATES)}.",
            examples=[["cold", "edit", "nothing"]],
        ),
    ] = tuple(STATES)
    rounds: Annotated[
        Annotated[int, Meta(ge=3, le=1000)] | Literal["auto"],
        doc("Rounds of each state: a number, or as many as it takes to tell.", examples=[11]),
    ] = "auto"
    most_rounds: Annotated[int, doc('The most rounds of each state with `rounds = "auto"`.', ge=5, le=1000)] = 101
    fail_above: Annotated[
        dict[str, str],
        doc(
            f"By state, how much slower than the baseline it may be; `{OFF}` never fails. States that are not "
            f"named may be {ALLOWED} slower.",
            examples=[{"nothing": "10%", "cold": "off"}],
        ),
    ] = {}
    select: Annotated[
        tuple[str, ...], doc("Targets to release, as `--select` has them; by default all.", examples=[["api"]])
    ] = ()
    edit: Annotated[
        str,
        doc(
            "The folder of the package that the state `edit` edits. Default: that of the first target's first program.",
            examples=["internal/core"],
        ),
    ] = ""
    results: Annotated[str, doc("Where results are kept from night to night, in pytest-benchmark's form.")] = ".benchmarks"


class Metrics(Table, frozen=True):
    """Where the benchmark's figures go for Prometheus."""

    textfile: Annotated[
        str,
        doc("A file for the textfile collector of Prometheus's node exporter.", examples=["dist/goctl.prom"]),
    ] = ""
    pushgateway: Annotated[
        str,
        doc(
            "The variable that holds a Pushgateway's address, which may hold a login, or the address itself.",
            examples=["env:PUSHGATEWAY_URL"],
        ),
    ] = ""


def limit(benchmark: Benchmark, state: str) -> float:
    """The ratio to the baseline above which a state fails: 1.1 for `10%`; 0 where it never does."""
    said = benchmark.fail_above.get(state, ALLOWED)
    match = _SHARE.match(said)
    return 1 + float(match[1]) / 100 if match else 0.0


def check(benchmark: Benchmark, metrics: Metrics, problems: Problems) -> None:
    """Adds a problem for each setting that nothing could be measured, compared or sent with."""
    for state in benchmark.states:
        _check_state(state, ("benchmark", "states"), problems)
    if not benchmark.states:
        problems.add(("benchmark", "states"), "is empty: there is nothing to measure", hint=suggestion("", STATES))
    for state, said in benchmark.fail_above.items():
        _check_state(state, ("benchmark", "fail-above", state), problems)
        if said != OFF and not _SHARE.match(said):
            problems.add(("benchmark", "fail-above", state), f"{said!r} is no share", expected=f'"15%", or "{OFF}"')
    gateway = metrics.pushgateway
    if "@" in gateway:
        # Whatever stands before it may be a password: the text is not repeated.
        problems.add(
            ("metrics", "pushgateway"),
            "it holds a user name or password",
            hint="keep the address in a variable, and name that: env:PUSHGATEWAY_URL",
        )
    elif gateway and not re.match(r"env:[A-Za-z_]\w*\Z|https?://[^\s/]", gateway):
        problems.add(("metrics", "pushgateway"), f"{gateway!r} is no address", expected="env:NAME, or http://HOST:PORT")


def _check_state(state: str, where: tuple[str, ...], problems: Problems) -> None:
    if state not in STATES:
        problems.add(where, f"{state!r} is no state", hint=suggestion(state, STATES))
