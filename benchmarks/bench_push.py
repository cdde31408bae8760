"""Pushes beside crane and skopeo: the same image, the same empty registry, the same machine, as ratios in one run.

    python benchmarks/bench_push.py [--only empty,delay,nothing] [--rounds N] [--registry crane,debian]

crane, skopeo and docker-registry are taken from PATH. Every round starts a registry of its own on a loopback port, in an
empty folder. All contenders read from this disk: goctl from its store, the others from an image layout. Cases:

    empty     16 layers of 25 MB to an empty registry
    delay     16 layers of 1 MB to an empty registry, each request held up by 20 ms on its way
    nothing   the same image once more
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import measure
from goctl.config.model import Registry
from goctl.oci.layout import LayoutDestination, LayoutOptions
from goctl.testing import Host, make_index
from measure import Comparison, Run, tell

LAYERS = 16
DELAY = 0.02
BARS = {"empty": 0.75, "delay": 0.6}
#: A release pushes from a process that is there already: what counts is from the first request to the last.
PUSH = """
import sys
import time
from pathlib import Path
import msgspec
from goctl.config.model import Registry
from goctl.contracts import Index
from goctl.registry.destination import NoOptions, RegistryDestination
from goctl.testing import Host
from goctl.values import from_json
host = Host(Path(sys.argv[1]))
index = from_json((host.root / "index").read_bytes(), Index)
there = RegistryDestination("there", Registry(url=sys.argv[2]), sys.argv[2], NoOptions(), host)
started = time.perf_counter()
if missing := there.missing("api", index, ("1.0",)):
    there.upload("api", index, lambda done, total: None)
    there.tag("api", index, missing)
print(time.perf_counter() - started)
"""


def image(root: Path, size: int) -> Path:
    """A store and a layout, `root/layout`, that hold one image."""
    from goctl.values import to_json

    host = Host(root)
    chance = random.Random(1)
    index = make_index(host, ("linux/amd64",), [chance.randbytes(size) for _ in range(LAYERS)])
    (root / "index").write_bytes(to_json(index))
    layout = LayoutDestination("layout", Registry(url="oci-layout:layout"), "layout", LayoutOptions(), host)
    layout.upload("api", index.images[0], lambda *_: None)
    layout.upload("api", index, lambda *_: None)
    layout.tag("api", index, ("1.0",))
    return root


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def serving(kind: str, work: Path) -> Iterator[str]:
    """The address of an empty registry."""
    folder, port = Path(tempfile.mkdtemp(dir=work)), _port()
    if kind == "crane":
        args = ["crane", "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(folder)]
    else:
        config = folder / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        )
        args = ["docker-registry", "serve", str(config)]
    child = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def delayed(address: str) -> Iterator[str]:
    """The address of a relay that holds every request up for a while."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near = server.accept()[0]
                    far = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
                    for end in (near, far):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    answered = threading.Event()
                    answered.set()
                    for pair in ((near, far, True), (far, near, False)):
                        threading.Thread(target=_relay, args=(*pair, answered), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _relay(source: socket.socket, target: socket.socket, asks: bool, answered: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**18):
            if asks and answered.is_set():  # the first bytes after an answer begin a request
                answered.clear()
                time.sleep(DELAY)
            elif not asks:
                answered.set()
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def contenders(root: Path, memory: bool = False) -> dict[str, Callable[[str], Run]]:
    """Each pushes the image to an address."""
    # Nobody's credentials; records of earlier pushes are thrown away, as the registries are.
    env = {**os.environ, "DOCKER_CONFIG": str(root / "docker"), "GOCTL_FAULTS": ""}

    def run(*args: str) -> Run:
        return measure.run(args, cwd=root, env=env, memory=memory)

    def goctl(address: str) -> Run:
        shutil.rmtree(root / "records", ignore_errors=True)
        args = [sys.executable, "-c", PUSH, str(root), f"{address}/shop"]
        if memory:
            return run(*args)
        return Run(float(subprocess.run(args, cwd=root, env=env, stdout=subprocess.PIPE, check=True).stdout))

    found: dict[str, Callable[[str], Run]] = {"goctl": goctl}
    if shutil.which("crane"):
        found["crane"] = lambda address: run(
            "crane", "push", "--index", "--insecure", str(root / "layout"), f"{address}/shop/api:1.0"
        )
    if shutil.which("skopeo"):
        found["skopeo"] = lambda address: run(
            "skopeo", "copy", "-q", "--all", "--dest-tls-verify=false", "--dest-no-creds",
            f"oci:{root / 'layout'}:api:1.0", f"docker://{address}/shop/api:1.0",
        )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="empty,delay,nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--registry", default="crane,debian")
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    comparisons: list[Comparison] = []
    facts: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        work = Path(name)
        large, small = image(work / "large", 25_000_000), image(work / "small", 1_000_000)
        for kind in args.registry.split(","):
            for case in args.only.split(","):
                tell(f"{case}, {kind}'s registry")
                comparisons += measured(case, kind, small if case == "delay" else large, work, args.rounds)
        with serving("crane", work) as address:
            peak = contenders(large, memory=True)["goctl"](address).peak
        facts.append(("goctl's peak memory, 16 layers of 25 MB", f"{peak >> 20} MiB", "<= 150 MB"))
    print(measure.table(comparisons, facts))
    if args.json is not None:
        measure.write_json(args.json, comparisons, facts)


def measured(case: str, kind: str, root: Path, work: Path, rounds: int) -> list[Comparison]:
    """One case at one registry: goctl beside each of the others."""

    def once(push: Callable[[str], Run]) -> Run:
        with serving(kind, work) as address:
            if case == "delay":
                with delayed(address) as slow:
                    return push(slow)
            if case == "nothing":
                push(address)
            return push(address)

    found = contenders(root)
    made = measure.rounds(rounds, {name: lambda push=push: once(push) for name, push in found.items()})  # type: ignore[misc]
    better = min((name for name in made if name != "goctl"), key=lambda name: measure.median(made[name]), default="")
    return [
        Comparison(
            group=f"{case}, {kind}'s registry",
            name=other,
            ours="goctl",
            theirs=other,
            our_runs=tuple(made["goctl"]),
            their_runs=tuple(made[other]),
            bar=BARS.get(case, 0.0) if other == better else 0.0,
        )
        for other in made
        if other != "goctl"
    ]


if __name__ == "__main__":
    main()
