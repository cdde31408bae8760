"""Findings about where modules come from: GOPROXY, GOPRIVATE, GONOPROXY, GOSUMDB, GONOSUMDB, GOINSECURE.

The rules are those of go.dev/ref/mod#environment-variables and of cmd/go/internal/modfetch/proxy.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from goctl.golang.advice.finding import PROBLEM, REMARK, Finding, Lines
from goctl.golang.advice.patterns import SHARED_HOSTS, is_inside, matches, mended, owner, slip
from goctl.golang.advice.situation import Situation, hidden

_WORDS = ("off", "direct")
#: A host that ends in no name of a country or the like; an address may end in /direct, though.
_GLUED = re.compile(r"(\.(?:com|org|io|net|dev|cn))(direct|off)\Z")
_MOST = 5


def proxy(s: Situation) -> Iterator[Finding]:
    """GOPROXY: addresses that are none, entries that are never reached, passwords."""
    value = s.value("GOPROXY")
    entries = [entry.strip() for entry in re.split(r"[,|]", value) if entry.strip()]
    wrong = next(((entry, words) for entry in entries if (words := _slip(entry))), None)
    if wrong is not None:
        yield Finding(
            "goproxy-typo",
            PROBLEM,
            f"GOPROXY holds {hidden('GOPROXY', wrong[0])!r} ({s.origin('GOPROXY')}): {wrong[1]}",
            "go asks an address that does not exist, or refuses it, as soon as a module must be downloaded",
            *s.to("GOPROXY", _mended(value)),
        )
    last = next((number for number, entry in enumerate(entries) if entry in _WORDS), len(entries))
    if wrong is None and last < len(entries) - 1:
        yield Finding(
            "goproxy-unreached",
            REMARK,
            f"GOPROXY has {entries[last]!r} before {', '.join(hidden('GOPROXY', one) for one in entries[last + 1 :])}",
            f"the list ends at {entries[last]!r}: what comes after it is never asked",
            *s.to("GOPROXY", ",".join([*(one for one in entries if one not in _WORDS), entries[last]])),
        )
    if any("@" in entry for entry in entries):
        yield Finding(
            "goproxy-password",
            REMARK,
            f"GOPROXY holds a user's name or a password: {hidden('GOPROXY', value)}",
            "`go env` and every log of the environment show it to whoever looks",
            "put `machine HOST login USER password ...` into " + _netrc(s) + ", and the plain address into GOPROXY",
        )


def _netrc(s: Situation) -> str:
    return r"%USERPROFILE%\_netrc" if s.system == "windows" else "~/.netrc"


def _slip(entry: str) -> str:
    """What is wrong with an entry of GOPROXY; empty for nothing."""
    scheme, colon, rest = entry.partition(":/")
    if entry in _WORDS:
        return ""
    if entry.lower() in _WORDS:
        return f"write {entry.lower()}"
    if re.search(r"[;\s]", entry):
        return "entries are divided by a comma or a |"
    if len(re.findall(r"https?:/", entry)) > 1 or _GLUED.search(entry):
        return "a comma or a | is missing between two entries"
    if not colon:
        if re.match(r"(?:https?|file)/", entry):
            return "the : of the address is missing"
        return "" if re.search(r"[.:/\\]", entry) else "it is neither an address, nor direct, nor off"
    if scheme.lower() not in ("https", "http", "file"):
        return f"go knows no addresses with {scheme}:, only https:, http: and file:"
    return "" if rest.startswith("/") else f"write {scheme}:// with two slashes"


def _mended(value: str) -> str:
    """A GOPROXY with the slips that have one meaning put right."""
    value = re.sub(r"\s*[;\s]\s*", ",", value.strip())
    value = re.sub(r"(?:(?<=[,|])|\A)(https?)/", r"\1:/", value)
    value = re.sub(r"(https?):/+(?=[^/])", r"\1://", value)
    value = re.sub(r"(?<=[^,|])(?=https?://)", ",", value)
    value = _GLUED.sub(r"\1,\2", value)
    return ",".join(part.lower() if part.lower() in _WORDS else part for part in re.sub(r",{2,}", ",", value).split(","))


#: For a Go whose own default is no proxy: whichever somebody has.
_SOME_PROXY = "https://proxy.example.com,direct"


def unreachable(s: Situation) -> Iterator[Finding]:
    """Modules that are missing while GOPROXY forbids to fetch them, or leaves that to git."""
    entries = [entry.strip() for entry in re.split(r"[,|]", s.value("GOPROXY")) if entry.strip()]
    if not s.missing or s.vendored:
        return
    shown = ", ".join(s.missing[:_MOST]) + (f" and {len(s.missing) - _MOST} more" if len(s.missing) > _MOST else "")
    if entries[:1] == ["off"]:
        yield Finding(
            "goproxy-off",
            PROBLEM,
            f"GOPROXY=off ({s.origin('GOPROXY')}), and go.mod asks for modules that are not here: {shown}",
            "go may not download them; a build fails where it needs one of them",
            *s.to("GOPROXY", "" if s.set("GOPROXY") else _SOME_PROXY),
        )
    elif entries[:1] == ["direct"]:
        yield Finding(
            "goproxy-direct",
            REMARK,
            f"GOPROXY=direct ({s.origin('GOPROXY')}), and go.mod asks for modules that are not here: {shown}",
            "each is fetched from its own server, with git where it is a repository: slower, and gone when its server is",
            *s.to("GOPROXY", "" if s.set("GOPROXY") else _SOME_PROXY),
        )


def patterns(s: Situation) -> Iterator[Finding]:
    """Patterns of GOPRIVATE and its kin that match nothing, for they are spelt as something else."""
    for name in ("GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE"):
        value = s.set(name)
        wrong = next(((glob, words) for glob in value.split(",") if (words := slip(glob))), None)
        if wrong is not None:
            yield Finding(
                f"{name.lower()}-pattern",
                PROBLEM,
                f"{name} holds {hidden(name, wrong[0])!r} ({s.origin(name)}): {wrong[1]}",
                "the pattern matches no module, so that private ones are asked for in public",
                *s.to(name, mended(value)),
            )
    if s.set("GOPRIVATE"):
        for name in ("GONOPROXY", "GONOSUMDB"):
            lost = [path for path in s.requirements if matches(s.set("GOPRIVATE"), path) and not matches(s.set(name), path)]
            if s.set(name) not in ("", "none") and lost:  # `none` says on purpose that all goes by the proxy
                yield Finding(
                    f"{name.lower()}-hides-goprivate",
                    PROBLEM,
                    f"{name}={hidden(name, s.set(name))} leaves out {', '.join(lost[:_MOST])}, which GOPRIVATE names",
                    f"GOPRIVATE is only the default of {name}: where that is set, GOPRIVATE says nothing in its place",
                    *s.to(name, ""),
                )


def private(s: Situation) -> Iterator[Finding]:
    """Modules that no public proxy can have, or that seem to be private, and are not in GOPRIVATE."""
    unnamed = [path for path in s.requirements if "." not in path.partition("/")[0]]
    if unnamed:
        yield Finding(
            "module-without-host",
            PROBLEM,
            f"go.mod requires {', '.join(unnamed[:_MOST])}: the first part is no host's name",
            "no proxy and no server can serve it; such names are the standard library's",
            "give it a path with a host, or put a folder in its place by a `replace` line or go.work",
        )
    open_ = [path for path in s.requirements if path not in unnamed and not _is_covered(s, path)]
    inside = [path for path in open_ if is_inside(path)]
    # What Go was shipped with is the public one; whoever set another has their reasons.
    public = s.value("GOPROXY") not in ("", "off", "direct") and s.set("GOPROXY") in ("", s.shipped.get("GOPROXY"))
    if inside and public:
        added = sorted({path.partition("/")[0] for path in inside})
        yield Finding(
            "private-module",
            PROBLEM,
            f"{', '.join(inside[:_MOST])}: a host of a private network, and GOPRIVATE does not match it",
            "go asks the public proxy and the public checksum database first: they cannot know it, and learn its name",
            *_private(s, added),
        )
    mine = [path for path in open_ if path not in inside and owner(path) == owner(s.module_path) != ""]
    host = s.module_path.partition("/")[0]
    if mine and public and (host not in SHARED_HOSTS or s.set("GOPRIVATE")):
        yield Finding(
            "perhaps-private-module",
            REMARK,
            f"{', '.join(mine[:_MOST])}: of the same owner as this module, and GOPRIVATE "
            + (f"({hidden('GOPRIVATE', s.set('GOPRIVATE'))}) does not match it" if s.set("GOPRIVATE") else "is empty"),
            "if it is private, the public proxy cannot have it, and learns its name; if it is public, all is well",
            *_private(s, [owner(s.module_path)]),
        )


def _is_covered(s: Situation, path: str) -> bool:
    return matches(s.value("GONOPROXY") or s.value("GOPRIVATE"), path)


def _private(s: Situation, added: list[str]) -> tuple[str, Lines]:
    name = "GONOPROXY" if s.set("GONOPROXY") else "GOPRIVATE"
    value = ",".join([*filter(None, s.set(name).split(",")), *added])
    mend, lines = s.to(name, value)
    listed = ", ".join(f'"{glob}"' for glob in value.split(","))
    return f"{mend}; or, for everybody who builds this project, go.private = [{listed}] in goctl.toml", lines


def sums(s: Situation) -> Iterator[Finding]:
    """Modules that nobody vouches for."""
    if s.set("GOSUMDB") == "off":
        yield Finding(
            "gosumdb-off",
            REMARK,
            f"GOSUMDB=off ({s.origin('GOSUMDB')})",
            "nobody vouches for what is new in go.sum: a proxy could hand out something else than its author published. "
            "GOPRIVATE leaves out private modules alone",
            *s.to("GOSUMDB", ""),
        )
    for name in ("GONOSUMDB", "GOINSECURE"):
        wide = [glob for glob in s.set(name).split(",") if glob.strip().rstrip("/") in {"*", *SHARED_HOSTS}]
        if wide:
            yield Finding(
                f"{name.lower()}-wide",
                REMARK,
                f"{name} holds {wide[0]!r} ({s.origin(name)}), which matches modules of strangers",
                "nobody vouches for them"
                if name == "GONOSUMDB"
                else "they may come over connections that anybody can change",
                *s.to(name, ",".join(glob for glob in s.set(name).split(",") if glob not in wide)),
            )


CHECKS = (proxy, unreachable, patterns, private, sums)
