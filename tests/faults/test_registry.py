"""What is pushed is right or absent; what is pulled is right or refused; who is told to wait waits."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goctl.contracts import Index
from goctl.errors import GoctlError, RegistryError
from goctl.registry import client, destination, upload
from goctl.registry.bases import RegistryBases
from goctl.system.patience import Patience
from goctl.testing import Host, Registry
from goctl.values import Digest, ImageRef, Platform
from tests.faults import pusher
from tests.faults.campaign import campaign, count

pytestmark = pytest.mark.faults

#: Seconds pass so much faster for the client, so that waiting for one takes a fraction of it.
SPEED = 5
PIECE = 2**18
TAGS = ("1.0", "latest")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's logins and proxies; short waits; small pieces."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("goctl.system.patience.FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power is lost here
    monkeypatch.setattr(upload, "PIECE", PIECE)
    monkeypatch.setattr(upload, "LEAST", PIECE // 4)


def log_in(registry: Registry) -> None:
    auths = {registry.address: {"auth": "dXNlcjpwYXNzd29yZA=="}}
    Path(os.environ["DOCKER_CONFIG"], "config.json").write_text(json.dumps({"auths": auths}))


def incomplete(registry: Registry, repository: str = "shop/api") -> str:
    """What a tag leads to and is not there, or not right."""
    found = registry.holdings.repository(repository)
    contents = registry.holdings.contents

    def walk(digest: str) -> str:
        if digest not in found.manifests:
            return f"the manifest {digest} is not there"
        with contents.open(digest) as file:
            content = file.read()
        if Digest.of(content) != digest:
            return f"the manifest {digest} is another"
        document = json.loads(content)
        for entry in [document.get("config"), *document.get("layers", ())]:
            if entry and (entry["digest"] not in found.blobs or contents.size(entry["digest"]) != entry["size"]):
                return f"the blob {entry['digest']} is not there"
        return next(filter(None, (walk(entry["digest"]) for entry in document.get("manifests", ()))), "")

    return next(filter(None, (walk(digest) for digest in found.tags.values())), "")


def wrong(registry: Registry, index: Index) -> str:
    named = registry.tags("shop/api")
    if named != dict.fromkeys(TAGS, index.digest):
        return f"the tags name {named}"
    return incomplete(registry)


def attempt(host: Host, registry: Registry, seed: int, **settings: object) -> str:
    """A push that is expected to end well; what was wrong with it."""
    try:
        index = pusher.push(host, registry.address, seed, **settings)
    except GoctlError as error:
        return f"{type(error).__name__}: {error}"
    return wrong(registry, index)


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = functools.partial(
        Patience, clock=lambda: time.monotonic() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED)
    )
    monkeypatch.setattr(client, "Patience", fast)


def test_who_is_told_to_wait_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)

    def trial(chance: random.Random) -> str:
        width = chance.choice((1, 8))
        monkeypatch.setattr(destination, "WIDTH", width)
        with Registry() as registry:
            asked: dict[str, int] = {}
            for method in chance.sample(["HEAD", "POST", "PUT"], chance.randrange(1, 4)):
                form = chance.choice(("seconds", "date", "negative", "garbage", "none"))
                until = int(time.time()) + 3
                words = {
                    "seconds": "1", "date": email.utils.formatdate(until, usegmt=True), "negative": "-30",
                    "garbage": chance.choice(("soon", "1h", "\u00b2", "0x10", "")), "none": "",
                }[form]  # fmt: skip
                registry.fault(method=method, status=429, retry_after=words, times=chance.randrange(1, 8))
                asked[method] = {"seconds": 1, "date": until}.get(form, 0)
            problem = attempt(Host(tmp_path / f"{chance.random()}"), registry, chance.randrange(10**9))
            if problem:
                return f"{asked}: {problem}"
            requests = registry.requests
        epoch = time.time() - time.monotonic()
        for refused in (request for request in requests if request.status == 429):
            wait = asked[refused.method]
            # A date counts from the answer's own, which is a whole second.
            wait = wait if wait < 2 else max(0, wait - int(epoch + refused.at) - 1)
            until = refused.at + wait / SPEED
            # With several connections some requests are on their way when the answer comes.
            since = refused.at + (0 if width == 1 else 0.1)
            early = [request for request in requests if since < request.begun < until - 0.002]
            if early:
                return f"a {early[0].method} {until - early[0].begun:.3f} s before the time asked for by a {refused.method}"
        tries: dict[tuple[str, str, str], int] = {}
        for request in requests:
            if request.method == "HEAD" and "/manifests/" in request.path:
                tries[request.method, request.path, request.query] = tries.get((request.method, request.path, ""), 0) + 1
        return "" if max(tries.values()) <= 8 else f"{max(tries.values())} attempts"

    campaign("registry", "429 storms with Retry-After of every form", count(full=1000, short=16), trial)


def test_who_is_told_to_wait_for_ever_ends_at_once(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        method = chance.choice(("HEAD", "POST", "PUT"))
        huge = chance.choice(("86400", "9" * 400, email.utils.formatdate(time.time() + 10**6, usegmt=True)))
        with Registry() as registry:
            registry.fault(method=method, status=429, retry_after=huge, times=99)
            started = time.monotonic()
            problem = attempt(Host(tmp_path / f"{chance.random()}"), registry, chance.randrange(10**9))
            if "to wait" not in problem:
                return f"{method}: {problem or 'it went on'}"
            return "" if time.monotonic() - started < 5 else "it took its time"

    campaign("registry", "Retry-After beyond all patience", count(full=200, short=10), trial)


def test_refusals_by_chance(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        with Registry(seed=chance.randrange(10**9)) as registry:
            for status in (500, 502, 503, 504):
                registry.fault(status=status, chance=1 - 0.7**0.25, times=10**6)
            return attempt(Host(tmp_path / f"{chance.random()}"), registry, chance.randrange(10**9))

    # A request is tried 8 times: 15 of them fail together once in a thousand pushes.
    campaign("registry", "5xx with p = 0.3", count(full=1000, short=20), trial, allowed=0.01)


def test_resets_at_a_random_byte(tmp_path: Path) -> None:
    size = 6 * PIECE

    def trial(chance: random.Random, registry: Registry, host: Host) -> str:
        registry.forget_faults()
        registry.forget_requests()
        cuts = chance.randrange(1, 4)
        for _ in range(cuts):
            registry.fault(method="PUT", path="*/uploads/*", cut=chance.randrange(1, size), times=1, least=PIECE)
            registry.fault(method="PATCH", path="*/uploads/*", cut=chance.randrange(1, PIECE), times=1)
        content = chance.randbytes(size + chance.randrange(PIECE))
        layer = pusher.make_index(host, ("linux/amd64",), (content,))
        where = f"{registry.address}/shop"
        there = destination.RegistryDestination("there", pusher.Registry(url=where), where, destination.NoOptions(), host)
        try:
            there.upload("api", layer, lambda done, total: None)
            there.tag("api", layer, TAGS)
        except GoctlError as error:
            return str(error)
        broken = [request for request in registry.requests if not request.status]
        received = sum(request.received for request in registry.requests if "/uploads/" in request.path)
        again = received - len(content) - layer.images[0].config.size
        if again > len(broken) * PIECE:
            return f"{again} bytes were sent again after {len(broken)} breaks"
        if any(request.status == 416 for request in registry.requests):
            return "a piece was out of place"
        return wrong(registry, layer)

    trials = count(full=500, short=12)
    with Registry() as keeping, Registry(keeps_partial=False) as losing:
        host = Host(tmp_path / "host")
        # The second loses what came of a broken request; that it does is learned once.
        learned = upload.Abilities("pieces", PIECE)
        client_host = destination.Journal(host.memo, losing.address)
        client_host.learned(learned)
        number = iter(range(10**9))
        campaign(
            "registry",
            "resets at a random byte of a blob",
            trials,
            lambda chance: trial(chance, (keeping, losing)[next(number) % 2], host),
        )


def test_lost_answers(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        with Registry() as registry:
            for method, path in chance.sample(
                [("PUT", "*/uploads/*"), ("PUT", "*/manifests/sha256*"), ("PUT", "*/manifests/1.0"), ("POST", "*")], 2
            ):
                registry.fault(method=method, path=path, lose_response=True, times=chance.randrange(1, 4))
            problem = attempt(Host(tmp_path / f"{chance.random()}"), registry, chance.randrange(10**9))
            held = registry.holdings.repository("shop/api").manifests
            return problem or ("" if len(held) == 3 else f"{len(held)} manifests, and not 3")

    campaign("registry", "done, but the answer lost", count(full=300, short=16), trial)


def test_wrong_content_is_never_admitted(tmp_path: Path) -> None:
    with Registry() as registry:
        index = pusher.push(Host(tmp_path / "origin"), registry.address, 1)
        layers = {str(blob.digest) for blob in (*index.images[0].layers, index.images[0].config)}
        sizes = {layer: registry.holdings.contents.size(layer) or 0 for layer in layers}

        def trial(chance: random.Random) -> str:
            registry.forget_faults()
            host = Host(tmp_path / f"{chance.random()}")
            digest = chance.choice(sorted(layers))
            with registry.holdings.contents.open(digest) as file:
                right = file.read()
            size = sizes[digest]
            kind = chance.choice(("bit", "short", "long", "bomb", "other", "cut", "manifest", "index"))
            path, times = f"*/blobs/{digest}", chance.choice((1, 99))
            match kind:
                case "bit":
                    registry.fault(method="GET", path=path, corrupt=chance.randrange(size), times=times)
                case "cut":
                    registry.fault(method="GET", path=path, cut=chance.randrange(size), times=times)
                case "manifest" | "index":
                    name = index.images[0].digest if kind == "manifest" else index.digest
                    registry.fault(method="GET", path=f"*/manifests/{name}", corrupt=chance.randrange(200), times=99)
                case _:
                    content = {
                        "short": right[: chance.randrange(size)], "long": right + b"\0" * chance.randrange(1, 99),
                        "bomb": right + bytes(30_000_000), "other": chance.randbytes(size),
                    }[kind]  # fmt: skip
                    registry.fault(method="GET", path=path, content=content, times=times)
            reference = ImageRef.parse(f"{registry.address}/shop/api@{index.digest}")
            outcome = "done"
            try:
                bases = RegistryBases(host)
                bases.fetch(bases.resolve(reference, None, Platform.parse("linux/amd64"))[1])
            except RegistryError:
                outcome = "refused"
            for file in (host.root / "blobs").rglob("*"):
                # Other layers may still be on their way, under names of their own.
                if len(file.name) == 64 and Digest.of(file.read_bytes()).hex != file.name:
                    return f"{kind}: a wrong blob was kept"
            lasting = times == 99 and kind not in ("manifest", "index")
            return f"{kind}: taken for right" if lasting and outcome == "done" else ""

        campaign("registry", "corrupt, truncated or bomb on pull", count(full=1000, short=60), trial)


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of a server that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as kept:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.enter_context(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


STALLS = (
    ("HEAD", "*/manifests/*", "start"), ("HEAD", "*/blobs/*", "headers"), ("POST", "*", "start"), ("POST", "*", "headers"),
    ("PUT", "*/uploads/*", "request"), ("PUT", "*/uploads/*", "headers"), ("PUT", "*/manifests/*", "start"),
    ("GET", "*/token", "start"), ("GET", "*/manifests/*", "body"), ("GET", "*/blobs/*", "headers"),
    ("GET", "*/blobs/*", "body"), ("", "", "silent"),
)  # fmt: skip


def test_stalls_end(tmp_path: Path) -> None:
    timeout = 0.6
    numbers = iter(range(10**9))

    def trial(chance: random.Random) -> str:
        method, path, at = STALLS[next(numbers) % len(STALLS)]
        host = Host(tmp_path / f"{chance.random()}")
        if at == "silent":
            with silent() as address:
                return ended("", at, lambda: pusher.push(host, address, 1, timeout=timeout))
        with Registry(auth="token" if "token" in path else "") as registry:
            log_in(registry)
            index = None
            if method == "GET" and "token" not in path:
                index = pusher.push(Host(tmp_path / f"{chance.random()}"), registry.address, 1)
            registry.fault(method=method, path=path, delay=60, at=at, times=99)
            if index is None:
                return ended(method, at, lambda: pusher.push(host, registry.address, 1, timeout=timeout))
            reference = ImageRef.parse(f"{registry.address}/shop/api@{index.digest}")
            host.config = pusher_config(registry, timeout)

            def pull() -> None:
                bases = RegistryBases(host)
                bases.fetch(bases.resolve(reference, None, Platform.parse("linux/amd64"))[1])

            return ended(method, at, pull)

    def ended(method: str, at: str, work: Callable[[], object]) -> str:
        started = time.monotonic()
        try:
            work()
        except RegistryError as error:
            took = time.monotonic() - started
            return "" if took <= timeout + 2 else f"it took {took:.1f} s to say: {error}"
        # Content that was stored is there, even when the answer that says so stops half-way.
        return "" if (method, at) == ("PUT", "headers") else "it ended as if nothing were"

    campaign("registry", "a stall at any point", count(full=120, short=len(STALLS)), trial)


def pusher_config(registry: Registry, timeout: float) -> object:
    from goctl.config.model import Config

    return Config(registries={"there": pusher.Registry(url=f"{registry.address}/shop", timeout=timeout)})


def test_tokens_that_expire(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        with Registry(auth="token", seed=chance.randrange(10**9)) as registry:
            log_in(registry)
            faults = [
                registry.fault(method=method, path="/v2/*", expire=True, times=1, chance=chance.choice((0.2, 1.0)))
                for method in chance.choices(["HEAD", "POST", "PUT"], k=chance.randrange(1, 3))
            ]
            problem = attempt(Host(tmp_path / f"{chance.random()}"), registry, chance.randrange(10**9))
            expired = sum(fault.times == 0 for fault in faults)
            renewed = sum(request.path == "/token" for request in registry.requests)
            return problem or ("" if renewed <= expired + 1 else f"{renewed} tokens after {expired} expiries")

    campaign("registry", "tokens that expire amid a push", count(full=500, short=16), trial)


def test_credentials_stay_at_home(tmp_path: Path) -> None:
    def trial(chance: random.Random) -> str:
        kind = chance.choice(("basic", "token"))
        with Registry(auth=kind) as registry, Registry() as foreign:
            log_in(registry)
            seed = chance.randrange(10**9)
            index = pusher.push(Host(tmp_path / f"{chance.random()}"), registry.address, seed)
            for _ in range(chance.randrange(1, 4)):
                method = chance.choice(("GET", "HEAD", "PUT", "POST", "PATCH"))
                path = chance.choice(("*/blobs/*", "*/manifests/*", "*/uploads/*", "/token"))
                status = chance.choice((301, 302, 303, 307, 308))
                where = f"http://{foreign.address}/v2/shop/api/blobs/{index.digest}"
                registry.fault(method=method, path=path, redirect=where, status=status, times=chance.randrange(1, 4))
            if chance.random() < 0.3:
                headers = {"Location": f"http://{foreign.address}/v2/x/blobs/uploads/1"}
                registry.fault(method="POST", status=202, headers=headers, times=3)
            host = Host(tmp_path / f"{chance.random()}")
            with contextlib.suppress(GoctlError):
                pusher.push(host, registry.address, seed + 1)
            with contextlib.suppress(GoctlError):
                bases = RegistryBases(host)
                reference = ImageRef.parse(f"{registry.address}/shop/api@{index.digest}")
                bases.fetch(bases.resolve(reference, None, Platform.parse("linux/amd64"))[1])
            leaked = [request for request in foreign.requests if request.authorization]
            return f"{leaked[0].method} took {leaked[0].authorization[:10]} along" if leaked else incomplete(registry)

    campaign("registry", "redirects and Locations to another host", count(full=1000, short=30), trial)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_anywhere_in_a_push(tmp_path: Path) -> None:
    landed = set()

    def trial(chance: random.Random) -> str:
        # It takes manifests whose content is not there: order is the client's to keep.
        with Registry(strict=False) as registry:
            first, second = chance.randrange(10**9), chance.randrange(10**9)
            pusher.push(Host(tmp_path / f"{chance.random()}"), registry.address, first)
            registry.forget_requests()
            root = tmp_path / f"{chance.random()}"
            args = [sys.executable, pusher.__file__, str(root), registry.address, str(second)]
            run = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
            at = chance.randrange(45)
            registry.fault(delay=0.002, times=10**6)
            while run.poll() is None and len(registry.requests) < at:
                time.sleep(0.001)
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, signal.SIGKILL)
            landed.add(run.wait())
            errors = run.communicate()[1].decode()
            if "Traceback" in errors:
                return errors[-1000:]
            if problem := incomplete(registry):
                return f"killed at request {at}: {problem}"
            return attempt(Host(root), registry, second)

    campaign("registry", "SIGKILL anywhere in a push", count(full=500, short=8), trial)
    assert -signal.SIGKILL in landed
