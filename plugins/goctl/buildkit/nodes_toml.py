"""buildkitd.toml from the declared registries and limits, and that of an existing builder, to compare.

github.com/moby/buildkit, docs/buildkitd.toml.md. buildx copies the certificates that the file names to the builder, and
changes their paths in it (buildx, util/confutil, LoadConfigFiles).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from goctl.buildkit.builders_made import store
from goctl.config.model import BuildKit, Registry
from goctl.errors import BuilderError
from goctl.values import ByteSize, to_json

#: The file's name among those of a builder.
CONFIG: Final = "buildkitd.toml"
#: What buildx takes where it is given none (buildx, util/confutil, DefaultConfigFile).
_DEFAULT: Final = "buildkitd.default.toml"
_FOLDER: Final = "/etc/buildkit"


class Daemon(msgspec.Struct, frozen=True):
    """What a buildkitd is started with.

    `content` is the file with the paths of this machine, empty where there is nothing to configure; `as_kept` the same as a
    builder keeps it, None where that is the person's own default; `files` the certificates by the names they have there.
    """

    content: bytes = b""
    as_kept: Mapping[str, Any] | None = {}
    files: Mapping[str, bytes] = {}


def daemon(settings: BuildKit, registries: Mapping[str, Registry], root: Path) -> Daemon:
    """The configuration for the declared registries and limits. Relative paths count from `root`.

    Raises BuilderError for a certificate that cannot be read.
    """
    files: dict[str, bytes] = {}
    here: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    servers: dict[str, Registry] = {}
    for registry in registries.values():
        if is_server(registry.url):
            servers.setdefault(host_of(registry.url), registry)  # as everywhere, the first of several counts
    for host, registry in servers.items():
        here[host], kept[host] = _tables(host, registry, root, files)
    worker = _worker(settings)
    tree = _pruned({"worker": worker, "registry": here})
    if not tree and (store() / _DEFAULT).exists():
        return Daemon(as_kept=None)
    return Daemon(_written(tree), _pruned({"worker": worker, "registry": kept}), files)


def is_server(url: str) -> bool:
    """Whether an address is that of a registry, and not `SCHEME:...` of another destination."""
    _, colon, rest = url.partition("/")[0].partition(":")
    return not colon or rest.isdigit()


def host_of(url: str) -> str:
    return url.partition("/")[0]


def _tables(host: str, registry: Registry, root: Path, files: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A registry's table with the paths of this machine, and with those of the builder."""
    here: dict[str, Any] = {}
    if registry.mirrors:
        here["mirrors"] = list(registry.mirrors)
    if registry.plain_http:
        here["http"] = True
    elif registry.ca or registry.client_certificate:
        here["http"] = False  # else BuildKit takes it that what is on this machine speaks plain http
    kept = dict(here)

    def keep(path: Path) -> str:
        name = posixpath.join("certs", host.replace(":", "_"), path.name)
        try:
            files[name] = path.read_bytes()
        except OSError as error:
            why = f"{path} cannot be read: {error.strerror or error}"
            raise BuilderError(why, hint=f"the builder needs it for {host}") from None
        return posixpath.join(_FOLDER, name)

    if registry.ca:
        here["ca"], kept["ca"] = [str(root / registry.ca)], [keep(root / registry.ca)]
    if registry.client_certificate:
        certificate = root / registry.client_certificate
        key = root / (registry.client_key or registry.client_certificate)
        here["keypair"] = [{"key": str(key), "cert": str(certificate)}]
        kept["keypair"] = [{"key": keep(key), "cert": keep(certificate)}]
    return here, kept


def _worker(settings: BuildKit) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.parallelism:
        found["max-parallelism"] = settings.parallelism
    if settings.cache_size:
        found |= {"gc": True, "maxUsedSpace": int(ByteSize.parse(settings.cache_size))}
    return {"oci": found}


def parsed(content: bytes) -> dict[str, Any]:
    """A buildkitd.toml as a tree, without tables that say nothing; empty where it is none."""
    import tomli

    try:
        return _pruned(tomli.loads(content.decode()))
    except (ValueError, RecursionError):
        return {}


def _pruned(tree: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: _pruned(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in found.items() if value != {}}


def _written(tree: Mapping[str, Any]) -> bytes:
    """A tree as TOML: of each table its plain values first, then tables below it under their whole names."""
    lines: list[str] = []
    _table(tree, (), lines)
    return "".join(f"{line}\n" for line in lines).encode()


def _table(tree: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {key: value for key, value in tree.items() if not _is_nested(value)}
    if plain:
        lines.append(f"[{_dotted(path)}]")
    lines += [f"{_quoted(key)} = {_quoted(value)}" for key, value in plain.items()]
    for key, value in tree.items():
        if isinstance(value, dict):
            _table(value, (*path, key), lines)
        elif _is_nested(value):
            for one in value:
                lines.append(f"[[{_dotted((*path, key))}]]")
                lines += [f"{_quoted(name)} = {_quoted(text)}" for name, text in one.items()]


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(_quoted(part) for part in path)


def _quoted(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of them are TOML's too, but for one control character.
    return to_json(value).decode().replace("\x7f", "\\u007f")
