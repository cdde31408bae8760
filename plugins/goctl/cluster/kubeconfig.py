"""Kubeconfig files: which cluster a context means, and who we are to it.

Nothing is ever written to them, and no cluster is used because it happens to be current: contexts are named.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from goctl.cluster.yamls import library
from goctl.errors import ClusterError
from goctl.system.files import write_atomic
from goctl.system.process import run

if TYPE_CHECKING:
    from lightkube import SingleConfig

#: Seconds that a program has that logs in.
LOGIN_TIMEOUT = 60.0
_DATA = ("certificate-authority", "client-certificate", "client-key")


class Entry(msgspec.Struct, frozen=True):
    """A context with what it names, as kubeconfig files hold them. Paths in it count from `folder`."""

    context: str
    namespace: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    folder: Path

    @property
    def server(self) -> str:
        return str(self.cluster.get("server", ""))


def files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The kubeconfig files, first wins: those of KUBECONFIG, or ~/.kube/config."""
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path.home() / ".kube" / "config"]


def find(context: str, environment: Mapping[str, str] = os.environ) -> Entry:
    """The context of that name. Raises ClusterError, with those there are, where there is none."""
    known: list[str] = []
    read = [(path, content) for path in files(environment) if (content := _read(path))]
    for path, content in read:
        contexts = _named(content, "contexts", "context")
        known += contexts
        if context not in contexts:
            continue
        found = contexts[context]
        everything = [content, *(other for _, other in read)]
        cluster = _first(everything, "clusters", "cluster", found.get("cluster"))
        if cluster is None:
            raise ClusterError(f"{path}: the context {context!r} names a cluster that is not there")
        user = _first(everything, "users", "user", found.get("user")) or {}
        return Entry(context, str(found.get("namespace") or "default"), cluster, user, path.parent)
    shown = ", ".join(sorted(set(known))) or "none"
    raise ClusterError(
        f"there is no context {context!r} in {os.pathsep.join(map(str, files(environment)))}",
        hint=f"known are {shown}; KUBECONFIG names the files",
    )


@contextlib.contextmanager
def opened(entry: Entry, environment: Mapping[str, str] = os.environ) -> Iterator[SingleConfig]:
    """The entry as lightkube takes it. Certificates and keys that stand in the file itself are files of their own for as
    long as this lasts, which is until they are loaded, and nobody else can read them.
    """
    from lightkube import SingleConfig
    from lightkube.config.models import Cluster, Context, User

    cluster, user = dict(entry.cluster), dict(entry.user)
    if "exec" in user:
        user |= _logged_in(user.pop("exec"), entry, environment)
    with tempfile.TemporaryDirectory(prefix="goctl-") as folder:
        for table in (cluster, user):
            for name in _DATA:
                data = table.pop(f"{name}-data", None)
                if data:
                    table[name] = str(_written(Path(folder) / name, data))
                elif name in table:
                    table[name] = str(entry.folder / str(table[name]))
            if "tokenFile" in table:
                table["tokenFile"] = str(entry.folder / str(table["tokenFile"]))
        try:
            yield SingleConfig(
                entry.context,
                Context(cluster=entry.context, namespace=entry.namespace),
                msgspec.convert(cluster, Cluster),
                msgspec.convert(user, User),
            )
        except msgspec.ValidationError:
            raise ClusterError(f"the context {entry.context!r} holds something that is not understood") from None


def _read(path: Path) -> dict[str, Any] | None:
    """A file's content; None where it is not there."""
    yaml = library()
    try:
        content = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The words of a parser may repeat what stands there, and that may be a token.
        raise ClusterError(f"{path} cannot be read as a kubeconfig ({type(error).__name__})") from None
    return content if isinstance(content, dict) else None


def _named(content: Mapping[str, Any], kind: str, key: str) -> dict[str, dict[str, Any]]:
    entries = content.get(kind) or []
    if not isinstance(entries, list):
        return {}
    return {
        str(one["name"]): one.get(key) or {}
        for one in entries
        if isinstance(one, dict) and "name" in one and isinstance(one.get(key) or {}, dict)
    }


def _first(contents: list[dict[str, Any]], kind: str, key: str, name: Any) -> dict[str, Any] | None:
    for content in contents:
        named = _named(content, kind, key)
        if name in named:
            return named[name]
    return None


def _written(path: Path, data: str) -> Path:
    import base64
    import binascii

    try:
        content = base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        raise ClusterError(f"{path.name}-data in a kubeconfig is no base64") from None
    write_atomic(path, content, durable=False, private=True)
    return path


def _logged_in(how: Mapping[str, Any], entry: Entry, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the program answers that a context names for logging in (client-go credential plugins)."""
    version = str(how.get("apiVersion") or "client.authentication.k8s.io/v1")
    told = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if how.get("provideClusterInfo"):
        told["spec"] = {"interactive": False, "cluster": {"server": entry.server, **_authority(entry)}}
    own = {str(one["name"]): str(one["value"]) for one in how.get("env") or ()}
    command = str(how.get("command", ""))
    if os.sep in command or "/" in command:
        command = str(entry.folder / command)
    done = run(
        [command, *map(str, how.get("args") or ())],
        env={**environment, **own, "KUBERNETES_EXEC_INFO": json.dumps(told)},
        timeout=LOGIN_TIMEOUT,
    )
    if done.code != 0:
        hint = str(how.get("installHint") or "") or f"run {Path(command).name} yourself to see what it wants"
        raise ClusterError(f"{Path(command).name}, which logs in to {entry.context}, ended with {done.code}", hint=hint)
    try:
        status = json.loads(done.text)["status"]
        found = {"token": status.get("token")}
        for name, key in (("client-certificate", "clientCertificateData"), ("client-key", "clientKeyData")):
            if status.get(key):
                import base64

                found[f"{name}-data"] = base64.b64encode(status[key].encode()).decode()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ClusterError(f"{Path(command).name}, which logs in to {entry.context}, answered with no credential") from None
    return {key: value for key, value in found.items() if value}


def _authority(entry: Entry) -> dict[str, str]:
    data = entry.cluster.get("certificate-authority-data")
    return {"certificate-authority-data": str(data)} if data else {}
