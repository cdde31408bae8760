"""The practices that goctl's own Dockerfiles follow: why each line is as it is, and what another Dockerfile does against
them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from goctl.buildkit.parsing import Dockerfile, Instruction, Stage
from goctl.values import is_secretive

#: By name: the practice in one sentence.
PRACTICES = {
    "add-url": "ADD of an address has nothing to compare with: COPY what was fetched and checked, or give --checksum",
    "build-platform": "the compiler runs on the machine's own platform and compiles for the others: no emulation",
    "cache-mounts": "modules and compiled packages are kept in cache mounts: a build after an edit compiles what changed",
    "cache-order": "what changes seldom comes first: modules are fetched in a layer of go.mod and go.sum alone",
    "copy": "COPY does one thing; ADD unpacks and fetches as well",
    "exec-form": "a list of words starts the program itself, which then hears signals; text starts a shell",
    "ignore": "the context holds what is used and nothing else: an edit elsewhere leaves every layer cached",
    "labels-last": "what changes with every version is given from outside, so that it costs no layer",
    "minimal-base": "the final image holds what the program needs: less to fetch, less to attack",
    "multi-stage": "compilers stay in a stage of their own: the image holds the programs alone",
    "nonroot": "the program does not run as root",
    "packages": "packages come without recommended ones, and lists and caches are gone in the same layer",
    "pinned": "a base without a tag, or with latest, is another one tomorrow",
    "reproducible": "neither paths nor the time of this build enter a program",
    "secrets": "secrets are mounted for one step: what ARG, ENV and COPY hold is in the image for everyone to read",
    "syntax": "BuildKit has a frontend built in: a syntax line fetches another image before each build",
    "target": "GOOS, GOARCH and the variant's variable come from the platform that is built for",
    "valid": "it can be built",
}


class Finding(msgspec.Struct, frozen=True, order=True):
    """A line and the practice it does not follow. `message` says what is there, `hint` what to write."""

    line: int
    practice: str
    message: str
    hint: str = ""


_GO_BUILD = re.compile(r"\bgo\s+(?:build|install)\b")
_DOWNLOADS = re.compile(r"\bgo\s+mod\s+(?:download|vendor)\b|\bnpm\s+(?:ci|install)\b|\bpip3?\s+install\b.*-r\b")
_COMPILERS = re.compile(r"\b(?:go\s+(?:build|install)|gcc|g\+\+|make|cargo\s+build|mvn|gradle)\b")
_WHOLE = frozenset({".", "./", "/", "*", "./*"})
_SECRET_FILES = re.compile(
    r"(?:\A|/)(?:\.env(?:\.\w+)?|\.netrc|_netrc|\.npmrc|\.pypirc|id_(?:rsa|ed25519|ecdsa|dsa)|credentials(?:\.json)?|\.aws|\.ssh"
    r"|\.docker/config\.json|[\w.-]*\.(?:pem|key|p12|pfx))/?\Z"
)
_USERINFO = re.compile(r"[a-z]+://[^\s/:@$]+:[^\s/@$]+@")
_ROOT = re.compile(r"(?:root|0)(?::.*)?\Z")


def findings(dockerfile: Dockerfile, *, ignore: bool) -> list[Finding]:
    """What a Dockerfile does against the practices, by line. `ignore` says whether a .dockerignore stands beside it."""
    found = [Finding(line, "valid", message) for line, message in dockerfile.problems]
    if "syntax" in dockerfile.directives:
        found.append(Finding(dockerfile.directives["syntax"][1], "syntax", "a syntax line", "take it out"))
    for rule in _RULES:
        found += rule(dockerfile)
    if not ignore:
        found += _no_ignore(dockerfile)
    return sorted(set(found))


def _lineage(dockerfile: Dockerfile, stage: Stage) -> list[Stage]:
    """A stage and those it builds on, the last one first."""
    found = [stage]
    while found[-1].parent >= 0:
        found.append(dockerfile.stages[found[-1].parent])
    return found


def _sources(one: Instruction) -> list[str]:
    words = one.value.strip("[]").replace('"', "").replace(",", " ").split()
    return [] if one.flag("from") else words[:-1]


def _copies_all(one: Instruction) -> bool:
    return one.name in ("COPY", "ADD") and any(source in _WHOLE for source in _sources(one))


def _bases(dockerfile: Dockerfile) -> Iterator[Finding]:
    for stage in dockerfile.stages:
        if stage.parent >= 0 or stage.base in ("scratch", "") or "$" in stage.base or "@" in stage.base:
            continue
        tag = stage.base.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            what = "latest" if tag else "no tag"
            yield Finding(
                stage.line, "pinned", f"{stage.base} has {what}", "name a version, and its digest where it matters"
            )


def _cache_order(dockerfile: Dockerfile) -> Iterator[Finding]:
    for stage in dockerfile.stages:
        everything: Instruction | None = None
        for one in dockerfile.of(stage.number):
            if _copies_all(one):
                everything = everything or one
            elif one.name != "RUN":
                continue
            elif everything is not None and _DOWNLOADS.search(one.text):
                yield Finding(
                    everything.line, "cache-order", f"everything is copied before line {one.line} fetches modules",
                    "COPY go.mod go.sum first, then RUN go mod download, then the rest",
                )  # fmt: skip
                break
            elif _DOWNLOADS.search(one.text):
                break
            elif everything is not None and _GO_BUILD.search(one.text):
                yield Finding(
                    everything.line, "cache-order", f"line {one.line} fetches modules anew after every edit",
                    "COPY go.mod go.sum first, then RUN go mod download, then the rest",
                )  # fmt: skip
                break


def _multi_stage(dockerfile: Dockerfile) -> Iterator[Finding]:
    if not dockerfile.stages:
        return
    for stage in _lineage(dockerfile, dockerfile.stages[-1]):
        for one in dockerfile.of(stage.number, "RUN"):
            if _COMPILERS.search(one.text):
                yield Finding(
                    one.line, "multi-stage", "it compiles in the stage that becomes the image",
                    "compile in a stage of its own, and COPY --from it",
                )  # fmt: skip
                return


def _compiling(dockerfile: Dockerfile) -> Iterator[Finding]:
    for one in dockerfile.instructions:
        if one.name != "RUN" or not (_GO_BUILD.search(one.text) or re.search(r"\bgo\s+mod\s+download\b", one.text)):
            continue
        if not any("type=cache" in mount for mount in one.flag("mount")):
            yield Finding(
                one.line, "cache-mounts", "go runs without a cache mount",
                "add --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build",
            )  # fmt: skip
        if not _GO_BUILD.search(one.text):
            continue
        if "-trimpath" not in one.text:
            yield Finding(one.line, "reproducible", "go build without -trimpath", "add -trimpath -buildvcs=false")
        root = _lineage(dockerfile, dockerfile.stages[one.stage])[-1] if one.stage >= 0 else None
        if root is not None and "BUILDPLATFORM" not in root.platform:
            yield Finding(
                root.line, "build-platform", "for another platform the compiler is emulated",
                "FROM --platform=$BUILDPLATFORM, and GOOS=$TARGETOS GOARCH=$TARGETARCH",
            )  # fmt: skip


def _packages(dockerfile: Dockerfile) -> Iterator[Finding]:
    for one in dockerfile.instructions:
        if one.name == "RUN":
            for message, hint in _installing(one):
                yield Finding(one.line, "packages", message, hint)


def _installing(one: Instruction) -> Iterator[tuple[str, str]]:
    text = one.text
    mounts = " ".join(one.flag("mount"))
    install = re.search(r"\bapt(?:-get)?\b[^;&|]*\sinstall\b", text)
    if install:
        if "--no-install-recommends" not in text and "APT::Install-Recommends" not in text:
            yield "apt-get installs recommended packages too", "add --no-install-recommends"
        if "/var/lib/apt/lists" not in text and "/var/lib/apt" not in mounts:
            yield "apt's lists stay in the layer", "end it with && rm -rf /var/lib/apt/lists/*"
        if not re.search(r"\bapt(?:-get)?\b[^;&|]*\supdate\b", text):
            yield "it installs from lists of another layer, which may be old", "run apt-get update in the same RUN"
    elif re.search(r"\bapt(?:-get)?\b[^;&|]*\supdate\b", text):
        yield "apt-get update in a layer of its own is cached, and grows old", "install in the same RUN"
    if re.search(r"\bapk\b[^;&|]*\sadd\b", text) and "--no-cache" not in text and "/var/cache/apk" not in text + mounts:
        yield "apk keeps its index", "add --no-cache"
    for tool in ("microdnf", "dnf", "yum", "zypper"):
        if re.search(rf"(?<![\w-]){tool}\b[^;&|]*\s(?:install|in)\b", text):
            if not re.search(rf"(?<![\w-]){tool}\b[^;&|]*\sclean\b", text) and "/var/cache" not in text + mounts:
                everything = "--all" if tool == "zypper" else "all"
                yield f"{tool}'s cache stays in the layer", f"end it with && {tool} clean {everything}"
            if tool != "zypper" and "install_weak_deps" not in text and tool != "yum":
                yield f"{tool} installs weak dependencies too", "add --setopt=install_weak_deps=0"


def _root(dockerfile: Dockerfile) -> Iterator[Finding]:
    if not dockerfile.stages:
        return
    last = dockerfile.stages[-1]
    lineage = _lineage(dockerfile, last)
    for stage in lineage:
        users = list(dockerfile.of(stage.number, "USER"))
        if users:
            if _ROOT.match(users[-1].value.strip()):
                yield Finding(users[-1].line, "nonroot", "the program runs as root", "USER 65532:65532")
            return
    if "nonroot" not in lineage[-1].base and "$" not in lineage[-1].base:
        yield Finding(last.line, "nonroot", "there is no USER: the program runs as root", "USER 65532:65532")


def _adds(dockerfile: Dockerfile) -> Iterator[Finding]:
    for one in dockerfile.instructions:
        if one.name != "ADD" or one.heredocs:
            continue
        for source in _sources(one):
            if re.match(r"(?:https?|ftp)://|git@", source):
                if not one.flag("checksum"):
                    shown = source.partition("?")[0][:80] if "@" not in source else "an address"
                    yield Finding(one.line, "add-url", f"ADD of {shown} without a checksum", "add --checksum=sha256:...")
            elif not re.search(r"\.(?:tar|tgz|tbz2?|txz|tar\.\w+)\Z", source):
                yield Finding(one.line, "copy", f"ADD of {source[:80]}", "write COPY")
                break


def _secrets(dockerfile: Dockerfile) -> Iterator[Finding]:
    for one in dockerfile.instructions:
        if one.name in ("ARG", "ENV"):
            for name in _names(one):
                if is_secretive(name) and not name.upper().endswith(("_FILE", "_PATH")):
                    yield Finding(
                        one.line, "secrets", f"{one.name} {name} is kept in the image",
                        f"RUN --mount=type=secret,id={name.lower()}",
                    )  # fmt: skip
        elif one.name in ("COPY", "ADD"):
            for source in _sources(one):
                if _SECRET_FILES.search(source):
                    yield Finding(one.line, "secrets", f"{source} is copied into a layer", "RUN --mount=type=secret")
        if _USERINFO.search(one.text):
            # The address is not repeated: it holds the password.
            yield Finding(one.line, "secrets", "an address holds a password", "RUN --mount=type=secret")


def _names(one: Instruction) -> list[str]:
    words = re.findall(r"(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|\\.|\S)+", one.value)
    if one.name == "ENV" and words and "=" not in words[0]:
        return words[:1]
    return [word.partition("=")[0] for word in words]


def _forms(dockerfile: Dockerfile) -> Iterator[Finding]:
    last = len(dockerfile.stages) - 1
    for one in dockerfile.of(last, "CMD", "ENTRYPOINT"):
        if not one.value.lstrip().startswith("["):
            yield Finding(one.line, "exec-form", f"{one.name} starts a shell", f'{one.name} ["program", "argument"]')


def _no_ignore(dockerfile: Dockerfile) -> Iterator[Finding]:
    for one in dockerfile.instructions:
        if _copies_all(one):
            yield Finding(one.line, "ignore", "everything is copied, and there is no .dockerignore", "write one")
            return


_RULES: tuple[Callable[[Dockerfile], Iterator[Finding]], ...] = (
    _bases, _cache_order, _multi_stage, _compiling, _packages, _root, _adds, _secrets, _forms,
)  # fmt: skip
