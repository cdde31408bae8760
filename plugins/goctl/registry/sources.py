"""Where images are looked at: a repository of a registry, or an image layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from goctl.errors import ImageError, RegistryError
from goctl.oci.layout import REF_NAME, read_index
from goctl.registry.client import Client, pull
from goctl.registry.refusals import unreachable
from goctl.system.transport import TransportError
from goctl.values import Descriptor, Digest

#: Bytes of the largest config or manifest that is read into memory.
MAX_SMALL: Final = 16 * 2**20


class Source(Protocol):
    """Contents of one place. All methods raise RegistryError or ImageError."""

    @property
    def name(self) -> str:
        """What people call the place, without tag and digest."""
        ...

    def manifest(self, reference: str) -> tuple[Digest, bytes]:
        """The digest and content of what a tag or a digest names."""
        ...

    def read(self, blob: Descriptor) -> bytes:
        """A small blob: size first, then digest."""
        ...

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob of any size in pieces; an error after the last of them where it was not what it should be."""
        ...

    def tags(self) -> list[str]:
        """Every name in this place."""
        ...


class Repository:
    """A repository of a registry."""

    def __init__(self, client: Client, repository: str) -> None:
        self.client = client
        self.repository = repository

    @property
    def name(self) -> str:
        return f"{self.client.host}/{self.repository}"

    def manifest(self, reference: str) -> tuple[Digest, bytes]:
        content = self.client.get_manifest(self.repository, reference)
        if content is None:
            raise RegistryError(
                f"{self.client.host} has no {self.repository}{'@' if ':' in reference else ':'}{reference}",
                status=404,
                hint=f"`invoke tags.list {self.name}` shows what there is",
            )
        return Digest(reference) if ":" in reference else Digest.of(content), content

    def read(self, blob: Descriptor) -> bytes:
        check_small(self.name, blob)
        response = self.client.request(
            f"read {blob.digest.short} of {self.repository}",
            "GET",
            f"/v2/{self.repository}/blobs/{blob.digest}",
            scopes=pull(self.repository),
            expected=(200,),
        )
        return b"".join(verified(self.name, blob, iter((response.content,))))

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        doing = f"read {blob.digest.short} of {self.repository}"
        response = self.client.request(
            doing,
            "GET",
            f"/v2/{self.repository}/blobs/{blob.digest}",
            scopes=pull(self.repository),
            expected=(200,),
            stream=True,
        )
        try:
            yield from verified(self.name, blob, response.chunks())
        except TransportError as error:
            raise unreachable(doing, self.client.host, error) from None
        finally:
            response.close()

    def tags(self) -> list[str]:
        from goctl.registry.tags import list_tags

        return list_tags(self.client, self.repository)


class Layout:
    """The images of one repository's name in an image layout, or with an empty name all of them."""

    def __init__(self, folder: Path, shown: str, repository: str) -> None:
        self._folder = folder
        self._shown = shown
        self._repository = repository

    @property
    def name(self) -> str:
        return f"oci-layout:{self._shown}" + (f":{self._repository}" if self._repository else "")

    def manifest(self, reference: str) -> tuple[Digest, bytes]:
        digest = Digest(reference) if ":" in reference else self._named(reference)
        content = b"".join(self._file(digest, MAX_SMALL))
        if hashlib.new(digest.algorithm, content).hexdigest() != digest.hex:
            raise ImageError(f"{digest} in {self.name} is damaged: its digest is another", hint="make the layout anew")
        return digest, content

    def read(self, blob: Descriptor) -> bytes:
        check_small(self.name, blob)
        return b"".join(self.chunks(blob))

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        return verified(self.name, blob, self._file(blob.digest, blob.size))

    def tags(self) -> list[str]:
        names = sorted(filter(None, map(_name, read_index(self._folder))))
        if not self._repository:
            return names
        return [tag for name, _, tag in (name.rpartition(":") for name in names) if name == self._repository]

    def _named(self, reference: str) -> Digest:
        name = f"{self._repository}:{reference}" if self._repository else reference
        entries = [entry for entry in read_index(self._folder) if not name or _name(entry) == name]
        digests = {str(entry.get("digest")) for entry in entries}
        if len(digests) != 1:
            raise ImageError(
                f"{len(digests)} images in oci-layout:{self._shown} are named {name!r}; it has {self._listed()}",
                hint="write oci-layout:DIR:REPOSITORY:TAG",
            )
        return Digest(digests.pop())

    def _listed(self) -> str:
        return ", ".join(sorted(filter(None, map(_name, read_index(self._folder))))) or "none with a name"

    def _file(self, digest: Digest, most: int) -> Iterator[bytes]:
        try:
            with open(self._folder / "blobs" / digest.algorithm / digest.hex, "rb") as file:
                while most >= 0 and (part := file.read(1 << 18)):
                    most -= len(part)
                    yield part
        except OSError as error:
            raise ImageError(f"{self.name} lacks {digest}: {error.strerror or error}", hint="make the layout anew") from None


def _name(entry: dict[str, object]) -> str:
    told = entry.get("annotations")
    return str(told.get(REF_NAME, "")) if isinstance(told, dict) else ""


def check_small(name: str, blob: Descriptor) -> None:
    """Raises ImageError for a blob that is larger than configs are."""
    if blob.size > MAX_SMALL:
        raise ImageError(f"{name}: {blob.digest.short} is a config of {blob.size} bytes, too large to be one")


def verified(name: str, blob: Descriptor, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, and an error once there are more bytes than there should be, or at their end if they are others."""
    hasher, received = hashlib.new(blob.digest.algorithm), 0
    for part in parts:
        received += len(part)
        if received > blob.size:
            break
        hasher.update(part)
        yield part
    if received != blob.size or hasher.hexdigest() != blob.digest.hex:
        wrong = "size" if received != blob.size else "content"
        raise ImageError(f"{name}: the {wrong} of {blob.digest} is not what the manifest says")
