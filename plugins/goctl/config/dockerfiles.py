"""BuildKit's settings: Dockerfiles, caches, secrets and bake files that nothing could be made from."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from goctl.config.checks import check_template
from goctl.config.convert import Problems
from goctl.config.model import Config, Dockerfile, Image, Target
from goctl.config.names import CONTROL, Where, check_inside
from goctl.config.template import OF_PLATFORM

#: Types of caches, and what each of them cannot do without (docs.docker.com/build/cache/backends).
CACHES = {"registry": ("ref",), "local": (), "inline": (), "gha": (), "s3": ("region", "bucket"), "azblob": ("name",)}
#: Attributes of caches that hold a secret. BuildKit takes all of them from the environment too.
_SECRET = re.compile(r"secret|token|password|access_key|account_key", re.IGNORECASE)
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:~=/@-]*\Z")
_SECRET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_SOURCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z|file:(.+)\Z", re.DOTALL)
#: Arguments that goctl itself gives, and those that BuildKit fills in.
OWN_ARGUMENTS = frozenset(
    "SOURCE_DATE_EPOCH GOCTL_LDFLAGS BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT TARGETPLATFORM TARGETOS TARGETARCH "
    "TARGETVARIANT TARGETSTAGE".split()
)
#: What a target has that says nothing of a Dockerfile.
_NONE = Dockerfile()


def options(text: str) -> dict[str, str]:
    """`type=registry,ref=x,mode=max` as buildx reads it: comma-separated, quoted as CSV is. Raises ValueError."""
    rows = list(csv.reader([text], strict=True)) if text and not CONTROL.search(text) else []
    if len(rows) != 1:
        raise ValueError("it is no list of NAME=VALUE, separated by commas")
    found: dict[str, str] = {}
    for field in rows[0]:
        name, equals, value = field.partition("=")
        name = name.strip().lower()
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise ValueError(f"{field!r} is no NAME=VALUE")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = value
    return found


def check(config: Config, root: Path, problems: Problems) -> None:
    """Adds a problem for everything in [buildkit] and in the targets' Dockerfiles that cannot be carried out."""
    pushes = any(is_registry(config.registries[name].url) for name in config.registries if config.registries[name].push)
    for setting in ("cache-to", "cache-from"):
        for text in getattr(config.buildkit, setting.replace("-", "_")):
            _cache(text, ("buildkit", setting), problems, pushes=pushes)
    for path in config.buildkit.include:
        _file(path, ("buildkit", "include"), root, problems)
        if not path.endswith((".json", ".hcl")):
            problems.add(("buildkit", "include"), f"{path!r} is no bake file", expected="a file that ends in .hcl or .json")
    image = config.buildkit.go_image
    if image and (CONTROL.search(image) or re.search(r"[\s$\\\"'#]", image)):
        problems.add(("buildkit", "go-image"), f"{image!r} is no image", expected="host/name:tag")
    for name, target in config.targets.items():
        if isinstance(target.image, Image):
            _target(target, target.image, ("targets", name, "image"), root, problems)


def is_registry(url: str) -> bool:
    """Whether a registry is asked over the network; others are `SCHEME:ADDRESS`."""
    return not re.match(r"[a-z][a-z0-9+-]*:(?!\d+(/|\Z))", url)


def _cache(text: str, where: Where, problems: Problems, *, pushes: bool) -> None:
    check_template(text.replace("{registry}", "x"), where, problems, refuse=OF_PLATFORM)
    if "{registry}" in text and not pushes:
        problems.add(where, "{registry} has no value: no [registries] is pushed to over the network")
    try:
        found = options(text)
    except (ValueError, csv.Error) as error:
        # What stands there may be a key: it is not repeated.
        problems.add(where, str(error), expected='text like "type=registry,ref={registry}/cache:{target},mode=max"')
        return
    kind = found.get("type", "")
    if kind not in CACHES:
        problems.add(where, f"{kind!r} is no type of cache", expected=f"type= one of {', '.join(CACHES)}")
        return
    needs = CACHES[kind] or (({"cache-to": ("dest",), "cache-from": ("src",)}[where[-1]]) if kind == "local" else ())
    for name in needs:
        if not found.get(name):
            problems.add(where, f"type={kind} needs {name}=")
    if found.get("mode", "min") not in ("min", "max"):
        problems.add(where, f"mode={found['mode']} is not known", expected="mode=min or mode=max")
    if kind == "inline" and where[-1] == "cache-from":
        problems.add(where, "type=inline is for cache-to", hint="write type=registry,ref= of the image that holds it")
    for name in found:
        if _SECRET.search(name):
            problems.add(where, f"{name} would put a secret into the file", hint="BuildKit reads it from the environment")


def _target(target: Target, image: Image, where: Where, root: Path, problems: Problems) -> None:
    own = image.dockerfile
    if image.compile == "host" and own == _NONE:
        return
    if image.compile == "buildkit":
        if target.cgo:
            problems.add(
                (*where, "compile"),
                "programs with cgo are not compiled in BuildKit",
                hint='take cgo out, or compile = "host"',
            )
        if target.engine != "embedded":
            problems.add((*where, "compile"), f"the programs are made by the engine {target.engine!r}", expected="host")
    where = (*where, "dockerfile")
    if own.path:
        _file(own.path, (*where, "path"), root, problems)
        for setting in ("packages", "distribution"):
            if getattr(own, setting):
                problems.add((*where, setting), "counts only in a Dockerfile that goctl writes", hint="take path out")
    if own.packages and image.base in ("scratch", "static"):
        problems.add(
            (*where, "packages"), f"{image.base!r} has no package manager", hint="set image.base to a distribution's image"
        )
    for package in own.packages:
        if not _PACKAGE.match(package):
            problems.add((*where, "packages"), f"{package!r} is no package", expected="a name as its distribution has it")
    _arguments(own, where, problems)


def _arguments(own: Dockerfile, where: Where, problems: Problems) -> None:
    for name, value in own.args.items():
        if not _ARGUMENT.match(name):
            problems.add((*where, "args", name), f"{name!r} is no argument", expected="letters, digits and _")
        elif name in OWN_ARGUMENTS:
            problems.add((*where, "args", name), f"{name} is given already", hint="use another name")
        if CONTROL.search(value):
            problems.add((*where, "args", name), "its value holds a line break or another control character")
        check_template(value, (*where, "args", name), problems, refuse=OF_PLATFORM)
    for name, source in own.secrets.items():
        if not _SECRET_ID.match(name):
            problems.add((*where, "secrets", name), f"{name!r} is no id", expected="letters, digits and . _ -")
        match = _SOURCE.match(source)
        if match is None or CONTROL.search(source):
            # What stands there may be the secret itself.
            problems.add((*where, "secrets", name), "names no source", expected='"env:NAME" or "file:PATH"')


def _file(path: str, where: Where, root: Path, problems: Problems) -> None:
    before = len(problems.found)
    check_inside(path, where, root, problems)
    if len(problems.found) == before and not (root / path).is_file():
        problems.add(where, f"there is no file {path!r}", hint="make it, or mend the path")
