"""A Prometheus query as a judge of a version: one instant query, and bounds that all it finds has to keep within.

What cannot be asked, finds nothing or is no number does not pass: a judge that says nothing is none.
(https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec

from goctl.cluster.judging import Trial
from goctl.errors import ClusterError
from goctl.system.http import Http
from goctl.system.transport import TransportError

#: How often it is asked once more where it does not answer, and the seconds it has each time.
RETRIES, TIMEOUT = 3, 20.0


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of which server. In `text`, `$version`, `$deployment`, `$name` and `$namespace` stand for those of the
    version on trial. `token` gives what it is asked with."""

    url: str
    text: str
    at_most: float | None = None
    at_least: float | None = None
    token: Callable[[], str] | None = None


def judge(http: Http, query: Query, trial: Trial) -> None:
    """Raises ClusterError where what the query finds is not within its bounds."""
    values = {
        "version": trial.version, "deployment": trial.key.name, "namespace": trial.key.namespace, "name": trial.name
    }  # fmt: skip
    text = query.text
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", values[name])
    for found in _asked(http, query, text):
        if query.at_most is not None and not found <= query.at_most:
            raise ClusterError(f"{text} is {found:g}, more than {query.at_most:g}")
        if query.at_least is not None and not found >= query.at_least:
            raise ClusterError(f"{text} is {found:g}, less than {query.at_least:g}")


def _asked(http: Http, query: Query, text: str) -> list[float]:
    """The numbers that a query finds, one at least."""
    address = f"{query.url.rstrip('/')}/api/v1/query?{urlencode({'query': text})}"
    headers = {"Authorization": f"Bearer {query.token()}"} if query.token is not None else {}
    try:
        answer = http.request("GET", address, headers=headers, retries=RETRIES, timeout=TIMEOUT)
    except TransportError as error:
        raise ClusterError(f"Prometheus does not answer: {error}", hint="see analysis.prometheus") from None
    found = _decoded(answer.content)
    if answer.status != 200 or found.get("status") != "success":
        raise ClusterError(
            f"Prometheus answers {answer.status} to {text}: {str(found.get('error') or 'no reason given')[:400]}"
        )
    samples = _samples(found.get("data"))
    if not samples:
        raise ClusterError(f"{text} finds nothing", hint="nothing may be right? add `or vector(0)` to the query")
    if any(math.isnan(one) for one in samples):
        raise ClusterError(f"{text} is no number", hint="a division by nothing? add `or vector(0)` to the query")
    return samples


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _samples(data: Any) -> list[float]:
    """The values of a vector or a scalar. Raises ClusterError for what has many values in time."""
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else ("", None)
    pairs: list[Any] = [result] if kind == "scalar" else [one.get("value") for one in result or () if isinstance(one, dict)]
    if kind not in ("scalar", "vector"):
        raise ClusterError(
            f"the query finds a {kind or 'thing that is none of Prometheus'}, and not a number for each series"
        )
    try:
        return [float(pair[1]) for pair in pairs]
    except (TypeError, ValueError, IndexError, KeyError):
        raise ClusterError("Prometheus answers with samples that have no value") from None
