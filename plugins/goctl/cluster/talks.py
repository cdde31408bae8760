"""Talks with a node: a shell in it that answers one question after the other, for as long as somebody asks.

To start a process in a node takes the engine longer than any answer takes containerd, and to list images takes containerd
long where there are many: so one process serves a whole delivery, and is asked for what is needed and no more. It is reached
by `docker exec`, which knows contexts, ssh and named pipes.
"""

from __future__ import annotations

import itertools
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Final

from goctl.errors import ClusterError
from goctl.system.process import run

#: Seconds for an answer to a question. To take content may last.
PATIENCE: Final = 60.0
# Constant: names and sizes come as data on standard input. No name of an image begins as the line does that ends an answer.
# After a refusal nobody knows how much of the input was read, so that it ends there. Where ctr can hand blobs to containerd
# by itself (`--local`), that takes three fifths of what containerd's transfer service takes for a stream; whether it can is
# asked once an answer is given, when nobody waits.
SCRIPT: Final = """
ctr() { command ctr -n k8s.io "$@" 2>&1; }
while read -r question size; do
  case "$question" in
    content) uname -m && ctr content ls -q ;;
    images) ctr images ls ;;
    take) head -c "$size" | ctr images import $local --no-unpack - ;;
    *) false ;;
  esac
  code=$?
  echo "== $code"
  [ "$code" = 0 ] || exit 0
  [ -n "${local+known}" ] || local=$(ctr images import --help | grep -o -m 1 -e '--local ')
done
"""
_MARK: Final = "== "


class Talks:
    """Those with one node, from several threads: each has a shell to itself while it asks, and leaves it to the next. They
    end when this is forgotten, or the process ends."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._idle: list[_Shell] = []

    def ask(self, question: str, doing: str) -> list[str]:
        """The lines of an answer. Raises ClusterError, which says that the node could not do this."""
        return self._say([f"{question}\n".encode()], doing, PATIENCE)

    def give(self, archive: Iterable[bytes], size: int) -> None:
        """Has the node take the content and the names of an image layout, an archive of `size` bytes.

        Nothing is unpacked: the kubelet does so when it first starts a container, as with the images that kind itself
        brings. Raises ClusterError, and what the archive raises.
        """
        self._say(itertools.chain([f"take {size}\n".encode()], archive), "take an image", None)

    def _say(self, parts: Iterable[bytes], doing: str, patience: float | None) -> list[str]:
        # Lists are popped from and appended to in one step: no lock is needed.
        try:
            shell = self._idle.pop()
        except IndexError:
            shell = _Shell(self.node)
        said, code = shell.say(parts, patience)
        if code != "0":
            raise refusal(self.node, doing, said)
        self._idle.append(shell)
        return said


class _Shell:
    """One process in a node."""

    def __init__(self, node: str) -> None:
        requests: queue.SimpleQueue[Iterable[bytes] | None] = queue.SimpleQueue()
        self._requests = requests
        self._answers: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        # The thread knows the queues alone, so that this can be forgotten: then there is nothing more to read.
        weakref.finalize(self, requests.put, None)
        threading.Thread(target=_serve, args=(node, requests, self._answers), name="talk", daemon=True).start()

    def say(self, parts: Iterable[bytes], patience: float | None) -> tuple[list[str], str]:
        """The lines of the answer, and its exit code. Raises what the parts raise, and Interrupted."""
        self._requests.put(parts)
        said: list[str] = []
        while True:
            try:
                answer = self._answers.get(timeout=patience)
            except queue.Empty:
                self._requests.put(_giving_up())
                return [f"it did not answer within {patience:g} s"], ""
            if isinstance(answer, _Ended):
                return [*said, *answer.said], ""
            if isinstance(answer, BaseException):
                raise answer
            line = answer.decode("utf-8", "replace").rstrip("\r\n")
            if line.startswith(_MARK):
                return said, line.removeprefix(_MARK)
            said.append(line)


def _giving_up() -> Iterator[bytes]:
    """A request whose making fails, which ends the process that it is for."""
    yield from ()
    raise TimeoutError


class _Ended(Exception):
    """A shell that is no more, and what was said of that."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said


def _serve(
    node: str,
    requests: queue.SimpleQueue[Iterable[bytes] | None],
    answers: queue.SimpleQueue[bytes | BaseException],
) -> None:
    """Runs a shell in a node until there are no more requests."""
    parts = itertools.chain.from_iterable(iter(requests.get, None))
    try:
        done = run(("docker", "exec", "--interactive", node, "sh", "-c", SCRIPT), input=parts, take_stdout=answers.put)
        answers.put(_Ended(done.errors.splitlines()))
    except BaseException as error:  # noqa: BLE001 - raised where the answer is waited for
        answers.put(error)
    finally:
        requests.put(None)  # who writes to it may still wait for something to write


def refusal(node: str, doing: str, said: Iterable[str]) -> ClusterError:
    """What a node could not do, and the last that was said about it."""
    lines = [line.strip() for line in said if line.strip()]
    hint = "`docker exec` of it has to work, and containerd in it to run"
    if any("no space left" in line for line in lines):
        hint = "the disk of Docker's engine is full: `docker system prune` frees some"
    return ClusterError(f"the node {node} could not {doing}: {' '.join(lines[-3:]) or 'it said nothing'}", hint=hint)
