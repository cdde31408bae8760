"""A target's Dockerfile, line by line, each line with the practice it follows."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence

import msgspec

from goctl.buildkit.context import source_folders
from goctl.buildkit.dockerfile_recipes import STATIC_CONTEXT, Compilation, Recipe
from goctl.errors import ConfigError
from goctl.plan.goenv import ACTIONS_FLAG, GOGC_WHERE_ROOMY, ROOMY, go_environment

#: The folder of the sources, and of the programs, in the stage that compiles.
_SOURCES, _OUT = "/src", "/out"
#: That of all platforms' programs. Two levels deep: to know what a COPY of a folder reads, BuildKit lists all that is beside
#: the folder too, which in the root is the whole image (cache/contenthash, scanPath).
_PROGRAMS = f"{_OUT}/programs"
#: Who runs a program on a base that packages were installed on, as root, where nothing else is said.
NOBODY = "65532:65532"
GO_CACHE = "/root/.cache/go-build"
GO_CACHE_MOUNT = f"--mount=type=cache,id=goctl-build,target={GO_CACHE}"
_CACHES = ("--mount=type=cache,id=goctl-modules,target=/go/pkg/mod", GO_CACHE_MOUNT)
_SLUG = "${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-$TARGETVARIANT}"
#: The builder's cores and memory are known where it runs.
COLLECT_LATE = (
    """room=$({ awk -v cores="$(nproc)" '/^MemAvailable/ {print int($2 / cores)}' /proc/meminfo; } 2>/dev/null);"""
    f' [ "${{room:-0}}" -ge {ROOMY >> 10} ] && [ -z "$GOGC$GOMEMLIMIT" ]'
    f' && export GOGC={GOGC_WHERE_ROOMY} GOMEMLIMIT="$((room / 2))KiB";'
)


class Line(msgspec.Struct, frozen=True):
    """One instruction, which may have several lines, and the name of the practice that made it so."""

    text: str
    practice: str = ""


def lines(recipe: Recipe) -> list[Line]:
    """The instructions of a recipe. Raises ConfigError for a base whose package manager nobody knows."""
    found = [*_compiling(recipe, recipe.compilation)] if recipe.compilation is not None else []
    found += _base(recipe)
    for asset in recipe.assets:
        found.append(Line(f"COPY --link {_words(_pattern(asset.source), _escaped(asset.path))}", "cache-order"))
    found += _programs(recipe)
    return found + [*_settings(recipe)]


def text(recipe: Recipe) -> str:
    """The whole file."""
    head = [f"# Made by goctl for the target {recipe.target}: `invoke dockerfile` writes it anew."]
    if recipe.is_static:
        head.append(f"# {STATIC_CONTEXT} is a named context, which the bake file gives.")
    return "\n".join([*head, *(line.text for line in lines(recipe))]) + "\n"


def programs_text(recipe: Recipe, own: Compilation, *, tell: bool = False) -> str:
    """A file whose result is programs alone, those of each platform in a folder of its slug, for an output into a folder;
    with `tell` go's actions too, in a file beside it (`linux-amd64.json`).

    Nothing becomes a layer that need not: sources are mounted, and one step compiles for all platforms, at once as
    BuildKit would do it. The .dockerignore has to keep out of the context what is no source.
    """
    sources = own.sources
    found = [
        f"FROM {own.image} AS goctl-compile",
        *([f"WORKDIR {_PROGRAMS}"] if tell else ()),  # go makes folders of programs, and none for what it tells
        f"WORKDIR {_escaped(posixpath.normpath(posixpath.join(_SOURCES, sources.module)))}",
    ]
    # Go may note sums of a workspace beside go.work: in what is thrown away afterwards.
    writable = ",rw" if any(posixpath.basename(file) == "go.work" for file in sources.module_files) else ""
    if not sources.vendored:
        found += _fetching(recipe, own, writable)
    if own.ldflags is not None:
        found.append("ARG GOCTL_LDFLAGS")
    mounts = [*_CACHES, *_secrets(recipe), f"--mount=type=bind,target={_SOURCES}{writable}"]
    found.append(run_text(mounts, [COLLECT_LATE, *_go_builds(own, tell=tell)]))
    found += ["FROM scratch", f"COPY --from=goctl-compile {_PROGRAMS}/ /"]
    return "\n".join(found) + "\n"


def _fetching(recipe: Recipe, own: Compilation, writable: str) -> Iterator[str]:
    """The step that fetches modules, of nothing but the files that name them."""
    files = own.sources.module_files
    mounts = [*_CACHES[:1], *_secrets(recipe)]
    if all(re.fullmatch(r"[\w./@+-]+", file) for file in files):
        mounts += [f"--mount=type=bind,source={file},target={_SOURCES}/{file}{writable}" for file in files]
    else:  # what mounts are called is read as CSV, as words and as a template: some names are better copied
        yield from (f"COPY {_words(_pattern(file), _folder(posixpath.dirname(file)))}" for file in files)
    yield run_text(mounts, [" ".join([*_assignments(own), "go mod download"])])


def _go_builds(own: Compilation, *, tell: bool) -> list[str]:
    """The shell's lines: a go build for each platform, all at once; the first that fails ends the step."""
    flags, packages = _flags_and_packages(own)
    commands = []
    for platform in own.platforms:
        environment = [f"{name}={value}" for name, value in go_environment(platform).items()]
        folder = f"{_PROGRAMS}/{platform.slug}"
        told = [f"{ACTIONS_FLAG}={folder}.json"] if tell else []
        commands.append(
            " ".join([*_assignments(own), *environment, "go", "build", *flags, *told, "-o", f"{folder}/", "--", *packages])
        )
    if len(commands) == 1:
        return commands
    return [*(f'{command} & all="$all $!";' for command in commands), 'for one in $all; do wait "$one" || exit; done']


def base_text(recipe: Recipe) -> str:
    """A file whose result is a recipe's base with its packages installed."""
    return "\n".join(line.text for line in _base(recipe)) + "\n"


def _base(recipe: Recipe) -> Iterator[Line]:
    base = STATIC_CONTEXT if recipe.is_static else recipe.base
    yield Line(f"FROM {base}", "minimal-base" if recipe.base in ("scratch", "static") else "pinned")
    yield from (Line(f"ARG {name}", "labels-last") for name, _ in recipe.args)
    if recipe.packages:
        yield Line("USER root", "packages")
        yield Line(_install(recipe), "packages")


def _compiling(recipe: Recipe, own: Compilation) -> Iterator[Line]:
    sources = own.sources
    yield Line(f"FROM --platform=$BUILDPLATFORM {own.image} AS goctl-compile", "build-platform")
    yield Line(f"WORKDIR {_escaped(posixpath.normpath(posixpath.join(_SOURCES, sources.module)))}", "multi-stage")
    folders: dict[str, list[str]] = {}
    for file in sources.module_files:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    for folder, files in sorted(folders.items()):
        yield Line(f"COPY {_words(*map(_pattern, files), _folder(folder))}", "cache-order")
    if not sources.vendored:
        mounts = [*_CACHES[:1], *_secrets(recipe)]
        yield Line(run_text(mounts, [" ".join([*_assignments(own), "go mod download"])]), "cache-order")
    for source, folder in source_folders(own):
        yield Line(f"COPY {_words(source, _folder(folder))}", "ignore")
    for name in ("TARGETPLATFORM", "TARGETOS", "TARGETARCH"):
        yield Line(f"ARG {name}", "target")
    if own.ldflags is not None:
        yield Line("ARG GOCTL_LDFLAGS", "labels-last")
    yield Line(run_text([*_CACHES, *_secrets(recipe)], _go_build(own)), "cache-mounts")


def _go_build(own: Compilation) -> list[str]:
    """The shell's lines: the variable of the platform's variant, then one go build for all programs."""
    variants = []
    for platform in own.platforms:
        env = go_environment(platform)
        variables = [f"{name}={value}" for name, value in env.items() if name not in ("GOOS", "GOARCH", "CGO_ENABLED")]
        if variables:
            variants.append(f"  {platform.plain}) export {' '.join(variables)} ;;")
    flags, packages = _flags_and_packages(own)
    choice = ['case "$TARGETPLATFORM" in', *variants, "esac;"] if variants else []
    environment = [*_assignments(own), 'GOOS="$TARGETOS"', 'GOARCH="$TARGETARCH"', "CGO_ENABLED=0"]
    return [*choice, " ".join([*environment, "go", "build", *flags, "-o", f"{_OUT}/", "--", *packages])]


def _flags_and_packages(own: Compilation) -> tuple[list[str], list[str]]:
    """Of a go build, as the shell reads them."""
    ldflags = ['"-ldflags=$GOCTL_LDFLAGS"'] if own.ldflags is not None else []
    flags = ["-trimpath", "-buildvcs=false", *map(shlex.quote, own.flags), *ldflags]
    return flags, [shlex.quote(program.package) for program in own.programs]


def _assignments(own: Compilation) -> list[str]:
    return [f"{name}={shlex.quote(value)}" for name, value in own.env]


def _secrets(recipe: Recipe) -> list[str]:
    return [f"--mount=type=secret,id={id}" + (",target=/root/.netrc" if id == "netrc" else "") for id in recipe.secrets]


def run_text(mounts: Sequence[str], commands: Sequence[str]) -> str:
    """A RUN of the shell's lines."""
    return " \\\n    ".join([" ".join(["RUN", *mounts]), *commands])


def _programs(recipe: Recipe) -> Iterator[Line]:
    if recipe.compilation is not None:
        for program in recipe.programs:
            source = _pattern(f"{_OUT}/{program.file_name}")
            yield Line(f"COPY --link --from=goctl-compile {_words(source, _escaped(program.path))}", "multi-stage")
        return
    for name in ("TARGETOS", "TARGETARCH", "TARGETVARIANT"):
        yield Line(f"ARG {name}", "target")
    for program in recipe.programs:
        source = f"{_pattern(recipe.dist)}/{_SLUG}/{_pattern(program.file_name)}"
        yield Line(f"COPY --link --chmod=0755 {_words(source, _escaped(program.path))}", "multi-stage")


def _settings(recipe: Recipe) -> Iterator[Line]:
    own = recipe.settings
    for name, value in own.env:
        yield Line(f'ENV {name}="{_in_quotes(value)}"')
    for port in own.ports:
        yield Line(f"EXPOSE {port}")
    if own.working_directory is not None:
        yield Line(f"WORKDIR {_escaped(own.working_directory)}")
    user = own.user or (NOBODY if recipe.packages else "")
    if user:
        yield Line(f"USER {user}", "nonroot")
    if own.entrypoint:
        yield Line(f"ENTRYPOINT {json.dumps(own.entrypoint)}", "exec-form")
    if own.command:
        yield Line(f"CMD {json.dumps(own.command)}", "exec-form")


#: What the name of a base says of its distribution, first match first.
_DISTRIBUTIONS = (
    ("ubi", r"ubi\d*(?:-?minimal|-?micro)?|ubi-minimal"),
    ("debian", r"debian|ubuntu|bookworm|trixie|bullseye|noble|jammy"),
    ("alpine", r"alpine|wolfi-base"),
    ("fedora", r"fedora|rockylinux|almalinux|centos|amazonlinux|oraclelinux"),
    ("rhel", r"rhel\d*"),
    ("suse", r"opensuse|leap|tumbleweed|sle\d*|bci-base|suse"),
)


def distribution(recipe: Recipe) -> str:
    """Whose packages a base has, by its name. Raises ConfigError where that does not tell."""
    if recipe.distribution:
        return recipe.distribution
    words = re.split(r"[/:@._-]", recipe.base.lower())
    for name, pattern in _DISTRIBUTIONS:
        if any(re.fullmatch(pattern, word) for word in words):
            return name
    raise ConfigError(
        f"targets.{recipe.target}.image.dockerfile.packages: whose packages {recipe.base} has is not known",
        hint='say it with distribution = "debian" (or alpine, fedora, ubi, rhel, suse)',
    )


def _install(recipe: Recipe) -> str:
    packages = " ".join(map(shlex.quote, recipe.packages))
    mounts = _secrets(recipe)
    match distribution(recipe):
        case "debian":
            commands = [
                "apt-get update &&",
                f"DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {packages} &&",
                "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/apt /var/log/dpkg.log",
            ]
        case "alpine":
            commands = [f"apk add --no-cache {packages}"]
        case "ubi":
            install = "--assumeyes --setopt=install_weak_deps=0 --setopt=tsflags=nodocs"
            commands = [
                f"microdnf install {install} {packages} &&",
                "microdnf clean all && rm -rf /var/cache/yum /var/cache/dnf",
            ]
        case "rhel":
            commands = [
                f"yum install --assumeyes --setopt=tsflags=nodocs {packages} &&",
                "yum clean all && rm -rf /var/cache/yum",
            ]
        case "suse":
            commands = [f"zypper --non-interactive install --no-recommends {packages} &&", "zypper clean --all"]
        case _:
            install = "--assumeyes --setopt=install_weak_deps=0 --setopt=tsflags=nodocs"
            commands = [f"dnf install {install} {packages} &&", "dnf clean all && rm -rf /var/cache/dnf"]
    return run_text(mounts, commands)


def _folder(folder: str) -> str:
    return _escaped(posixpath.normpath(posixpath.join(_SOURCES, folder))) + "/"


def _words(*paths: str) -> str:
    """Paths of a COPY: in a list where they hold spaces. Both forms take variables and patterns."""
    if any(re.search(r"[\s\[\]\"']", path) for path in paths) or paths[0].startswith(("-", "<")):
        return json.dumps(list(paths), ensure_ascii=False)
    return " ".join(paths)


def _pattern(path: str) -> str:
    """A path that stands for itself where patterns are read (Go's filepath.Match)."""
    return _escaped(re.sub(r"([\[*?])", r"[\1]", path))


def _escaped(path: str) -> str:
    """A path in which nothing is replaced (frontend/dockerfile/shell/lex.go)."""
    return re.sub(r"([\\$\"'])", r"\\\1", path)


def _in_quotes(value: str) -> str:
    return re.sub(r"([\\$\"])", r"\\\1", value)
