"""Findings about Go's folders: GOROOT, GOPATH, GOMODCACHE, GOCACHE, GOTMPDIR."""

from __future__ import annotations

from collections.abc import Iterator

from goctl.golang.advice.finding import PROBLEM, REMARK, Finding, Lines
from goctl.golang.advice.shells import command
from goctl.golang.advice.situation import MEMORY, NETWORK, WINDOWS, Folder, Situation
from goctl.values import ByteSize

#: A release of a large program writes about as much.
_LITTLE = 10**9
_CACHES = {"GOCACHE": "compiled packages", "GOMODCACHE": "downloaded modules"}


def goroot(s: Situation) -> Iterator[Finding]:
    """GOROOT: set to a folder that is not there, or to another Go than the command's own."""
    named, folder = s.set("GOROOT"), s.folder("GOROOT")
    if not named or folder is None:
        return
    if not folder.exists:
        yield Finding(
            "goroot-missing",
            PROBLEM,
            f"GOROOT names {named} ({s.origin('GOROOT')}), and there is no such folder",
            "the go command refuses to do anything",
            *s.to("GOROOT", ""),
        )
    elif s.goroot and s.path(folder.path) != s.path(s.goroot):
        yield Finding(
            "goroot-other",
            PROBLEM,
            f"GOROOT names {named} ({s.origin('GOROOT')}), and {s.command} belongs to {s.goroot}",
            "one Go's command would work with another's compiler and library, which fails, or makes odd programs; "
            "go finds its own GOROOT, it need not be set",
            *s.to("GOROOT", ""),
        )


def _entries(s: Situation) -> list[str]:
    named = s.set("GOPATH") or s.values.get("GOPATH", "")
    return [entry for entry in named.split(";" if s.system == "windows" else ":") if entry]


def gopath_relative(s: Situation) -> Iterator[Finding]:
    """GOPATH with an entry that go refuses."""
    if any(not s.path(entry).is_absolute() for entry in _entries(s)):
        yield Finding(
            "gopath-relative",
            PROBLEM,
            f"GOPATH is {s.value('GOPATH')!r} ({s.origin('GOPATH')}), which is no absolute path on this system",
            "the go command refuses it; ~ is the shell's, and means nothing in a setting",
            *s.to("GOPATH", ""),
        )


def gopath(s: Situation) -> Iterator[Finding]:
    """GOPATH: in GOROOT, the module's own folder, several."""
    entries = [entry for entry in _entries(s) if s.path(entry).is_absolute()]
    root = s.goroot or s.values.get("GOROOT", "")
    inner = [entry for entry in entries if root and s.path(entry).is_relative_to(s.path(root))]
    if inner:
        yield Finding(
            "gopath-in-goroot",
            PROBLEM,
            f"GOPATH {inner[0]} lies in GOROOT {root}",
            "modules would be downloaded into the Go installation, whose next update deletes them; go warns about it",
            *s.to("GOPATH", ""),
        )
    if entries and s.module and s.path(entries[0]) == s.path(s.module):
        yield Finding(
            "gopath-is-module",
            PROBLEM,
            f"GOPATH is {entries[0]}, the folder of this module",
            "go ignores a go.mod that lies in GOPATH itself, and puts pkg/ and bin/ among the sources",
            *s.to("GOPATH", ""),
        )
    if len(entries) > 1:
        yield Finding(
            "gopath-several",
            REMARK,
            f"GOPATH has {len(entries)} entries: {', '.join(entries)}",
            "modules are kept in the first one alone; the others are remains of the time before modules",
            *s.to("GOPATH", entries[0]),
        )


def module_place(s: Situation) -> Iterator[Finding]:
    """The project itself among downloaded modules."""
    cache = s.folder("GOMODCACHE")
    if cache is None or not s.module or not s.path(s.module).is_relative_to(s.path(cache.path)):
        return
    yield Finding(
        "module-in-cache",
        PROBLEM,
        f"this project lies in the module cache, {cache.path}",
        "go takes what is there for a downloaded module: it is read-only, and `go clean -modcache` deletes it",
        "work in a copy, or a checkout, elsewhere",
    )


def caches(s: Situation) -> Iterator[Finding]:
    """GOCACHE and GOMODCACHE: off, relative, not writable."""
    if s.set("GOCACHE") == "off":
        yield Finding(
            "gocache-off",
            PROBLEM,
            f"GOCACHE=off ({s.origin('GOCACHE')})",
            "go builds nothing without a cache since version 1.12",
            *s.to("GOCACHE", ""),
        )
    for name, what in _CACHES.items():
        named, folder = s.set(name), s.folder(name)
        if named and named != "off" and not s.path(named).is_absolute():
            yield Finding(
                f"{name.lower()}-relative",
                PROBLEM,
                f"{name} is {named!r} ({s.origin(name)}), which is no absolute path on this system",
                "the go command refuses it",
                *s.to(name, ""),
            )
        elif folder is not None and not folder.writable:
            yield _read_only(s, name, what, folder)


def _read_only(s: Situation, name: str, what: str, folder: Folder) -> Finding:
    mend, lines = s.to(name, "") if s.set(name) else _own(s, folder.path)
    if name == "GOMODCACHE" and not s.missing:
        return Finding(
            "gomodcache-read-only",
            REMARK,
            f"GOMODCACHE {folder.path} cannot be written to",
            "all that this project needs is there; the next module that is added cannot be downloaded",
            f"nothing, if that is meant so; else {mend}",
            lines,
        )
    lacking = f", and {len(s.missing)} modules are missing in it" if name == "GOMODCACHE" else ""
    return Finding(
        f"{name.lower()}-read-only",
        PROBLEM,
        f"{name} {folder.path} cannot be written to{lacking}",
        f"go keeps {what} there; a build ends with `permission denied`. `sudo go` often leaves such a folder behind",
        mend,
        lines,
    )


def _own(s: Situation, path: str) -> tuple[str, Lines]:
    quoted = command(path)
    if s.system == "windows":
        # Git Bash takes /grant for a path of its own unless it is told not to.
        return "give yourself the right to write there", Lines(
            (f'icacls {quoted.powershell[0].removeprefix("& ")} /grant "${{env:USERNAME}}:(OI)(CI)M" /T',),
            (f'icacls {quoted.cmd[0]} /grant "%USERNAME%:(OI)(CI)M" /T',),
            (f'MSYS_NO_PATHCONV=1 icacls {quoted.posix[0]} /grant "${{USERNAME}}:(OI)(CI)M" /T',),
        )
    line = f'sudo chown -R "$(id -un)" {quoted.posix[0]}'
    return "make the folder yours", Lines((line,), (line,), (line,))


def disks(s: Situation) -> Iterator[Finding]:
    """Caches on disks that are full, slow, or forget."""
    for name, what in _CACHES.items():
        folder = s.folder(name)
        if folder is None:
            continue
        if 0 <= folder.free < _LITTLE:
            yield Finding(
                f"{name.lower()}-full",
                PROBLEM,
                f"{ByteSize(folder.free)} are free where {name} is, {folder.path}",
                "a build ends in the middle when the disk is full",
                f"free some space: `go clean {'-cache' if name == 'GOCACHE' else '-modcache'}` empties it",
                command(s.go, "clean", "-cache" if name == "GOCACHE" else "-modcache"),
            )
        why = {
            NETWORK: "every build reads thousands of small files there, and two machines at once may get into each other's "
            "way: locks are not kept on every network disk",
            WINDOWS: "WSL reaches drives of Windows through a protocol that is many times slower for small files",
            MEMORY: f"{what} are gone with the next start of the machine, and fill its memory",
        }.get(folder.kind)
        if why is not None:
            where = {NETWORK: "a network disk", WINDOWS: "a drive of Windows", MEMORY: "a disk in memory"}[folder.kind]
            mend, lines = s.to(name, "") if s.set(name) else (f"set {name} to a folder of a disk of this machine", Lines())
            yield Finding(f"{name.lower()}-{folder.kind}", REMARK, f"{name} {folder.path} is on {where}", why, mend, lines)


def temporary(s: Situation) -> Iterator[Finding]:
    """GOTMPDIR that is not there."""
    folder = s.folder("GOTMPDIR")
    if s.set("GOTMPDIR") and folder is not None and not (folder.exists and folder.writable):
        yield Finding(
            "gotmpdir-missing",
            PROBLEM,
            f"GOTMPDIR names {folder.path} ({s.origin('GOTMPDIR')}), which is not there or cannot be written to",
            "`go generate`, `go test` and programs with C code are built there; goctl has a folder of its own for others",
            *s.to("GOTMPDIR", ""),
        )


CHECKS = (goroot, gopath_relative, gopath, module_place, caches, disks, temporary)
