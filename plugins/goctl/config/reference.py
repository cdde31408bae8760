"""The reference of goctl.toml as Markdown tables, from the model's own words."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from goctl.config.cache import Cache, Level
from goctl.config.cluster import Cluster, LocalRegistry
from goctl.config.convert import known_fields, words
from goctl.config.deploy import Analysis, Deploy, Strategy
from goctl.config.model import (
    BuildNode,
    Config,
    Dockerfile,
    Image,
    ImageDefaults,
    Login,
    Platforms,
    PlatformSettings,
    Registry,
    Target,
)
from goctl.values import to_json

_HEAD = """# Settings of goctl.toml

Made by `python -m goctl.config.docs` from the fields that goctl itself reads; not to be edited by hand.

Every setting can be given in `[profiles.NAME]` too, and is used with `--profile NAME`. Those of `[project]`, `[go]`,
`platforms.default`, `[image]`, `[archive]`, `[publish]`, `[release]`, `[buildkit]`, `[cache]`, `[benchmark]` and `[metrics]`
can come from the environment: `GOCTL_PROJECT_VERSION`, `GOCTL_PUBLISH_TO=corp,hub`. `invoke config` shows each value and
where it came from.

Templates: `{version}`, `{git.sha}`, `{git.short}`, `{git.branch}`, `{date}` (the commit's), `{project}`, `{target}`,
`{platform}`, its parts `{os}`, `{arch}` and `{variant}` (empty, or what follows the architecture: `v7` for linux/arm/v7),
and `{env.NAME}`; `{{` and `}}` stand for braces. They are filled in in `ldflags`, `image.env`, `image.labels`,
`image.annotations`, `image.repository`, `image.dockerfile.args`, `publish.tags`, and the archives' `name`, `folder` and
`checksums`.
"""


def reference() -> str:
    """The whole document."""
    parts = [_HEAD]
    for name, field in known_fields(Config).items():
        kind = field.type
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            parts.append(_section(f"[{name}]", kind))
            if kind is Platforms:
                parts.append(_section('[platforms."OS/ARCHITECTURE"]', PlatformSettings))
            if kind is Cache:
                parts.append(_section("[cache.NAME]", Level))
    parts.append(_section("[targets.NAME]", Target))
    parts.append(_section("[targets.NAME.image]", Image, beyond=ImageDefaults))
    parts.append(_section("[targets.NAME.image.dockerfile]", Dockerfile))
    parts.append(_section("[[buildkit.nodes]]", BuildNode))
    parts.append(_section("[registries.NAME]", Registry))
    parts.append(_section("[registries.NAME.credentials]", Login))
    parts.append(_section("[deploy.NAME]", Deploy))
    parts.append(_section("[deploy.NAME.strategy]", Strategy))
    parts.append(_section("[deploy.NAME.strategy.analysis]", Analysis))
    parts.append(_section("[deploy.NAME.cluster]", Cluster))
    parts.append(_section("[deploy.NAME.cluster.registry]", LocalRegistry))
    parts.append(_tail())
    return "\n".join(parts)


def _section(title: str, kind: type[msgspec.Struct], beyond: type[msgspec.Struct] | None = None) -> str:
    lines = [f"## `{title}`", "", " ".join((kind.__doc__ or "").split()), ""]
    if beyond is not None:
        lines[2] += " Besides these, everything of `[image]`."
    lines += ["| setting | takes | default | meaning | example |", "| --- | --- | --- | --- | --- |"]
    shared = known_fields(beyond) if beyond is not None else {}
    for name, field in known_fields(kind).items():
        if name in shared or (kind, name) in ((Platforms, "settings"), (Cache, "tables")):
            continue
        lines.append(_row(name, field))
    return "\n".join([*lines, ""])


def _row(name: str, field: msgspec.structs.FieldInfo) -> str:
    meta = _meta(field.type)
    default = "needed" if field.required else _toml(field.default)
    examples = meta.examples if meta is not None and meta.examples else []
    example = f"`{_toml(examples[0])}`" if examples else ""
    cells = [
        f"`{name}`",
        words(field.type),
        default if field.required else f"`{default}`",
        meta.description if meta else "",
        example,
    ]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _meta(kind: Any) -> msgspec.Meta | None:
    if typing.get_origin(kind) is typing.Annotated:
        return next((one for one in typing.get_args(kind)[1:] if isinstance(one, msgspec.Meta)), None)
    return None


def _toml(value: Any) -> str:
    """A value as it would stand in the file."""
    if isinstance(value, msgspec.Struct) or value is msgspec.NODEFAULT:
        return "{}"
    if value is None:
        return "-"
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{to_json(key).decode()} = {_toml(one)}" for key, one in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return to_json(value).decode()


def _tail() -> str:
    fields = known_fields(Config)
    lines = ["## At the top, and the rest", "", "| setting | takes | meaning |", "| --- | --- | --- |"]
    for name in ("schema", "engines", "profiles"):
        meta = _meta(fields[name].type)
        lines.append(f"| `{name}` | {words(fields[name].type)} | {meta.description if meta else ''} |")
    return "\n".join([*lines, ""])
