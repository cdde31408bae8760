"""Reading a Dockerfile: instructions with their lines, as BuildKit's own parser divides them.

Continuation lines, comments and empty lines between them, the directives at the top (`escape`, `syntax`), heredocs, stages
and arguments before the first FROM (moby/buildkit, frontend/dockerfile/parser). What instructions mean is for `practices`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

#: The instructions there are (frontend/dockerfile/command/command.go).
KNOWN = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME "
    "WORKDIR".split()
)
_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"(?<![<\w\"'])\d*<<(-?)(?:([\"'])([A-Za-z_][\w.-]*)\2|([A-Za-z_][\w.-]*))")
_FLAG = re.compile(r"--([a-z][a-z0-9.-]*)(?:=(\S*))?\s*")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?[-+?]([^}]*))?\}|([A-Za-z_]\w*))")


class Heredoc(msgspec.Struct, frozen=True):
    """Text that follows an instruction. `expands` says whether variables in it are replaced."""

    name: str
    content: str
    expands: bool


class Instruction(msgspec.Struct, frozen=True):
    """One instruction: its name in capitals, flags by name (a repeated one with all its values), and the rest as one line.

    `line` and `last` count from 1. `stage` is the number of the FROM above, or -1 before the first.
    """

    name: str
    value: str
    line: int
    last: int
    stage: int
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.flags if key == name)

    @property
    def text(self) -> str:
        """All that a shell would see of it."""
        return "\n".join((self.value, *(heredoc.content for heredoc in self.heredocs)))


class Stage(msgspec.Struct, frozen=True):
    """A FROM with what follows it. `base` has the defaults of the arguments before it filled in; `parent` is the number of
    the stage that it builds on, or -1."""

    number: int
    name: str
    base: str
    parent: int
    line: int
    platform: str


class Dockerfile(msgspec.Struct, frozen=True):
    """A whole file. `problems` are lines with what is wrong about them."""

    directives: Mapping[str, tuple[str, int]]
    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    problems: tuple[tuple[int, str], ...]

    def of(self, stage: int, *names: str) -> Iterator[Instruction]:
        return (one for one in self.instructions if one.stage == stage and (not names or one.name in names))


def parse(text: str) -> Dockerfile:
    """The instructions of a Dockerfile. What cannot be read is a problem in the result: nothing is raised."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    directives, problems = _directives(lines)
    escape = directives.get("escape", ("\\", 0))[0]
    if escape not in ("\\", "`"):
        problems.append((directives["escape"][1], f"escape is {escape!r}: it can be \\ or `"))
        escape = "\\"
    instructions, more = _Reader(lines, escape).read()
    stages = _stages(instructions)
    if not stages and not more:
        problems.append((1, "there is no FROM"))
    return Dockerfile(directives, tuple(instructions), stages, tuple(sorted(problems + more)))


def _directives(lines: list[str]) -> tuple[dict[str, tuple[str, int]], list[tuple[int, str]]]:
    """Directives stand before everything else; a comment, an empty line or an instruction ends them."""
    found: dict[str, tuple[str, int]] = {}
    problems = []
    start = 1 if lines and lines[0].startswith("#!") else 0
    for number, line in enumerate(lines[start:], start + 1):
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in ("syntax", "escape", "check"):
            break
        if match[1].lower() in found:
            problems.append((number, f"{match[1].lower()} is given twice"))
        found.setdefault(match[1].lower(), (match[2], number))
    return found, problems


class _Reader:
    """Goes through the lines once."""

    def __init__(self, lines: list[str], escape: str) -> None:
        self._lines = lines
        self._escape = escape
        mark = re.escape(escape)
        # An escaped escape continues nothing (parser.go, lineContinuationRegex).
        self._continued = re.compile(rf"(?:\A|(?<!{mark})){mark}[ \t]*\Z")
        self._at = 0
        self._problems: list[tuple[int, str]] = []

    def read(self) -> tuple[list[Instruction], list[tuple[int, str]]]:
        found: list[Instruction] = []
        stage = -1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or line.lstrip().startswith("#"):
                self._at += 1
                continue
            first = self._at + 1
            name, _, rest = self._logical().strip().partition(" ")
            name, _, tail = name.partition("\t")
            name = name.upper()
            if name not in KNOWN:
                self._problems.append((first, f"{name[:40]} is no instruction"))
            stage += name == "FROM"
            flags, value = _flags(f"{tail} {rest}".strip())
            heredocs = self._heredocs(value, first) if name in _HEREDOCS else ()
            if not value and name in KNOWN:
                self._problems.append((first, f"{name} needs something to follow it"))
            found.append(Instruction(name, value, first, self._at, stage, flags, heredocs))
        return found, self._problems

    def _logical(self) -> str:
        """The next line with those that continue it; comments and empty lines among these are left out."""
        parts: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if parts and (not line.strip() or line.lstrip().startswith("#")):
                continue
            match = self._continued.search(line)
            parts.append(line[: match.start()] if match else line)
            if match is None:
                break
        return "".join(parts).replace("\n", " ")

    def _heredocs(self, value: str, first: int) -> tuple[Heredoc, ...]:
        found = []
        for match in _HEREDOC.finditer(_unquoted(value)):
            name = match[3] or match[4]
            content = []
            while self._at < len(self._lines):
                line = self._lines[self._at]
                self._at += 1
                if (line.lstrip("\t") if match[1] else line) == name:
                    break
                content.append(line.lstrip("\t") if match[1] else line)
            else:
                self._problems.append((first, f"the heredoc {name} has no end"))
            found.append(Heredoc(name, "\n".join(content), match[2] is None))
        return tuple(found)


def _unquoted(value: str) -> str:
    """The text without what stands in quotes, where << is no heredoc; quoted names of heredocs stay."""
    return re.sub(r"(?<!<<)(?<!<<-)(\"(?:[^\"\\]|\\.)*\"|'[^']*')", lambda match: " " * len(match[0]), value)


def _flags(value: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags = []
    while match := _FLAG.match(value):
        flags.append((match[1], match[2] if match[2] is not None else "true"))
        value = value[match.end() :]
    return tuple(flags), value


def _stages(instructions: list[Instruction]) -> tuple[Stage, ...]:
    known: dict[str, int] = {}
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for one in instructions:
        if one.name == "ARG" and one.stage < 0:
            for word in one.value.split():
                name, _, default = word.partition("=")
                arguments[name] = expand(default.strip("\"'"), arguments)
        elif one.name == "FROM":
            words = one.value.split()
            base = expand(words[0].strip("\"'"), arguments) if words else ""
            name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""
            parent = known.get(base.lower(), -1)
            number = len(found)
            found.append(Stage(number, name, base, parent, one.line, (one.flag("platform") or ("",))[0]))
            known |= {name: number} if name else {}
    return tuple(found)


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}` and `${NAME:-default}` replaced; what has no value stays as it is."""

    def put(match: re.Match[str]) -> str:
        value = values.get(match[1] or match[3])
        return value or (match[2] if match[2] and ":-" in match[0] else match[0])

    return _VARIABLE.sub(put, text)
