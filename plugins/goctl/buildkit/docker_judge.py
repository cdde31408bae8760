"""What is to be said of Docker as it was found: pure, for `doctor`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from goctl.buildkit.docker import OLDEST_BUILDX
from goctl.buildkit.docker_look import Engine, Found
from goctl.buildkit.nodes import Builder
from goctl.values import ByteSize

#: The oldest versions that have what is used here, or that builds are known to work with.
OLDEST: Final = {"docker": "20.10", "engine": "20.10", "buildx": OLDEST_BUILDX, "buildkit": "0.12"}
#: Bytes: with less memory, the Go linker and a few compilers side by side are killed.
LITTLE_MEMORY: Final = 3 * 10**9
#: Bytes: a Go toolchain image, modules and a few layers.
LITTLE_DISK: Final = 10 * 10**9
NEEDS_NONE: Final = "the embedded engine needs none: it assembles and pushes images by itself"


class Remark(msgspec.Struct, frozen=True):
    """One line of the table: `state` is ok or warning. Docker is nobody's duty, so nothing here is an error."""

    name: str
    state: str
    found: str
    advice: str = ""


def judge(found: Found, builder: str, *, project: Path, system: str, shared: tuple[str, ...] | None = None) -> list[Remark]:
    """What there is to say. `builder` is the one that goctl.toml names; `system` is sys.platform's word; `shared` are the
    folders that Docker Desktop shares with its engine, None where that is not known or does not matter."""
    if not found.command and found.engine is None:
        return [Remark("docker", "ok", f"not found; {NEEDS_NONE}")]
    return [
        *_command(found),
        *_contexts(found),
        *_engine(found, system, shared, project),
        *_builders(found, builder),
        *_emulation(found),
    ]


def is_older(version: str, oldest: str) -> bool:
    """Whether a version like v0.12.1+unknown is older than 0.28; what is no version is not."""
    numbers = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return numbers is not None and _numbers(numbers[1]) < _numbers(oldest)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


def _versioned(name: str, version: str, words: str = "") -> Remark:
    if is_older(version, OLDEST[name]):
        return Remark(name, "warning", version + words, f"{OLDEST[name]} is the oldest that has what goctl asks of it")
    return Remark(name, "ok", (version or "of an unknown version") + words)


def _command(found: Found) -> Iterator[Remark]:
    if not found.command:
        yield Remark("docker", "warning", "the command is not on PATH", 'needed for engine = "buildkit" and for builders')
        return
    yield _versioned("docker", found.client, f" ({found.command})")
    if found.buildx:
        yield _versioned("buildx", found.buildx)
    else:
        yield Remark("buildx", "warning", "not found", "install docker's buildx plugin, to build with BuildKit")


def _contexts(found: Found) -> Iterator[Remark]:
    current = next((one for one in found.contexts if one.current), None)
    if current is None:
        return
    others = [one.name for one in found.contexts if not one.current]
    words = f"{current.name} ({current.docker_endpoint})" + (f"; also {', '.join(others)}" if others else "")
    if current.error:
        yield Remark("docker context", "warning", f"{words}: {current.error}", "`docker context use NAME` chooses another")
    else:
        yield Remark("docker context", "ok", words)


def _engine(found: Found, system: str, shared: tuple[str, ...] | None, project: Path) -> Iterator[Remark]:
    engine = found.engine
    if engine is None:
        advice = f"start it, or choose another with `docker context use`; {NEEDS_NONE}"
        yield Remark("docker engine", "warning", f"does not answer: {found.trouble or 'no reason was given'}", advice)
        return
    kind = [engine.operating_system, "rootless" if engine.is_rootless else "", _virtual(engine, system)]
    store = "images kept by containerd" if engine.has_containerd_store else ""
    words = f" ({', '.join(filter(None, (*kind, store)))})"
    yield msgspec.structs.replace(_versioned("engine", engine.server_version, words), name="docker engine")
    if system == "win32" and engine.is_desktop and engine.o_s_type == "linux" and not engine.is_wsl:
        yield Remark("wsl 2 engine", "warning", "off", "turn on 'Use the WSL 2 based engine' in Docker Desktop's settings")
    little = 0 < engine.mem_total < LITTLE_MEMORY
    where = "in Docker Desktop's settings" if engine.is_desktop and not engine.is_wsl else _memory_place(engine, system)
    yield Remark(
        "docker resources",
        "warning" if little else "ok",
        f"{engine.ncpu} cores, {ByteSize(engine.mem_total)} of memory",
        f"compilers may be killed for want of memory: give it more {where}" if little else "",
    )
    if found.root_free >= 0:
        few = found.root_free < LITTLE_DISK
        advice = "`invoke builder.prune --older 7d` and `docker system prune` make room" if few else ""
        yield Remark("docker disk", "warning" if few else "ok", f"{ByteSize(found.root_free)} free", advice)
    if shared is not None and not is_shared(project, shared, system):
        advice = "add it under Resources, File sharing, in Docker Desktop's settings: containers cannot mount it"
        yield Remark("file sharing", "warning", f"{project} is in none of {', '.join(shared) or 'no folders'}", advice)


def _virtual(engine: Engine, system: str) -> str:
    return "WSL 2" if engine.is_wsl else "a virtual machine" if system in ("win32", "darwin") else ""


def _memory_place(engine: Engine, system: str) -> str:
    if engine.is_wsl:
        return "in .wslconfig ([wsl2] memory=8GB), then `wsl --shutdown`"
    return "in its virtual machine's settings" if system in ("win32", "darwin") else "on this machine"


def is_shared(project: Path, shared: tuple[str, ...], system: str) -> bool:
    """Whether a project's folder is one of those that Docker Desktop shares, or lies in one."""
    own = _plain(str(project), system)
    return any(
        own == folder or own.startswith(f"{folder.rstrip('/')}/") for folder in (_plain(one, system) for one in shared)
    )


def _plain(path: str, system: str) -> str:
    text = posixpath.normpath(path.replace("\\", "/") if system == "win32" else path)
    return text.casefold() if system in ("win32", "darwin") else text


def _builders(found: Found, name: str) -> Iterator[Remark]:
    if found.no_builders:
        yield Remark("builder", "warning", found.no_builders)
        return
    if not found.buildx:
        return
    own = next((one for one in found.builders if one.name == name or (not name and one.current)), None)
    if own is None:
        yield Remark("builder", "ok", f"there is no {name or 'current one'} yet", "`invoke builder.create` makes it")
        return
    yield _builder(own)


def _builder(builder: Builder) -> Remark:
    words = f"{builder.name} (driver {builder.driver})"
    troubles = [node.err for node in builder.machines if node.err] + ([builder.err] if builder.err else [])
    if troubles:
        return Remark("builder", "warning", f"{words}: {troubles[0]}", f"`docker buildx inspect {builder.name}`")
    running = [node for node in builder.machines if node.is_running]
    if not running:
        return Remark("builder", "ok", f"{words}, not running", "`invoke builder.inspect --bootstrap` starts it")
    platforms = sorted({str(one) for node in running for one in node.can})
    versions = sorted({node.version for node in running if node.version})
    words += f", BuildKit {', '.join(versions) or 'of an unknown version'}: {', '.join(platforms)}"
    # Docker's own driver tells a version of the engine's library, v0.8+unknown or so.
    old = [one for one in versions if is_older(one, OLDEST["buildkit"]) and not builder.is_dockers_own]
    if old:
        return Remark("builder", "warning", words, "`invoke builder.create --replace` takes a newer BuildKit")
    return Remark("builder", "ok", words)


def _emulation(found: Found) -> Iterator[Remark]:
    if not found.emulators:
        return
    names = ", ".join(one.name for one in found.emulators if one.enabled and one.fixed)
    unfit = [one.name for one in found.emulators if not (one.enabled and one.fixed)]
    if unfit:
        advice = "`docker run --privileged --rm tonistiigi/binfmt --install all` registers them so that they do"
        yield Remark("emulation", "warning", f"no use in containers: {', '.join(unfit)}", advice)
    elif names:
        yield Remark("emulation", "ok", names)
