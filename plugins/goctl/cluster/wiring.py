"""The local registry and the mirrors of a kind cluster's nodes, as kind documents them
(kind.sigs.k8s.io/docs/user/local-registry).

The registry is a container that clusters may share. Nodes know it, and mirrors, by a hosts.toml for each registry, which
containerd reads anew with every pull.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from goctl.cluster.found import Found, read_file
from goctl.config.cluster import LocalRegistry
from goctl.config.model import Registry
from goctl.errors import ClusterError
from goctl.events import Emit, Notice
from goctl.oci.engine import asking, is_missing
from goctl.oci.tar import Entry, archive, with_parents
from goctl.system.addresses import is_loopback
from goctl.values import DOCKER_HUB, ImageRef

#: The port that registries listen on in their container.
_INNER: Final = 5000
_CERTS: Final = "certs.d"


def registry_port(engine: Any, declared: LocalRegistry) -> int | None:
    """The port of this machine that the registry's container has; None where it is not running."""
    try:
        with asking("look at the registry's container", ClusterError):
            inspected = _inspect(engine, declared.name)
    except ClusterError:
        return None
    if inspected is None or not inspected["State"]["Running"]:
        return None
    return _port(inspected)


def start_registry(engine: Any, declared: LocalRegistry, network: str, emit: Emit) -> int:
    """Sees to it that the registry runs and that the nodes of a network reach it; its port on this machine."""
    with asking("start the registry", ClusterError):
        inspected = _inspect(engine, declared.name)
        if inspected is None:
            _make(engine, declared, emit)
        elif not inspected["State"]["Running"]:
            engine.start(declared.name)
        inspected = _inspect(engine, declared.name) or {}
        if network not in inspected["NetworkSettings"]["Networks"]:
            engine.connect_container_to_network(declared.name, network)
    port = _port(inspected)
    if port is None:
        raise ClusterError(
            f"the container {declared.name} publishes no port: it cannot be the registry",
            hint="name another in `registry`, or remove it: what it holds can be pushed again",
        )
    return port


def _make(engine: Any, declared: LocalRegistry, emit: Emit) -> None:
    try:
        engine.inspect_image(declared.image)
    except Exception as error:
        if not is_missing(error):
            raise
        emit(Notice(f"pulling {declared.image} for the registry", level="info"))
        named = ImageRef.parse(declared.image)
        engine.pull(f"{named.host}/{named.repository}", tag=named.target)
    ports = {_INNER: ("127.0.0.1", declared.port)}
    made = engine.create_container(
        declared.image,
        name=declared.name,
        ports=[_INNER],
        host_config=engine.create_host_config(port_bindings=ports, restart_policy={"Name": "always"}),
    )
    try:
        engine.start(made["Id"])
    except Exception:
        # One that could not have its port would keep it for ever.
        engine.remove_container(made["Id"], force=True)
        raise
    emit(Notice(f"made the registry localhost:{declared.port}, the container {declared.name}", level="info"))


def _inspect(engine: Any, name: str) -> dict[str, Any] | None:
    try:
        return dict(engine.inspect_container(name))
    except Exception as error:
        if not is_missing(error):
            raise
        return None


def _port(inspected: dict[str, Any]) -> int | None:
    bound = inspected["NetworkSettings"]["Ports"].get(f"{_INNER}/tcp") or ()
    return next((int(one["HostPort"]) for one in bound), None)


def hosts_files(
    registries: Mapping[str, Registry], *, mirrors: bool, local: LocalRegistry | None, port: int
) -> dict[str, bytes]:
    """The hosts.toml of each registry that nodes are told of, by the folder that containerd looks for it in."""
    inside = f"http://{local.name}:{_INNER}" if local is not None else ""
    files = {f"localhost:{port}": f'[host."{inside}"]\n'} if inside else {}
    plain = {table.url.partition("/")[0] for table in registries.values() if table.plain_http}
    for table in registries.values() if mirrors else ():
        host = table.url.partition("/")[0]
        parts = []
        for mirror in table.mirrors:
            place, _, prefix = mirror.rstrip("/").partition("/")
            if inside and place in (f"localhost:{port}", f"127.0.0.1:{port}"):
                address = inside
            else:
                address = f"{'http' if place in plain else 'https'}://{place}"
            parts.append(_host(address, prefix))
        if parts:
            files[DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host] = "\n".join(parts)
    return {folder: content.encode() for folder, content in files.items()}


def _host(address: str, prefix: str) -> str:
    # A node has no goctl.lock, and one behind mirrors often reaches nothing else: they may say what a tag names, too.
    path = f"/v2/{prefix}" if prefix else ""
    override = "  override_path = true\n" if prefix else ""
    return f'[host."{address}{path}"]\n  capabilities = ["pull", "resolve"]\n{override}'


def unreachable(registries: Mapping[str, Registry], port: int) -> Iterator[str]:
    """Mirrors on this machine's loopback addresses, which nodes cannot reach."""
    for table in registries.values():
        for mirror in table.mirrors:
            place = mirror.partition("/")[0]
            host, _, own = place.rpartition(":") if ":" in place else (place, "", "")
            if is_loopback(host) and own != str(port):
                yield mirror


def write_hosts(engine: Any, found: Found, files: Mapping[str, bytes]) -> list[str]:
    """Puts the files into every node; the names of the nodes that lacked one."""
    changed = []
    for node in found.nodes:
        with asking(f"write to the node {node.name}", ClusterError):
            lacking = {
                folder: content
                for folder, content in files.items()
                if read_file(engine, node.name, f"/etc/containerd/{_CERTS}/{folder}/hosts.toml") != content
            }
            if not lacking:
                continue
            settings = read_file(engine, node.name, "/etc/containerd/config.toml") or b""
            if f"/etc/containerd/{_CERTS}".encode() not in settings:
                raise ClusterError(
                    f"containerd in {node.name} reads no hosts.toml: the registry would not be found",
                    hint="`invoke cluster.up --replace` makes the cluster anew",
                )
            engine.put_archive(node.name, "/etc/containerd", b"".join(archive(_entries(lacking.items()))))
            changed.append(node.name)
    return changed


def _entries(files: Iterable[tuple[str, bytes]]) -> list[Entry]:
    entries = [Entry(name=f"{_CERTS}/{folder}/hosts.toml", source=content, mode=0o644) for folder, content in files]
    return with_parents(entries)
