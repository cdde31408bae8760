"""The error tree: one class per kind of failure, each with an exit code of its own.

A message says what is wrong, `hint` what to do about it; they are kept apart so that a console, a CI log and a JSON
reader can each show them in their own way. Secrets never enter either of them.

    GoctlError            1
    ├── ConfigError       3   goctl.toml, or what was asked for on the command line
    ├── ToolchainError    4   no usable Go, or the wrong one
    ├── ModuleError       5   go.mod, go.sum, downloads, packages that do not load
    │   └── UntidyError  11   a check found go.mod, go.sum or vendor/ behind the code
    ├── BuildError        6   the compiler or the linker refused
    ├── ImageError        7   a base, an asset or a layer
    │   ├── MovedError   12   a check found a base that is no longer what goctl.lock pins
    │   └── ParityError  14   two engines made different things of one target
    ├── RegistryError     8   a registry refused, or could not be reached
    ├── ExtensionError    9   an engine or a destination that cannot be used
    ├── StorageError     10   a disk that is full, read-only or not ours
    │   └── LevelError   17   a level of the cache that is down, slow, full, or refuses
    ├── BuilderError     13   Docker's command, a builder of buildx, or a build that it refused
    ├── ClusterError     16   a cluster refused, or could not be reached
    │   └── RolloutError 15   what was deployed does not run, and why
    └── Interrupted     130   Ctrl-C (143: SIGTERM)

Exit code 2 is left alone: shells and argument parsers use it for themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Location(msgspec.Struct, frozen=True, order=True):
    """A place in a file a person wrote. `line` and `column` count from 1; 0 says that it is not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong in a configuration: where, what, what was expected, and what to do."""

    message: str
    location: Location | None = None
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}" if self.location else self.message
        if self.expected:
            text += f"; expected {self.expected}"
        if self.hint:
            text += f" ({self.hint})"
        return text


class GoctlError(Exception):
    """The root: catch this to catch all that goctl raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


class ConfigError(GoctlError):
    """goctl.toml or the command line asks for something that cannot be; carries every problem at once."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem] | str, *, hint: str = "", location: Location | None = None) -> None:
        if isinstance(problems, str):
            problems = (Problem(problems, location=location, hint=hint),)
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ToolchainError(GoctlError):
    exit_code = 4


class ModuleError(GoctlError):
    exit_code = 5


class UntidyError(ModuleError):
    """`mod.tidy --check` or `mod.vendor --check` would change something. A check that could not be made is a ModuleError."""

    exit_code = 11


class Diagnostic(msgspec.Struct, frozen=True):
    """One line of the compiler: a place, its words, and the platforms it was said for."""

    message: str
    location: Location | None = None
    platforms: tuple[str, ...] = ()


class BuildError(GoctlError):
    """The compiler or linker refused; `diagnostics` holds what it said, each once."""

    exit_code = 6

    def __init__(self, message: str, *, diagnostics: Sequence[Diagnostic] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)


class ImageError(GoctlError):
    exit_code = 7


class MovedError(ImageError):
    """`base.status --check` found a base that is not pinned, or that names something else by now."""

    exit_code = 12


class ParityError(ImageError):
    """`parity` found that two engines made different things of one target."""

    exit_code = 14


class RegistryError(GoctlError):
    """A registry said no, or nothing. `status` is the HTTP status (0: no answer), `code` the registry's own error code.

    `temporary` says that trying again later may help, `stalled` that time was spent on waiting for an answer already.
    """

    exit_code = 8

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        detail: str = "",
        temporary: bool = False,
        stalled: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.detail = detail
        self.temporary = temporary
        self.stalled = stalled


class ExtensionError(GoctlError):
    exit_code = 9


class StorageError(GoctlError):
    exit_code = 10


class LevelError(StorageError):
    """A level of the cache could not be asked or written. No release fails by it: the level is left alone from then on."""

    exit_code = 17


class ClusterError(GoctlError):
    """A Kubernetes cluster said no, or nothing. `status` is the HTTP status (0: no answer), `reason` Kubernetes' own word;
    `temporary` says that trying again later may help.
    """

    exit_code = 16

    def __init__(self, message: str, *, status: int = 0, reason: str = "", temporary: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason
        self.temporary = temporary


class RolloutError(ClusterError):
    """What was deployed does not run: it cannot be pulled, it crashes, it never gets ready."""

    exit_code = 15


class BuilderError(GoctlError):
    """Docker's command or a builder said no, is not there, or cannot do what is asked of it."""

    exit_code = 13


class Interrupted(GoctlError):
    """The person, or the system, ended the run. Not a failure of anything that was being done."""

    exit_code = 130

    def __init__(self, message: str = "interrupted", *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def joined(errors: Sequence[GoctlError]) -> GoctlError:
    """One error for several: the first one's class, everybody's words, each said once."""
    first = errors[0]
    if all(isinstance(error, BuildError) for error in errors):
        diagnostics = dict.fromkeys(d for error in errors if isinstance(error, BuildError) for d in error.diagnostics)
        messages = dict.fromkeys(error.message for error in errors)
        return BuildError("\n".join(messages), diagnostics=tuple(diagnostics), hint=first.hint)
    return type(first)("\n".join(dict.fromkeys(str(error) for error in errors)), hint=first.hint)
