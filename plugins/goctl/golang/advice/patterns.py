"""Patterns of module paths, as GOPRIVATE has them (golang.org/x/mod/module, MatchPrefixPatterns), and whose a path is."""

from __future__ import annotations

import re

#: Hosts of many owners, most of whose modules are public.
SHARED_HOSTS = frozenset(
    "github.com gitlab.com bitbucket.org codeberg.org git.sr.ht golang.org google.golang.org gopkg.in go.uber.org "
    "cloud.google.com k8s.io sigs.k8s.io go.opentelemetry.io".split()
)
_INSIDE = re.compile(
    r"(?:.*\.)?(?:local|localdomain|localhost|internal|intranet|private|corp|lan|home|test|home\.arpa)|\d+\.\d+\.\d+\.\d+"
)


def matches(globs: str, path: str) -> bool:
    """Whether one of the patterns, divided by commas, matches as many leading parts of the path as it has itself."""
    for glob in globs.split(","):
        text = glob.removesuffix("/")
        parts = path.split("/")[: text.count("/") + 1]
        if text and len(parts) == text.count("/") + 1 and _regular(text).fullmatch("/".join(parts)):
            return True
    return False


def _regular(glob: str) -> re.Pattern[str]:
    """A pattern of Go's path.Match as a regular expression; one that Go refuses matches nothing."""
    made = ""
    for escaped, negated, among, other in re.findall(r"\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|(.)", glob, re.DOTALL):
        if among:
            made += f"[{'^' if negated else ''}{among.replace('[', chr(92) + '[')}]"
        else:
            made += re.escape(escaped) if escaped else {"*": "[^/]*", "?": "[^/]"}.get(other, re.escape(other))
    try:
        return re.compile(made, re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def slip(glob: str) -> str:
    """What of a pattern belongs to another language; empty for nothing."""
    if re.search(r"\w+://", glob):
        return "a pattern begins with the host, without https://"
    if glob.rstrip("/").endswith("..."):
        return "`...` is for packages; a pattern matches what lies below it anyway"
    if ";" in glob:
        return "patterns are divided by commas, on Windows too"
    if glob != glob.strip() or (" " in glob.strip()):
        return "a space belongs to the pattern, and no module's path has one"
    host = glob.partition("/")[0]
    return "capitals count, and no host of a module's path has any" if host != host.lower() and "[" not in host else ""


def mended(globs: str) -> str:
    """Patterns without these slips."""
    made = []
    for glob in re.split(r"[,;\s]+", globs):
        text = re.sub(r"\A\w+://(?:[^/@]*@)?", "", glob).rstrip("/")
        text = re.sub(r"/?\.{3}\Z", "", text)
        host, slash, rest = text.partition("/")
        made.append(host.lower() + slash + rest)
    return ",".join(filter(None, made))


def is_inside(path: str) -> bool:
    """Whether a path's host is one that only a private network knows."""
    return _INSIDE.fullmatch(path.partition("/")[0].partition(":")[0]) is not None


def owner(path: str) -> str:
    """Whose a module is: the host, with the first part after it where many share the host; empty for no host."""
    host, _, rest = path.partition("/")
    if "." not in host:
        return ""
    return f"{host}/{rest.partition('/')[0]}" if host in SHARED_HOSTS else host
