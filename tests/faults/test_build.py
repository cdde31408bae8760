"""The same inputs give the same bytes; what is stored for some inputs was made from them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.campaign import campaign, count
from tests.faults.shop import RELEASE, Shop

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")]

FOLDERS = ("shop", "a b", "müller", "deep/er/and/deeper", "-dash", "quote'\"s", "x" * 120)
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia")
LOCALES = ("C", "C.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1")


def test_same_inputs_same_bytes(tmp_path: Path, go: str) -> None:
    reference = Shop.make(tmp_path / "reference")
    assert reference.release() == ""
    expected = reference.results()
    cold = count(full=10, short=1)

    def trial(chance: random.Random) -> str:
        nonlocal cold
        root = tmp_path / "elsewhere" / chance.choice(FOLDERS)
        root.parent.mkdir(parents=True, exist_ok=True)
        mask = os.umask(chance.choice((0o022, 0o077, 0o000, 0o002)))
        try:
            shop = Shop.make(root)
            for path in root.rglob("*"):
                os.utime(path, (chance.randrange(2_000_000_000), chance.randrange(2_000_000_000)))
            (root / "files/a.txt").chmod(chance.choice((0o600, 0o644, 0o755)))
            env = {
                "TZ": chance.choice(ZONES), "LC_ALL": chance.choice(LOCALES), "HOME": str(tmp_path / "home"),
                "PYTHONHASHSEED": str(chance.randrange(1000)), "GOMAXPROCS": str(chance.randrange(1, 4)), "USER": "somebody",
            }  # fmt: skip
            if cold:
                cold -= 1
                env["GOCACHE"] = str(tmp_path / "cold")
            words = shop.release("--jobs", str(chance.randrange(1, 5)), **env)
            return words or ("" if shop.results() == expected else f"other bytes with {env} in {root.name}")
        finally:
            os.umask(mask)
            shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
            shutil.rmtree(tmp_path / "cold", ignore_errors=True)

    campaign("build", "the same inputs elsewhere", count(full=200, short=6), trial)


def test_edits_during_a_build_store_nothing_wrong(tmp_path: Path, go: str) -> None:
    shop = Shop.make(tmp_path / "shop")
    assert shop.release() == ""
    serial = 0

    def trial(chance: random.Random) -> str:
        nonlocal serial
        words = []
        for _ in range(chance.randrange(1, 3)):
            serial += 1
            words.append(f"word{serial}")
        shop.say(words[0])
        run = shop.start()
        for word in [f"late{serial}", *words[1:]]:
            time.sleep(chance.random() * 0.6)
            shop.say(word)
            words.append(word)
        run.communicate()
        # Whatever was stored for a content must have been made from it: each comes once more.
        for word in (words[-1], *words[:-1]):
            shop.say(word)
            if problem := shop.release():
                return problem
            if shop.said() != f"api {word}":
                return f"the sources say {word}, the program says {shop.said()}"
        return ""

    campaign("build", "sources edited while they are compiled", count(full=200, short=4), trial)


def test_a_killed_compiler_leaves_nothing_wrong(tmp_path: Path, go: str) -> None:
    shop = Shop.timed(tmp_path / "shop")
    expected = shop.results()
    killed: list[int] = []

    def trial(chance: random.Random) -> str:
        shop.forget()
        run = shop.start(GOCACHE=str(tmp_path / "cache"))
        while run.poll() is None and not any(" build " in words for words in shop.processes().values()):
            time.sleep(0.02)
        time.sleep(chance.random() * shop.seconds)
        for pid in shop.processes():
            if pid != run.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
        errors = run.communicate()[1].decode()
        if "Traceback" in errors:
            return errors[-1500:]
        if problem := shop.broken(expected):
            return problem
        problem = shop.release(GOCACHE=str(tmp_path / "cache"))
        return problem or ("" if shop.results() == expected else "other bytes after a killed compiler")

    campaign("build", "SIGKILL of the compiler", count(full=100, short=4), trial)
    assert killed


def test_the_same_target_released_by_many_at_once(tmp_path: Path, go: str) -> None:
    shop = Shop.make(tmp_path / "shop")
    assert shop.release() == ""
    expected = shop.results()

    def trial(chance: random.Random) -> str:
        shop.forget()
        runs = [subprocess.Popen(RELEASE, cwd=shop.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(8)]
        outputs = [run.communicate()[0].decode() for run in runs]
        codes = [run.returncode for run in runs]
        if any(codes):
            return f"{codes}: {next(text for text, code in zip(outputs, codes, strict=True) if code)[-1500:]}"
        return shop.broken(expected) or ("" if shop.results() == expected else "other bytes from eight at once")

    campaign("process", "the same target released by eight at once", count(full=50, short=1), trial)
    assert not list((shop.root / ".goctl/scratch").glob("build.*"))
