"""The API server: objects in, objects out, as plain values.

lightkube does the talking. Its typed models know the fields of one version of Kubernetes and drop others, so objects stay
what they are in JSON; of its classes only the paths of Kubernetes' own kinds are used.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from goctl.cluster import kubeconfig
from goctl.cluster.manifests import Key
from goctl.errors import ClusterError, ExtensionError
from goctl.system.addresses import is_loopback
from goctl.system.patience import TEMPORARY, Patience

#: Who goctl is to the API server: the owner of the fields that it applies.
MANAGER = "goctl"
#: Seconds the API server may be silent for.
TIMEOUT = 10.0
RETRIES = 4

Object = dict[str, Any]

NEEDS = "deploying needs the packages lightkube and pyyaml"
INSTALL = "pip install goctl-release[kubernetes]"


class Api:
    """One cluster. Safe to use from several threads. `check` is called while it waits, and may raise to end that."""

    def __init__(
        self,
        entry: kubeconfig.Entry,
        *,
        check: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        try:
            import httpx2
            from lightkube import Client, ConfigError
            from lightkube.models.meta_v1 import Status
        except ImportError:
            raise ExtensionError(NEEDS, hint=INSTALL) from None
        # msgspec learns a type when the first object of it is made, and two threads that do so at once end the process.
        Status.from_dict({})
        self.context = entry.context
        self.server = entry.server
        self.namespace = entry.namespace
        self._patience = Patience(RETRIES, check=check)
        self._kinds: dict[tuple[str, str], Any] = {}
        try:
            with kubeconfig.opened(entry, environment) as config:
                # Its overloads know classes by their kind; these are told when it runs.
                self._client: Any = Client(
                    config,
                    timeout=httpx2.Timeout(TIMEOUT),
                    field_manager=MANAGER,
                    trust_env=not is_loopback(urlsplit(entry.server).hostname or ""),  # no proxy leads to this machine
                )
        except (ConfigError, OSError, ValueError) as error:
            raise ClusterError(f"the context {entry.context!r} cannot be used: {_words(error)}") from None

    def close(self) -> None:
        self._client.close()

    def version(self) -> tuple[int, int] | None:
        """Major and minor version of its Kubernetes; None where it does not tell who asks."""
        client = self._client._client._client  # noqa: SLF001 - see through()

        def ask() -> Any:
            answer = client.get("/version")
            answer.raise_for_status()
            return answer.json()

        try:
            found = self._ask("its version", ask)
            # Some write a minor version like `30+`.
            major, minor = (int(re.sub(r"\D.*", "", str(found[part]))) for part in ("major", "minor"))
        except ClusterError as error:
            if error.status not in (401, 403, 404):
                raise
            return None
        except (ValueError, KeyError, TypeError):
            return None
        return major, minor

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of a kind live in namespaces. Raises ClusterError for a kind that the cluster does not know."""
        from lightkube.core.resource import NamespacedResource

        return issubclass(self._kind(api_version, kind), NamespacedResource)

    def learn(self, crd: Object) -> None:
        """Takes the kinds of a CustomResourceDefinition for known."""
        spec = crd.get("spec") or {}
        names = spec.get("names") or {}
        for version in spec.get("versions") or ():
            made = _resource(spec["group"], version["name"], names["kind"], names["plural"], spec.get("scope") != "Cluster")
            self._kinds[f"{spec['group']}/{version['name']}", names["kind"]] = made

    def get(self, key: Key, *, tries: int = RETRIES + 1) -> Object | None:
        """An object; None where there is none."""
        resource = self._kind(key.api_version, key.kind)
        try:
            return dict(self._ask(str(key), lambda: self._client.get(resource, key.name, **_in(key.namespace)), tries=tries))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def objects(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        tries: int = RETRIES + 1,
    ) -> list[Object]:
        """All objects of a kind in a namespace that bear these labels, and whose fields have these values."""
        resource = self._kind(api_version, kind)
        chosen: dict[str, Any] = {"labels": dict(labels or {}) or None, "fields": dict(fields or {}) or None}

        def ask() -> list[Object]:
            return [dict(one) for one in self._client.list(resource, **chosen, **_in(namespace))]

        return list(self._ask(f"{kind}s", ask, tries=tries))

    def apply(self, content: Object, key: Key, *, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply; what came of it. Raises ClusterError, for a conflict with status 409 and those who own what."""
        made = self._kind(key.api_version, key.kind)(content)
        return dict(
            self._ask(
                str(key),
                lambda: self._client.apply(made, key.name, force=force, dry_run=dry_run, **_in(key.namespace)),
            )
        )

    def create(self, content: Object, key: Key) -> Object:
        """A new object. Raises ClusterError with status 409 where there is one of that name."""
        made = self._kind(key.api_version, key.kind)(content)
        return dict(self._ask(str(key), lambda: self._client.create(made, **_in(key.namespace)), tries=1))

    def replace(self, content: Object, key: Key) -> Object:
        """An object in the place of the one that was read. Raises ClusterError with status 409 where that has changed."""
        made = self._kind(key.api_version, key.kind)(content)
        return dict(self._ask(str(key), lambda: self._client.replace(made, key.name, **_in(key.namespace)), tries=1))

    def delete(self, key: Key) -> bool:
        """Removes an object, and what belongs to it; whether it was there."""
        from lightkube.types import CascadeType

        resource = self._kind(key.api_version, key.kind)
        try:
            self._ask(
                str(key),
                lambda: self._client.delete(resource, key.name, cascade=CascadeType.BACKGROUND, **_in(key.namespace)),
            )
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return True

    def log(self, namespace: str, pod: str, container: str, lines: int) -> list[str]:
        """The last lines of what a container printed, of the one before where it waits to be started again."""

        def ask() -> list[str]:
            return list(self._client.log(pod, namespace=namespace, container=container, tail_lines=lines, newlines=False))

        return list(self._ask(f"the log of {pod}", ask, tries=1))

    def through(
        self, service: Key, port: int, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        """What a Service answers to a request that the API server passes on: status, content type, content."""
        import httpx2

        # lightkube has no words for this, and the client below it knows the way and the login.
        client = self._client._client._client  # noqa: SLF001 - see above
        url = f"/api/v1/namespaces/{service.namespace}/services/{service.name}:{port}/proxy/{path.lstrip('/')}"
        try:
            found = client.request(method, url, headers=dict(headers), content=body)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ClusterError(f"{self.context} does not answer: {_words(error)}") from None
        return found.status_code, str(found.headers.get("content-type", "text/plain")), bytes(found.content)

    def _kind(self, api_version: str, kind: str) -> Any:
        """A class with the path of a kind: one of Kubernetes' own, or of a CustomResourceDefinition in the cluster."""
        slot = (api_version, kind)
        if slot not in self._kinds:
            made = _own_kind(api_version, kind)
            if made is None:
                self._learn_group(api_version.rpartition("/")[0])
                made = self._kinds.get(slot)
            if made is None:
                raise ClusterError(
                    f"{self.context} knows no {kind} of {api_version}",
                    status=404,
                    hint="apply the CustomResourceDefinition that declares it, before it or together with it",
                )
            self._kinds[slot] = made
        return self._kinds[slot]

    def _learn_group(self, group: str) -> None:
        crd = _own_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        for found in self._ask("custom resources", lambda: list(self._client.list(crd, chunk_size=100))):
            if (found.get("spec") or {}).get("group") == group:
                self.learn(found)

    def _ask(self, what: str, call: Callable[[], Any], *, tries: int = RETRIES + 1) -> Any:
        """Does one thing, again where it failed for a while. All that is asked is done once or twice to the same effect."""
        for attempt in range(tries):
            try:
                with _told(self.context, what):
                    return call()
            except ClusterError as error:
                if not error.temporary or attempt + 1 == tries:
                    raise
            self._patience.back_off(attempt)
        raise AssertionError("the last try returns or raises")


def connect(context: str, *, check: Callable[[], None] = lambda: None, environment: Mapping[str, str] = os.environ) -> Api:
    """The cluster of a context. Asks nothing yet."""
    return Api(kubeconfig.find(context, environment), check=check, environment=environment)


def _in(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _own_kind(api_version: str, kind: str) -> Any:
    """The class of one of Kubernetes' own kinds."""
    from lightkube.core.exceptions import LoadResourceError
    from lightkube.core.resource import NamespacedResource, api_info
    from lightkube.core.resource_registry import resource_registry

    try:
        known = resource_registry.load(api_version, kind)
    except (LoadResourceError, ValueError):
        return None
    info = api_info(known)
    own = info.resource
    return _resource(own.group, own.version, own.kind, info.plural, issubclass(known, NamespacedResource))


def _resource(group: str, version: str, kind: str, plural: str, namespaced: bool) -> Any:
    from lightkube.generic_resource import GenericGlobalResource, GenericNamespacedResource, create_api_info

    parent = GenericNamespacedResource if namespaced else GenericGlobalResource
    return type(kind, (parent,), {"_api_info": create_api_info(group, version, kind, plural)})


@contextlib.contextmanager
def _told(context: str, what: str) -> Iterator[None]:
    """What went wrong between here and the API server, as a ClusterError."""
    import httpx2
    from lightkube import ApiError

    started = time.monotonic()
    try:
        yield
    except ApiError as error:
        status = error.status
        code = int(status.code or 0)
        raise ClusterError(
            _refusal(what, status),
            status=code,
            reason=str(status.reason or ""),
            temporary=code in TEMPORARY,
            hint=_hint(code, context),
        ) from None
    except httpx2.HTTPStatusError as error:
        code = error.response.status_code
        raise ClusterError(
            f"{what}: {context} answered {code}", status=code, temporary=code in TEMPORARY, hint=_hint(code, context)
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        waited = time.monotonic() - started
        raise ClusterError(
            f"{context} does not answer: {_words(error)}",
            temporary=waited < TIMEOUT,
            hint="is the cluster up, and this its address?",
        ) from None


def _refusal(what: str, status: Any) -> str:
    """The words of the API server. For a conflict, who owns which field."""
    causes = [cause for cause in (status.details.causes if status.details else None) or () if cause.field or cause.message]
    conflicts = [cause for cause in causes if cause.reason == "FieldManagerConflict"]
    if conflicts:
        owned = "\n".join(
            f"  {cause.field}: {(cause.message or '').replace('conflict with', 'owned by')}" for cause in conflicts
        )
        return f"{what}: others have set what these manifests set\n{owned}"
    return f"{what}: {status.message or status.reason or 'refused'}"


def _hint(code: int, context: str) -> str:
    return {
        401: f"log in to {context} anew",
        403: f"who the context {context} logs in as may not do this",
        409: "leave these fields out of the manifests, or take them over with --force-conflicts",
    }.get(code, "")


def _words(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0] if text else type(error).__name__
