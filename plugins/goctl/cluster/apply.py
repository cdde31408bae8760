"""Applying manifests: all of them are tried before the first is changed, and nothing is taken from others silently."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import msgspec

from goctl.cluster.api import MANAGER, Api, Object
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.objects import condition, dig, each
from goctl.errors import ClusterError, ConfigError, Problem

#: The label of all that a deployment applied. Objects are removed by it, and only when that was asked for.
PART_OF = "goctl/part-of"
#: Requests under way at once.
WIDTH = 8
#: Seconds a new CustomResourceDefinition has until its kinds can be used.
ESTABLISHED = 30.0

#: What others need comes first, what runs comes last.
_FIRST = {"Namespace": 0, "CustomResourceDefinition": 1}
_EARLY = ("ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
_RUNNING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob")
#: What the API server writes into every object.
_SERVERS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")

Action = Literal["create", "change", "same"]


class Placed(msgspec.Struct, frozen=True):
    """A manifest with its namespace and label: what is applied, and which object it is."""

    key: Key
    manifest: Manifest

    @property
    def content(self) -> Object:
        return self.manifest.content


class Change(msgspec.Struct, frozen=True):
    """What applying an object would do to what is in the cluster now (`live`, None where there is nothing)."""

    placed: Placed
    action: Action
    live: Object | None = None

    @property
    def key(self) -> Key:
        return self.placed.key


def place(api: Api, manifests: Iterable[Manifest], namespace: str, part_of: str) -> list[Placed]:
    """The manifests in the order they are applied in, each in its namespace. Raises ClusterError for unknown kinds."""
    manifests = list(manifests)
    for manifest in manifests:
        if manifest.kind == "CustomResourceDefinition":
            api.learn(manifest.content)
    problems: list[Problem] = []
    found: list[Placed] = []
    for manifest in manifests:
        try:
            found.append(_placed(api, manifest, namespace, part_of))
        except ClusterError as error:
            if error.status != 404:
                raise
            problems.append(Problem(str(error), manifest.location, hint=error.hint))
    if problems:
        raise ConfigError(problems)
    return sorted(found, key=lambda one: _rank(one.key.kind))


def _placed(api: Api, manifest: Manifest, namespace: str, part_of: str) -> Placed:
    # What the API server writes stands in files that were exported, and is refused.
    metadata = {key: value for key, value in manifest.content["metadata"].items() if key not in _SERVERS}
    metadata["labels"] = {**(metadata.get("labels") or {}), PART_OF: part_of}
    own = ""
    if api.is_namespaced(manifest.api_version, manifest.kind):
        own = metadata["namespace"] = metadata.get("namespace") or namespace
    else:
        metadata.pop("namespace", None)
    content = {**manifest.content, "metadata": metadata}
    # A status is the cluster's to write; who exports an object has it in the file.
    content.pop("status", None)
    return Placed(Key(manifest.api_version, manifest.kind, own, manifest.name), manifest.with_content(content))


def _rank(kind: str) -> int:
    return _FIRST.get(kind, 2 if kind in _EARLY else 4 if kind in _RUNNING else 3)


def compare(api: Api, placed: Sequence[Placed], *, force: bool = False, made: Iterable[str] = ()) -> list[Change]:
    """What applying these would change, as the API server says itself. Changes nothing. `made` are namespaces that will be
    there by then.

    Raises ClusterError with everything that it refuses: conflicts with who owns which field, what is invalid.
    """
    coming = _Coming(placed, made)
    # Both questions of all objects at once: where the API server is far away, each that waits for another is felt.
    with ThreadPoolExecutor(WIDTH, "compare") as pool:
        live = [pool.submit(api.get, one.key) for one in placed]
        after = [pool.submit(api.apply, one.content, one.key, force=force, dry_run=True) for one in placed]
        tried = [_compared(*asked, coming) for asked in zip(placed, live, after, strict=True)]
    errors = [one for one in tried if isinstance(one, ClusterError)]
    if errors:
        raise errors[0] if len(errors) == 1 else _joined(errors)
    return [one for one in tried if isinstance(one, Change)]


class _Coming:
    """Namespaces and kinds that are made on the way: what is in them cannot be tried before."""

    def __init__(self, placed: Iterable[Placed], made: Iterable[str]) -> None:
        self.namespaces = set(made)
        self.kinds: set[tuple[str, str]] = set()
        for one in placed:
            if one.key.kind == "Namespace":
                self.namespaces.add(one.key.name)
            if one.key.kind == "CustomResourceDefinition":
                self.kinds.add((str(dig(one.content, "spec", "group")), str(dig(one.content, "spec", "names", "kind"))))

    def holds(self, key: Key) -> bool:
        return key.namespace in self.namespaces or (key.api_version.rpartition("/")[0], key.kind) in self.kinds


def _compared(one: Placed, asked: Future[Object | None], tried: Future[Object], coming: _Coming) -> Change | ClusterError:
    try:
        live, after = asked.result(), tried.result()
    except ClusterError as error:
        if error.status == 404 and coming.holds(one.key):
            return Change(one, "create")
        if error.status == 404 and error.reason == "NotFound" and one.key.namespace:
            error.hint = f"add a Namespace {one.key.namespace!r} to the manifests, or make it first"
        if one.key.kind == "Job" and error.status == 422:
            error.hint = "a Job cannot be changed: give it another name, or delete it first"
        return error
    if live is None:
        return Change(one, "create")
    same = _is_ours(live) and _content(live) == _content(after)
    return Change(one, "same" if same else "change", live)


def _is_ours(live: Object) -> bool:
    """Whether it was applied by goctl before: else applying it changes at least who owns it."""
    return any(
        entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
        for entry in each(live, "metadata", "managedFields")
    )


def _content(found: Object) -> Object:
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _SERVERS}
    return {key: value for key, value in found.items() if key not in ("status", "metadata")} | {"metadata": metadata}


def _joined(errors: Sequence[ClusterError]) -> ClusterError:
    first = errors[0]
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    return ClusterError(
        "\n".join(str(error) for error in errors), status=first.status, reason=first.reason, hint="; ".join(hints)
    )


def carry_out(
    api: Api, changes: Sequence[Change], *, force: bool = False, check: Callable[[], None] = lambda: None
) -> Iterator[tuple[Change, Object]]:
    """Applies what is to be created or changed, in order; yields each with what came of it."""
    for change in changes:
        check()
        if change.action == "same":
            continue
        made = api.apply(change.placed.content, change.key, force=force)
        if change.key.kind == "CustomResourceDefinition":
            _await_established(api, change.key, check)
        yield change, made


def _await_established(api: Api, key: Key, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + ESTABLISHED
    while condition(api.get(key), "Established").get("status") != "True":
        if time.monotonic() > deadline:
            raise ClusterError(f"{key} was not established within {ESTABLISHED:.0f} s")
        check()
        time.sleep(0.1)


def left_over(api: Api, kinds: Iterable[tuple[str, str, str]], kept: Iterable[Key], part_of: str) -> list[Key]:
    """Objects that bear a deployment's label and are not among those kept. `kinds` says where to look: API version, kind and
    namespace."""
    slots = {key.slot for key in kept}
    found: dict[tuple[str, str, str, str], Key] = {}
    for api_version, kind, namespace in sorted(set(kinds)):
        try:
            objects = api.objects(api_version, kind, namespace, labels={PART_OF: part_of})
        except ClusterError as error:
            if error.status == 404:
                continue  # a kind that has gone took its objects with it
            raise
        for one in objects:
            key = Key(api_version, kind, str(dig(one, "metadata", "namespace") or ""), str(dig(one, "metadata", "name")))
            # What a controller made with the labels of what it belongs to goes when that goes.
            if key.slot not in slots and not any(each(one, "metadata", "ownerReferences")):
                found.setdefault(key.slot, key)
    return sorted(found.values(), key=lambda key: -_rank(key.kind))


def label(*parts: str) -> str:
    """A label's value for some names; a digest in place of what is too long (63 characters are allowed)."""
    import hashlib

    text = ".".join(parts)
    return text if len(text) <= 50 else f"{text[:37].rstrip('.-_')}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def manifest_of(content: dict[str, Any], source: str) -> Manifest:
    """A document that was kept, as a manifest again."""
    return Manifest(content, source)
