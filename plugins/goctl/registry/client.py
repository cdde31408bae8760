"""One registry's API (OCI distribution-spec 1.1): manifests and blobs, with authorization, retries and verification."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from goctl.config.model import Config, Registry
from goctl.contracts import BlobStore, Host
from goctl.errors import RegistryError
from goctl.registry.auth import Authorizer
from goctl.registry.authfile import names_of
from goctl.registry.certificates import trust
from goctl.registry.credentials import Find
from goctl.registry.keychain import Keychain
from goctl.registry.refusals import refusal, unreachable
from goctl.registry.server import Sending, Server
from goctl.system.addresses import leads_inward
from goctl.system.http import Body, Http, Response, origin, split
from goctl.system.patience import Patience
from goctl.system.transport import TransportError
from goctl.values import Descriptor, Digest

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT: Final = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"


class Client:
    """A registry's API. Safe to use from several threads. All methods raise RegistryError."""

    def __init__(self, host: str, *, http: Http, find: Find, plain_http: bool = False) -> None:
        self.host = host
        self.patience = http.patience
        self.timeout = http.timeout
        self._auth = Authorizer(http, host, find)
        self._server = Server(host, http, plain_http=plain_http)

    def request(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...],
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        stream: bool = False,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> Response:
        """The answer to a request, when its status is one of `expected`. `path` begins with /v2/, or is a whole URL.

        Raises RegistryError that says what we were `doing`.
        """
        sending = Sending(method, headers or {}, body, stream, retries, timeout)
        try:
            response = self._authorized(path, scopes, sending)
            if response.status in expected:
                return response
            if stream:
                response.load()
        except TransportError as error:
            raise unreachable(doing, self.host, error) from None
        raise refusal(doing, self.host, response, self._auth.mask)

    def _authorized(self, path: str, scopes: tuple[str, ...], sending: Sending) -> Response:
        used = ""
        for renewals in range(3):
            own = "://" not in path or origin(path) == origin(self.address)
            # A Location that leads elsewhere carries its own authorization; ours stays with the registry.
            used = self._auth.header(scopes) if own else ""
            response = self._server.send(path, sending, {"Authorization": used} if used else {})
            if response.status != 401 or not own or renewals == 2:
                return response
            if sending.stream:
                response.load()
            if not self._auth.renew(response, scopes, used):
                return response
        raise AssertionError("unreachable")

    def ping(self, doing: str) -> Response:
        """The answer to the question whether this is a registry that speaks to us."""
        return self.request(doing, "GET", "/v2/", scopes=(), expected=(200,))

    def head_manifest(self, repository: str, reference: str, *, writing: bool = False) -> Digest | None:
        """The digest that a tag names (or that is held); None where it is not there. One request, where the registry
        tells the digest in the answer's header. With `writing` it is asked as one who will push next.
        """
        response = self.request(
            f"look up {repository}:{reference}",
            "HEAD",
            f"/v2/{repository}/manifests/{reference}",
            scopes=push(repository) if writing else pull(repository),
            expected=(200, 404, 405),
            headers={"Accept": ACCEPT},
        )
        if response.status == 404:
            return None
        told = _digest(response.headers.get("Docker-Content-Digest"))
        if response.status == 200 and told is not None:
            return told
        found = self.get_manifest(repository, reference)
        return None if found is None else Digest.of(found)

    def get_manifest(self, repository: str, reference: str) -> bytes | None:
        """A manifest or an index as it is stored; None where it is not there. Verified where the reference is a digest."""
        doing = f"read {repository}:{reference}"
        response = self.request(
            doing,
            "GET",
            f"/v2/{repository}/manifests/{reference}",
            scopes=pull(repository),
            expected=(200, 404),
            headers={"Accept": ACCEPT},
        )
        if response.status == 404:
            return None
        wanted = _digest(reference) or _digest(response.headers.get("Docker-Content-Digest"))
        if wanted is not None and not _matches(wanted, response.content):
            raise RegistryError(f"cannot {doing} at {self.host}: the content is not what its digest says")
        return response.content

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str, digest: Digest) -> None:
        """Stores a manifest under a digest or a tag, and compares what the registry says it stored."""
        doing = f"push {repository}:{reference}"
        response = self.request(
            doing,
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            scopes=push(repository),
            expected=(200, 201, 202),
            headers={"Content-Type": media_type},
            body=content,
        )
        told = response.headers.get("Docker-Content-Digest")
        if told is not None and told != digest:
            raise RegistryError(f"cannot {doing} at {self.host}: it stored another content than was sent")

    def has_blob(self, repository: str, blob: Descriptor, *, retries: int | None = None) -> bool:
        """Whether a repository holds a blob."""
        response = self.request(
            f"look up a layer of {repository}",
            "HEAD",
            f"/v2/{repository}/blobs/{blob.digest}",
            scopes=push(repository),
            expected=(200, 404),
            retries=retries,
        )
        # Some registries leave the length out of an answer to HEAD; one that tells another is not to be relied on.
        length = response.headers.get("Content-Length")
        return response.status == 200 and (not length or length == str(blob.size))

    def fetch_blob(self, repository: str, blob: Descriptor, store: BlobStore, progress: Callable[[int], None]) -> None:
        """Brings a blob into the store: size first, then digest; nothing of it is kept unless both are right.

        `progress` is called with the bytes of each piece, and with what is lost as a negative number. May be called
        with a blob that is there.
        """
        if store.has(blob.digest, blob.size):
            return
        stalls = 0
        for attempt in range(self.patience.retries + 1):
            try:
                self._fetch_once(repository, blob, store, progress)
                return
            except RegistryError as error:
                stalls += error.stalled
                if not error.temporary or attempt == self.patience.retries or stalls > 1:
                    raise
            self.patience.back_off(attempt)

    def _fetch_once(self, repository: str, blob: Descriptor, store: BlobStore, progress: Callable[[int], None]) -> None:
        doing = f"read {blob.digest.short} of {repository}"
        response = self.request(
            doing,
            "GET",
            f"/v2/{repository}/blobs/{blob.digest}",
            scopes=pull(repository),
            expected=(200,),
            stream=True,
            retries=0,
        )
        hasher = hashlib.new(blob.digest.algorithm)
        received = 0
        try:
            with store.writer() as writer:
                for part in response.chunks():
                    self.patience.check()
                    received += len(part)
                    if received > blob.size:
                        break
                    hasher.update(part)
                    writer.write(part)
                    progress(len(part))
                if received == blob.size and hasher.hexdigest() == blob.digest.hex:
                    writer.commit(blob.digest)
                    return
        except TransportError as error:
            progress(-received)
            raise unreachable(doing, self.host, error) from None
        finally:
            response.close()
        progress(-min(received, blob.size))
        wrong = "its size is not" if received != blob.size else "its content is not"
        # Too few bytes may be a proxy that gave up; anything else will be the same the next time.
        raise RegistryError(f"cannot {doing} at {self.host}: {wrong} what the manifest says", temporary=received < blob.size)

    @property
    def address(self) -> str:
        """Where it is asked: `SCHEME://HOST[:PORT]`."""
        return self._server.address

    @property
    def authorizer(self) -> Authorizer:
        """How the registry was shown who asks."""
        return self._auth

    def resolve(self, location: str, response: Response) -> str:
        """A Location to send content to, as a whole URL. A registry behind a proxy that ends TLS may call itself http: it
        stays https. Raises RegistryError for a place that the registry has no business to send us to.
        """
        url = urljoin(response.url, location)
        try:
            parts, base = split(url), urlsplit(self.address)
        except TransportError as error:
            raise unreachable("push", self.host, error) from None
        target = parts.hostname or ""
        if base.scheme == "https" and parts.scheme == "http":
            if target != base.hostname or parts.port not in (None, 80):
                raise RegistryError(f"{self.host} wants content sent to {target} over plain http: refused")
            return parts._replace(scheme="https", netloc=base.netloc).geturl()
        if leads_inward(base.hostname or "", target):
            raise RegistryError(f"{self.host} wants content sent to {target}, an address that is not public: refused")
        return url


def pull(repository: str) -> tuple[str, ...]:
    """The scopes of reading."""
    return (f"repository:{repository}:pull",)


def push(repository: str) -> tuple[str, ...]:
    """The scopes of writing."""
    return (f"repository:{repository}:pull,push",)


def connect(
    host: Host, registry: str, settings: Registry | None = None, *, find: Find | None = None, retries: int | None = None
) -> Client:
    """A client for a registry's host, set up by a `[registries]` table: the given one, else one with the same host.

    `find` and `retries` replace what that table says.
    """
    if host.offline:
        raise RegistryError(f"{registry} is not asked: this run is offline", hint="run it without --offline")
    settings = settings or table_of(host.config, registry) or Registry(url=registry)
    patience = Patience(settings.retries if retries is None else retries, check=host.check)
    http = Http(patience, trust=trust(registry, settings, host.root), silence=settings.timeout)
    find = find or Keychain(host.emit, login=settings.credentials).find
    return Client(registry, http=http, find=find, plain_http=settings.plain_http)


def table_of(config: Config, registry: str) -> Registry | None:
    """The `[registries]` table for a registry's host; the first where there are several."""
    names = names_of(registry)
    return next((table for table in config.registries.values() if table.url.partition("/")[0] in names), None)


def _digest(text: str | None) -> Digest | None:
    try:
        return Digest(text) if text else None
    except ValueError:
        return None


def _matches(digest: Digest, content: bytes) -> bool:
    return hashlib.new(digest.algorithm, content).hexdigest() == digest.hex
