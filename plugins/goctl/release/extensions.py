"""Engines and destinations, from entry points: only what goctl.toml names is loaded, and it is checked before it is used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import msgspec

from goctl.config.model import Registry
from goctl.contracts import DESTINATIONS, ENGINES, Destination, Engine, Host
from goctl.errors import ConfigError, ExtensionError, Problem

_PARTS = {
    ENGINES: ("Options", "kinds", "run"),
    DESTINATIONS: ("Options", "reference", "missing", "upload", "tag"),
}


def scheme(url: str) -> tuple[str, str]:
    """A registry's url as destination and address: `oci-layout:DIR` names one, anything else is a registry's host."""
    before, colon, after = url.partition(":")
    # A port is digits, a scheme is not: localhost:5000/x is a registry, oci-layout:x is not.
    if colon and "." not in before and "/" not in before and not after.split("/", 1)[0].isdigit():
        return before, after
    return "registry", url


def engine(name: str, options: Mapping[str, Any], host: Host) -> Engine:
    """The engine of that name, its options validated."""
    kind = _load(ENGINES, name)
    made = kind(_options(kind, f"engines.{name}", options), host)
    if not isinstance(made, Engine):
        raise ExtensionError(f"the engine {name!r} does not do what goctl.contracts.Engine asks for")
    return made


def destination(name: str, settings: Registry, host: Host) -> Destination:
    """The destination a `[registries]` table describes, its options validated."""
    kind_name, address = scheme(settings.url)
    kind = _load(DESTINATIONS, kind_name)
    options = _options(kind, f"registries.{name}.options", settings.options)
    made = kind(name, settings, address, options, host)
    if not isinstance(made, Destination):
        raise ExtensionError(f"the destination {kind_name!r} does not do what goctl.contracts.Destination asks for")
    return made


def works_offline(settings: Registry) -> bool:
    """Whether the destination that a `[registries]` table describes says of itself that it asks no network."""
    return bool(getattr(_load(DESTINATIONS, scheme(settings.url)[0]), "works_offline", False))


def _load(group: str, name: str) -> Any:
    found = _find(group, name)
    try:
        kind = found.load()
    except (ImportError, AttributeError) as error:
        raise ExtensionError(
            f"{_word(group)} {name!r} ({found.value}) cannot be loaded: {error}",
            hint=f"the package {_package(found)} brings it: install it again, or ask those who made it",
        ) from error
    lacking = [part for part in _PARTS[group] if not hasattr(kind, part)]
    if lacking or not callable(kind):
        raise ExtensionError(
            f"{_word(group)} {name!r} ({found.value}) lacks {', '.join(lacking) or 'a constructor'}",
            hint=f"the package {_package(found)} was made for another version of goctl, or is not finished",
        )
    return kind


def _find(group: str, name: str) -> EntryPoint:
    # An own distribution's metadata is one file; those of everything installed are read only for names it does not have.
    found = [point for point in _own() if point.group == group and point.name == name]
    if not found:
        found = list(entry_points(group=group, name=name))
    if not found:
        known = sorted({point.name for point in entry_points(group=group)})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "install the package that brings it"
        raise ExtensionError(f"no {_word(group)} is named {name!r}; installed are {', '.join(known)}", hint=hint)
    values = {point.value for point in found}
    if len(values) > 1:
        raise ExtensionError(
            f"{_word(group)} {name!r} comes twice: {', '.join(sorted(values))}", hint="uninstall one of them"
        )
    return found[0]


def _own() -> EntryPoints:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution("goctl-release").entry_points
    except PackageNotFoundError:
        return EntryPoints(())


def _word(group: str) -> str:
    return group.removeprefix("goctl.").removesuffix("s")


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _options(kind: Any, where: str, raw: Mapping[str, Any]) -> Any:
    """An extension's own settings: unknown keys and wrong types are errors like those of goctl's own tables."""
    names = msgspec.structs.fields(kind.Options)
    known = [field.encode_name for field in names]
    problems = [
        Problem(f"{where}.{key}: unknown setting", expected=", ".join(known) or "no settings", hint=_suggest(key, known))
        for key in raw
        if key not in known
    ]
    if not problems:
        try:
            return msgspec.convert(dict(raw), kind.Options)
        except msgspec.ValidationError as error:
            problems = [Problem(f"{where}: {error}")]
    raise ConfigError(problems)


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
