"""C compilers for programs that need cgo: zig's, which reaches every platform, or those that are on this machine.

What a C compiler makes depends on more than Go's sources: on itself, on flags in the environment, on what pkg-config says of
system libraries. `identity` puts all of that into words, for keys. (Headers and libraries of the system are covered by what
pkg-config says of them, and no further.)
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError, ToolchainError
from goctl.golang.environment import child_environment, environment_of
from goctl.plan.facts import ListingKey
from goctl.system.files import identity as identity_of
from goctl.system.process import run
from goctl.values import Platform

ZIG = "zig"
HOST = "host"

#: Zig's name of each platform's architecture, and the suffix of its ABI.
_ZIG = {
    "linux/386": ("x86-linux", ""),
    "linux/amd64": ("x86_64-linux", ""),
    "linux/arm/v5": ("arm-linux", "eabi"),
    "linux/arm/v6": ("arm-linux", "eabihf"),
    "linux/arm/v7": ("arm-linux", "eabihf"),
    "linux/arm64": ("aarch64-linux", ""),
    "linux/loong64": ("loongarch64-linux", ""),
    "linux/ppc64le": ("powerpc64le-linux", ""),
    "linux/riscv64": ("riscv64-linux", ""),
    "linux/s390x": ("s390x-linux", ""),
    "windows/386": ("x86-windows", None),
    "windows/amd64": ("x86_64-windows", None),
    "windows/arm64": ("aarch64-windows", None),
}
_ZIG_CPU = {"linux/arm/v5": ("-mcpu=arm926ej_s",), "linux/arm/v6": ("-mcpu=arm1176jzf_s",)}

#: Prefixes of cross compilers as distributions name them, best first.
_CROSS = {
    "linux/386": ("i686-linux-gnu", "i386-linux-musl"),
    "linux/amd64": ("x86_64-linux-gnu", "x86_64-linux-musl"),
    "linux/arm/v5": ("arm-linux-gnueabi", "arm-linux-musleabi"),
    "linux/arm/v6": ("arm-linux-gnueabihf", "arm-linux-musleabihf"),
    "linux/arm/v7": ("arm-linux-gnueabihf", "arm-linux-musleabihf"),
    "linux/arm64": ("aarch64-linux-gnu", "aarch64-linux-musl"),
    "linux/ppc64le": ("powerpc64le-linux-gnu", "powerpc64le-linux-musl"),
    "linux/riscv64": ("riscv64-linux-gnu", "riscv64-linux-musl"),
    "linux/s390x": ("s390x-linux-gnu", "s390x-linux-musl"),
    "windows/386": ("i686-w64-mingw32",),
    "windows/amd64": ("x86_64-w64-mingw32",),
    "windows/arm64": ("aarch64-w64-mingw32",),
}
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "windows"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386", "x86": "386"}
#: What of the environment enters what a C compiler makes (cmd/go, "Environment variables for use with cgo").
_VARIABLES = (
    *(f"CGO_{name}FLAGS" for name in ("C", "CPP", "CXX", "F", "LD")),
    *("PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"),
)


class Compiler(msgspec.Struct, frozen=True):
    """A C compiler for one platform: what go must be told of it, and its name and version."""

    env: Mapping[str, str]
    version: str


def environment(host: Host, key: ListingKey) -> dict[str, str]:
    """The environment of a go command for a platform; with a C compiler where cgo is on. Raises ToolchainError."""
    made = environment_of(host, dict(key.env), key.platform)
    if key.cgo:
        made |= compiler(host, key, made).env
    return made


def identity(host: Host, key: ListingKey, libraries: Sequence[str]) -> str:
    """What programs with cgo depend on besides Go's part: the C compiler, its flags, and what pkg-config says of libraries.

    Raises ToolchainError without a C compiler, and ModuleError for a library that pkg-config does not know.
    """
    env = child_environment(host.config.go, dict(key.env), key.platform)
    words = [compiler(host, key, env).version]
    words += [f"{name}={env[name]}" for name in _VARIABLES if env.get(name)]
    if libraries:
        words.append(_pkg_config(libraries, env))
    return "; ".join(words)


def compiler(host: Host, key: ListingKey, env: Mapping[str, str]) -> Compiler:
    """The C compiler for a platform. Raises ToolchainError, saying which would do."""
    kind, _, libc = key.cgo.partition(":")
    return _zig(key.platform, libc or "musl") if kind == ZIG else _host(host, key.platform, env)


def _zig(platform: Platform, libc: str) -> Compiler:
    name = str(platform).partition("/v")[0] if platform.architecture == "amd64" else str(platform)
    found = _ZIG.get(name)
    if found is None:
        raise ToolchainError(
            f'cgo = "zig" makes no programs for {platform}', hint=f"it does for {', '.join(_ZIG)}; elsewhere set cgo = false"
        )
    if find_spec("ziglang") is None:
        raise ToolchainError(
            'cgo = "zig" needs the ziglang package', hint="pip install ziglang, or goctl-release[zig]; no other C compiler"
        )
    from importlib.metadata import version

    architecture, abi = found
    target = f"{architecture}-gnu" if abi is None else f"{architecture}-{_libc(libc, abi)}"
    flags = ("-target", target, *_ZIG_CPU.get(name, ()))
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return Compiler(
        {
            "CGO_ENABLED": "1",
            "CC": f"{python} -m ziglang cc {' '.join(flags)}",
            "CXX": f"{python} -m ziglang c++ {' '.join(flags)}",
            "AR": f"{python} -m ziglang ar",
        },
        f"zig {version('ziglang')} {' '.join(flags)}",
    )


def _libc(libc: str, abi: str) -> str:
    """`gnu.2.28` for an ABI of `eabihf` is `gnueabihf.2.28`."""
    name, _, version = libc.partition(".")
    return f"{name}{abi}" + (f".{version}" if version else "")


def lacking(platform: Platform, env: Mapping[str, str]) -> tuple[str, ...]:
    """The C compilers of this machine that would do for a platform, where none of them is there; nothing where one is."""
    tried = _tried(platform, env)
    return () if any(shutil.which(_first_word(command), path=env.get("PATH")) for command in tried) else tried


def _tried(platform: Platform, env: Mapping[str, str]) -> tuple[str, ...]:
    return (env["CC"],) if env.get("CC") else tuple(_commands(platform))


def _host(host: Host, platform: Platform, env: Mapping[str, str]) -> Compiler:
    for command in _tried(platform, env):
        path = shutil.which(_first_word(command), path=env.get("PATH"))
        if path is not None:
            cxx = env.get("CXX") or re.sub(r"gcc(?=\Z|\s)", "g++", re.sub(r"clang(?=\Z|\s)", "clang++", command))
            return Compiler({"CGO_ENABLED": "1", "CC": command, "CXX": cxx}, _version(host, command, path, env))
    raise ToolchainError(
        f"there is no C compiler for {platform}: looked for {', '.join(_tried(platform, env))}",
        hint='install one (Debian: gcc-aarch64-linux-gnu...), name it by CC in the platform\'s env, or set cgo = "zig"',
    )


def _commands(platform: Platform) -> list[str]:
    import platform as machine

    cross = [f"{prefix}-gcc" for prefix in _CROSS.get(str(platform), ())]
    here = (_SYSTEMS.get(sys.platform, sys.platform), _MACHINES.get(machine.machine().lower(), machine.machine()))
    if here == (platform.os, platform.architecture) and not platform.variant:
        return ["gcc", "clang", "cc", *cross]
    return cross or [f"a C compiler named by CC in [platforms.{str(platform)!r}] env"]


def _first_word(command: str) -> str:
    match = re.match(r"""\s*(?:"([^"]*)"|'([^']*)'|(\S+))""", command)
    return next((word for word in match.groups() if word), "") if match else ""


def _version(host: Host, command: str, path: str, env: Mapping[str, str]) -> str:
    """What a C compiler says of itself, remembered for as long as its file is the same."""
    found = identity_of(os.path.realpath(path))
    slot = f"{command} {path} {found}"
    known = host.memo.get("c-compiler", slot)
    if known is not None:
        return known.decode()
    words = [path, *command.split()[1:]] if " " not in path else [path]
    said = run((*words, "--version"), env=env, error=ToolchainError, timeout=30).text.strip().splitlines()
    machine = run((*words, "-dumpmachine"), env=env, timeout=30).text.strip()
    version = f"{said[0] if said else command} {machine}".strip()
    host.memo.put("c-compiler", slot, version.encode())
    return version


def _pkg_config(libraries: Sequence[str], env: Mapping[str, str]) -> str:
    command = env.get("PKG_CONFIG") or "pkg-config"
    if shutil.which(_first_word(command), path=env.get("PATH")) is None:
        raise ModuleError(
            f"pkg-config is needed for {', '.join(libraries)}, and is not there", hint="install pkg-config and the libraries"
        )
    words = []
    for option in ("--modversion", "--cflags", "--libs"):
        said = run((*command.split(), option, "--", *libraries), env=env)
        if said.code != 0:
            raise ModuleError(
                f"pkg-config does not know {', '.join(libraries)}:\n{said.errors.strip()}",
                hint="install the library's development package, or set PKG_CONFIG_PATH",
            )
        words.append(" ".join(said.text.split()))
    return f"pkg-config {' '.join(libraries)}: {' | '.join(words)}"
