"""Child processes: what they print, how they end, and that nothing they started outlives them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import runs
from tests.waiting import until

from goctl.errors import BuildError, GoctlError, Interrupted, ToolchainError
from goctl.system import process

pytestmark = pytest.mark.usefixtures("children")

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and process groups as POSIX has them")


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", code]


def gone(pid: int, within: float = 3.0) -> bool:
    deadline = time.monotonic() + within
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def pid_in(file: Path) -> int:
    until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


#: Starts a grandchild that ignores what it can, writes the grandchild's number to a file, and waits.
GRANDCHILD = """
import os, signal, subprocess, sys, time
deaf = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; print('deaf', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-S", "-c", deaf], stdout=subprocess.PIPE)
child.stdout.readline()
with open({file!r} + ".new", "w") as file:
    file.write(str(child.pid) + "\\n")
os.replace({file!r} + ".new", {file!r})
{then}
"""


def test_what_a_child_prints_and_how_it_ends() -> None:
    done = process.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (done.code, done.text.split(), done.errors.split()) == (3, ["out"], ["err"])
    assert done.args[0] == sys.executable


def test_a_child_has_each_part_before_the_next_is_made() -> None:
    answers: list[bytes] = []
    answered = threading.Event()

    def take(line: bytes) -> None:
        answers.append(line)
        answered.set()

    def parts() -> Iterator[bytes]:
        yield b"one\n"
        assert answered.wait(10)
        yield b"two\n"

    code = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    assert process.run(python(code), input=parts(), take_stdout=take).code == 0
    assert b"".join(answers).split() == [b"ONE", b"TWO"]


def test_bytes_that_are_no_text_do_not_stop_anything() -> None:
    lines: list[str] = []
    done = process.run(python(r"import os; os.write(1, b'a\xff\r\n\0b\nlast')"), on_stdout=lines.append)
    assert done.stdout == b"a\xff\r\n\0b\nlast"
    assert lines == ["a\ufffd", "\0b", "last"]


@POSIX
def test_a_signal_is_a_negative_code() -> None:
    assert process.run(python("import os; os.kill(os.getpid(), 9)")).code == -signal.SIGKILL


def test_a_failure_with_an_error_class_tells_the_end_of_stderr() -> None:
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; print('no'); sys.exit(2)"
    with pytest.raises(BuildError) as caught:
        process.run(python(code), error=BuildError)
    text = str(caught.value)
    assert text.splitlines()[0].endswith("ended with 2: line 88")
    assert text.splitlines()[-1] == "line 99"
    assert len(text.splitlines()) == 12


@pytest.mark.parametrize(("code", "words"), [("print('only here')", "only here"), ("pass", "it printed nothing")])
def test_a_failure_without_stderr_tells_what_there_is(code: str, words: str) -> None:
    with pytest.raises(GoctlError, match=words):
        process.run(python(f"{code}; import sys; sys.exit(1)"), error=GoctlError)


def test_a_failure_names_the_command_without_its_options() -> None:
    with pytest.raises(GoctlError) as caught:
        process.run([*python("import sys; sys.exit(1)"), "--password=hunter2", "secret"], error=GoctlError)
    assert str(caught.value).startswith(f"`{Path(sys.executable).stem}` ended with 1")
    assert "hunter2" not in str(caught.value)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ToolchainError, match="'no-such-program' was not found") as caught:
        process.run(["no-such-program", "version"])
    assert "PATH" in caught.value.hint


def test_a_folder_that_is_not_there_is_not_taken_for_the_program(tmp_path: Path) -> None:
    with pytest.raises(GoctlError) as caught:
        process.run(python("pass"), cwd=tmp_path / "absent")
    assert "absent" in str(caught.value)
    assert "PATH" not in caught.value.hint


@POSIX
def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("not a program")
    with pytest.raises(ToolchainError, match="cannot be started: Permission denied"):
        process.run([str(tmp_path / "tool")])
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(ToolchainError, match="cannot be started: Exec format error"):
        process.run([str(tmp_path / "tool")])


def test_an_environment_is_all_that_a_child_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOCTL_TEST_PRIVATE", "hunter2")
    code = "import os; print('GOCTL_TEST_PRIVATE' in os.environ, os.environ.get('GIVEN'))"
    base = {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if os.name == "nt" else {}
    assert process.run(python(code), env={**base, "GIVEN": "1"}).text.split() == ["False", "1"]
    assert process.run(python(code)).text.split() == ["True", "None"]


def test_a_child_without_input_has_none_and_one_with_input_gets_all() -> None:
    code = "import sys; print(len(sys.stdin.buffer.read()))"
    assert process.run(python(code)).text.strip() == "0"
    assert process.run(python(code), input=b"x" * 3_000_000).text.strip() == "3000000"


def test_a_child_that_reads_no_input_breaks_nothing() -> None:
    assert process.run(python("pass"), input=b"x" * 3_000_000).code == 0


def test_input_is_made_while_the_child_reads_it() -> None:
    code = "import sys; print(len(sys.stdin.buffer.read(1)), flush=True); print(len(sys.stdin.buffer.read()))"
    read = threading.Event()

    def parts() -> Iterator[bytes]:
        yield b"x" * 100_000
        assert read.wait(30)
        yield from (b"y" * 1_000_000 for _ in range(5))

    done = process.run(python(code), input=parts(), on_stdout=lambda line: read.set())
    assert done.text.split() == ["1", "5099999"]


def test_input_that_cannot_be_made_ends_the_child_and_is_raised(tmp_path: Path) -> None:
    code = f"import sys; sys.stdin.buffer.read(); open({str(tmp_path / 'end')!r}, 'w')"

    def parts() -> Iterator[bytes]:
        yield b"x"
        raise BuildError("no more")

    with pytest.raises(BuildError, match="no more"):
        process.run(python(code), input=parts())
    assert not (tmp_path / "end").exists()


def test_input_is_not_made_for_a_child_that_ended() -> None:
    made = []

    def parts() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield b"x" * 1_000_000

    assert process.run(python("import sys; sys.stdin.buffer.read(1)"), input=parts()).code == 0
    assert len(made) < 100


def test_much_on_both_streams_at_once_neither_blocks_nor_mixes() -> None:
    code = (
        "import os\nfor n in range(400):\n os.write(1, b'o' * 9999 + b'\\n')\n os.write(2, b'e' * 9999 + b'\\n')\n"
        "os.write(1, b'O' * 2_000_000)"
    )
    lines: list[str] = []
    done = process.run(python(code), input=b"i" * 1_000_000, on_stderr=lines.append, timeout=60)
    assert done.stdout == (b"o" * 9999 + b"\n") * 400 + b"O" * 2_000_000
    assert done.stderr == (b"e" * 9999 + b"\n") * 400
    assert set(map(len, lines)) == {9999}
    assert len(lines) == 400


def test_endless_stderr_is_kept_to_its_end_only() -> None:
    code = "import os\nfor n in range(40): os.write(2, b'e' * 1_000_000)\nos.write(2, b'\\nthe end')\nos._exit(1)"
    longest = 0

    def heard(line: str) -> None:
        nonlocal longest
        longest = max(longest, len(line))

    done = process.run(python(code), on_stderr=heard)
    assert done.stderr.endswith(b"e\nthe end")
    assert len(done.stderr) <= process.KEPT_OF_STDERR
    assert longest == process.LONGEST_LINE


def test_taken_output_is_not_kept() -> None:
    taken: list[bytes] = []
    done = process.run(python("print('a'); print('b')"), take_stdout=taken.append)
    assert b"".join(taken).split() == [b"a", b"b"]
    assert done.stdout == b""


def test_lines_come_while_the_child_runs() -> None:
    times: list[float] = []
    process.run(
        python("import time; print(1, flush=True); time.sleep(0.5); print(2)"),
        on_stdout=lambda line: times.append(time.monotonic()),
    )
    assert times[1] - times[0] > 0.3


def test_a_listener_that_raises_neither_hangs_the_child_nor_is_lost() -> None:
    def refuse(line: str) -> None:
        raise Interrupted("nobody reads the output", exit_code=141)

    began = time.monotonic()
    with pytest.raises(Interrupted):
        process.run(python("import os\nwhile True: os.write(1, b'x' * 1000 + b'\\n')"), on_stdout=refuse, timeout=20)
    assert time.monotonic() - began < 10


@POSIX
def test_a_child_that_takes_too_long_is_ended_with_its_own(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(BuildError, match="did not end within 2 s"):
        process.run(python(GRANDCHILD.format(file=str(file), then="time.sleep(60)")), timeout=2, error=BuildError)
    assert time.monotonic() - began < 7
    assert gone(pid_in(file))


@POSIX
@pytest.mark.parametrize("deaf", [(), (2,), (2, 15)])
def test_ending_asks_and_then_insists(children: process.Children, deaf: tuple[int, ...]) -> None:
    code = (
        f"import signal, time; [signal.signal(s, signal.SIG_IGN) for s in {deaf}]; print('up', flush=True); time.sleep(60)"
    )
    up = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            process.run(python(code), on_stdout=lambda line: up.set())
        except Interrupted as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert up.wait(10)
    began = time.monotonic()
    children.end()
    worker.join(10)
    took = time.monotonic() - began
    assert len(raised) == 1
    assert len(deaf) * 0.9 < took < 5
    with pytest.raises(Interrupted):
        process.run(python("pass"))


@POSIX
def test_ending_from_another_thread_reaches_grandchildren(children: process.Children, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    timer = threading.Thread(target=lambda: (pid_in(file), children.end()))
    timer.start()
    with pytest.raises(Interrupted):
        process.run(python(GRANDCHILD.format(file=str(file), then="time.sleep(60)")))
    timer.join()
    assert gone(pid_in(file))


@POSIX
def test_a_grandchild_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    # What goctl's child started and left: it holds the pipes open, and the run goes on without it.
    file = tmp_path / "pid"
    code = (
        "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(30)'])\n"
        f"open({str(file)!r}, 'w').write(str(child.pid) + '\\n')\nprint('done')"
    )
    began = time.monotonic()
    done = process.run(python(code))
    assert done.text.strip() == "done"
    assert time.monotonic() - began < 8
    assert gone(pid_in(file))


@POSIX
def test_an_interruption_in_this_thread_ends_the_child(tmp_path: Path) -> None:
    # As a signal's handler does: it raises in the main thread while that waits.
    def handle(number: int, frame: object) -> None:
        raise Interrupted

    file, waiting = tmp_path / "pid", threading.Event()
    before = signal.signal(signal.SIGUSR1, handle)
    # What comes between a child's start and the wait for it is ended with the run, as all that is registered.
    sender = threading.Thread(target=lambda: (waiting.wait(10), pid_in(file), os.kill(os.getpid(), signal.SIGUSR1)))
    child = python(GRANDCHILD.format(file=str(file), then="time.sleep(60)"))
    sender.start()
    try:
        with pytest.raises(Interrupted):
            process.run(child, on_start=lambda pid: waiting.set())
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert gone(pid_in(file))


def test_ended_children_are_forgotten_and_end_may_be_called_again(children: process.Children) -> None:
    for _ in range(3):
        process.run(python("pass"))
    assert not children._running
    children.end()
    children.end()


@POSIX
def test_ctrl_c_in_the_terminal_reaches_a_child_only_through_us() -> None:
    code = "import os; print(os.getpgid(0), os.getsid(0), os.getpid())"
    group, session, pid = map(int, process.run(python(code)).text.split())
    assert group == session == pid != os.getpgid(0)


def test_many_children_at_once() -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: codes.append(process.run(python(f"import sys; sys.exit({n})")).code))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(12))


@POSIX
def test_no_descriptor_is_left_open() -> None:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    process.run(python("pass"), input=b"x")
    before = len(os.listdir(folder))
    for _ in range(5):
        process.run(python("print(1)"), input=b"x")
    assert len(os.listdir(folder)) <= before


@POSIX
def test_no_child_inherits_anothers_pipes() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        code = f"import os\ntry:\n os.fstat({write})\n print('open')\nexcept OSError:\n print('closed')"
        assert process.run(python(code)).text.strip() == "closed"
    finally:
        os.close(read)
        os.close(write)
