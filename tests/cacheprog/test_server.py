"""The server over its real program: hits, misses, what a level has, slow ones, dead ones, and nonsense."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goctl.cache.store import Records
from goctl.cacheprog.actions import CompileActions
from goctl.cacheprog.folder import Folder
from goctl.cacheprog.records import INLINE
from goctl.cacheprog.server import _WAITING, HANDS_OVER, Server
from goctl.cacheprog.serving import Serving
from goctl.events import Event, Notice
from tests.cacheprog.gocommand import GoCommand, Shelf, id_of, request
from tests.waiting import until

ACTION = id_of("action")
SMALL, LARGE = b"small", random.Random(1).randbytes(5000) * 40
assert len(SMALL) <= INLINE < len(LARGE)


class Machine:
    """A machine with a GOCACHE and a memory of its own, beside a shelf that several share."""

    def __init__(self, folder: Path, shelf: Shelf, program: str = "app", kind: str = "kind", **how: float) -> None:
        self.program = program
        self.kind = kind
        self.cache = folder / "go-build"
        self.goroot = str(folder.parent / "go")
        self.events: list[Event] = []
        self.memo = Records(folder / "records")
        self.actions = CompileActions(shelf, self.memo, self.events.append, **how)

    def begin(self, inputs: str = "inputs") -> Serving:
        serving = self.actions.begin(self.cache, self.goroot, self.kind, {self.program: inputs})
        assert serving is not None
        return serving

    def build(self, contents: dict[str, bytes], inputs: str = "inputs") -> list[bool]:
        """A build that asks for actions and makes those that are not there; whether each was there."""
        serving = self.begin(inputs)
        found = []
        with GoCommand(serving.environment["GOCACHEPROG"]) as go:
            for name, content in contents.items():
                got = go.ask("get", id_of(name))
                found.append(not got.get("Miss"))
                if got.get("Miss"):
                    got = go.ask("put", id_of(name), content)
                assert Path(got["DiskPath"]).read_bytes() == content
            go.ask("close")
        serving.end(well=True)
        self.actions.keep()
        return found

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def machine(tmp_path: Path, shelf: Shelf) -> Iterator[Machine]:
    made = Machine(tmp_path / "one", shelf)
    yield made
    shelf.hangs.set()
    made.actions.close(abandon=True)


CONTENTS = {"a": SMALL, "b": LARGE, "c": b"", "d": SMALL}


def test_go_finds_again_what_it_put(machine: Machine) -> None:
    with GoCommand(machine.begin().environment["GOCACHEPROG"]) as go:
        assert go.hello == {"ID": 0, "KnownCommands": ["get", "put", "close"]}
        for content in (SMALL, LARGE, b""):
            assert go.ask("get", ACTION + b"") == {"ID": go._number, "Miss": True} or content != SMALL
            put = go.ask("put", ACTION, content)
            assert Path(put["DiskPath"]).read_bytes() == content
            got = go.ask("get", ACTION)
            assert got["DiskPath"] == put["DiskPath"]
            assert got.get("Size", 0) == len(content)
            assert base64.b64decode(got["OutputID"]) == hashlib.sha256(content).digest()
        assert go.ask("close") == {"ID": go._number}
        assert go.answer() == {}


def test_another_machine_fetches_what_one_made(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    assert machine.build(CONTENTS) == [False] * 4
    counts = machine.actions.close()
    assert counts.sent == 4
    assert not machine.warnings()
    other = Machine(tmp_path / "two", shelf)
    assert other.build(CONTENTS) == [True] * 4
    assert other.actions.close().brought == 4


def test_a_program_that_was_never_built_finds_what_it_shares(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    machine.build(CONTENTS)
    machine.actions.close()
    other = Machine(tmp_path / "two", shelf, program="of another module")
    assert other.build({**CONTENTS, "new": LARGE[1:]}) == [True] * 4 + [False]
    assert other.actions.close().sent == 1
    # Two lists of what was asked for, by nobody and by both; the third program has what each of them made.
    third = Machine(tmp_path / "three", shelf, program="a third")
    assert third.build({**CONTENTS, "new": LARGE[1:]}) == [True] * 5
    third.actions.close()


def test_what_is_new_to_a_program_another_one_may_have(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    both = {"c": b"", "d": SMALL}
    machine.build(both)
    machine.actions.close()
    other = Machine(tmp_path / "two", shelf, program="of another module")
    other.build({**both, "b": LARGE})
    other.actions.close()
    third = Machine(tmp_path / "three", shelf)
    before = len(shelf.asked("read"))
    # It imports now what the other one did before.
    assert third.build({**both, "b": LARGE, "new": LARGE[1:]}) == [True, True, True, False]
    # Its own list, that of indexes, that of all, and one pack; of what is in none nobody is asked.
    assert len([each for each in shelf.asked("read")[before:] if each[1] == "output"]) == 1
    assert len({each[2] for each in shelf.asked("read")[before:] if each[1] == "action"}) == 3
    third.actions.close()


def test_lists_are_all_that_a_level_keeps_of_actions(machine: Machine, shelf: Shelf) -> None:
    machine.build({f"package {n}": random.Random(n).randbytes(3000) for n in range(200)})
    assert machine.actions.close().sent == 200
    assert len(shelf.keys("action")) == 2
    assert len(shelf.keys("output")) == 1


def test_what_the_last_build_asked_for_comes_before_it_is_asked_for(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    machine.build(CONTENTS)
    machine.actions.close()
    other = Machine(tmp_path / "two", shelf)
    before = len(shelf.asked("read"))
    serving = other.begin()
    until(lambda: all(serving.folder.has(id_of(name)) for name in CONTENTS), 20)
    # Small outputs come with the list: one request for that, one for the large one; and one for a list of indexes.
    assert len(shelf.asked("read")) - before == 3
    other.actions.close()


def test_what_older_builds_asked_for_comes_when_go_asks_and_together(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    older = {name: random.Random(name).randbytes(5000) for name in ("x", "y")}
    machine.build(older)
    machine.actions.close()
    machine = Machine(tmp_path / "one", shelf)
    machine.build(CONTENTS, "edited")
    machine.actions.close()
    other = Machine(tmp_path / "two", shelf)
    serving = other.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        assert not any(go.ask("get", id_of(name)).get("Miss") for name in CONTENTS)
        assert not any(serving.folder.has(id_of(name)) for name in older)
        before = len(shelf.asked("read"))
        assert not any(go.ask("get", id_of(name)).get("Miss") for name in older)
        go.ask("close")
    # They lie in one pack, which comes once.
    assert len(shelf.asked("read")) - before == 1
    other.actions.close()


def test_a_warm_machine_is_not_served(machine: Machine, shelf: Shelf) -> None:
    machine.build(CONTENTS)
    machine.actions.close()
    again = CompileActions(shelf, machine.memo, machine.events.append)
    before = len(shelf.requests)
    assert again.begin(machine.cache, machine.goroot, machine.kind, {"app": "inputs"}) is None
    edited = again.begin(machine.cache, machine.goroot, machine.kind, {"app": "edited"})
    assert edited is not None
    again.close()
    entry = Folder(machine.cache).entry(id_of("b"))
    assert entry is not None
    Path(Folder(machine.cache).output(entry) or "").unlink()
    once_more = CompileActions(shelf, machine.memo, machine.events.append)
    assert once_more.begin(machine.cache, machine.goroot, machine.kind, {"app": "inputs"}) is not None
    once_more.close()
    assert len(shelf.requests) > before


@pytest.mark.parametrize("well", [True, False])
def test_nothing_is_sent_of_what_nobody_believes(machine: Machine, shelf: Shelf, well: bool) -> None:
    serving = machine.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        go.ask("put", ACTION, LARGE)
    serving.end(well=well)
    # Sources that were edited meanwhile, or a build that failed.
    (machine.actions.drop if well else machine.actions.keep)()
    machine.actions.close()
    assert shelf.asked("store") == []


@pytest.mark.parametrize("damage", ["bit", "short", "long", "foreign", "empty"])
def test_a_damaged_entry_is_a_miss_and_goes(machine: Machine, tmp_path: Path, shelf: Shelf, damage: str) -> None:
    machine.build(CONTENTS)
    machine.actions.close()
    for path in [*shelf.folder.joinpath("output").iterdir(), *shelf.folder.joinpath("action").iterdir()]:
        content = path.read_bytes()
        made = {
            "bit": content[:-3] + bytes([content[-3] ^ 4]) + content[-2:],
            "short": content[:-1],
            "long": content + b"x",
            "foreign": b"somebody else's",
            "empty": b"",
        }[damage]
        path.write_bytes(made)
    other = Machine(tmp_path / "two", shelf)
    # What is found is compared where it is read. Bytes behind a whole frame are nobody's content, and hurt nobody.
    found = other.build(CONTENTS)
    assert damage == "long" or not any(found[:2])
    assert not other.warnings()
    other.actions.close()


def test_what_is_damaged_here_is_not_sent(machine: Machine, shelf: Shelf) -> None:
    serving = machine.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        path = Path(go.ask("put", ACTION, LARGE)["DiskPath"])
        go.ask("put", id_of("other"), SMALL)
    path.write_bytes(LARGE[:-1] + b"?")
    serving.end(well=True)
    machine.actions.keep()
    assert machine.actions.close().sent == 1
    assert shelf.keys("output") == set()


def test_what_only_this_machine_can_use_is_not_asked_for(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    """go asks for indexes of packages first, by ids that no other machine has."""
    machine.build({"index here": b"go index v", **CONTENTS})
    machine.actions.close()
    other = Machine(tmp_path / "two", shelf)
    before = len(shelf.asked("read"))
    serving = other.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        assert go.ask("get", id_of("index there"))["Miss"]
        assert not go.ask("get", id_of("b")).get("Miss")
        # Two lists and a pack; from here on it may be what another program is made of: that list is asked for once.
        assert len(shelf.asked("read")) - before == 3
        assert go.ask("get", id_of("new"))["Miss"]
        assert go.ask("get", id_of("newer"))["Miss"]
        assert len(shelf.asked("read")) - before == 4
    other.actions.close()


def _index(machine: Machine, package: str, size: int = 5000) -> bytes:
    """An index of a package of the machine's toolchain, which tells where its files lie."""
    head = b"go index v2\n" + os.path.join(machine.goroot, "src", package, "it.go").encode()
    return head + random.Random(package).randbytes(size)


def test_indexes_of_one_toolchain_travel(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    indexes = {f"index of {package}": _index(machine, package) for package in ("fmt", "net/http")}
    here = {"index of a checkout": b"go index v2\n/home/me/app/main.go", "index of what tells nothing": b"go index v2\n"}
    machine.build({**indexes, **here, **CONTENTS})
    assert machine.actions.close().sent == len(indexes) + len(CONTENTS)
    # Of one kind or another: what reads packages is the same.
    other = Machine(tmp_path / "two", shelf, program="of another module", kind="another kind")
    assert other.build({**indexes, **here, **CONTENTS}) == [True] * 2 + [False] * 6
    counts = other.actions.close()
    assert (counts.brought, counts.sent) == (2, len(CONTENTS))
    elsewhere = Machine(tmp_path / "elsewhere" / "three", shelf)
    before = len(shelf.asked("read"))
    assert elsewhere.build({**CONTENTS, **indexes}) == [True] * 4 + [False] * 2
    # One pack: that of the program. What lists tell of indexes is another toolchain's.
    assert len([each for each in shelf.asked("read")[before:] if each[1] == "output"]) == 1
    assert not elsewhere.actions.close().sent


def test_indexes_come_with_those_of_their_toolchain_alone(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    machine.build({**CONTENTS, "index": _index(machine, "fmt")})
    machine.actions.close()
    stored = len(shelf.asked("store"))
    # Another program takes fewer packages, which is nothing new; then one more.
    second = Machine(tmp_path / "two", shelf, program="a second")
    second.build(CONTENTS)
    second.actions.close()
    assert [each[1] for each in shelf.asked("store")[stored:]] == ["action"]
    second = Machine(tmp_path / "two", shelf, program="a second")
    second.build({**CONTENTS, "index of net": _index(machine, "net")}, "edited")
    second.actions.close()
    third = Machine(tmp_path / "three", shelf)
    both = {"index": _index(machine, "fmt"), "index of net": _index(machine, "net")}
    assert third.build({**CONTENTS, **both}) == [True] * 6
    third.actions.close()


def test_a_toolchain_that_was_installed_anew_has_other_indexes(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    version = Path(machine.goroot, "VERSION")
    version.parent.mkdir()
    version.touch()
    machine.build({"index": _index(machine, "fmt")})
    machine.actions.close()
    same = Machine(tmp_path / "two", shelf)
    assert same.build({"index": _index(machine, "fmt")}) == [True]
    same.actions.close()
    os.utime(version, (0, 0))
    # It has files of other times, so go asks by other ids: that list would be fetched for nothing.
    other = Machine(tmp_path / "three", shelf)
    assert other.build({"index anew": _index(machine, "fmt")}) == [False]
    assert not [each for each in shelf.asked("read") if each[1] == "output"][1:]
    other.actions.close()


def test_what_no_list_tells_of_waits_for_nobody(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    many = [f"package {number}" for number in range(_WAITING)]
    machine.build({name: random.Random(name).randbytes(5000) for name in many})
    machine.actions.close()
    come = threading.Event()
    shelf.before = lambda space: space != "output" or come.wait(60)
    other = Machine(tmp_path / "two", shelf, patience=60.0)
    with GoCommand(other.begin().environment["GOCACHEPROG"]) as go:
        go.send(b"".join(request(number, "get", id_of(name)) for number, name in enumerate(many, 1)))
        until(lambda: shelf.asked("read")[-1][1] == "output", 20)
        go.send(request(_WAITING + 1, "get", id_of("index")))
        assert go.answer() == {"ID": _WAITING + 1, "Miss": True}
        come.set()
        assert {go.answer()["ID"] for _ in many} == set(range(1, _WAITING + 1))
    other.actions.close()


def test_a_level_that_hangs_costs_one_patience(tmp_path: Path, shelf: Shelf) -> None:
    shelf.hangs.clear()
    machine = Machine(tmp_path / "one", shelf, patience=1.0, linger=1.0)
    started = time.monotonic()
    contents = {f"action {n}": SMALL for n in range(20)}
    assert machine.build(contents) == [False] * 20
    assert time.monotonic() - started < 4
    machine.actions.close()
    assert time.monotonic() - started < 6
    assert len(machine.warnings()) == 1
    shelf.hangs.set()


def test_a_level_that_is_only_read_is_sent_nothing(machine: Machine, tmp_path: Path, shelf: Shelf) -> None:
    machine.build(CONTENTS)
    machine.actions.close()
    shelf.writes = False
    before = len(shelf.asked("store"))
    other = Machine(tmp_path / "two", shelf)
    assert other.build({**CONTENTS, "new": LARGE}) == [True] * 4 + [False]
    assert other.actions.close().sent == 0
    assert len(shelf.asked("store")) == before


def test_a_level_that_is_down_is_told_of_once(tmp_path: Path, shelf: Shelf) -> None:
    shelf.down = True
    machine = Machine(tmp_path / "one", shelf)
    assert machine.build({f"action {n}": SMALL for n in range(20)}) == [False] * 20
    machine.actions.close()
    assert machine.warnings() == ["the cache level shelf is left alone in this run: the shelf is down"]


def test_what_a_slow_level_lacks_is_not_waited_for_again_and_again(tmp_path: Path, shelf: Shelf) -> None:
    shelf.delay = 0.5
    machine = Machine(tmp_path / "one", shelf, linger=0.0)
    machine.build({f"action {n}": SMALL for n in range(200)})
    # The list of the program, that of all of its kind, and that of indexes.
    assert len(shelf.asked("read")) <= 3
    machine.actions.close(abandon=True)


def test_what_does_not_arrive_in_time_is_told_of(tmp_path: Path, shelf: Shelf) -> None:
    machine = Machine(tmp_path / "one", shelf, linger=0.3)
    serving = machine.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        for n in range(40):
            go.ask("put", id_of(str(n)), LARGE[n:])
    serving.end(well=True)
    shelf.delay = 2.0
    machine.actions.keep()
    started = time.monotonic()
    machine.actions.close()
    assert time.monotonic() - started < 5
    assert "40 of go's actions did not reach the cache level shelf in time" in machine.warnings()[0]


def test_what_did_arrive_is_found_by_the_next_machine(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goctl.cacheprog.serving._PARCEL", 1)
    machine = Machine(tmp_path / "one", shelf, linger=1.0)
    contents = {str(n): LARGE[n:] for n in range(40)}
    serving = machine.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        for name, content in contents.items():
            go.ask("put", id_of(name), content)
    serving.end(well=True)
    shelf.delay = 0.2
    machine.actions.keep()
    sent = machine.actions.close().sent
    assert 0 < sent < len(contents)
    shelf.delay = 0.0
    shelf.requests.clear()
    other = Machine(tmp_path / "two", shelf)
    assert 0 < sum(other.build(contents)) <= sent + 4
    # What was not sent then is sent now.
    assert other.actions.close().sent > 0


def test_many_go_commands_are_served_at_once(machine: Machine) -> None:
    serving = machine.begin()

    def work(number: int) -> None:
        with GoCommand(serving.environment["GOCACHEPROG"]) as go:
            for n in range(20):
                content = f"{n}".encode() * 1000
                # All of them make the same things.
                path = go.ask("put", id_of(str(n)), content)["DiskPath"]
                assert Path(path).read_bytes() == content
                assert go.ask("get", id_of(f"{number}"))["ID"]
            go.ask("close")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))


@pytest.mark.parametrize("hands_over", [False, pytest.param(True, marks=pytest.mark.skipif(not HANDS_OVER, reason="POSIX"))])
def test_both_ways_to_the_server_work(tmp_path: Path, shelf: Shelf, hands_over: bool) -> None:
    machine = Machine(tmp_path / "one", shelf)
    serving = machine.begin()
    server = Server(hands_over=hands_over)
    try:
        with GoCommand(server.command(7, serving) or "") as go:
            path = go.ask("put", ACTION, LARGE)["DiskPath"]
            assert Path(path).read_bytes() == LARGE
            assert go.ask("get", ACTION)["DiskPath"] == path
            go.ask("close")
            assert go.answer() == {}
    finally:
        server.close()
        machine.actions.close()


def test_a_stranger_is_not_served(machine: Machine, shelf: Shelf) -> None:
    serving = machine.begin()
    server = Server(hands_over=False)
    command = server.command(1, serving) or ""
    word = Path(command.split()[-2].strip("'\""))
    port, _ = word.read_text(encoding="ascii").split()
    word.write_text(f"{port} {'0' * 32}", encoding="ascii")
    with GoCommand(command) as go:
        assert go.hello == {}
    server.close()


def test_a_server_that_is_gone_is_told_of(tmp_path: Path, shelf: Shelf) -> None:
    machine = Machine(tmp_path / "one", shelf)
    command = machine.begin().environment["GOCACHEPROG"]
    machine.actions.close()
    with GoCommand(command) as go:
        assert go.hello == {}


def test_a_full_disk_fails_no_more_than_one_put(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = machine.begin()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        go.ask("put", ACTION, SMALL)
        with monkeypatch.context() as patch:
            patch.setattr("goctl.cacheprog.folder._New.write", full)
            assert "No space left" in go.ask("put", id_of("other"), LARGE)["Err"]
        assert go.ask("get", id_of("other"))["Miss"]
        assert go.ask("get", ACTION)["DiskPath"]
        assert "Err" not in go.ask("put", id_of("other"), LARGE)


def test_an_end_without_goodbye_leaves_nothing_half(machine: Machine) -> None:
    serving = machine.begin()
    with GoCommand(serving.environment["GOCACHEPROG"]) as go:
        go.send(request(1, "put", ACTION, LARGE)[:-20_000])
    deadline = time.monotonic() + 10
    while list(machine.cache.rglob("*-d")) and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(FileNotFoundError):
        assert not list(machine.cache.rglob("*-d"))
