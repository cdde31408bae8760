"""Flags and variables of the compiler that goctl decides itself, or that would make a result unaccountable."""

from __future__ import annotations

import re
from collections.abc import Mapping

from goctl.config.convert import Problems

_ACCOUNT = "it makes the result depend on more than goctl can see"
_CGO = "it needs cgo, which is off"
_FLAGS = {
    "toolexec": _ACCOUNT,
    "overlay": _ACCOUNT,
    "modfile": _ACCOUNT,
    "exec": _ACCOUNT,
    "o": "goctl decides where programs go",
    "C": "set go.directory instead",
    "n": "use `invoke --dry build`",
    "race": _CGO,
    "msan": _CGO,
    "asan": _CGO,
    "linkshared": _CGO,
    "tags": "use build-tags",
    "ldflags": "use ldflags",
    "buildvcs": "use stamp: goctl never lets go look at the checkout",
    "trimpath": "it is always on",
    "json": "goctl reads go's output",
    "pkgdir": _ACCOUNT,
    "compiler": "programs are made by the gc compiler",
}
_VARIANT = "write the variant into the platform, as linux/amd64/v3"
_VARIABLES = {
    "GOOS": "use platforms",
    "GOARCH": "use platforms",
    "CGO_ENABLED": "cgo is off",
    "GOROOT": "use go.toolchain",
    "GOCACHEPROG": _ACCOUNT,
    "GOTMPDIR": "goctl decides where programs are built",
    **dict.fromkeys("GO386 GOAMD64 GOARM GOARM64 GOMIPS GOMIPS64 GOPPC64 GORISCV64 GOWASM".split(), _VARIANT),
}
_IN_GOFLAGS = ("toolexec", "overlay", "modfile", "exec", "o", "C")


def check_flags(flags: tuple[str, ...], where: tuple[str, ...], problems: Problems) -> None:
    """Flags of go build that a target may not have."""
    for flag in flags:
        match = re.match(r"--?([A-Za-z0-9]+)(?:=(.*))?", flag, re.DOTALL)
        if match is None:
            problems.add(where, f"{flag!r} is no flag", expected="flags as -name or -name=value, one in each text")
        elif match[1] in _FLAGS:
            problems.add(where, f"-{match[1]} is refused: {_FLAGS[match[1]]}")
        elif match[1] == "buildmode" and match[2] not in ("exe", "pie", "default"):
            problems.add(where, f"{flag!r} is refused: only programs are built", expected="-buildmode=exe or =pie")
        elif match[1] == "pgo" and match[2] not in ("auto", "off"):
            problems.add(where, f"{flag!r} is refused: {_ACCOUNT}", expected="default.pgo in the main package's folder")


def check_environment(env: Mapping[str, str], where: tuple[str, ...], problems: Problems) -> None:
    """Variables that a compiler's environment may not have."""
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            problems.add((*where, name), f"{name!r} is no variable's name")
        elif name.upper() in _VARIABLES:
            # Windows takes any case for the same variable, so that none is let through anywhere.
            problems.add((*where, name), f"{name} is refused: {_VARIABLES[name.upper()]}")
        if re.search(r"[\x00\r\n]", value):
            problems.add((*where, name), "its value holds a line break or a NUL")
        if name.upper() == "GOFLAGS":
            # Flags may stand in quotes there: '-toolexec=a b'.
            for flag in re.findall(r"(?:^|[\s'\"])--?([A-Za-z0-9]+)", value):
                if flag in _IN_GOFLAGS:
                    problems.add((*where, name), f"-{flag} is refused: {_FLAGS[flag]}")
