"""Kubeconfig files: contexts by name, certificates that stand in them, programs that log in."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.kube import KUBECONFIG

from goctl.cluster.kubeconfig import find, opened
from goctl.errors import ClusterError

FILE = """
apiVersion: v1
kind: Config
current-context: {name}
contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]
clusters: [{{name: {name}, cluster: {{server: "https://{name}.example.com", certificate-authority-data: {ca}}}}}]
users: [{{name: {name}, user: {user}}}]
"""
SECRET = "a-secret-token"


def write(path: Path, name: str, user: object = None) -> Path:
    ca = base64.b64encode(b"certificate").decode()
    path.write_text(FILE.format(name=name, ca=ca, user=json.dumps(user or {"token": SECRET})))
    return path


def test_contexts_are_found_in_any_of_the_files(tmp_path: Path) -> None:
    files = [write(tmp_path / name, name) for name in ("one", "two")]
    environment = {"KUBECONFIG": os.pathsep.join([str(tmp_path / "none"), *map(str, files)])}
    assert find("two", environment).server == "https://two.example.com"
    with pytest.raises(ClusterError, match="'three'") as raised:
        find("three", environment)
    assert "one, two" in raised.value.hint


def test_certificates_are_files_for_a_moment_that_others_cannot_read(tmp_path: Path) -> None:
    entry = find("one", {"KUBECONFIG": str(write(tmp_path / "one", "one"))})
    with opened(entry) as config:
        path = Path(str(config.cluster.certificate_auth))
        assert path.read_bytes() == b"certificate"
        if os.name != "nt":
            assert path.stat().st_mode & 0o077 == 0
        assert config.user is not None
        assert config.user.token == SECRET
    assert not path.exists()


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    user = {"client-certificate": "me.crt", "client-key": "/etc/me.key"}
    entry = find("one", {"KUBECONFIG": str(write(tmp_path / "one", "one", user))})
    with opened(entry) as config:
        assert config.user is not None
        assert Path(str(config.user.client_cert)) == tmp_path / "me.crt"


@pytest.mark.parametrize("text", ["[", "a: [}", "- 1", f"token: {SECRET}: :", "\x00"])
def test_what_cannot_be_read_repeats_nothing_of_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "one").write_text(text)
    with pytest.raises(ClusterError) as raised:
        find("one", {"KUBECONFIG": str(tmp_path / "one")})
    assert SECRET not in str(raised.value) + raised.value.hint


def plugin(tmp_path: Path, body: str, version: str = "client.authentication.k8s.io/v1") -> dict[str, object]:
    script = tmp_path / "login.py"
    script.write_text("import json, os, sys\ntold = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n" + body)
    arguments = [str(script), "--cluster"]
    env = [{"name": "REGION", "value": "north"}]
    return {"exec": {"apiVersion": version, "command": sys.executable, "args": arguments, "env": env}}


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
def test_programs_log_in(tmp_path: Path, version: str) -> None:
    body = (
        "assert sys.argv[1:] == ['--cluster'] and os.environ['REGION'] == 'north'\n"
        "print(json.dumps({'apiVersion': told['apiVersion'], 'status': {'token': told['apiVersion']}}))\n"
    )
    entry = find("one", {"KUBECONFIG": str(write(tmp_path / "one", "one", plugin(tmp_path, body, version)))})
    with opened(entry, dict(os.environ)) as config:
        assert config.user is not None
        assert config.user.token == version


@pytest.mark.parametrize("body", ["sys.exit(f'denied {1}')\n", "print('[]')\n", "print('{')\n"])
def test_programs_that_do_not_are_named(tmp_path: Path, body: str) -> None:
    entry = find("one", {"KUBECONFIG": str(write(tmp_path / "one", "one", plugin(tmp_path, body)))})
    with pytest.raises(ClusterError, match="logs in to one"), opened(entry, dict(os.environ)):
        pass


REFUSED_AT_ONCE = """
import os, sys, threading
from goctl.cluster.api import connect

connect("test", environment={"KUBECONFIG": sys.argv[1]})
from lightkube.models.meta_v1 import Status

sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)

def refused():
    barrier.wait()
    Status.from_dict({"message": "not found", "details": {"causes": [{"field": "a"}]}})

threads = [threading.Thread(target=refused) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
"""


def test_the_first_refusals_may_come_at_once(tmp_path: Path) -> None:
    """In a process of its own, which does not end well where two threads learn a type of msgspec's at once."""
    config = tmp_path / "config"
    config.write_text(KUBECONFIG.format(url="http://127.0.0.1:9"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", REFUSED_AT_ONCE, str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
