"""A small program with two commands, released again and again, and what can be said of what a release left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

MAIN = 'package main\n\nimport "example.com/shop/word"\n\nfunc main() {{ println("{name}", word.Word) }}\n'
TOML = """schema = 1
[project]
name = "shop"
version = "1.0"
[platforms]
default = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
[targets.api]
packages = ["./cmd/api"]
[targets.api.image]
assets = { "files" = "/etc/shop" }
[targets.worker]
packages = ["./cmd/worker"]
[registries.layout]
url = "oci-layout:out"
[publish]
tags = ["{version}", "latest"]
"""
MARK = "GOCTL_TEST_MARK"
RELEASE = (sys.executable, "-m", "invoke", "release")


class Shop:
    """A checkout of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: Seconds of a whole release, where it was timed: faults come at any moment of one, however fast the machine is.
        self.seconds = 0.0

    @classmethod
    def make(cls, root: Path, word: str = "one") -> Shop:
        files = {
            "go.mod": "module example.com/shop\n\ngo 1.24\n",
            "cmd/api/main.go": MAIN.format(name="api"),
            "cmd/worker/main.go": MAIN.format(name="worker"),
            "files/a.txt": "a\n",
            "files/deep/b.txt": "b\n",
            "goctl.toml": TOML,
            "tasks.py": 'from goctl import namespace\n\nns = namespace("goctl.toml")\n',
        }
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        shop = cls(root)
        (root / "word").mkdir()
        shop.say(word)
        return shop

    @classmethod
    def timed(cls, root: Path) -> Shop:
        """A checkout that was released twice; the second time, with Go's cache filled, was timed."""
        shop = cls.make(root)
        for _ in range(2):
            shop.forget()
            started = time.monotonic()
            assert shop.release() == ""
            shop.seconds = time.monotonic() - started
        return shop

    def say(self, word: str) -> None:
        """Edits the package that both commands import."""
        text = f'package word\n\nconst Word = "{word}"\n'
        (self.root / "word/word.go").write_text(text, encoding="utf-8", newline="\n")

    def forget(self) -> None:
        """As a fresh checkout."""
        for name in (".goctl", "dist", "out"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def release(self, *args: str, **env: str) -> str:
        """Releases; what went wrong, or nothing."""
        command = [*RELEASE, *args]
        done = subprocess.run(command, cwd=self.root, env={**os.environ, **env}, capture_output=True, text=True, check=False)
        if done.returncode == 0 and "Traceback" not in done.stderr:
            return ""
        return f"the release ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}"

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """A release whose environment bears a mark, so that all that it starts can be found."""
        return subprocess.Popen(
            RELEASE,
            cwd=self.root,
            env={**os.environ, **env, MARK: str(self.root)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def processes(self) -> dict[int, str]:
        """What runs and was started by start(), by process id: programs, whatever their sessions and parents are."""
        mark = f"{MARK}={self.root}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has ended
        return found

    def said(self) -> str:
        """What the released program for this machine prints."""
        done = subprocess.run([self.root / "dist/api/linux-amd64/api"], capture_output=True, text=True, check=True)
        return done.stderr.strip()

    def results(self) -> dict[str, str]:
        """Digests of every program and every image."""
        programs = {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.root / "dist").rglob("*")
            if path.is_file()
        }
        index = json.loads((self.root / "out/index.json").read_bytes())
        names = {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in index["manifests"]}
        return programs | names

    def broken(self, whole: dict[str, str]) -> str:
        """What is there and is not whole, compared with what a whole release leaves; or nothing."""
        for path in (self.root / "dist").rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                name = str(path.relative_to(self.root))
                if hashlib.sha256(path.read_bytes()).hexdigest() != whole.get(name):
                    return f"{name} is not what a whole release leaves"
        for folder in (self.root / "out/blobs/sha256", self.root / ".goctl/blobs/sha256"):
            for path in folder.glob("*"):
                if not path.name.startswith(".") and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                    return f"{path} is not what its name says"
        index = self.root / "out/index.json"
        return self._broken_layout(index) if index.exists() else ""

    def _broken_layout(self, index: Path) -> str:
        """Every name in a layout leads to content that is all there."""
        waiting = [entry["digest"] for entry in json.loads(index.read_bytes())["manifests"]]
        while waiting:
            digest = waiting.pop()
            blob = self.root / "out/blobs/sha256" / digest.removeprefix("sha256:")
            if not blob.is_file():
                return f"{digest} is named in the layout, and is not there"
            if blob.stat().st_size < 20_000 and blob.read_bytes()[:1] == b"{":
                document = json.loads(blob.read_bytes())
                entries = [*document.get("manifests", ()), *document.get("layers", ())]
                waiting += [
                    entry["digest"] for entry in (*entries, *filter(None, [document.get("config")])) if "digest" in entry
                ]
        return ""
