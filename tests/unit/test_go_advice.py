"""Findings about Go's settings: each has a situation that gives it, and one beside it that does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from goctl.golang.advice import building, folders, machine, modules, patterns, shells, systems
from goctl.golang.advice.finding import PROBLEM, REMARK, Finding
from goctl.golang.advice.findings import CHECKS, findings
from goctl.golang.advice.look import same_but_case
from goctl.golang.advice.situation import Folder, MissingCompiler, Situation, hidden
from goctl.golang.switching import Choice

PUBLIC = "https://proxy.example.com,direct"


def situation(**fields: Any) -> Situation:
    """A machine on which nothing is wrong, with what is given here in its place. `env` is the environment."""
    made: dict[str, Any] = {
        "project": "/home/me/shop",
        "module": "/home/me/shop",
        "module_path": "git.acme.com/shop",
        "goroot": "/usr/local/go",
        "settings_file": "/home/me/.config/go/env",
        "default_file": "/home/me/.config/go/env",
        "shipped": {"GOPROXY": PUBLIC},
        "environment": fields.pop("env", {}),
        "folders": {"project": Folder("/home/me/shop"), "GOCACHE": Folder("/home/me/.cache/go-build")},
    }
    made["folders"] = made["folders"] | fields.pop("folders", {})
    return Situation(**(made | fields))


def windows(**fields: Any) -> Situation:
    """The same on Windows, with nothing to scan files."""
    made: dict[str, Any] = {
        "system": "windows",
        "project": r"C:\work\shop",
        "module": r"C:\work\shop",
        "goroot": r"C:\Program Files\Go",
        "settings_file": r"C:\Users\me\AppData\Roaming\go\env",
        "long_paths": True,
        "git_long_paths": True,
        "longest": r"C:\work\shop\go.mod",
        "scanner_off": True,
    }
    made["folders"] = {"project": Folder(r"C:\work\shop"), "GOCACHE": Folder(r"C:\go-build")} | fields.pop("folders", {})
    return situation(**(made | fields))


def newer(**fields: Any) -> Choice:
    made: dict[str, Any] = {"setting": "local", "file": "/home/me/shop/go.mod", "go": "1.99", "toolchain": ""}
    made |= {"version": "1.26.8", "fetched": False, "too_old": True, "words": "GOTOOLCHAIN=local"}
    return Choice(**(made | fields))


def proxy(value: str, **fields: Any) -> Situation:
    return situation(env={"GOPROXY": value}, **fields)


def flags(value: str, **fields: Any) -> Situation:
    return situation(env={"GOFLAGS": value}, **fields)


def requiring(*paths: str, **fields: Any) -> Situation:
    return situation(requirements=dict.fromkeys(paths, "v1.0.0"), **fields)


def at(name: str, path: str, **fields: Any) -> dict[str, Any]:
    return {"folders": {name: Folder(path, **fields)}}


#: What each gives, how grave it is, a situation with it, and one that is nearly the same without it.
CASES: list[tuple[str, str, Situation, Situation]] = [
    # Folders.
    (
        "goroot-missing",
        PROBLEM,
        situation(env={"GOROOT": "/opt/none"}, **at("GOROOT", "/opt/none", exists=False)),
        situation(env={"GOROOT": "/usr/local/go"}, **at("GOROOT", "/usr/local/go")),
    ),
    (
        "goroot-other",
        PROBLEM,
        windows(env={"GOROOT": r"D:\Go"}, **at("GOROOT", r"D:\Go")),
        windows(env={"GOROOT": r"c:\program files\go"}, **at("GOROOT", r"c:\program files\go")),
    ),
    ("gopath-relative", PROBLEM, situation(env={"GOPATH": "~/go"}), situation(env={"GOPATH": "/home/me/go"})),
    (
        "gopath-relative",
        PROBLEM,
        situation(wsl=True, env={"GOPATH": r"C:\Users\me\go"}),
        windows(env={"GOPATH": r"C:\Users\me\go"}),
    ),
    ("gopath-in-goroot", PROBLEM, situation(env={"GOPATH": "/usr/local/go/x"}), situation(env={"GOPATH": "/usr/local/gox"})),
    ("gopath-is-module", PROBLEM, situation(env={"GOPATH": "/home/me/shop"}), situation(env={"GOPATH": "/home/me"})),
    ("gopath-is-module", PROBLEM, windows(env={"GOPATH": r"c:\WORK\shop"}), windows(env={"GOPATH": r"C:\work\shop\x"})),
    ("gopath-several", REMARK, situation(env={"GOPATH": "/a:/b"}), situation(env={"GOPATH": "/a:"})),
    ("gopath-several", REMARK, windows(env={"GOPATH": r"C:\a;D:\b"}), windows(env={"GOPATH": r"C:\a"})),
    (
        "module-in-cache",
        PROBLEM,
        situation(module="/home/me/go/pkg/mod/x@v1", **at("GOMODCACHE", "/home/me/go/pkg/mod")),
        situation(module="/home/me/go/pkg/models", **at("GOMODCACHE", "/home/me/go/pkg/mod")),
    ),
    ("gocache-off", PROBLEM, situation(env={"GOCACHE": "off"}), situation(env={"GOCACHE": "/c"})),
    ("gocache-relative", PROBLEM, situation(env={"GOCACHE": "cache"}), situation(env={"GOCACHE": "/cache"})),
    ("gomodcache-relative", PROBLEM, windows(env={"GOMODCACHE": r"\mod"}), windows(env={"GOMODCACHE": r"D:\mod"})),
    ("gocache-read-only", PROBLEM, situation(**at("GOCACHE", "/c", writable=False)), situation(**at("GOCACHE", "/c"))),
    (
        "gomodcache-read-only",
        PROBLEM,
        situation(missing=("example.com/a v1",), **at("GOMODCACHE", "/m", writable=False)),
        situation(missing=("example.com/a v1",), **at("GOMODCACHE", "/m")),
    ),
    (
        "gomodcache-read-only",
        REMARK,
        situation(**at("GOMODCACHE", "/m", writable=False)),
        situation(**at("GOMODCACHE", "/m")),
    ),
    ("gocache-full", PROBLEM, situation(**at("GOCACHE", "/c", free=10**8)), situation(**at("GOCACHE", "/c", free=10**10))),
    ("gomodcache-network", REMARK, situation(**at("GOMODCACHE", "/n", kind="network")), situation(**at("GOMODCACHE", "/n"))),
    (
        "gocache-windows",
        REMARK,
        situation(wsl=True, env={"GOCACHE": "/mnt/c/c"}, **at("GOCACHE", "/mnt/c/c", kind="windows")),
        situation(wsl=True, env={"GOCACHE": "/home/c"}, **at("GOCACHE", "/home/c")),
    ),
    ("gocache-memory", REMARK, situation(**at("GOCACHE", "/tmp/c", kind="memory")), situation(**at("GOCACHE", "/tmp/c"))),
    (
        "gotmpdir-missing",
        PROBLEM,
        situation(env={"GOTMPDIR": "/t"}, **at("GOTMPDIR", "/t", exists=False)),
        situation(env={"GOTMPDIR": "/t"}, **at("GOTMPDIR", "/t")),
    ),
    # Where modules come from.
    ("goproxy-unreached", REMARK, proxy("direct,https://p.acme.com"), proxy("https://p.acme.com,direct")),
    ("goproxy-unreached", REMARK, proxy("off|https://p.acme.com"), proxy("https://p.acme.com|off")),
    ("goproxy-password", REMARK, proxy("https://me:pw@p.acme.com"), proxy("https://p.acme.com/x@y".replace("@", "-"))),
    ("goproxy-off", PROBLEM, proxy("off", missing=("example.com/a v1",)), proxy("off")),
    ("goproxy-off", PROBLEM, proxy("off", missing=("a.b/a v1",)), proxy("off", missing=("a.b/a v1",), vendored=True)),
    ("goproxy-direct", REMARK, proxy("direct", missing=("a.b/a v1",)), proxy(PUBLIC, missing=("a.b/a v1",))),
    (
        "goprivate-pattern",
        PROBLEM,
        situation(env={"GOPRIVATE": "https://git.acme.com"}),
        situation(env={"GOPRIVATE": "git.acme.com"}),
    ),
    ("goprivate-pattern", PROBLEM, situation(env={"GOPRIVATE": "a.com/..."}), situation(env={"GOPRIVATE": "a.com/*"})),
    (
        "goprivate-pattern",
        PROBLEM,
        situation(env={"GOPRIVATE": "a.com, b.com"}),
        situation(env={"GOPRIVATE": "a.com,b.com"}),
    ),
    ("gonosumdb-pattern", PROBLEM, windows(env={"GONOSUMDB": "a.com;b.com"}), windows(env={"GONOSUMDB": "a.com,b.com"})),
    (
        "gonoproxy-hides-goprivate",
        PROBLEM,
        requiring("git.acme.com/lib", env={"GOPRIVATE": "git.acme.com", "GONOPROXY": "other.com"}),
        requiring("git.acme.com/lib", env={"GOPRIVATE": "git.acme.com", "GONOPROXY": "none"}),
    ),
    ("module-without-host", PROBLEM, requiring("corp/lib"), requiring("corp.com/lib")),
    ("private-module", PROBLEM, requiring("git.corp/lib"), requiring("git.corp/lib", env={"GOPRIVATE": "*.corp"})),
    ("private-module", PROBLEM, requiring("10.1.2.3/lib"), requiring("git.corp/lib", env={"GOPROXY": "https://p.acme.com"})),
    (
        "private-module",
        PROBLEM,
        requiring("git.corp/lib", env={"GOPRIVATE": "git.corp/*/*"}),
        requiring("git.corp/team/lib", env={"GOPRIVATE": "git.corp/*/*"}),
    ),
    ("perhaps-private-module", REMARK, requiring("git.acme.com/lib"), requiring("git.other.com/lib")),
    (
        "perhaps-private-module",
        REMARK,
        requiring("github.com/acme/lib", module_path="github.com/acme/shop", env={"GOPRIVATE": "github.com/acme-inc"}),
        requiring("github.com/acme/lib", module_path="github.com/acme/shop"),
    ),
    ("gosumdb-off", REMARK, situation(env={"GOSUMDB": "off"}), situation(env={"GOSUMDB": "sum.golang.org"})),
    ("gonosumdb-wide", REMARK, situation(env={"GONOSUMDB": "*"}), situation(env={"GONOSUMDB": "*.corp"})),
    ("goinsecure-wide", REMARK, situation(env={"GOINSECURE": "github.com"}), situation(env={"GOINSECURE": "github.com/me"})),
    # How programs are built.
    ("goflags-refused", PROBLEM, flags("-toolexec=x"), flags("-mod=readonly")),
    ("goflags-mod", PROBLEM, flags("-mod=mod"), flags("-modcacherw")),
    ("goflags-vendor", PROBLEM, flags("-mod=vendor"), flags("-mod=vendor", vendored=True)),
    ("goflags-given", REMARK, flags("-trimpath"), flags("-v")),
    ("goflags-given", REMARK, flags("-buildvcs=false"), flags("-modcacherw")),
    ("goflags-lost", PROBLEM, flags("-tags=x", own={"tags": ("api",)}), flags("-tags=x", own={"ldflags": ("api",)})),
    ("goflags-changing", REMARK, flags("-tags=x"), situation(configured={"GOFLAGS": "-tags=x"})),
    ("goflags-changing", REMARK, flags("'-ldflags=-s -w'"), flags("-x")),
    ("go111module-off", PROBLEM, situation(env={"GO111MODULE": "off"}), situation(env={"GO111MODULE": "on"})),
    (
        "gowork-off",
        REMARK,
        situation(env={"GOWORK": "off"}, work_near="/home/me/go.work"),
        situation(configured={"GOWORK": "off"}, work_near="/home/me/go.work"),
    ),
    (
        "gowork-missing",
        PROBLEM,
        situation(env={"GOWORK": "/x/go.work"}, work="/x/go.work", work_exists=False),
        situation(env={"GOWORK": "/home/me/shop/go.work"}, work="/home/me/shop/go.work"),
    ),
    (
        "gowork-without-module",
        PROBLEM,
        situation(work="/home/me/go.work", work_uses=False),
        situation(work="/home/me/go.work", work_uses=True),
    ),
    (
        "gowork-elsewhere",
        REMARK,
        situation(env={"GOWORK": "/x/go.work"}, work="/x/go.work"),
        situation(work="/home/me/go.work"),
    ),
    (
        "gotoolchain-unknown",
        PROBLEM,
        situation(env={"GOTOOLCHAIN": "1.26"}),
        situation(env={"GOTOOLCHAIN": "go1.26.1+auto"}),
    ),
    ("gotoolchain-too-old", PROBLEM, situation(choice=newer()), situation(choice=newer(too_old=False))),
    (
        "goexperiment-set",
        REMARK,
        situation(env={"GOEXPERIMENT": "jsonv2"}),
        situation(configured={"GOEXPERIMENT": "jsonv2"}),
    ),
    ("gofips140-set", REMARK, situation(env={"GOFIPS140": "latest"}), situation(env={"GOFIPS140": "off"})),
    ("gocacheprog-set", REMARK, situation(env={"GOCACHEPROG": "x"}), situation()),
    ("cgo-enabled-ignored", REMARK, situation(env={"CGO_ENABLED": "1"}), situation(env={"CGO_CFLAGS": "-O2"})),
    ("goamd64-ignored", REMARK, situation(written={"GOAMD64": "v3"}), situation()),
    ("goenv-off", REMARK, situation(env={"GOENV": "off"}, default_file_exists=True), situation(env={"GOENV": "off"})),
    ("goenv-missing", PROBLEM, situation(env={"GOENV": "/x"}, settings_file_exists=False), situation(env={"GOENV": "/x"})),
    ("goenv-elsewhere", REMARK, situation(env={"GOENV": "/x"}), situation(default_file_exists=True)),
    (
        "goenv-overridden",
        REMARK,
        situation(env={"GOPROXY": PUBLIC}, written={"GOPROXY": "direct"}),
        situation(env={"GOPROXY": "direct"}, written={"GOPROXY": "direct"}),
    ),
    ("cc-missing", PROBLEM, situation(compilers=(MissingCompiler("api", "linux/s390x", ("gcc",)),)), situation()),
    # Systems.
    ("long-paths-off", REMARK, windows(long_paths=False), situation(long_paths=False)),
    ("long-paths-off", PROBLEM, windows(long_paths=False, longest="C:\\" + "x" * 220), windows(longest="C:\\" + "x" * 220)),
    ("git-long-paths-off", REMARK, windows(git_long_paths=False), windows(git_long_paths=None)),
    ("path-long", REMARK, windows(longest="C:\\" + "x" * 220), windows(longest="C:\\" + "x" * 150)),
    ("names-differ-by-case", REMARK, situation(same_but_case=(("a.go", "A.go"),)), situation()),
    (
        "names-differ-by-case",
        PROBLEM,
        situation(system="darwin", case_blind=True, same_but_case=(("a.go", "A.go"),)),
        situation(system="darwin", case_blind=True),
    ),
    (
        "modules-differ-by-case",
        PROBLEM,
        requiring("github.com/Sirupsen/logrus", "github.com/sirupsen/logrus"),
        requiring("github.com/sirupsen/logrus"),
    ),
    ("virus-scanner", REMARK, windows(scanner_off=False), situation()),
    (
        "virus-scanner",
        REMARK,
        windows(scanner_off=False, excluded=("C:\\go-build",)),
        windows(scanner_off=False, excluded=("c:\\GO-BUILD", "C:\\work")),
    ),
    (
        "project-synced",
        REMARK,
        windows(**at("project", r"C:\Users\me\OneDrive - Acme\shop")),
        windows(**at("project", r"C:\Users\me\OneDriver\shop")),
    ),
    (
        "project-synced",
        REMARK,
        windows(env={"ONEDRIVE": r"D:\Cloud"}, **at("project", r"d:\cloud\shop")),
        windows(env={"ONEDRIVE": r"D:\Cloud"}, **at("project", r"D:\Clouds\shop")),
    ),
    (
        "project-synced",
        REMARK,
        situation(system="darwin", **at("project", "/Users/me/Library/Mobile Documents/com~apple~CloudDocs/shop")),
        situation(system="darwin", **at("project", "/Users/me/Documents/shop")),
    ),
    (
        "gocache-synced",
        REMARK,
        situation(**at("GOCACHE", "/home/me/Dropbox/c")),
        situation(**at("GOCACHE", "/home/dropbox2/c")),
    ),
    (
        "project-in-wsl",
        PROBLEM,
        windows(**at("project", r"\\wsl$\Ubuntu\home\me\shop", kind="wsl")),
        windows(**at("project", r"\\server\share\shop", kind="network")),
    ),
    (
        "project-on-windows-drive",
        REMARK,
        situation(wsl=True, **at("project", "/mnt/c/shop", kind="windows")),
        situation(wsl=True, **at("project", "/home/me/shop")),
    ),
    (
        "project-on-network-disk",
        REMARK,
        situation(**at("project", "/net/shop", kind="network")),
        situation(**at("project", "/net/shop")),
    ),
    ("windows-go-in-wsl", PROBLEM, situation(wsl=True, windows_go="/mnt/c/Go/bin/go.exe"), situation(wsl=True)),
    (
        "windows-go-in-wsl",
        PROBLEM,
        situation(wsl=True, values={"GOHOSTOS": "windows"}),
        windows(values={"GOHOSTOS": "windows"}),
    ),
]
_IDS = [f"{number}-{case[0]}" for number, case in enumerate(CASES)]


def named(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(situation).findings}


@pytest.mark.parametrize(("name", "severity", "given", "other"), CASES, ids=_IDS)
def test_a_finding_comes_where_it_should_and_nowhere_else(
    name: str, severity: str, given: Situation, other: Situation
) -> None:
    found = named(given)
    assert name in found, sorted(found)
    assert found[name].severity == severity
    assert name not in named(other)


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_every_finding_says_why_it_matters_and_how_to_mend_it(case: tuple[str, str, Situation, Situation]) -> None:
    for finding in findings(case[2]).findings:
        assert all((finding.matter, finding.why, finding.mend))
        assert finding.matter in finding.text("posix")
        lines = finding.lines
        # Where there is a line for one shell there is one for all; but for what can be done within WSL alone.
        assert len({bool(lines.powershell), bool(lines.cmd), bool(lines.posix)}) == 1 or "windows-drive" in finding.name


def test_every_finding_that_the_modules_name_is_tried() -> None:
    text = "".join(
        Path(module.__file__ or "").read_text(encoding="utf-8") for module in (building, folders, modules, systems)
    )
    written = set(re.findall(r'Finding\(\s*"([\w-]+)"', text)) | set(re.findall(r'(?:PROBLEM|REMARK), "([\w-]+)"', text))
    assert len(written) > 35
    assert written - {"goproxy-typo", "goflags-unparsed"} <= {case[0] for case in CASES}


@pytest.mark.parametrize("make", [situation, windows], ids=["posix", "windows"])
def test_nothing_is_said_where_nothing_is_wrong(make: Any) -> None:
    assert named(make()) == {}
    assert len(CHECKS) > 15


def test_problems_come_first() -> None:
    severities = [one.severity for one in findings(situation(env={"GOSUMDB": "off", "GOCACHE": "off"})).findings]
    assert severities == [PROBLEM, REMARK]


@pytest.mark.parametrize(
    ("value", "words", "mended"),
    [
        ("https:/p.acme.com,direct", "two slashes", "https://p.acme.com,direct"),
        ("https//p.acme.com", "the : of the address", "https://p.acme.com"),
        ("https://a.com;direct", "divided by a comma", "https://a.com,direct"),
        ("https://a.com direct", "divided by a comma", "https://a.com,direct"),
        ("https://a.comhttps://b.com", "between two entries", "https://a.com,https://b.com"),
        ("https://a.comdirect", "between two entries", "https://a.com,direct"),
        ("https://a.com/direct", "", None),
        ("Direct", "write direct", "direct"),
        ("ftp://a.com", "only https:", None),
        ("proxy", "neither an address", None),
        ("https://a.com|off", "", None),
        ("a.com,direct", "", None),
        ("file:///srv/proxy", "", None),
        ("https://localhost:3000/athens,direct", "", None),
    ],
)
def test_a_slip_in_goproxy_is_told_and_mended(value: str, words: str, mended: str | None) -> None:
    found = named(proxy(value)).get("goproxy-typo")
    assert (found is not None) == bool(words)
    if found is not None:
        assert words in found.matter
        if mended is not None:
            assert found.lines.posix == shells.set_variable("GOPROXY", mended, "linux").posix
            assert "goproxy-typo" not in named(proxy(mended))


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        ('-ldflags="-s -w"', "'-ldflags=-s -w'"),
        ("-tags netgo", "-tags=netgo"),
        ("'-mod=mod", ""),
        ('"-mod=readonly -v"', "-mod=readonly -v"),
        ("netgo", ""),
        ("---x", ""),
        ("-tags", ""),
        ("-ldflags='-X=a=b'", "'-ldflags=-X=a=b'"),
    ],
)
def test_a_goflags_that_go_would_not_parse_is_told_and_mended(value: str, mended: str) -> None:
    found = named(flags(value))["goflags-unparsed"]
    lines = shells.set_variable("GOFLAGS", mended, "linux") if mended else shells.unset_variable("GOFLAGS", "linux")
    assert found.lines == lines
    assert "goflags-unparsed" not in named(flags(mended))


@pytest.mark.parametrize(
    "value", ["-mod=readonly -v", "'-ldflags=-s -w' -x", '"-gcflags=all=-N -l"', "--tags=a,b", "-ldflags=-X=a='b'", ""]
)
def test_a_goflags_that_go_parses_is_left_alone(value: str) -> None:
    assert "goflags-unparsed" not in named(flags(value))


def test_a_flag_is_taken_out_and_the_others_stay() -> None:
    found = named(flags("-mod=mod '-ldflags=-s -w'"))["goflags-mod"]
    assert found.lines.posix == ("export GOFLAGS=''\"'\"'-ldflags=-s -w'\"'\"''",)
    both = named(flags("-mod=mod -toolexec=x -trimpath -v"))
    assert both["goflags-mod"].lines == both["goflags-refused"].lines
    assert both["goflags-mod"].lines.posix == ("export GOFLAGS='-trimpath -v'",)
    assert both["goflags-given"].lines.posix == ("export GOFLAGS=-v",)


@pytest.mark.parametrize(
    ("globs", "path", "is_match"),
    [
        ("*.corp.com", "git.corp.com/x/y", True),
        ("*.corp.com", "corp.com/x", False),
        ("github.com/acme", "github.com/acme/x/y", True),
        ("github.com/acme", "github.com/acme-inc/x", False),
        ("a.com/*/b", "a.com/x/b/c", True),
        ("a.com/*/b", "a.com/x", False),
        ("x.com,a.com/", "a.com/y", True),
        ("[ab].com", "b.com/x", True),
        ("[^ab].com", "b.com/x", False),
        (r"a\.com", "a.com/x", True),
        ("?.com", "ab.com", False),
        ("", "a.com", False),
    ],
)
def test_patterns_match_as_go_matches_them(globs: str, path: str, is_match: bool) -> None:
    assert patterns.matches(globs, path) is is_match


def test_a_setting_is_mended_where_it_was_set() -> None:
    wrong = {"GOSUMDB": "off"}
    environment = named(situation(env=wrong))["gosumdb-off"]
    assert environment.lines.posix == ("unset GOSUMDB",)
    assert "(environment)" in environment.matter
    written = named(situation(written=wrong))["gosumdb-off"]
    assert written.lines.of("posix") == written.lines.of("cmd") == ("go env -u GOSUMDB",)
    toml = named(situation(configured=wrong))["gosumdb-off"]
    assert toml.lines.posix == ()
    assert "goctl.toml" in toml.mend
    elsewhere = named(situation(written=wrong, go="/opt/my go/bin/go"))["gosumdb-off"]
    assert elsewhere.lines.posix == ("'/opt/my go/bin/go' env -u GOSUMDB",)
    assert elsewhere.lines.powershell == ("& '/opt/my go/bin/go' env -u GOSUMDB",)
    assert elsewhere.lines.cmd == ('"/opt/my go/bin/go" env -u GOSUMDB',)


def test_lines_for_windows_reach_the_shells_to_come_too() -> None:
    lines = shells.set_variable("GOPROXY", "https://a.com,direct", "windows")
    assert lines.powershell[0].startswith("$env:GOPROXY = 'https://a.com,direct'; [Environment]::SetEnvironmentVariable(")
    assert lines.cmd == ('set "GOPROXY=https://a.com,direct" && setx GOPROXY "https://a.com,direct"',)
    lines = shells.unset_variable("GOROOT", "windows")
    assert lines.powershell == ("Remove-Item Env:GOROOT; [Environment]::SetEnvironmentVariable('GOROOT', $null, 'User')",)
    assert r"reg delete HKCU\Environment /v GOROOT /f" in lines.cmd[0]
    assert shells.unset_variable("GOROOT", "darwin").powershell == ("Remove-Item Env:GOROOT",)


def test_values_are_quoted_as_each_shell_wants_it() -> None:
    lines = shells.command("go", "env", "-w", "GOPROXY=https://a.com|direct")
    assert lines.powershell == ("go env -w 'GOPROXY=https://a.com|direct'",)
    assert lines.cmd == ('go env -w "GOPROXY=https://a.com|direct"',)
    assert lines.posix == ("go env -w 'GOPROXY=https://a.com|direct'",)
    assert shells.set_variable("X", "it's", "linux").powershell == ("$env:X = 'it''s'",)


@pytest.mark.parametrize(
    ("system", "environment", "shell"),
    [
        ("linux", {}, "posix"),
        ("linux", {"PSModulePath": "/home/me/.local/share/powershell/Modules"}, "powershell"),
        ("darwin", {"SHELL": "/bin/zsh"}, "posix"),
        (
            "windows",
            {"USERPROFILE": r"C:\Users\me", "PSMODULEPATH": r"C:\Users\me\Documents\PowerShell\Modules", "PROMPT": "$P$G"},
            "powershell",
        ),
        ("windows", {"USERPROFILE": r"C:\Users\me", "PSMODULEPATH": r"C:\Program Files\X", "PROMPT": "$P$G"}, "cmd"),
        ("windows", {"PROMPT": "$P$G"}, "cmd"),
        ("windows", {"MSYSTEM": "MINGW64", "PROMPT": "$P$G"}, "posix"),
    ],
)
def test_the_shell_in_use(system: str, environment: dict[str, str], shell: str) -> None:
    assert shells.shell_of(system, environment) == shell


@pytest.mark.parametrize(
    "value",
    [
        "https://me:s3cret@p.acme.com,direct",
        "https:/me:s3cret@p.acme.com",
        "https//me:s3cret@p.acme.com",
        "me:s3cret@p.acme.com",
        "https://me:x,s3cret@p.acme.com",
        "https://me:s3cret,x@p.acme.com",
        "https://me:a/s3cret@p.acme.com",
        "https://a.com https://me:s3cret@p.acme.com;direct",
        "direct,https://me:s3cret@p.acme.com",
    ],
)
def test_no_finding_tells_a_password_in_goproxy(value: str) -> None:
    for made in (proxy(value, missing=("a.b/c v1",)), situation(written={"GOPROXY": value}, env={"GOPROXY": "direct"})):
        answer = findings(made)
        assert answer.findings
        assert "s3cret" not in repr(answer)
    assert "s3cret" not in hidden("GOPROXY", value)


def test_what_else_is_a_secret_is_hidden() -> None:
    assert hidden("GOAUTH", "sh -c s3cret") == "***"
    assert hidden("GOAUTH", "netrc") == "netrc"
    assert hidden("GOFLAGS", "'-ldflags=-X main.apiToken=s3cret -s'") == "'-ldflags=-X main.apiToken=*** -s'"
    assert hidden("GOPROXY", "https://localhost:3000/a,direct") == "https://localhost:3000/a,direct"
    assert "s3cret" not in repr(findings(flags("'-ldflags=-X main.token=s3cret'")))
    assert "s3cret" not in repr(findings(flags('-ldflags="-X main.token=s3cret -s"')))


def test_the_scanner_line_names_what_is_left_to_exclude() -> None:
    found = named(windows(scanner_off=False, excluded=("C:\\go-build",), opening=0.004))["virus-scanner"]
    assert found.lines.powershell == (r"Add-MpPreference -ExclusionPath 'C:\work\shop\.goctl', 'C:\work\shop\dist'",)
    assert "4.0 ms, which is slow" in found.matter


def test_lines_that_are_made_for_one_shell_alone() -> None:
    unc = r"\\wsl$\Ubuntu\home\me\shop"
    inside = named(windows(project=unc, **at("project", unc, kind="wsl")))["project-in-wsl"].lines
    assert inside.cmd == inside.posix == ("wsl -d Ubuntu --cd /home/me/shop invoke doctor",)
    mine = named(windows(**at("GOCACHE", r"C:\my cache", writable=False)))["gocache-read-only"].lines
    assert mine.powershell == (r"""icacls 'C:\my cache' /grant "${env:USERNAME}:(OI)(CI)M" /T""",)
    assert mine.cmd == (r"""icacls "C:\my cache" /grant "%USERNAME%:(OI)(CI)M" /T""",)
    mine = named(situation(**at("GOCACHE", "/my cache", writable=False)))["gocache-read-only"].lines
    assert mine.posix == ("""sudo chown -R "$(id -un)" '/my cache'""",)


def test_the_page_about_doctor_tells_every_finding() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert {case[0] for case in CASES} | {"goproxy-typo", "goflags-unparsed"} <= set(re.findall(r"`([\w-]+)`", page))


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    text = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "90 22 0:50 / /mnt/c rw,noatime - 9p C:\\134 rw,aname=drvfs\n"
        "91 22 0:51 / /mnt/my\\040disk rw shared:1 master:2 - nfs4 server:/x rw\n"
    )
    assert machine.parse_mounts(text) == {"/": "ext4", "/mnt/c": "9p", "/mnt/my disk": "nfs4"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (r"\\wsl$\Ubuntu\home", "wsl"),
        (r"\\wsl.localhost\Ubuntu\home", "wsl"),
        (r"\\?\UNC\wsl$\Ubuntu\home", "wsl"),
        (r"\\server\share", "network"),
        (r"\\?\C:\work", "local"),
    ],
)
def test_disks_as_windows_names_them(path: str, kind: str) -> None:
    assert machine._windows_kind(path) == kind


def test_disks_as_wsl_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "system", lambda: "linux")
    monkeypatch.setattr(machine, "_mounts", lambda: {"/": "ext4", "/mnt/c": "9p", "/net": "nfs", "/tmp": "tmpfs"})
    kinds = [machine._kind(path, wsl=True) for path in ("/mnt/c/shop", "/mnt/cd", "/net/x", "/tmp", "/home")]
    assert kinds == ["windows", "local", "network", "memory", "local"]
    assert machine._kind("/mnt/c/shop", wsl=False) == "local"


def test_names_that_differ_by_case_are_found_once_for_a_folder() -> None:
    names = ["Internal/a.go", "README", "cmd/x.go", "internal/a.go", "internal/b.go", "readme"]
    assert same_but_case(names) == (("Internal", "internal"), ("README", "readme"))
    assert same_but_case(["a/b.go", "a/c.go", "b/a.go"]) == ()


def test_whether_a_disk_tells_case_is_asked_of_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("")
    before = sorted(tmp_path.iterdir())
    assert machine.case_blind(str(tmp_path / "go.mod")) is (tmp_path / "GO.MOD").exists()
    assert machine.case_blind(str(tmp_path / "none")) is None
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_not_there_is_judged_by_the_one_above(tmp_path: Path) -> None:
    made = machine.folder(str(tmp_path / "a" / "b"), wsl=False)
    assert not made.exists
    assert made.writable
    assert made.free > 0
