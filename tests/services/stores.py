"""Stores for tests, each a server of its own on a loopback port: Redis, and nginx with its DAV module."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_NGINX = """daemon off; pid {folder}/pid; error_log stderr;
{user}
events {{}}
http {{ access_log off; client_body_temp_path {folder}/tmp; client_max_body_size 0;
  server {{ listen 127.0.0.1:{port}; location / {{ root {folder}/files; dav_methods PUT DELETE MKCOL;
  create_full_put_path on; }} }} }}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server, from when it answers at its port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def redis(program: str, folder: Path) -> Iterator[str]:
    """The URL of a Redis."""
    port = free_port()
    with running([program, "--port", str(port), "--dir", str(folder), "--save", ""], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def dav(program: str, folder: Path) -> Iterator[str]:
    """The URL of a folder that nginx serves."""
    port = free_port()
    (folder / "files").mkdir()
    # Started by root, nginx would write as somebody who may not look into the folder of a test.
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, user=user))
    with running([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)], port):
        yield f"http://127.0.0.1:{port}/cache"
