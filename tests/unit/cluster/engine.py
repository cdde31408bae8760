"""Docker's engine as far as kind clusters ask for it, and a kind command that makes containers in it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from goctl.errors import ClusterError

CONFIG = b'[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"\n'


class Engine:
    """Containers by name; `memory` in bytes, `images` by their tags."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.memory = 16 * 2**30
        self.tags = ["registry:3"]
        self.pulled: list[str] = []
        self.taken: set[int] = set()

    def add(self, name: str, labels: dict[str, str], files: dict[str, bytes], **host: Any) -> None:
        self.there[name] = {
            "Id": name,
            "Name": f"/{name}",
            "Image": "sha256:node",
            "Config": {"Labels": labels, "Image": host.pop("image", "kindest/node:v1.34.0")},
            "State": {"Running": host.pop("running", True)},
            "HostConfig": {"PortBindings": host.pop("ports", {}), "Binds": host.pop("binds", None)},
            "NetworkSettings": {"Networks": {"kind": {}}, "Ports": {}},
        }
        self.files[name] = dict(files)

    def info(self) -> dict[str, Any]:
        return {"MemTotal": self.memory}

    def images(self) -> list[dict[str, Any]]:
        return [{"RepoTags": [tag]} for tag in self.tags]

    def containers(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert all
        key, _, value = filters["label"].partition("=")
        return [one for one in self.there.values() if one["Config"]["Labels"].get(key) == value]

    def inspect_container(self, name: str) -> dict[str, Any]:
        if name not in self.there:
            raise NotFound("no such container")
        return self.there[name]

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name != "sha256:node" and name not in self.tags:
            raise NotFound("no such image")
        return {"Architecture": "amd64"}

    def pull(self, repository: str, tag: str) -> None:
        self.pulled.append(f"{repository}:{tag}")

    def start(self, name: str) -> None:
        one = self.there[name]
        port = one["HostConfig"]["PortBindings"].get(5000)
        if port is not None:
            if port[1] in self.taken:
                raise APIError("port is already allocated")
            one["NetworkSettings"]["Ports"]["5000/tcp"] = [{"HostIp": port[0], "HostPort": str(port[1])}]
        one["State"]["Running"] = True

    def create_host_config(self, *, port_bindings: dict[int, Any], restart_policy: dict[str, str]) -> dict[str, Any]:
        return {"ports": port_bindings}

    def create_container(self, image: str, *, name: str, ports: list[int], host_config: dict[str, Any]) -> dict[str, str]:
        self.add(name, {}, {}, image=image, running=False, **host_config)
        self.there[name]["NetworkSettings"]["Networks"] = {"bridge": {}}
        return {"Id": name}

    def remove_container(self, name: str, *, force: bool, v: bool = False) -> None:
        del self.there[name]

    def connect_container_to_network(self, name: str, network: str) -> None:
        self.there[name]["NetworkSettings"]["Networks"][network] = {}

    def get_archive(self, name: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        content = self.files.get(name, {}).get(path)
        if content is None:
            raise NotFound("no such file")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            info = tarfile.TarInfo(path.rpartition("/")[2])
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        return iter([packed.getvalue()]), {}

    def put_archive(self, name: str, folder: str, data: bytes) -> bool:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                opened = archive.extractfile(member)
                if opened is not None:
                    self.files[name][f"{folder}/{member.name}"] = opened.read()
        return True


class Kind:
    """The kind command over an Engine. `fails` has the next `create` fail after it made its containers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.fails: BaseException | None = None

    def __call__(self, state: Path, emit: Any) -> Kind:
        return self

    def version(self) -> str:
        return "v0.30.0"

    def create(self, name: str, document: bytes, kubeconfig: Path) -> None:
        config = json.loads(document)
        counts = {"control-plane": 0, "worker": 0}
        for node in config["nodes"]:
            role = node["role"]
            counts[role] += 1
            number = "" if counts[role] == 1 else str(counts[role])
            labels = ",".join(f"{key}={value}" for key, value in node["labels"].items())
            files = {
                "/kind/kubeadm.conf": f'nodeRegistration:\n  kubeletExtraArgs:\n    node-labels: "{labels}"\n'.encode(),
                "/kind/version": b"v1.34.4\n",
                "/etc/containerd/config.toml": CONFIG,
            }
            ports = {
                f"{port['containerPort']}/{port['protocol'].lower()}": [
                    {"HostIp": port["listenAddress"], "HostPort": str(port["hostPort"])}
                ]
                for port in node.get("extraPortMappings", ())
            }
            if role == "control-plane":
                ports["6443/tcp"] = [{"HostIp": "127.0.0.1", "HostPort": "40001"}]
            binds = ["/lib/modules:/lib/modules:ro"] + [
                f"{mount['hostPath']}:{mount['containerPath']}" + (":ro" if mount["readOnly"] else "")
                for mount in node.get("extraMounts", ())
            ]
            self.engine.add(
                f"{name}-{role}{number}",
                {"io.x-k8s.kind.cluster": name, "io.x-k8s.kind.role": role},
                files,
                image=node.get("image", "kindest/node:v1.34.0@sha256:" + "0" * 64),
                ports=ports,
                binds=binds,
            )
        if self.fails is not None:
            raise self.fails
        self.created.append(name)

    def delete(self, name: str, kubeconfig: Path) -> None:
        for one in self.engine.containers(all=True, filters={"label": f"io.x-k8s.kind.cluster={name}"}):
            self.engine.remove_container(one["Id"], force=True)
        self.deleted.append(name)

    def kubeconfig(self, name: str) -> str:
        entry = {"name": f"kind-{name}"}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": entry["name"],
                "clusters": [{**entry, "cluster": {"server": "https://127.0.0.1:40001"}}],
                "users": [{**entry, "user": {"client-key-data": "c2VjcmV0"}}],
                "contexts": [{**entry, "context": {"cluster": entry["name"], "user": entry["name"]}}],
            }
        )


def refused() -> ClusterError:
    return ClusterError("kind could not create cluster: it broke")
