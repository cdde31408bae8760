"""Access to a kind cluster: a kubeconfig of its own below the project's state, and entries in others' only when asked.

Nothing here reads or changes a current context but that of goctl's own file.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from goctl.cluster.kind import Kind
from goctl.errors import ClusterError, ExtensionError
from goctl.events import Emit
from goctl.system.files import storage_errors, write_atomic
from goctl.values import from_json

#: Seconds after which another program's lock on a kubeconfig was left behind.
_STALE = 60.0
_PARTS = ("clusters", "users", "contexts")


class Access:
    """The kubeconfig of one cluster, in a project that keeps its state in a folder."""

    def __init__(self, state: Path, name: str, emit: Emit) -> None:
        self._state = state
        self._name = name
        self._emit = emit
        self.folder = state / "clusters" / name
        self.file = self.folder / "kubeconfig"

    def text(self) -> str:
        """The kubeconfig as YAML: the file's, else what kind tells. It holds a key: it is for no log."""
        with contextlib.suppress(OSError):
            return self.file.read_text(encoding="utf-8")
        return Kind(self._state, self._emit).kubeconfig(self._name)

    def renew(self, kind: Kind) -> None:
        """Writes the file anew: a cluster that was made again has other keys, and another port."""
        write_atomic(self.file, kind.kubeconfig(self._name).encode(), durable=False, private=True)

    def merge(self, target: Path) -> None:
        """Puts the entries into another kubeconfig, whose current context stays. They go with the cluster."""
        own = _parsed(self.text(), self.file)
        with _locked(target):
            document = _read(target)
            for part in _PARTS:
                names = {entry["name"] for entry in own[part]}
                others = [entry for entry in document.get(part) or [] if entry.get("name") not in names]
                document[part] = [*others, *own[part]]
            _write(target, document)
        self._note({*self._merged(), str(target)})

    def forget(self) -> list[str]:
        """Removes what `merge` put into other files, and the cluster's own; the other files."""
        gone = []
        name = f"kind-{self._name}"
        for path in sorted(self._merged()):
            if not Path(path).is_file():
                continue
            with _locked(Path(path)):
                document = _read(Path(path))
                for part in _PARTS:
                    document[part] = [entry for entry in document.get(part) or [] if entry.get("name") != name]
                if document.get("current-context") == name:
                    document["current-context"] = ""
                _write(Path(path), document)
            gone.append(path)
        for file in (self.file, self.folder / "merged.json"):
            file.unlink(missing_ok=True)
        return gone

    def _merged(self) -> set[str]:
        try:
            return set(from_json((self.folder / "merged.json").read_bytes(), list[str]))
        except (OSError, msgspec.MsgspecError):
            return set()

    def _note(self, paths: set[str]) -> None:
        write_atomic(self.folder / "merged.json", msgspec.json.encode(sorted(paths)), durable=False)


def client(text: str, seconds: float = 10.0) -> Any:
    """A lightkube client of what a kubeconfig's current context leads to; to be closed."""
    try:
        import httpx2
        from lightkube import Client, KubeConfig
    except ImportError:
        raise ExtensionError("clusters need the package lightkube", hint="pip install goctl-release[kubernetes]") from None
    # Nodes of kind are on this machine: no proxy leads there.
    return Client(
        KubeConfig.from_dict(_parsed(text, None)),
        timeout=httpx2.Timeout(seconds),
        field_manager="goctl",
        trust_env=False,
    )


@contextlib.contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turns what lightkube raises into a ClusterError that says what could not be done."""
    import httpx2
    from lightkube import ApiError

    try:
        yield
    except ApiError as error:
        raise ClusterError(
            f"the cluster refused to {doing}: {error.status.message}",
            status=error.status.code or 0,
            reason=error.status.reason or "",
        ) from None
    except httpx2.HTTPError as error:
        raise ClusterError(
            f"the cluster did not answer when asked to {doing}: {error}",
            temporary=True,
            hint="`invoke cluster.status` tells how it is",
        ) from None


def _parsed(text: str, file: Path | None) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    if document is None and not text.strip():
        document = {"apiVersion": "v1", "kind": "Config"}
    if not isinstance(document, dict):
        # What stands in it may be keys: no part of it is repeated.
        raise ClusterError(f"{file or 'the kubeconfig'} is no kubeconfig", hint="mend it, or name another file")
    return document


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _parsed(text, path)


def _write(path: Path, document: dict[str, Any]) -> None:
    import yaml

    write_atomic(path.resolve(), yaml.safe_dump(document, sort_keys=False).encode(), private=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock that kubectl and kind take too: a file beside it that is not there yet (client-go, clientcmd/loader.go)."""
    lock = path.with_name(f"{path.name}.lock")
    with storage_errors(str(lock)):
        path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 10
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > _STALE:
                    lock.unlink()
                    continue
            if time.monotonic() > deadline:
                raise ClusterError(f"another program holds {path}", hint=f"if none does, remove {lock}") from None
            time.sleep(0.05)
        except OSError as error:
            raise ClusterError(f"{lock} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
