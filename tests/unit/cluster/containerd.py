"""A node's containerd, as far as an import asks for it: content by digest, names, and complete images or none."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterable
from typing import Any

from goctl.cluster.nodes import Held
from goctl.errors import ClusterError
from goctl.values import Digest, Platform


class Node:
    """`asked` counts the questions, `took` holds the bytes of content of each archive that was taken."""

    def __init__(self, name: str, platform: str = "linux/amd64") -> None:
        self.name = name
        self.platform = Platform.parse(platform)
        self.content: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.asked = 0
        self.took: list[int] = []
        self._guard = threading.Lock()

    def ask(self) -> Held:
        self.asked += 1
        return Held(self.name, self.platform, set(self.content), dict(self.names))

    def take(self, archive: Iterable[bytes]) -> None:
        """As `ctr images import`: blobs first, then every name of index.json whose image is whole for this platform."""
        read = b"".join(archive)
        with self._guard, tarfile.open(fileobj=io.BytesIO(read)) as opened:
            files = {one.name: opened.extractfile(one).read() for one in opened}  # type: ignore[union-attr]
            assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
            index = json.loads(files.pop("index.json"))
            if not index["manifests"]:
                raise ClusterError("image might be filtered out")
            for name, content in files.items():
                assert name == f"blobs/sha256/{Digest.of(content).hex}"
                self.content[Digest.of(content)] = content
            self.took.append(sum(map(len, files.values())))
            for entry in index["manifests"]:
                self._walk(entry)
            for entry in index["manifests"]:
                self.names[entry["annotations"]["io.containerd.image.name"]] = entry["digest"]

    def _walk(self, descriptor: dict[str, Any]) -> None:
        digest = descriptor["digest"]
        if digest not in self.content:
            raise ClusterError(f"content digest {digest}: not found")
        assert len(self.content[digest]) == descriptor["size"]
        if "manifest" in descriptor["mediaType"]:
            document = json.loads(self.content[digest])
            for below in (document["config"], *document["layers"]):
                self._walk(below)
        elif "index" in descriptor["mediaType"]:
            for child in json.loads(self.content[digest])["manifests"]:
                if child["platform"]["architecture"] == self.platform.architecture:
                    self._walk(child)
