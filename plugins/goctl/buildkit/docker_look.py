"""What there is of Docker on this machine, as one value: the command, buildx, contexts, the engine, builders.

The engine's own API is asked by way of the `docker` package, where it is installed; else by the docker command.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.buildkit.builders import builders
from goctl.buildkit.docker import docker, lines_of, said
from goctl.buildkit.nodes import Builder
from goctl.errors import BuilderError, ExtensionError
from goctl.oci.engine import connect

#: Seconds for the engine's answer: somebody waits for it.
PATIENCE: Final = 10
_HANDLERS: Final = Path("/proc/sys/fs/binfmt_misc")


class Engine(msgspec.Struct, frozen=True, rename="pascal"):
    """Docker's engine, in the fields and names of its API's `/info`. `mem_total` is bytes."""

    server_version: str = ""
    operating_system: str = ""
    o_s_type: str = msgspec.field(default="", name="OSType")
    kernel_version: str = ""
    architecture: str = ""
    ncpu: int = msgspec.field(default=0, name="NCPU")
    mem_total: int = 0
    docker_root_dir: str = ""
    security_options: tuple[str, ...] | None = None
    driver_status: tuple[tuple[str, ...], ...] | None = None
    warnings: tuple[str, ...] | None = None

    @property
    def is_desktop(self) -> bool:
        return self.operating_system == "Docker Desktop"

    @property
    def is_rootless(self) -> bool:
        return any("name=rootless" in option for option in self.security_options or ())

    @property
    def is_wsl(self) -> bool:
        """Whether its kernel is that of WSL 2."""
        return "microsoft" in self.kernel_version.lower()

    @property
    def has_containerd_store(self) -> bool:
        """Whether images are kept by containerd (docs.docker.com/engine/storage/containerd)."""
        return any("io.containerd.snapshotter" in " ".join(row) for row in self.driver_status or ())


class DockerContext(msgspec.Struct, frozen=True, rename="pascal"):
    """A context of the docker command: which engine it talks to."""

    name: str = ""
    current: bool = False
    docker_endpoint: str = ""
    error: str = ""


class Emulator(msgspec.Struct, frozen=True):
    """A handler of binfmt_misc. `fixed` says that it works in containers too: flag F of docs.kernel.org, "binfmt-misc"."""

    name: str
    enabled: bool
    fixed: bool


class Found(msgspec.Struct, frozen=True):
    """Docker as it is here. Empty texts stand for what is not there; `trouble` and `no_builders` say why.

    `root_free` are the bytes left where the engine keeps its data, -1 where that is another machine's or not known.
    """

    command: str = ""
    client: str = ""
    buildx: str = ""
    contexts: tuple[DockerContext, ...] = ()
    engine: Engine | None = None
    trouble: str = ""
    builders: tuple[Builder, ...] = ()
    no_builders: str = ""
    root_free: int = -1
    emulators: tuple[Emulator, ...] = ()

    @property
    def endpoint(self) -> str:
        """Where the engine is that is talked to; empty where nobody said."""
        return next((one.docker_endpoint for one in self.contexts if one.current), "")

    @property
    def is_elsewhere(self) -> bool:
        """Whether the engine is another machine's, by its address."""
        scheme, _, rest = self.endpoint.partition("://")
        host = rest.partition("/")[0].rpartition(":")[0]
        return scheme in ("ssh", "http", "https") or (scheme == "tcp" and host not in ("localhost", "127.0.0.1", "[::1]"))


def look() -> Found:
    """Looks at everything; what fails is told in the value. Starts nothing, changes nothing."""
    command = shutil.which("docker")
    engine, trouble = ask_engine(has_command=command is not None)
    root_free = _free(engine)
    if command is None:
        return Found(engine=engine, trouble=trouble, root_free=root_free)
    buildx = _buildx()
    known: tuple[Builder, ...] = ()
    no_builders = ""
    if buildx:
        try:
            known = builders()
        except BuilderError as error:
            no_builders = str(error)
    return Found(
        command, _client(), buildx, contexts(), engine, trouble, known, no_builders, root_free, emulators(_HANDLERS)
    )


def ask_engine(*, has_command: bool = True) -> tuple[Engine | None, str]:
    """The engine, or None and why it does not answer."""
    try:
        client = connect("doctor", PATIENCE)
        try:
            return _engine(client.info()), ""
        finally:
            client.close()
    except ExtensionError:
        return _by_command() if has_command else (None, "")
    except Exception as error:  # noqa: BLE001 - requests, docker and the transports below them raise many kinds
        return None, _why(error)


def _by_command() -> tuple[Engine | None, str]:
    try:
        done = docker(["info", "--format", "{{json .}}"], timeout=PATIENCE)
        told = msgspec.json.decode(done.stdout or b"{}")
    except (BuilderError, msgspec.DecodeError) as error:
        return None, str(error)
    trouble = "; ".join(told.get("ServerErrors") or ()) or ("" if done.code == 0 else said(done))
    return (None, trouble) if trouble else (_engine(told), "")


def _engine(told: Any) -> Engine | None:
    try:
        return msgspec.convert(told, Engine, strict=False)
    except msgspec.ValidationError:
        return Engine(server_version=str(told.get("ServerVersion", ""))) if isinstance(told, dict) else None


def _why(error: BaseException) -> str:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return str(getattr(error, "strerror", None) or error)


def _client() -> str:
    """The docker command's version. It is told even where no engine answers, and the exit code is 1 then."""
    try:
        told = msgspec.json.decode(docker(["version", "--format", "{{json .Client}}"], timeout=PATIENCE).stdout)
    except (BuilderError, msgspec.DecodeError):
        return ""
    return str(told.get("Version", "")) if isinstance(told, dict) else ""


def _buildx() -> str:
    try:
        done = docker(["buildx", "version"], timeout=PATIENCE)
    except BuilderError:
        return ""
    words = done.text.split()  # github.com/docker/buildx v0.28.0 <commit>
    return words[1] if done.code == 0 and len(words) > 1 else ""


def contexts() -> tuple[DockerContext, ...]:
    """The contexts of the docker command; none where it cannot tell."""
    try:
        return lines_of(docker(["context", "ls", "--format", "json"], timeout=PATIENCE).text, DockerContext)
    except BuilderError:
        return ()


def _free(engine: Engine | None) -> int:
    """What is left on the engine's disk, when it is this machine's."""
    root = engine.docker_root_dir if engine is not None else ""
    if not root or engine is None or engine.is_desktop:
        return -1
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return -1


def emulators(folder: Path) -> tuple[Emulator, ...]:
    """The emulators that this machine's kernel starts for programs of other architectures; none but on Linux."""
    found = []
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    for name in names:
        if name in ("register", "status"):
            continue
        try:
            words = (folder / name).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            continue
        flags = next((line.partition(":")[2] for line in words if line.startswith("flags:")), "")
        interpreter = next((line for line in words if line.startswith("interpreter ")), "")
        if "qemu" in name + interpreter:
            found.append(Emulator(name.removeprefix("qemu-"), words[0] == "enabled", "F" in flags))
    return tuple(found)
