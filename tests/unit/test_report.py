"""Events in words: every kind has some, tables fit, and nothing steers the terminal."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from goctl import events
from goctl.report import is_live, reporter, words
from goctl.report.jsonlines import JsonLines
from goctl.report.live import Live
from goctl.report.plain import Plain

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "sha256:" + "0123456789abcdef" * 4

#: One of each kind. SILENT ones say nothing in a log: what they tell comes out with another event.
SAMPLES: dict[str, tuple[events.Event, str]] = {
    "run-started": (events.RunStarted("release", "shop", 7), ""),
    "stage-started": (events.StageStarted("build", "build for 3 platforms"), "build for 3 platforms"),
    "step-started": (events.StepStarted("compile:api", "compile api", "api", "linux/amd64"), ""),
    "step-progress": (events.StepProgress("compile:api", 2, 7, "programs"), ""),
    "step-finished": (
        events.StepFinished("compile:api", "done", "compile api", "api", "linux/amd64", 1.5, 2_000_000, "new"),
        "compile api, done, ",
    ),
    "output": (events.Output("go", "go: downloading example.com/x v1.0.0"), "  go: downloading example.com/x v1.0.0"),
    "notice": (events.Notice("no git", "install it"), "warning: no git\n  install it"),
    "released-image": (
        events.ReleasedImage(
            "api", "ghcr", f"ghcr.example/api@{DIGEST}", DIGEST, ("linux/amd64", "linux/arm64"), ("1.0", "latest"),
            12_345_678, "1 of 2", 3.25,
        ),
        "",
    ),
    "built-binary": (events.BuiltBinary("api", "linux/amd64", "dist/api/linux-amd64/api", DIGEST, 9_000, cached=True), ""),
    "built-archive": (
        events.BuiltArchive("api", "linux/amd64", "dist/archives/api_linux_amd64.tar.gz", DIGEST, 9_000, cached=False), ""
    ),
    "deployed": (
        events.Deployed("prod", "kind-shop", "shop", 3, "deployed", {"api": f"ghcr.example/api@{DIGEST}"}, 1, 1, 0, 2.5),
        "prod: release 3 in kind-shop/shop runs, 1 created, 1 changed",
    ),
    "failed": (events.Failed("BuildError", 6, "it fails", "mend it"), "error: it fails\nhint: mend it"),
    "run-finished": (events.RunFinished(4.2, "done", 3, 4), "done: 3 steps, 4 were known, "),
    "table": (events.Table("config", ("name", "from"), (("project", "a:2"),)), "name     from\nproject  a:2\n"),
    "document": (events.Document("plan", "shop: build", msgspec.Raw(b'{"steps":[]}')), "shop: build"),
}  # fmt: skip
TOLD_BY_OTHERS = {"run-started", "step-started", "step-progress", "released-image", "built-binary", "built-archive"}

#: What a terminal would obey: colours, titles, clipboard (OSC 52), links, 8-bit controls, cursor movements, a bell.
HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\x1b]52;c;aGk=\x1b\\d\x9b31me\x90qf\rg\x08h\x00i\x7fj\u202ek"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def kinds() -> Iterator[tuple[str, type[events.Event]]]:
    for kind in events.Event.__subclasses__():
        yield str(kind.__struct_config__.tag), kind


def plain(*told: events.Event) -> str:
    out = io.StringIO()
    listener = Plain(out)
    for event in told:
        listener.emit(event)
    listener.close()
    return out.getvalue()


def live(*told: events.Event, width: int = 100, terminal: bool = False) -> str:
    out = io.StringIO()
    listener = Live(out)
    listener._console = Console(
        file=out, width=width, highlight=False, soft_wrap=True, force_terminal=terminal, legacy_windows=False, _environ={}
    )
    for event in told:
        listener.emit(event)
    listener.close()
    return out.getvalue()


def hostile(event: events.Event) -> events.Event:
    """The event with every text in it as bad as can be."""

    def spoil(value: Any) -> Any:
        if isinstance(value, str):
            return HOSTILE
        if isinstance(value, tuple):
            return tuple(spoil(part) for part in value)
        return value

    return type(event)(**{name: spoil(getattr(event, name)) for name in event.__struct_fields__})


def test_every_kind_of_event_has_a_sample_here() -> None:
    # A new kind: give it words in report/plain.py and report/live.py, then a sample with these words.
    assert {tag for tag, _ in kinds()} == set(SAMPLES)
    assert {tag: type(event) for tag, (event, _) in SAMPLES.items()} == dict(kinds())


@pytest.mark.parametrize("tag", SAMPLES)
def test_every_kind_has_words_or_is_told_by_another(tag: str) -> None:
    event, expected = SAMPLES[tag]
    text = plain(event)
    assert text.startswith(expected)
    assert bool(text) == (tag not in TOLD_BY_OTHERS)
    assert not text or text.endswith("\n")


@pytest.mark.parametrize("tag", sorted(set(SAMPLES) - {"table"}))
def test_a_console_says_what_a_log_says(tag: str) -> None:
    event, _ = SAMPLES[tag]
    assert live(event).split() == plain(event).split()


def test_cached_steps_are_no_news_on_a_console() -> None:
    step = events.StepFinished("compile:api", "cached", "compile api", seconds=3.0)
    assert live(step) == ""
    assert plain(step) == "compile api, cached\n"


@pytest.mark.parametrize("tag", SAMPLES)
def test_json_is_one_object_a_line(tag: str) -> None:
    event, _ = SAMPLES[tag]
    out = io.StringIO()
    JsonLines(out).emit(event)
    line, rest = out.getvalue().split("\n")
    assert rest == ""
    data = json.loads(line)
    assert data.pop("event") == tag
    assert set(data) == {name.replace("_", "-") for name in event.__struct_fields__}


@pytest.mark.parametrize("tag", sorted(set(SAMPLES) - {"document"}))  # whose data is JSON already
def test_json_stays_on_its_line_whatever_names_hold(tag: str) -> None:
    out = io.StringIO()
    JsonLines(out).emit(hostile(SAMPLES[tag][0]))
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()
    strings = [value for value in json.loads(out.getvalue()).values() if isinstance(value, str)]
    assert all(value in (tag, HOSTILE) for value in strings)


def test_json_of_many_threads_is_not_mixed() -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            return sum(super(Slow, self).write(letter) for letter in text)

    out = Slow()
    listener = JsonLines(out)
    threads = [
        threading.Thread(target=lambda n=n: [listener.emit(events.Output(str(n), "x" * 50)) for _ in range(50)])
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(line)["source"] for line in out.getvalue().splitlines()) == sorted("012345" * 50)


@pytest.mark.parametrize("tag", SAMPLES)
@pytest.mark.parametrize("terminal", [False, True])
def test_no_name_steers_a_terminal(tag: str, terminal: bool) -> None:
    event = SAMPLES[tag][0] if tag == "document" else hostile(SAMPLES[tag][0])
    if tag == "document":
        event = events.Document("plan", HOSTILE, msgspec.Raw(b"{}"))
    finish = events.RunFinished(1.0, "done", 1, 0)
    assert not CONTROLS.search(plain(event, finish))
    shown = live(event, finish, width=400, terminal=terminal)
    # Progress moves the cursor, and colours are ours: these sequences, and no others.
    shown = re.sub(r"\x1b\[(?:[0-9;]*m|\?25[lh]|1A|2K)|\r", "", shown) if terminal else shown
    assert not CONTROLS.search(shown)


def test_a_step_under_way_does_not_steer_a_terminal() -> None:
    shown = live(events.StepStarted("x", HOSTILE), events.StepProgress("x", 1, 2, HOSTILE), width=400, terminal=True)
    assert not CONTROLS.search(re.sub(r"\x1b\[(?:[0-9;]*m|\?25[lh]|1A|2K)|\r", "", shown))


def test_letters_of_all_scripts_are_kept() -> None:
    text = "grüße\tпривет 世界 🎉 [bold]not markup[/bold]"
    assert words.clean(text) == text
    assert plain(events.Output("go", text)) == f"  {text}\n"
    assert "[bold]not markup[/bold]" in live(events.Notice(text))


@pytest.mark.parametrize("kind", [Plain, Live, JsonLines])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_name_is_too_much_for_a_streams_encoding(kind: Any, encoding: str) -> None:
    # Windows' streams know 250 letters when they are piped; a file's name on Linux may be no text at all.
    content = io.BytesIO()
    out = io.TextIOWrapper(content, encoding=encoding, write_through=True)
    listener = kind(out)
    name = "grüße 世界 \udcff"
    listener.emit(events.Notice(name, level="info"))
    listener.emit(events.Table(name, (name,), ((name,),)))
    listener.emit(events.Document("plan", name, msgspec.Raw(b'{"a":"\xc3\xbc"}')))
    text = content.getvalue().decode(encoding)
    assert "\\udcff" in text
    if kind is JsonLines:
        first, _, last = map(json.loads, text.splitlines())
        assert first["message"] == name
        assert last["data"] == {"a": "ü"}
    else:
        assert ("世界" in text) == (encoding == "utf-8")


ROWS = [
    events.BuiltBinary("api", "linux/amd64", "dist/api/linux-amd64/api", DIGEST, 9_000_000, cached=True),
    events.BuiltBinary("worker", "windows/amd64", "dist/worker/windows-amd64/worker.exe", DIGEST, 123, cached=False),
    SAMPLES["released-image"][0],
    events.ReleasedImage(
        "worker", "folder", "oci-layout:dist/images", DIGEST, ("linux/arm/v7",), ("1.0",), 700, "all", 0.04
    ),
    events.RunFinished(61.0, "done", 12, 3),
]


def golden(name: str, text: str) -> None:
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_order_in_which_programs_are_linked_does_not_show() -> None:
    programs = [
        events.BuiltBinary(name, platform, f"dist/{name}", DIGEST, 1, cached=False)
        for name in ("api", "worker")
        for platform in ("linux/amd64", "linux/arm64")
    ]
    end = events.RunFinished(1.0, "done", 4, 0)
    assert plain(*programs, end) == plain(*reversed(programs), end)


def test_the_closing_table_of_a_log() -> None:
    golden("closing-plain.txt", plain(*ROWS))


@pytest.mark.parametrize("width", [80, 140])
def test_the_closing_table_of_a_console(width: int) -> None:
    text = live(*ROWS, width=width)
    golden(f"closing-{width}.txt", text)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_no_digest_is_lost_in_a_narrow_window(width: int) -> None:
    text = live(*ROWS, width=width)
    assert "…" not in text
    assert text.count(DIGEST) == 2


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (events.RunFinished(2.0, "failed"), "failed after "),
        (events.RunFinished(0.2, "done", 0, 9), "nothing to do: 9 steps were known, "),
        (events.RunFinished(0.2, "done", 0, 0), "done: 0 steps, "),
        (events.RunFinished(0.2, "interrupted", 1, 0), "interrupted after "),
    ],
)
def test_how_a_run_ended(event: events.RunFinished, line: str) -> None:
    assert plain(event).startswith(line)


def test_several_problems_are_counted_and_listed() -> None:
    text = plain(events.Failed("ConfigError", 3, "a\nb", "look", ("goctl.toml:1: a", "goctl.toml:2: b")))
    assert text == "2 problems:\n  goctl.toml:1: a\n  goctl.toml:2: b\nhint: look\n"
    assert plain(events.Failed("X", 1, "")) == "error\n"
    assert plain(events.Failed("X", 1, "one\ntwo")) == "error: one\ntwo\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "json_wanted", "kind"),
    [
        (True, {}, False, Live),
        (True, {"CI": "true"}, False, Plain),
        (True, {"TERM": "dumb"}, False, Plain),
        (False, {}, False, Plain),
        (True, {}, True, JsonLines),
        (False, {"CI": "1"}, True, JsonLines),
    ],
)
def test_the_listener_fits_where_the_output_goes(
    terminal: bool, environment: dict[str, str], json_wanted: bool, kind: type
) -> None:
    out = Terminal() if terminal else io.StringIO()
    assert is_live(out, environment) == (terminal and not environment)
    assert type(reporter(json=json_wanted, out=out, environment=environment)) is kind


def test_live_without_a_terminal_draws_no_bars() -> None:
    start = events.StepStarted("compile:api", "compile api")
    done = events.StepFinished("compile:api", "done", "compile api")
    text = live(start, events.StepProgress("compile:api", 1, 2), done, events.RunFinished(1.0, "done", 1))
    assert "\x1b" not in text
    assert text.splitlines()[0] == "compile api, done"


def test_live_on_a_terminal_gives_the_cursor_back() -> None:
    # Also when the run ends in the middle of a step, without a word.
    text = live(events.StepStarted("x", "compile"), terminal=True)
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") > -1
    text = live(events.StepStarted("x", "compile"), events.Failed("X", 1, "no"), terminal=True)
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") > -1


def test_progress_of_an_unknown_or_ended_step_is_ignored() -> None:
    progress = events.StepProgress("x", 1, 2)
    assert live(progress, events.StepStarted("x", "t"), events.StepFinished("x", "cached", "t"), progress, terminal=True)
