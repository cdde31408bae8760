"""Talks with nodes: the shell's own script, started here by a docker command with no engine, and a ctr that takes notes."""

from __future__ import annotations

import gc
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import runs
from tests.waiting import until

from goctl.cluster import talks
from goctl.cluster.nodes import Node
from goctl.cluster.talks import Talks
from goctl.errors import ClusterError, Interrupted
from goctl.oci.bundle import layout_of
from goctl.system import process
from goctl.values import Digest

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="the shell of a node is started on this machine"),
    pytest.mark.usefixtures("children"),
]

#: The engine's command: one more line in `starts`, then what was to be started in a node.
DOCKER = """#!/bin/sh
echo "$*" | head -n 1 >> "{folder}/starts"
[ "$3" = gone ] && {{ echo "Error: No such container: gone" >&2; exit 1; }}
shift 3
"$@"
echo ended >> "{folder}/ends"
"""

#: containerd's. What it takes is kept; a large archive it refuses before it has read it. Its help tells whether it can hand
#: over content by itself.
CTR = """#!/bin/sh
echo "$*" >> "{folder}/asked"
case "$*" in
  "-n k8s.io content ls -q") echo sha256:{a}; echo sha256:{b} ;;
  "-n k8s.io images ls")
    echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"
    echo "kind.local/api:1.0 application/x sha256:{a} 1.2 MiB linux/amd64 x=y" ;;
  "-n k8s.io images import --help") cat "{folder}/help" 2> /dev/null ;;
  "-n k8s.io images import --no-unpack -" | "-n k8s.io images import --local --no-unpack -")
    if [ -e "{folder}/full" ]; then echo "write: no space left on device" >&2; exit 1; fi
    cat > "{folder}/took.$(ls "{folder}" | grep -c took)"
    echo "kind.local/api:1.0 saved" ;;
esac
"""
A, B = Digest.of(b"a"), Digest.of(b"b")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What happened in the node, in files."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("docker", DOCKER), ("ctr", CTR)):
        file = programs / name
        file.write_text(text.format(folder=tmp_path, a=A.hex, b=B.hex))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_one_process_serves_a_whole_delivery(folder: Path) -> None:
    node = Node("one")
    assert node.content == {A, B}
    assert lines(folder / "asked")[0] == "-n k8s.io content ls -q"
    for number, content in enumerate((b"first\n== 0\nimages\n", bytes(300_000), b"last")):
        node.take(iter([content[:7], content[7:]]), len(content), [], {})
        assert (folder / f"took.{number}").read_bytes() == content
    assert node.names == {"kind.local/api:1.0": A}
    assert len(lines(folder / "starts")) == 1
    assert lines(folder / "starts")[0].startswith("exec --interactive one sh -c")


@pytest.mark.parametrize(("help", "way"), [("  --local  Run import locally", "--local --no-unpack"), ("", "--no-unpack")])
def test_ctr_hands_content_over_by_itself_where_it_can(folder: Path, help: str, way: str) -> None:
    (folder / "help").write_text(f"OPTIONS:\n  --no-unpack  Skip unpacking\n{help}\n")
    node = Node("one")
    for content in (b"first", b"second"):
        node.take(iter([content]), len(content), [], {})
    assert [line for line in lines(folder / "asked") if line.endswith(" -")] == [f"-n k8s.io images import {way} -"] * 2
    assert lines(folder / "asked").count("-n k8s.io images import --help") == 1


def test_names_are_asked_for_once_and_follow_what_is_taken(folder: Path) -> None:
    node = Node("one")
    assert node.names["kind.local/api:1.0"] == A
    node.take(iter([b"x"]), 1, [Digest.of(b"c")], {"kind.local/api:2.0": Digest.of(b"c")})
    assert node.names == {"kind.local/api:1.0": A, "kind.local/api:2.0": Digest.of(b"c")}
    assert node.content == {A, B, Digest.of(b"c")}
    assert lines(folder / "asked").count("-n k8s.io images ls") == 1


def test_what_is_counted_is_what_is_sent(folder: Path) -> None:
    size, parts = layout_of([], [], lambda blob: (_ for _ in ()).throw(AssertionError))
    Talks("one").give(parts, size)
    assert (folder / "took.0").stat().st_size == size


def test_a_node_that_is_gone_says_so(folder: Path) -> None:
    with pytest.raises(ClusterError, match="the node gone could not tell what it holds: Error: No such container: gone"):
        Node("gone")


def test_after_a_refusal_the_next_has_a_new_process(folder: Path) -> None:
    node = Node("one")
    (folder / "full").touch()
    content = b"content\nimages\n" * 100_000  # what is left of it is no question
    with pytest.raises(ClusterError, match=r"could not take an image: .*no space left on device") as raised:
        node.take(iter([content]), len(content), [Digest.of(b"c")], {})
    assert "disk of Docker's engine is full" in raised.value.hint
    assert Digest.of(b"c") not in node.content
    (folder / "full").unlink()
    node.take(iter([b"small"]), 5, [], {})
    assert (folder / "took.0").read_bytes() == b"small"
    assert len(lines(folder / "starts")) == 2
    assert lines(folder / "asked").count("-n k8s.io content ls -q") == 1


def test_what_the_archive_raises_comes_through_and_the_node_takes_no_half(folder: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise Interrupted

    with pytest.raises(Interrupted):
        Node("one").take(broken(), 8, [], {})
    assert not any(file.read_bytes() == b"half...." for file in folder.glob("took.*"))


def test_threads_have_shells_to_themselves(folder: Path) -> None:
    both = threading.Barrier(2)
    found = Talks("one")

    def slow(word: bytes) -> Iterator[bytes]:
        both.wait(10)  # each is under way while the other is
        yield word

    given = [threading.Thread(target=found.give, args=(slow(word), 3)) for word in (b"one", b"two")]
    for thread in given:
        thread.start()
    for thread in given:
        thread.join(20)
    assert len(lines(folder / "starts")) == 2
    assert {file.read_bytes() for file in folder.glob("took.*")} <= {b"one", b"two"}
    found.ask("content", "tell")
    assert len(lines(folder / "starts")) == 2


def test_a_shell_ends_when_nobody_can_ask_it_any_more(folder: Path) -> None:
    node = Node("one")
    assert not lines(folder / "ends")
    del node
    gc.collect()
    until(lambda: lines(folder / "ends") == ["ended"])


def test_the_end_of_the_run_ends_who_waits(folder: Path, children: process.Children) -> None:
    node = Node("one")
    children.end()
    with pytest.raises(Interrupted):
        node.look()


def test_an_answer_that_does_not_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "PATIENCE", 0.2)
    (folder / "bin/ctr").write_text(f'#!/bin/sh\necho $$ > "{folder}/waits"\nexec sleep 60\n')
    with pytest.raises(ClusterError, match=r"could not tell what it holds: it did not answer within 0.2 s"):
        Node("one")
    waits = int((folder / "waits").read_text())
    until(lambda: not runs(waits))
