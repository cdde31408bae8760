"""A small API server of Kubernetes on loopback: objects, server-side apply with owners, and what a test says of its
controllers. It speaks plain http, and knows as much as goctl asks for."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
#: Where an object is: API version, namespace, plural, name.
Slot = tuple[str, str, str, str]

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: elsewhere
contexts:
- name: test
  context: {{cluster: test, user: me, namespace: shop}}
- name: elsewhere
  context: {{cluster: elsewhere, user: me}}
clusters:
- name: test
  cluster: {{server: "{url}"}}
- name: elsewhere
  cluster: {{server: "http://127.0.0.1:9"}}
users:
- name: me
  user: {{token: "a-token-nobody-reads"}}
"""


class Kube:
    """`controllers` are called with this and each object that was applied, outside of the lock, and then `watchers` after
    whatever was written or removed; `refuse` may answer a request (method, slot, body) with a Status in its place."""

    def __init__(self) -> None:
        self.objects: dict[Slot, Object] = {}
        self.logs: dict[str, str] = {}
        self.version: Object = {"major": "1", "minor": "34"}
        self.requests: list[tuple[str, str]] = []
        self.controllers: list[Callable[[Kube, Object], None]] = []
        self.watchers: list[Callable[[Slot], None]] = []
        self.refuse: Callable[[str, Slot, Any], Object | None] = lambda method, slot, body: None
        self._version = 0
        self.guard = threading.RLock()
        kube = self

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                self.kube = kube
                super().__init__(*args)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("shop", "default"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "namespaces")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        path.write_text(KUBECONFIG.format(url=self.url), encoding="utf-8")
        return path

    def put(self, content: Object, plural: str) -> Object:
        """An object from elsewhere: a controller's, another person's."""
        metadata = content["metadata"]
        slot = (content["apiVersion"], metadata.get("namespace", ""), plural, metadata["name"])
        with self.guard:
            return self._store(slot, copy.deepcopy(content))

    def find(self, kind: str, name: str = "") -> list[Object]:
        with self.guard:
            return [one for one in self.objects.values() if one["kind"] == kind and name in ("", one["metadata"]["name"])]

    def one(self, kind: str, name: str) -> Object:
        (found,) = self.find(kind, name)
        return found

    def writes(self) -> list[str]:
        """Requests that changed something: method and path."""
        return [f"{method} {path}" for method, path in self.requests if method != "GET" and "dryRun" not in path]

    def _store(self, slot: Slot, content: Object) -> Object:
        self._version += 1
        before = self.objects.get(slot, {})
        metadata = content["metadata"]
        metadata["uid"] = before.get("metadata", {}).get("uid") or f"uid-{self._version}"
        generation = before.get("metadata", {}).get("generation", 0)
        metadata["generation"] = generation + (before.get("spec") != content.get("spec"))
        metadata["resourceVersion"] = str(self._version)
        self.objects[slot] = content
        return content

    def apply(self, slot: Slot, body: Object, manager: str, *, force: bool, dry_run: bool) -> tuple[int, Object]:
        """Server-side apply, for whole fields of the first two levels: enough to have owners and conflicts."""
        with self.guard:
            live = self.objects.get(slot)
            made = copy.deepcopy(live) if live else {"metadata": {}}
            owners: dict[str, str] = made.setdefault("x-owners", {})
            fields = {f"{a}.{b}": v for a in body for b, v in (body[a].items() if isinstance(body[a], dict) else ())}
            taken = {
                name: owners[name]
                for name, value in fields.items()
                if owners.get(name, manager) != manager and _at(made, name) != value
            }
            if taken and not force:
                return 409, _conflict(taken)
            for name in [name for name, owner in owners.items() if owner == manager and name not in fields]:
                _drop(made, name)
                del owners[name]
            made |= {key: value for key, value in body.items() if not isinstance(value, dict)}
            for name, value in fields.items():
                first, _, second = name.partition(".")
                made.setdefault(first, {})[second] = copy.deepcopy(value)
                owners[name] = manager
            made["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply"}]
            if live is not None and _plain(made) == _plain(live):
                return 200, copy.deepcopy(live)
            return (200 if live else 201), copy.deepcopy(made if dry_run else self._store(slot, made))

    def changed(self, slot: Slot) -> None:
        for controller in self.controllers:
            if slot in self.objects:
                controller(self, self.objects[slot])
        self.written(slot)

    def written(self, slot: Slot) -> None:
        for watcher in self.watchers:
            watcher(slot)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits until its headers are acknowledged, 40 ms on Linux
    kube: Kube

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        if self.path == "/version":
            self.kube.requests.append((self.command, self.path))
            self._send(self.kube.version.get("code", 200), self.kube.version)
            return
        slot, query, action = self._slot()
        if action == "log":
            self._answer(200, self.kube.logs.get(slot[3], "").encode(), "text/plain")
        elif self._refused(slot, None):
            return
        elif slot[3]:
            with self.kube.guard:
                found = copy.deepcopy(self.kube.objects.get(slot))
            self._send(200 if found else 404, found or _missing(slot))
        else:
            with self.kube.guard:
                items = [
                    copy.deepcopy(one)
                    for (version, namespace, plural, _), one in self.kube.objects.items()
                    if (version, plural) == (slot[0], slot[2]) and slot[1] in ("", namespace) and _matches(one, query)
                ]
            self._send(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

    def do_PATCH(self) -> None:
        slot, query, _ = self._slot()
        body = self._body()
        if self._refused(slot, body):
            return
        namespace = ("v1", "", "namespaces", slot[1])
        if slot[1] and namespace not in self.kube.objects:
            self._send(404, _missing(namespace))
            return
        force, dry = query.get("force") == "true", "dryRun" in query
        code, made = self.kube.apply(slot, body, query["fieldManager"], force=force, dry_run=dry)
        if code < 400 and not dry:
            self.kube.changed(slot)
        self._send(code, made)

    def do_POST(self) -> None:
        slot, _, _ = self._slot()
        body = self._body()
        slot = (*slot[:3], body["metadata"]["name"])
        if self._refused(slot, body):
            return
        with self.kube.guard:
            if slot in self.kube.objects:
                self._send(409, _status(409, "AlreadyExists", f"{slot[3]} already exists"))
                return
            made = self.kube._store(slot, body)
        self.kube.written(slot)
        self._send(201, made)

    def do_PUT(self) -> None:
        slot, _, _ = self._slot()
        body = self._body()
        if self._refused(slot, body):
            return
        with self.kube.guard:
            live = self.kube.objects.get(slot)
            version = body["metadata"].get("resourceVersion")
            if live is None or (version and version != live["metadata"]["resourceVersion"]):
                self._send(409, _status(409, "Conflict", "the object has been modified"))
                return
            made = self.kube._store(slot, body)
        self.kube.written(slot)
        self._send(200, made)

    def do_DELETE(self) -> None:
        slot, _, _ = self._slot()
        with self.kube.guard:
            found = self.kube.objects.pop(slot, None)
        self.kube.written(slot)
        self._send(200 if found else 404, {"kind": "Status"} if found else _missing(slot))

    def _slot(self) -> tuple[Slot, dict[str, str], str]:
        self.kube.requests.append((self.command, self.path))
        address = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        parts = address.path.strip("/").split("/")
        version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        name, action = (*rest[1:], "", "")[:2]
        return (version, namespace, rest[0], name), query, action

    def _refused(self, slot: Slot, body: Any) -> bool:
        status = self.kube.refuse(self.command, slot, body)
        if status is not None:
            self._send(status["code"], status)
        return status is not None

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _send(self, code: int, content: Object) -> None:
        self._answer(code, json.dumps(content).encode(), "application/json")

    def _answer(self, code: int, content: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _at(content: Object, name: str) -> Any:
    first, _, second = name.partition(".")
    return (content.get(first) or {}).get(second)


def _drop(content: Object, name: str) -> None:
    first, _, second = name.partition(".")
    (content.get(first) or {}).pop(second, None)


def _plain(content: Object) -> Object:
    metadata = {k: v for k, v in content["metadata"].items() if k not in ("uid", "generation", "resourceVersion")}
    return {k: v for k, v in content.items() if k != "status"} | {"metadata": metadata}


def _matches(one: Object, query: dict[str, str]) -> bool:
    labels = one["metadata"].get("labels") or {}
    for pair in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = pair.replace("==", "=").partition("=")
        if labels.get(key) != value:
            return False
    for pair in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = pair.replace("==", "=").partition("=")
        found: Any = one
        for part in key.split("."):
            found = (found or {}).get(part)
        if found != value:
            return False
    return True


def _status(code: int, reason: str, message: str, **details: Any) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": details,
    }  # fmt: skip


status = _status


def _missing(slot: Slot) -> Object:
    return _status(404, "NotFound", f'{slot[2]} "{slot[3]}" not found')


def _conflict(taken: dict[str, str]) -> Object:
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner}"', "field": f".{name}"}
        for name, owner in taken.items()
    ]
    return _status(409, "Conflict", "Apply failed with conflicts", causes=causes)
