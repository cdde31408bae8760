"""Bake files as text, JSON or HCL, and the names that another bake file gives to its targets.

bake reads strings of both kinds as templates, keys of objects included: `${` and `%{` begin an expression unless the sign
before the brace is doubled (hashicorp/hcl, hclsyntax/spec.md, "Template Expressions"; json/spec.md, "Expression Mapping").
A value can thereby never do more than be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

#: What a bake file is made of. Keys of the outer levels are names that goctl chose.
Value = str | bool | Sequence["Value"] | Mapping[str, "Value"]
BakeFile = Mapping[str, Mapping[str, Mapping[str, Value]]]

_OPENING = re.compile(r"([$%])\{")
_NEEDS_ESCAPE = re.compile(r'[\\"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]')
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BLOCK = re.compile(r'^[ \t]*(group|target)[ \t]+"([^"\n]*)"', re.MULTILINE)


def literal(text: str) -> str:
    """Text that bake's templates leave as it is."""
    return _OPENING.sub(r"\1\1{", text)


def plain(text: str) -> str:
    """The text that `literal` was made from."""
    return re.sub(r"([$%])\1\{", r"\1{", text)


def to_json(file: BakeFile) -> bytes:
    """A docker-bake.json: keys in a fixed order, one value a line, so that two of them can be compared."""
    return json.dumps(_literals(file), indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _in_json(text: str) -> str:
    """A string of JSON. hcl does not see a doubled sign in a text that has a carriage return before it: that is given as an
    expression of its own."""
    return literal(text).replace("\r", '${"\\r"}')


def _literals(value: Value | BakeFile) -> object:
    if isinstance(value, str):
        return _in_json(value)
    if isinstance(value, Mapping):
        return {_in_json(key): _literals(one) for key, one in value.items()}
    return [_literals(one) for one in value] if isinstance(value, Sequence) else value


def to_hcl(file: BakeFile) -> bytes:
    """A docker-bake.hcl that says the same."""
    blocks = []
    for kind, named in file.items():
        for name, attributes in named.items():
            lines = [f"  {key} = {_expression(value, '  ')}" for key, value in attributes.items()]
            blocks.append("\n".join([f"{kind} {_quoted(name)} {{", *lines, "}"]))
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "surrogatepass")


def _expression(value: Value, indent: str) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    inner = indent + "  "
    if isinstance(value, Mapping):
        lines = [f"{inner}{_quoted(key)} = {_expression(one, inner)}" for key, one in value.items()]
        return "\n".join(["{", *lines, indent + "}"])
    if all(isinstance(one, str) for one in value) and len(value) < 2:
        return f"[{', '.join(_expression(one, inner) for one in value)}]"
    return "\n".join(["[", *(f"{inner}{_expression(one, inner)}," for one in value), indent + "]"])


def _quoted(text: str) -> str:
    return '"' + _NEEDS_ESCAPE.sub(lambda match: _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}", literal(text)) + '"'


def targets_of(text: str, *, is_json: bool) -> dict[str, int]:
    """The targets that a bake file declares, each with its line. Raises ValueError for what is no JSON."""
    if not is_json:
        # Comments and heredocs that look like blocks are taken for some: a name too many is told, and none is missed.
        return {match[2]: text.count("\n", 0, match.start()) + 1 for match in _BLOCK.finditer(text) if match[1] == "target"}
    tree = json.loads(text)
    declared = tree.get("target", {}) if isinstance(tree, dict) else {}
    names = declared if isinstance(declared, dict) else [name for one in declared if isinstance(one, dict) for name in one]
    found = {}
    for name in names:
        at = text.find(json.dumps(name))
        found[str(name)] = text.count("\n", 0, max(at, 0)) + 1
    return found
