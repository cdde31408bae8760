"""A node, as delivery sees it, with a containerd: content by digest, names, and complete images or none."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from goctl.errors import ClusterError
from goctl.values import Digest, Platform


class Node:
    """`asked` counts the questions about content, `listed` those about names; `took` holds the bytes of content of each
    archive that was taken. `held` and `called` are containerd's own, the other two what was told of them."""

    def __init__(self, name: str, platform: str = "linux/amd64") -> None:
        self.name = name
        self.platform = Platform.parse(platform)
        self.held: dict[str, bytes] = {}
        self.called: dict[str, str] = {}
        self.asked = self.listed = 0
        self.took: list[int] = []
        self.content: set[Digest] = set()
        self._names: dict[str, str] | None = None
        self._guard = threading.Lock()

    def look(self) -> None:
        self.asked += 1
        self.content = {Digest(digest) for digest in self.held}
        self._names = None

    @property
    def names(self) -> Mapping[str, str]:
        if self._names is None:
            self.listed += 1
            self._names = dict(self.called)
        return self._names

    def take(self, archive: Iterable[bytes], size: int, content: Iterable[Digest], names: Mapping[str, str]) -> None:
        self.take_in(archive, size)
        self.content |= set(content)
        if self._names is not None:
            self._names |= names

    def take_in(self, archive: Iterable[bytes], size: int) -> None:
        """As `ctr images import`: blobs first, then every name of index.json whose image is whole for this platform."""
        read = b"".join(archive)
        assert len(read) == size
        with self._guard, tarfile.open(fileobj=io.BytesIO(read)) as opened:
            files = {one.name: opened.extractfile(one).read() for one in opened}  # type: ignore[union-attr]
            assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
            index = json.loads(files.pop("index.json"))
            if not index["manifests"]:
                raise ClusterError("image might be filtered out")
            for name, content in files.items():
                assert name == f"blobs/sha256/{Digest.of(content).hex}"
                self.held[Digest.of(content)] = content
            self.took.append(sum(map(len, files.values())))
            for entry in index["manifests"]:
                self._walk(entry)
            for entry in index["manifests"]:
                self.called[entry["annotations"]["io.containerd.image.name"]] = entry["digest"]

    def _walk(self, descriptor: dict[str, Any]) -> None:
        digest = descriptor["digest"]
        if digest not in self.held:
            raise ClusterError(f"content digest {digest}: not found")
        assert len(self.held[digest]) == descriptor["size"]
        if "manifest" in descriptor["mediaType"]:
            document = json.loads(self.held[digest])
            for below in (document["config"], *document["layers"]):
                self._walk(below)
        elif "index" in descriptor["mediaType"]:
            for child in json.loads(self.held[digest])["manifests"]:
                if child["platform"]["architecture"] == self.platform.architecture:
                    self._walk(child)
