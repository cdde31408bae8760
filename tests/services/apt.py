"""A repository of Debian packages on loopback: one package, made here, and its index (Debian policy, deb(5))."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


class Repository:
    """Serves a package of the given name, which brings one file: `/usr/share/NAME/greeting`."""

    def __init__(self, folder: Path, name: str, greeting: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        control = (
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: tests <tests@example.com>\nDescription: x\n"
        )
        package = _package(control, f"usr/share/{name}/greeting", greeting)
        (folder / f"{name}.deb").write_bytes(package)
        told = f"Filename: ./{name}.deb\nSize: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\n"
        (folder / "Packages").write_text(f"{control}{told}", encoding="utf-8")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        #: The line of sources.list: no signature is asked for, and nothing but this is known.
        self.source = f"deb [trusted=yes] http://127.0.0.1:{self._server.server_port} ./\n"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _package(control: str, path: str, content: str) -> bytes:
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control}),
        "data.tar.gz": _tar({f"./{path}": content}),
    }
    made = b"!<arch>\n"
    for name, data in members.items():
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return made


def _tar(files: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text in files.items():
            folders = name.split("/")[1:-1]
            for depth in range(len(folders)):
                folder = tarfile.TarInfo("./" + "/".join(folders[: depth + 1]))
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(folder)
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(held.getvalue(), mtime=0)
