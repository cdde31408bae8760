"""A night's figures for Prometheus: a file for the textfile collector, and a Pushgateway."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from goctl.errors import ConfigError, GoctlError
from goctl.measures import Judgement, Night, median_phases
from goctl.system.files import write_atomic
from goctl.values import without_userinfo

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

JOB = "goctl_benchmark"


def registry(night: Night, judgement: Judgement) -> CollectorRegistry:
    """The figures, as gauges with the labels project, machine and state."""
    from prometheus_client import CollectorRegistry, Gauge

    made = CollectorRegistry()
    labels = ("project", "machine", "state")

    def gauge(name: str, words: str, *more: str) -> Gauge:
        return Gauge(f"goctl_benchmark_{name}", words, (*labels, *more), registry=made)

    seconds = gauge("seconds", "Median wall time of a release.")
    cpu = gauge("cpu_seconds", "Median CPU time of a release, with all processes that it started.")
    memory = gauge("memory_bytes", "Peak of resident memory of goctl's own process.")
    moved = gauge("moved_bytes", "Bytes downloaded and pushed by the last release.")
    hits = gauge("known_steps", "Steps of the last release that were known already.")
    steps = gauge("steps", "Steps of the last release.")
    count = gauge("rounds", "Releases that were measured.")
    phases = gauge("phase_seconds", "Median wall time of a phase of a release.", "phase")
    ratio = gauge("baseline_ratio", "Wall time beside the baseline: its ratio, and the interval of that.", "bound")
    failed = gauge("failed", "1 where a release is slower than it may be.")
    for state, samples in night.samples.items():
        here = (night.project, night.machine.fingerprint, state)
        seconds.labels(*here).set(statistics.median(night.seconds(state)))
        cpu.labels(*here).set(statistics.median(sample.cpu for sample in samples))
        count.labels(*here).set(len(samples))
        if samples[-1].phases:
            memory.labels(*here).set(max(sample.memory for sample in samples))
            moved.labels(*here).set(samples[-1].moved)
            hits.labels(*here).set(samples[-1].hits)
            steps.labels(*here).set(samples[-1].steps)
            for phase, taken in median_phases(samples).items():
                phases.labels(*here, phase).set(taken)
    for verdict in judgement.verdicts:
        here = (night.project, night.machine.fingerprint, verdict.state)
        failed.labels(*here).set(verdict.outcome == "failed")
        if verdict.outcome != "new":
            for bound, value in (("low", verdict.low), ("value", verdict.ratio), ("high", verdict.high)):
                ratio.labels(*here, bound).set(value)
    return made


def write_textfile(path: Path, night: Night, judgement: Judgement) -> None:
    """Writes the file, whole or not at all: a collector may read it at any time."""
    from prometheus_client import generate_latest

    write_atomic(path, generate_latest(registry(night, judgement)))


def push(address: str, night: Night, judgement: Judgement, *, timeout: float = 20) -> None:
    """Replaces this project's figures of this machine at a Pushgateway. Raises GoctlError where it does not take them."""
    from prometheus_client import push_to_gateway
    from urllib3.exceptions import HTTPError

    url = urlsplit(address if "//" in address else f"http://{address}")
    user, password = url.username or "", url.password or ""
    plain = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
    grouping = {"project": night.project, "machine": night.machine.fingerprint}
    try:
        push_to_gateway(
            plain,
            job=JOB,
            grouping_key=grouping,
            registry=registry(night, judgement),
            timeout=timeout,
            handler=_handler(user, password),
        )
    except (OSError, ValueError, HTTPError) as error:
        raise GoctlError(
            f"the Pushgateway did not take the figures: {without_userinfo(str(error))}",
            hint="is [metrics] pushgateway the address of one?",
        ) from error


def _handler(user: str, password: str) -> Callable[..., Callable[[], None]]:
    """How prometheus-client is to send: its own way leaves connections open, and to be closed by chance."""
    import urllib3

    login = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}

    def send(
        url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        def handle() -> None:
            with urllib3.PoolManager() as pool:
                answer = pool.request(
                    method, url, body=data, headers={**dict(headers), **login}, timeout=timeout, retries=False
                )
            if answer.status >= 400:
                raise OSError(f"it answered {answer.status} {answer.reason or ''}".rstrip())

        return handle

    return send


def address_of(setting: str, environment: Mapping[str, str]) -> str:
    """The address of the Pushgateway that a setting names. Raises ConfigError where its variable is not set."""
    scheme, _, name = setting.partition(":")
    if scheme != "env":
        return setting
    if not environment.get(name):
        raise ConfigError(f"{name} is not set: it holds the Pushgateway's address ([metrics] pushgateway)")
    return environment[name]
