"""A JSON Schema of goctl.toml, for editors: Taplo reads draft 4, so that is what it is written in.

Made from the same fields as everything else: names, types, bounds and words are those of the model.
"""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec

from goctl.config.cache import Cache, Level
from goctl.config.convert import known_fields
from goctl.config.model import Config, Platforms, PlatformSettings

#: Tables with names of their own beside fixed settings, and what stands in these.
_BESIDE: dict[type[msgspec.Struct], type[msgspec.Struct]] = {Platforms: PlatformSettings, Cache: Level}


def json_schema() -> dict[str, Any]:
    """The schema as plain values, keys in a stable order."""
    definitions: dict[str, Any] = {}
    root = _table(Config, definitions)
    # A profile holds any other table, each with any of its settings.
    overlay = {name: _optional(schema) for name, schema in root["properties"].items() if name not in ("schema", "profiles")}
    definitions["Profile"] = {"type": "object", "additionalProperties": False, "properties": overlay}
    root["properties"]["profiles"]["additionalProperties"] = {"$ref": "#/definitions/Profile"}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "goctl.toml",
        **root,
        "definitions": dict(sorted(definitions.items())),
    }


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "required"}


def _table(kind: type[msgspec.Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    properties, required = {}, []
    for name, field in known_fields(kind).items():
        if (kind, name) in ((Platforms, "settings"), (Cache, "tables")):
            continue
        properties[name] = _of(field.type, definitions)
        if field.required:
            required.append(name)
    schema: dict[str, Any] = {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "additionalProperties": _of(_BESIDE[kind], definitions) if kind in _BESIDE else False,
        "properties": properties,
    }
    return {**schema, "required": required} if required else schema


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return {**_of(arguments[0], definitions), **_words(arguments[1:])}
    if origin in (typing.Union, types.UnionType):
        parts = [_of(part, definitions) for part in arguments if part is not type(None)]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        definitions.setdefault(kind.__name__, {})
        if not definitions[kind.__name__]:
            definitions[kind.__name__] = _table(kind, definitions)
        return {"$ref": f"#/definitions/{kind.__name__}"}
    named = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": named[kind]} if kind in named else {}


def _words(metas: tuple[Any, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for meta in metas:
        if isinstance(meta, msgspec.Meta):
            found |= {"description": meta.description} if meta.description else {}
            found |= {"minimum": meta.ge} if meta.ge is not None else {}
            found |= {"maximum": meta.le} if meta.le is not None else {}
    return found
