"""`goctl://target` and `ko://importpath` in manifests: what they stand for, which is always a digest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from goctl.cluster.manifests import Manifest
from goctl.errors import ConfigError, Location, Problem

#: A target's name, with its project's in a workspace; an import path. What ends a sentence is no part of either.
_REFERENCE = re.compile(
    r"\b(?:goctl://(?P<target>[A-Za-z0-9._-]*[A-Za-z0-9](?::[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"|ko://(?P<path>(?:\./)?[A-Za-z0-9._~/-]*[A-Za-z0-9_~]))"
)


class Reference(msgspec.Struct, frozen=True):
    """One place that stands for an image: `scheme` is goctl or ko, `name` what follows it, `path` where in the document."""

    scheme: str
    name: str
    path: str
    location: Location

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}"


#: The `name@digest` that a reference stands for. Raises LookupError with a sentence where there is none.
Resolve = Callable[[Reference], str]


def references(manifests: Iterable[Manifest]) -> list[Reference]:
    """Every reference, in the order they stand in."""
    return [reference for manifest in manifests for reference in _in(manifest.content, "", manifest.location)]


def resolved(manifests: Iterable[Manifest], resolve: Resolve) -> list[Manifest]:
    """The manifests with `name@digest` in the place of each reference, also within longer texts.

    Raises ConfigError with all that stand for nothing.
    """
    problems: list[Problem] = []

    def text(value: str, path: str, manifest: Manifest) -> str:
        def one(match: re.Match[str]) -> str:
            reference = _reference(match, path, manifest.location)
            try:
                return resolve(reference)
            except LookupError as error:
                problems.append(Problem(f"{path}: {error.args[0]}", manifest.location))
                return match[0]

        return _REFERENCE.sub(one, value)

    def replaced(value: Any, path: str, manifest: Manifest) -> Any:
        if isinstance(value, dict):
            return {key: replaced(one, f"{path}.{key}" if path else key, manifest) for key, one in value.items()}
        if isinstance(value, list):
            return [replaced(one, f"{path}[{number}]", manifest) for number, one in enumerate(value)]
        return text(value, path, manifest) if isinstance(value, str) and "://" in value else value

    made = [manifest.with_content(replaced(manifest.content, "", manifest)) for manifest in manifests]
    if problems:
        raise ConfigError(problems)
    return made


def unknown(reference: Reference, names: Iterable[str]) -> LookupError:
    """What is said of a reference to something that is not released."""
    known = sorted(names)
    close = difflib.get_close_matches(reference.name, known, n=1)
    hint = f"did you mean {reference.scheme}://{close[0]}?" if close else f"released are {', '.join(known) or 'none'}"
    return LookupError(f"{reference} stands for nothing that is released here; {hint}")


def _in(value: Any, path: str, location: Location) -> Iterator[Reference]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _in(one, f"{path}.{key}" if path else key, location)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _in(one, f"{path}[{number}]", location)
    elif isinstance(value, str) and "://" in value:
        for match in _REFERENCE.finditer(value):
            yield _reference(match, path, location)


def _reference(match: re.Match[str], path: str, location: Location) -> Reference:
    scheme = "goctl" if match["target"] is not None else "ko"
    return Reference(scheme, match["target"] or match["path"], path, location)
