"""Nights as files, for goctl and for pytest-benchmark; and the reports that are made of them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from msgspec.structs import replace

from goctl.benchmark import gate
from goctl.benchmark.storage import Results, document, read, this_machine
from goctl.errors import ConfigError, GoctlError
from goctl.measures import CONTROL, PHASES, Judgement, Machine, Night, Phase, Point, Sample
from goctl.report.benchmark import console, prometheus
from goctl.report.benchmark.html import page
from goctl.report.benchmark.markdown import markdown

MACHINE = Machine("0123456789ab", "Linux", "x86_64", "A <fast> processor", 2, 2**33)


def sample(seconds: float) -> Sample:
    share = seconds / len(PHASES)
    phases = {name: Phase(share, share, 50_000_000, 1000, 1, 2) for name in PHASES}
    return Sample(seconds, seconds * 1.5, 60_000_000, phases)


def night(*, slower: float = 1.0, commit: str = "a" * 40, date: str = "2026-01-02T03:04:05+00:00") -> Night:
    rounds = (1.0, 1.02, 0.98, 1.01, 0.99)
    return Night(
        project="shop",
        commit=commit,
        date=date,
        machine=MACHINE,
        samples={
            "cold": tuple(sample(20 * slower * one) for one in rounds),
            "nothing": tuple(sample(0.4 * one) for one in rounds),
            CONTROL: tuple(Sample(0.3 * one) for one in rounds),
        },
        branch="main",
        versions={"goctl": "0.1.0", "go": "1.27.3", "python": "3.13.0"},
        scaling=tuple(Point("nothing", targets, 2, (0.4 + targets / 100,)) for targets in (1, 2, 4))
        + (Point("nothing", 4, 1, (0.42,)),),
    )


def judged(after: Night, before: Night | None) -> Judgement:
    baselines = dict.fromkeys(after.states, before) if before is not None else {}
    return gate.judge(after, baselines, {"cold": 1.1, "nothing": 1.1})


def test_a_night_is_read_as_it_was_written(tmp_path: Path) -> None:
    results = Results(tmp_path, MACHINE)
    first, second = night(), night(commit="b" * 40, date="2026-01-03T03:04:05+00:00")
    assert (results.nights(), results.baselines(["cold"])) == ([], {})
    names = [results.save(one).name for one in (first, second)]
    assert names == ["0001_aaaaaaaaaaaa_20260102T030405.json", "0002_bbbbbbbbbbbb_20260103T030405.json"]
    assert results.nights() == [first, second]


def test_each_state_has_a_baseline_of_its_own(tmp_path: Path) -> None:
    results = Results(tmp_path, MACHINE)
    first, second = night(), night(commit="b" * 40)
    results.accept(first, ["cold", "nothing"])
    results.accept(second, ["cold"])
    found = results.baselines(["cold", "nothing", "edit"])
    assert {state: one.commit[0] for state, one in found.items()} == {"cold": "b", "nothing": "a"}
    assert set(found["cold"].samples) == {"cold", CONTROL}
    assert Results(tmp_path, replace(MACHINE, fingerprint="another")).baselines(["cold"]) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"benchmarks": []}', b"\xff"])
def test_files_that_are_none_of_ours_are_left_out(tmp_path: Path, content: bytes) -> None:
    results = Results(tmp_path, MACHINE)
    results.save(night())
    (results.folder / "0002_x.json").write_bytes(content)
    assert results.nights() == [night()]


def test_a_machine_has_the_same_fingerprint_each_time() -> None:
    assert this_machine() == this_machine()
    assert len(this_machine().fingerprint) == 12


def test_pytest_benchmark_compares_nights_and_draws_them(tmp_path: Path) -> None:
    results = Results(tmp_path / "kept", MACHINE)
    results.accept(night(), ["cold"])
    for one in (night(), night(slower=2, commit="b" * 40)):
        results.save(one)

    def run(*words: str) -> str:
        call = "from pytest_benchmark.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", call, "--storage", str(tmp_path / "kept"), *words],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    listed = run("list")
    assert "0001_aaaaaaaaaaaa" in listed
    table = run("compare", "0001", "0002", "--group-by=name", "--histogram=drawn", "--columns=median,rounds,outliers")
    assert "cold[shop]" in table
    assert "(2.0" in table or "(2.00)" in table
    assert "20.0000" in table
    drawn = sorted(path.name for path in tmp_path.glob("drawn*.svg"))
    assert len(drawn) == 3, table
    assert "cold[shop]" in (tmp_path / drawn[0]).read_text(encoding="utf-8")


class _Page(HTMLParser):
    """Checks that elements are nested well, and keeps the names of all."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    before, after = night(), night(slower=1.5, commit="b" * 40)
    text = page(after, judged(after, before), {"cold": before, "nothing": before}, [before, before])
    parsed = _Page()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    assert parsed.links == []
    assert not {"script", "link", "img", "iframe"} & set(parsed.seen)
    assert "url(" not in text
    # A strip and a history for each of three, the phases, and both ways to scale.
    assert parsed.seen.count("svg") == 3 * 2 + 1 + 2
    assert "A &lt;fast&gt; processor" in text
    assert 'class="bad"' in text


def test_the_first_page_needs_no_baseline_and_no_history() -> None:
    only = replace(night(), scaling=(), samples={"nothing": (sample(1.0),)})
    text = page(only, judged(only, None), {}, [])
    assert text.count("<svg") == 2
    assert "from now on the baseline" in text


def test_markdown_says_what_failed_where_and_since_when() -> None:
    before, after = night(), night(slower=1.5, commit="b" * 40)
    text = markdown(after, judged(after, before))
    assert text.startswith("### Releases became slower: cold\n")
    assert "cold is +50.0 % slower (may be +10.0 %)" in text
    assert f"commits {'a' * 12}..{'b' * 12}" in text
    assert "A \\<fast\\> processor" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count(" | ") for line in tables} == {9, 6}
    assert markdown(before, judged(before, before)).startswith("### Releases take what they took\n")


def test_the_console_shows_states_phases_and_sentences() -> None:
    out = io.StringIO()
    before, after = night(), night(slower=1.5, commit="b" * 40)
    console.show(out, after, judged(after, before))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    (cold,) = [line for line in lines if line.startswith("cold") and "FAILED" in line]
    assert "30.0 s" in cold
    assert "+50.0 %" in cold
    assert any(line.startswith("state") and "assemble" in line for line in lines)


def test_the_textfile_holds_every_state_and_the_verdicts(tmp_path: Path) -> None:
    before, after = night(), night(slower=1.5)
    prometheus.write_textfile(tmp_path / "goctl.prom", after, judged(after, before))
    lines = (tmp_path / "goctl.prom").read_text(encoding="utf-8").splitlines()
    labels = 'machine="0123456789ab",project="shop",state="cold"'
    assert f"goctl_benchmark_seconds{{{labels}}} 30.0" in lines
    assert f"goctl_benchmark_failed{{{labels}}} 1.0" in lines
    (ratio,) = (line for line in lines if line.startswith(f'goctl_benchmark_baseline_ratio{{bound="value",{labels}}} '))
    assert float(ratio.rpartition(" ")[2]) == pytest.approx(1.5)
    assert any(line.startswith("goctl_benchmark_phase_seconds{") and 'phase="push"' in line for line in lines)


class _Gateway(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str, str, bytes]]] = []
    status = 202

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def gateway() -> object:
    server = HTTPServer(("127.0.0.1", 0), _Gateway)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _Gateway.asked.clear()
    _Gateway.status = 202
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_pushgateway_is_given_the_figures_with_a_login(gateway: str) -> None:
    prometheus.push(f"http://me:secret@{gateway}", night(), judged(night(), None))
    ((method, path, authorization, body),) = _Gateway.asked
    assert (method, path) == ("PUT", "/metrics/job/goctl_benchmark/machine/0123456789ab/project/shop")
    assert authorization.startswith("Basic ")
    assert b"goctl_benchmark_seconds{" in body


def test_a_pushgateway_that_refuses_is_told_without_the_login(gateway: str) -> None:
    _Gateway.status = 401
    with pytest.raises(GoctlError, match="401") as raised:
        prometheus.push(f"http://me:secret@{gateway}", night(), judged(night(), None))
    assert "secret" not in str(raised.value)


def test_the_address_of_a_pushgateway_comes_from_its_variable() -> None:
    assert prometheus.address_of("env:GATE", {"GATE": "http://h:1"}) == "http://h:1"
    assert prometheus.address_of("http://h:1", {}) == "http://h:1"
    with pytest.raises(ConfigError, match="GATE is not set"):
        prometheus.address_of("env:GATE", {})


def test_extra_info_tells_pytest_benchmark_what_it_has_no_column_for(tmp_path: Path) -> None:
    content = json.loads(document(night()))
    (cold, *_) = content["benchmarks"]
    assert cold["extra_info"] == {
        "cpu": pytest.approx(29.7), "memory": 60_000_000, "moved": 6000, "hits": 6, "steps": 12,
    }  # fmt: skip
    (tmp_path / "x.json").write_bytes(document(night()))
    assert read(tmp_path / "x.json") == night()
