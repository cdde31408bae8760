"""What types cannot say: names, paths, references, flags and templates that no plan could be made from."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from goctl.config.convert import Problems, suggestion
from goctl.config.flags import check_environment, check_flags
from goctl.config.members import is_pattern, matches, member_files
from goctl.config.model import Config, Image, ImageDefaults, Target
from goctl.config.names import CONTROL, Where, check_inside, check_name, holds
from goctl.config.registries import check_registry
from goctl.config.template import OF_PLATFORM, names
from goctl.values import ImageRef, Platform, is_repository, is_tag

_STAMPED = ("version", "git.sha", "git.short", "git.branch", "date")


def check(config: Config, root: Path, problems: Problems, folder: Path | None = None) -> None:
    """Adds a problem for everything in a configuration that cannot be carried out. Starts nothing. `folder` is that of a
    member, in the workspace's `root`."""
    folder = folder or root
    check_name(config.project.name or "x", ("project", "name"), problems)
    for name in config.project.needs:
        check_name(name, ("project", "needs"), problems)
    # What a member says of others is refused as a whole.
    if folder == root:
        _workspace(config, root, problems)
    check_inside(config.go.directory, ("go", "directory"), root, problems)
    check_inside(config.release.dist, ("release", "dist"), root, problems, beside=folder)
    check_environment(config.go.env, ("go", "env"), problems)
    for number, value in enumerate((*config.go.proxy, *config.go.private)):
        if CONTROL.search(value) or "," in value or " " in value:
            problems.add(
                ("go",), f"{value!r} in proxy or private holds a comma or a space", hint=f"write entry {number + 1} alone"
            )
    if re.match(r"-", config.go.toolchain):
        problems.add(("go", "toolchain"), f"{config.go.toolchain!r} is no path", expected="auto, a constraint or a path")
    for pattern in config.go.generate:
        _package(pattern, ("go", "generate"), problems)
    _platforms(config.platforms.default, ("platforms", "default"), problems)
    for name, settings in config.platforms.settings.items():
        check_environment(settings.env, ("platforms", name, "env"), problems)
        check_flags(settings.flags, ("platforms", name, "flags"), problems)
        if settings.base is not None:
            _platform_base(settings.base, name.partition("/")[0], ("platforms", name, "base"), problems)
    _image_defaults(config.image, ("image",), problems)
    for name, target in config.targets.items():
        _target(name, target, root, problems)
    _images(config, problems)
    for name, registry in config.registries.items():
        check_registry(name, registry, root, folder, problems)
    _publish(config, problems)


def _workspace(config: Config, root: Path, problems: Problems) -> None:
    for setting in ("members", "exclude"):
        for pattern in getattr(config.workspace, setting):
            where = ("workspace", setting)
            if not is_pattern(pattern):
                problems.add(
                    where, f"{pattern!r} is no pattern of folders below this one", expected='text like "services/*"'
                )
            elif setting == "members" and not matches(root, pattern):
                problems.add(
                    where, f"no folder that {pattern!r} names has a goctl.toml", hint="write one, or mend the pattern"
                )
    dist = os.path.normpath(os.path.join(root, config.release.dist))
    for file in member_files(
        root, {"workspace": {"members": config.workspace.members, "exclude": config.workspace.exclude}}
    ):
        if holds(dist, str(file.parent)):
            member = file.parent.relative_to(root).as_posix()
            problems.add(
                ("release", "dist"),
                f"{config.release.dist!r} holds the project in {member}",
                expected="a folder that holds nothing but what is made",
            )


def _target(name: str, target: Target, root: Path, problems: Problems) -> None:
    where: Where = ("targets", name)
    check_name(name, where, problems)
    if not target.packages:
        problems.add((*where, "packages"), "is empty", expected="at least one main package")
    programs: dict[str, str] = {}
    for pattern in target.packages:
        _package(pattern, (*where, "packages"), problems)
        program = _program(pattern)
        if "..." not in pattern and program not in ("", "."):
            if program in programs:
                problems.add(
                    (*where, "packages"),
                    f"{programs[program]} and {pattern} would both be called {program!r}",
                    hint="put them into two targets, or rename one folder",
                )
            programs[program] = pattern
    _platforms(target.platforms, (*where, "platforms"), problems)
    check_flags(target.flags, (*where, "flags"), problems)
    check_environment(target.env, (*where, "env"), problems)
    for tag in target.build_tags:
        if not re.fullmatch(r"[A-Za-z0-9_.]+", tag):
            problems.add((*where, "build-tags"), f"{tag!r} is no build tag", expected="letters, digits, _ and .")
    _cgo(target, where, problems)
    allowed = target.stamp == "binary"
    for flag in target.ldflags:
        check_template(flag, (*where, "ldflags"), problems, None if allowed else 'stamp = "binary"')
        if CONTROL.search(flag):
            problems.add((*where, "ldflags"), "a flag holds a line break or another control character")
    if isinstance(target.image, Image):
        _image(target, target.image, (*where, "image"), root, problems)


def _cgo(target: Target, where: Where, problems: Problems) -> None:
    if target.cgo is True:
        problems.add((*where, "cgo"), "says not which C compiler", expected='false, "zig" or "host"')
    if not re.fullmatch(r"musl|gnu(\.[0-9]+){0,3}", target.libc):
        problems.add((*where, "libc"), f"{target.libc!r} is no C library", expected="musl, gnu or gnu.VERSION")
    elif target.libc != "musl" and target.cgo != "zig":
        problems.add((*where, "libc"), 'counts only with cgo = "zig"')


def _program(pattern: str) -> str:
    """The name go gives a package's program: the last element, or the one before a major version."""
    elements = pattern.rstrip("/").lower().split("/")
    if len(elements) > 1 and re.fullmatch(r"v([2-9]|[1-9][0-9]+)", elements[-1]):
        elements.pop()
    return elements[-1]


def _image(target: Target, image: Image, where: Where, root: Path, problems: Problems) -> None:
    _image_defaults(image, where, problems)
    if image.repository:
        check_template(image.repository, (*where, "repository"), problems, refuse=OF_PLATFORM)
        if not is_repository(sample(image.repository)):
            problems.add((*where, "repository"), f"{image.repository!r} is no repository", expected="lower-case name/name")
    for source, path in image.assets.items():
        check_inside(source, (*where, "assets", source), root, problems)
        if not path.startswith("/") or ".." in path.split("/") or CONTROL.search(path) or "\\" in path:
            problems.add(
                (*where, "assets", source), f"{path!r} is no path in an image", expected="an absolute path like /srv/www"
            )
    for name, value in image.env.items():
        check_template(value, (*where, "env", name), problems, None if target.stamp == "binary" else 'stamp = "binary"')
    for kind in ("labels", "annotations"):
        for name, value in getattr(image, kind).items():
            stamped = None if target.stamp != "none" else 'stamp = "label" (or "binary")'
            check_template(value, (*where, kind, name), problems, stamped)
    for part in (*(image.entrypoint or ()), *image.command):
        if "\0" in part:
            problems.add(where, "an argument holds a NUL")


def _image_defaults(image: ImageDefaults, where: Where, problems: Problems) -> None:
    _base(image.base, (*where, "base"), problems)
    most = {"gzip": 12, "zstd": 19}[image.compression]
    if image.compression_level > most:
        problems.add((*where, "compression-level"), f"{image.compression_level} is too high", expected=f"1 to {most}")
    for port in image.ports:
        _port(port, (*where, "ports"), problems)
    if image.working_directory is not None and not posixpath.isabs(image.working_directory):
        problems.add((*where, "working-directory"), f"{image.working_directory!r} is relative", expected="an absolute path")
    for kind in ("env", "labels", "annotations"):
        for name, value in getattr(image, kind).items():
            if not name or CONTROL.search(name) or "=" in name:
                problems.add((*where, kind, name), f"{name!r} is no name", expected="text without = and control characters")
            if "\0" in value:
                problems.add((*where, kind, name), "its value holds a NUL")
            check_template(value, (*where, kind, name), problems)
    if image.user is not None and not re.fullmatch(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?", image.user):
        problems.add((*where, "user"), f"{image.user!r} is no user", expected="NAME, UID, or either with :GROUP")


def _publish(config: Config, problems: Problems) -> None:
    registries = tuple(config.registries)
    if not any(registry.push for registry in config.registries.values()):
        registries += ("local",)
    for name in dict.fromkeys(config.publish.to):
        if name not in registries:
            problems.add(("publish", "to"), f"{name!r} is no registry", hint=suggestion(name, registries))
    for tag in config.publish.tags:
        check_template(tag, ("publish", "tags"), problems, refuse=OF_PLATFORM)
        if not is_tag(sample(tag)):
            problems.add(("publish", "tags"), f"{tag!r} is no tag", expected="up to 128 letters, digits, _ . -")
    if not config.publish.tags:
        problems.add(("publish", "tags"), "is empty", expected="at least one tag")


def _platforms(texts: tuple[str, ...], where: Where, problems: Problems) -> None:
    seen: dict[str, str] = {}
    for text in texts:
        try:
            platform = str(Platform.parse(text))
        except ValueError as error:
            problems.add(where, str(error))
            continue
        if platform in seen:
            problems.add(where, f"{seen[platform]!r} and {text!r} are the same platform", hint="remove one of them")
        seen[platform] = text


def _images(config: Config, problems: Problems) -> None:
    """What indexes cannot name: the platforms of each target with an image, and the default ones where any has those."""
    named = {name: target.platforms for name, target in config.targets.items() if isinstance(target.image, Image)}
    for name, platforms in named.items():
        _one_image_each(platforms, ("targets", name, "platforms"), problems)
    if not all(named.values()):
        _one_image_each(config.platforms.default, ("platforms", "default"), problems)


def _one_image_each(texts: tuple[str, ...], where: Where, problems: Problems) -> None:
    """An index can name one image for each platform that OCI has words for."""
    seen: dict[str, str] = {}
    for text in texts:
        try:
            platform = Platform.parse(text)
        except ValueError:
            continue  # said already
        other = seen.setdefault(str(platform.plain), str(platform))
        if platform.os in ("linux", "windows") and other != str(platform):
            problems.add(
                where,
                f"{other} and {platform} are the same platform to those who pull: {platform.plain}",
                hint="put one of them into another target, or set image = false",
            )


def _platform_base(base: str, system: str, where: Where, problems: Problems) -> None:
    _base(base, where, problems)
    if system not in ("linux", "windows"):
        problems.add(where, f"no images are made for {system}", hint="take it out")
    elif system == "windows" and base in ("scratch", "static"):
        problems.add(
            where,
            f"{base!r} is no base of Windows: its programs start on Microsoft's bases only",
            expected="an image like mcr.microsoft.com/windows/nanoserver:ltsc2022",
        )


def _package(pattern: str, where: Where, problems: Problems) -> None:
    if not pattern or pattern.startswith("-") or CONTROL.search(pattern) or "\\" in pattern or "@" in pattern:
        problems.add(
            where, f"{pattern!r} is no package", expected='"./cmd/api", an import path or a pattern like "./cmd/..."'
        )
    elif ".." in [part for part in pattern.split("/") if part != "..."]:
        problems.add(where, f"{pattern!r} leaves the module", hint="set go.directory to the module's folder")
    elif os.path.isabs(pattern):
        problems.add(where, f"{pattern!r} is absolute", expected="a path from go.mod's folder, as ./cmd/api")


def _base(text: str, where: Where, problems: Problems) -> None:
    if text in ("scratch", "static") or text.startswith("oci-layout:"):
        return
    if "@" in text and not re.search(r"\A[^@]*@sha(256|512):[0-9a-f]*\Z", text):
        # What stands before it may be a password: the text is not repeated.
        problems.add(where, "it holds an @ that is no digest's", expected="host/name[:tag][@sha256:...]")
        return
    try:
        ImageRef.parse(text)
    except ValueError as error:
        problems.add(where, str(error), expected="scratch, static, or an image reference")


def _port(port: int | str, where: Where, problems: Problems) -> None:
    match = re.fullmatch(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?", str(port))
    if match is None or not 1 <= int(match[1]) <= 65535:
        problems.add(where, f"{port!r} is no port", expected='1 to 65535, or as text "53/udp"')


def check_template(
    text: str, where: Where, problems: Problems, needs: str | None = None, refuse: tuple[str, ...] = ()
) -> None:
    """Known names only. With `needs`, version and commit are an error that says which setting would allow them."""
    try:
        found = names(text)
    except ValueError as error:
        problems.add(where, str(error))
        return
    for name in found:
        if name in refuse:
            problems.add(where, f"{{{name}}} has no value here: a name stands for all platforms")
        elif needs is not None and name in _STAMPED:
            problems.add(
                where,
                f"{{{name}}} would change with every commit",
                expected=needs,
                hint="without it, unchanged code keeps its digests",
            )


def sample(text: str) -> str:
    """A template with something harmless in place of its names, to look at the rest."""
    return re.sub(r"\{[^{}]*\}", "x", text)
