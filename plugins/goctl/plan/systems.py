r"""What is different from one operating system to the next: names of programs, who has images, and paths and users in them.

goctl.toml says paths of images in one way, `/srv/www`; on Windows that is `C:\srv\www`.
"""

from __future__ import annotations

import posixpath
import re

from goctl.config.model import Config, Image, Target
from goctl.plan.select import platforms_of
from goctl.values import Platform

SCRATCH, STATIC = "scratch", "static"
#: Where programs are. Linux has /usr/local/bin in its PATH; Windows has no folder for what somebody else brings.
_PROGRAM_FOLDERS = {"linux": "/usr/local/bin", "windows": "/app"}
#: Users that Linux images have and Windows images have not: there, the base's own is kept.
_LINUX_USER = re.compile(r"([0-9]+|root|nobody|nonroot)(:.*)?\Z")


def file_name(program: str, platform: Platform) -> str:
    """A program's file: with .exe as Go and Windows want it, with .wasm as those who run WebAssembly expect."""
    if platform.os == "windows":
        return f"{program}.exe"
    return f"{program}.wasm" if platform.architecture == "wasm" else program


def no_image(config: Config, target: Target, platform: Platform) -> str:
    """Why a target has no image on a platform, in words; empty where it has one."""
    if not isinstance(target.image, Image):
        return "image = false"
    if platform.os == "linux":
        return ""
    if platform.os != "windows":
        return f"only programs are made for {platform.os}: images are for linux and windows"
    settings = config.platforms.settings.get(str(platform))
    if settings is not None and settings.base is not None:
        return ""
    # The base of a target for several systems is one of Linux, as a rule; that of a target for Windows alone is not.
    if target.image.base not in (SCRATCH, STATIC) and all(one.os == "windows" for one in platforms_of(config, target)):
        return ""
    return f'an image for Windows needs a base of Windows: set platforms."{platform}".base'


def program_path(name: str, platform: Platform) -> str:
    """Where a program is in an image, with forward slashes and without a drive."""
    return f"{_PROGRAM_FOLDERS[platform.os]}/{name}"


def shown_path(path: str, platform: Platform) -> str:
    """An absolute path of an image as its own system writes it."""
    if platform.os != "windows" or not path.startswith("/"):
        return path
    return "C:" + posixpath.normpath("/" + path.lstrip("/")).replace("/", "\\")


def entrypoint(words: tuple[str, ...], programs: tuple[str, ...], platform: Platform) -> tuple[str, ...]:
    """What a container starts. A program of the image may be named by its path on Linux, whatever the platform."""
    if platform.os != "windows" or not words:
        return words
    first = shown_path(words[0], platform)
    for path in programs:
        if words[0] == f"{_PROGRAM_FOLDERS['linux']}/{posixpath.basename(path).removesuffix('.exe')}":
            first = shown_path(path, platform)
    return (first, *words[1:])


def user(name: str | None, platform: Platform) -> str | None:
    """The user a program runs as; None for the base's own."""
    if platform.os == "windows" and name is not None and _LINUX_USER.match(name):
        return None
    return name
