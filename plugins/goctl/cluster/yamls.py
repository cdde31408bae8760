"""YAML as Kubernetes reads it: JSON's values alone, each mistake with its line.

PyYAML reads YAML 1.1 to the letter: `12:30` is a number in it, `2026-01-01` a date. kubectl knows neither, and refuses keys
that stand twice; so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from goctl.errors import ConfigError, ExtensionError, Location

if TYPE_CHECKING:
    import yaml

#: Bytes of one file, and values in all of its documents once aliases are followed: a file of some lines can hold billions.
MOST_BYTES = 16 * 2**20
MOST_VALUES = 500_000

# As in resolve.go of sigs.k8s.io/yaml, which kubectl reads with: `0644` is octal, `1e3` is text.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0[0-7_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)\Z")
_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+][0-9]+)?\Z")


def documents(text: str, source: str) -> Iterator[tuple[Any, int]]:
    """The documents of a file, each with the line it begins in. Empty ones are left out.

    Raises ConfigError, with the line, for what is no YAML or nothing that JSON could say.
    """
    yaml = library()
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{source} is longer than {MOST_BYTES >> 20} MiB")
    loader = _loader()(text)
    left = [MOST_VALUES]
    try:
        while loader.check_node():
            node = loader.get_node()
            content = loader.construct_document(node)
            if content is not None:
                yield _plain(content, source, left), node.start_mark.line + 1 if node is not None else 0
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(source, mark.line + 1, mark.column + 1) if mark else Location(source)
        raise ConfigError(f"this is no YAML: {error.problem or error.context}", location=where) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"this is no YAML: {str(error).splitlines()[0]}", location=Location(source)) from None
    except RecursionError:
        raise ConfigError("this is nested too deeply", location=Location(source)) from None
    finally:
        loader.dispose()


def dump(contents: list[Any]) -> str:
    """Documents as YAML, keys in the order they have."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump_all(contents, Dumper=Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=2**16)


def library() -> ModuleType:
    """PyYAML. Raises ExtensionError where it is not installed."""
    try:
        import yaml
    except ImportError:
        raise ExtensionError("manifests need the package pyyaml", hint="pip install goctl-release[kubernetes]") from None
    return yaml


@cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """JSON's types alone, and no key twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if key.tag == "tag:yaml.org,2002:merge":
                    continue
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float", ":value"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
    Loader.add_constructor("tag:yaml.org,2002:int", _integer)
    Loader.add_constructor("tag:yaml.org,2002:float", _float)
    return Loader


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    digits = text.lstrip("-+")
    return int(text, 8 if digits.isdigit() and digits.startswith("0") else 0)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)))


def _plain(value: Any, source: str, left: list[int]) -> Any:
    """The same value made of JSON's types alone; what aliases name is copied."""
    left[0] -= 1
    if left[0] < 0:
        raise ConfigError(f"more than {MOST_VALUES} values", location=Location(source))
    if isinstance(value, dict):
        return {_key(key, source): _plain(one, source, left) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, source, left) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ConfigError(f"{type(value).__name__} is no value that JSON knows", location=Location(source))


def _key(key: Any, source: str) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise ConfigError(f"the key {key!r} is no text", location=Location(source))
