"""A night's figures at Prometheus' own programs: a Pushgateway that keeps them, one that asks it, and its linter."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from goctl.report.benchmark import prometheus
from tests.services.stores import free_port, running
from tests.unit.test_benchmark_results import MACHINE, judged, night

pytestmark = pytest.mark.integration
Service = Callable[[str, str], str]

_CONFIG = """global: {{scrape_interval: 200ms}}
scrape_configs: [{{job_name: gate, honor_labels: true, static_configs: [{{targets: ["{gateway}"]}}]}}]
"""


@pytest.fixture
def gateway(service: Service) -> Iterator[str]:
    address = f"127.0.0.1:{(port := free_port())}"
    program = service("prometheus", "prometheus-pushgateway")
    with running([program, f"--web.listen-address={address}"], port):
        yield address


def test_the_text_file_has_the_form_that_prometheus_asks_for(tmp_path: Path, service: Service) -> None:
    program = service("prometheus", "promtool")
    prometheus.write_textfile(tmp_path / "night.prom", night(), judged(night(), night()))
    with open(tmp_path / "night.prom", "rb") as file:
        checked = subprocess.run([program, "check", "metrics"], stdin=file, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_prometheus_reads_what_a_pushgateway_was_given(tmp_path: Path, gateway: str, service: Service) -> None:
    for one in (night(), night(slower=2)):  # the second takes the place of the first
        prometheus.push(f"http://{gateway}", one, judged(one, night()))
    (tmp_path / "prometheus.yml").write_text(_CONFIG.format(gateway=gateway))
    port = free_port()
    own = f"127.0.0.1:{port}"
    command = [service("prometheus", "prometheus"), f"--config.file={tmp_path / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={own}"]
    with running(command, port):
        found = _asked(own, 'goctl_benchmark_seconds{project="shop",state="cold"}')
        assert [one["metric"]["machine"] for one in found] == [MACHINE.fingerprint]
        assert float(found[0]["value"][1]) == pytest.approx(40, rel=0.05)
        assert _asked(own, 'goctl_benchmark_failed{state="cold"}')[0]["value"][1] == "1"


def _asked(address: str, query: str) -> list[dict[str, dict[str, str]]]:
    """What a query finds, once it finds anything."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"http://{address}/api/v1/query?{urlencode({'query': query})}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:  # 503 while it starts
            found = []
        if found or time.monotonic() > deadline:
            return list(found)
        time.sleep(0.2)
