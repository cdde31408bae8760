"""An S3 server for tests: versitygw over a folder, with a bucket `builds` and somebody who may only read it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.services.stores import free_port, running

#: Access key and secret of who may do everything, and of who may read.
OWNER = ("tester", "a-long-word-for-tests")
READER = ("reader", "another-long-word")


class ObjectServer:
    """`folder` is the bucket's: an object is a file below it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.endpoint = f"http://127.0.0.1:{port}"

    @property
    def options(self) -> dict[str, str]:
        """The options of a level."""
        return {"endpoint": self.endpoint, "region": "us-east-1"}

    @property
    def level(self) -> str:
        """A level of goctl.toml."""
        return (
            f'[cache.team]\nurl = "s3://builds/shop"\noptions = {{ endpoint = "{self.endpoint}", region = "us-east-1" }}\n'
        )

    def grant(self, *actions: str) -> None:
        """Lets the reader do this, and nothing else."""
        resources = ["arn:aws:s3:::builds", "arn:aws:s3:::builds/*"]
        granted = {"Effect": "Allow", "Principal": {"AWS": [READER[0]]}, "Action": list(actions), "Resource": resources}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [granted]})
        # Where versitygw keeps the policy of a bucket; the request for it would have to be signed.
        if sys.platform == "linux":
            os.setxattr(self.folder, "user.policy", policy.encode())


def login(who: tuple[str, str]) -> dict[str, str]:
    """The variables that say who somebody is."""
    return {"AWS_ACCESS_KEY_ID": who[0], "AWS_SECRET_ACCESS_KEY": who[1]}


@contextlib.contextmanager
def serving(program: str, root: Path) -> Iterator[ObjectServer]:
    """`program` is versitygw's path; `root` a folder on a file system with extended attributes."""
    port = free_port()
    folder = root / "buckets" / "builds"
    folder.mkdir(parents=True)
    (root / "people").mkdir()
    owner = ["--access", OWNER[0], "--secret", OWNER[1]]
    command = [program, *owner, "--iam-dir", str(root / "people"), "--port", f"127.0.0.1:{port}"]
    with running([*command, "posix", str(root / "buckets")], port):
        server = ObjectServer(folder, port)
        added = [program, "admin", *owner, "--endpoint-url", server.endpoint, "create-user"]
        subprocess.run([*added, "--access", READER[0], "--secret", READER[1], "--role", "user"], check=True)
        yield server
