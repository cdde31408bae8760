"""Images and indexes from their steps: base, a layer for each asset, a layer for each program, config, manifest."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from goctl.contracts import Artifact, Binary, Host, Image, Index
from goctl.errors import ImageError
from goctl.oci import manifests
from goctl.oci.assets import asset_entries, asset_files, place
from goctl.oci.elf import interpreter
from goctl.oci.layers import Compression, Layer, remembered, write_layer
from goctl.oci.tar import FILE_MODE, LINKED, Entry
from goctl.oci.windows import folded, windows_entries
from goctl.plan.facts import Base
from goctl.plan.model import Asset, ImageStep, IndexStep, Program
from goctl.plan.systems import SCRATCH, STATIC
from goctl.system.files import inside
from goctl.values import Descriptor, Platform, from_json

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


class Assembler:
    """Assembles in this process. Content goes to the host's blob store; the base's content must be there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def image(self, step: ImageStep, inputs: Mapping[str, Artifact]) -> Image:
        """One platform's image. Raises ImageError when an asset or program is not what the plan says it is."""
        base = step.base
        if base is None:
            raise ImageError(f"the base {step.base_reference!r} of {step.target} is not known for {step.platform}")
        if _is_windows(step) and is_built_in(base):
            raise ImageError(
                f"{base.reference} is no base for {step.platform}: Windows starts programs on its own bases only",
                hint=f'set platforms."{step.platform}".base',
            )
        _refuse_clashes(folded(self._places(step)) if _is_windows(step) else self._places(step))
        added = [(self._asset_layer(step, base, asset), f"goctl: asset {asset.path}") for asset in step.assets]
        added += [
            (self._program_layer(step, base, program, inputs[program.step]), f"goctl: program {program.path}")
            for program in step.programs
        ]
        document = self._base_config(step, base)
        platform = _platform(step, document)
        content = manifests.config(
            document, platform, step.settings, [layer.diff_id for layer, _ in added], [words for _, words in added]
        )
        config = Descriptor(manifests.CONFIG, self._host.blobs.add(content), len(content))
        layers = (*(manifests.oci_layer(layer) for layer in base.layers), *(layer.descriptor for layer, _ in added))
        content = manifests.manifest(config, layers, self._annotations(step, base))
        manifest = Descriptor(manifests.MANIFEST, self._host.blobs.add(content), len(content))
        return Image(platform, manifest, config, layers)

    def index(self, step: IndexStep, inputs: Mapping[str, Artifact]) -> Index:
        """A target's index over its images."""
        images = tuple(image for need in step.needs if isinstance(image := inputs[need], Image))
        content = manifests.index([(image.manifest, image.platform) for image in images], dict(step.annotations))
        return Index(Descriptor(manifests.INDEX, self._host.blobs.add(content), len(content)), images)

    def _base_config(self, step: ImageStep, base: Base) -> dict[str, Any]:
        try:
            document = from_json(self._host.blobs.read(base.config.digest), dict[str, Any])
            made_for = f"{document.get('os') or 'linux'}/{document.get('architecture') or step.platform.architecture}"
            found = Platform.parse(made_for)
        except ValueError as error:
            raise ImageError(f"the config of the base {step.base_reference} cannot be used: {error}") from error
        if (found.os, found.architecture) != (step.platform.os, step.platform.architecture):
            raise ImageError(
                f"the base {step.base_reference} is for {found}, not for {step.platform}",
                hint='take a base that has this platform, or set platforms."OS/ARCH".base',
            )
        return document

    def _annotations(self, step: ImageStep, base: Base) -> dict[str, str]:
        own = dict(step.settings.annotations)
        if is_built_in(base):
            return own
        if base.reference.startswith("oci-layout:"):  # a folder here is no name to anybody else
            return {BASE_DIGEST: base.digest, **own}
        return {BASE_NAME: base.reference.partition("@")[0], BASE_DIGEST: base.digest, **own}

    def _places(self, step: ImageStep) -> Iterator[tuple[str, bool, str]]:
        """Every path that a step adds to an image: the path, whether it is a folder, and what it comes from."""
        for asset in step.assets:
            what = f"the asset {asset.source}"
            for name, path in asset_files(inside(self._host.root, asset.source, what="assets")):
                where = place(asset.path, name)
                if path is not None and not name and (asset.path.endswith("/") or not where):
                    raise ImageError(f"{what} is a file, and {asset.path} names a folder", hint="write the file's own path")
                yield where, path is None, what
        yield from ((place(program.path, ""), False, f"the program of {program.step}") for program in step.programs)

    def _asset_layer(self, step: ImageStep, base: Base, asset: Asset) -> Layer:
        source = inside(self._host.root, asset.source, what="assets")
        content = ("asset", str(asset.digest), asset.path, f"{FILE_MODE:o}")
        # Each file's digest is compared as it is read, here and for programs: what was declared or compiled is what goes in,
        # whoever writes there meanwhile.
        return self._layer(step, base, content, lambda: asset_entries(source, asset.path, asset.digest))

    def _program_layer(self, step: ImageStep, base: Base, program: Program, binary: Artifact) -> Layer:
        if not isinstance(binary, Binary):
            raise ImageError(f"{program.step} gave no program for {program.path}")
        source = self._host.root / binary.path
        if is_built_in(base) and (loader := interpreter(source)):
            raise ImageError(
                f"{program.path} is linked dynamically and needs {loader}, which the base {base.reference} has not",
                hint='take a base with a C library, or link statically (cgo = "zig" with libc = "musl" does)',
            )
        entry = Entry(name=place(program.path, ""), source=source, expected=binary.digest)
        content = ("program", binary.digest, program.path, f"{FILE_MODE:o}")
        return self._layer(step, base, content, lambda: [entry])

    def _layer(self, step: ImageStep, base: Base, content: tuple[str, ...], entries: Callable[[], list[Entry]]) -> Layer:
        compression = Compression(step.compression, step.compression_level, step.compressor)
        on_windows = _is_windows(step)
        without = frozenset() if is_built_in(base) or on_windows else LINKED
        blobs, check = self._host.blobs, self._host.check

        def make() -> Layer:
            made = windows_entries(entries()) if on_windows else entries()
            return write_layer(made, compression, blobs, check, without=without)

        # What these words stand for changes the bytes of a layer.
        content += ("windows",) if on_windows else tuple(sorted(without))
        return remembered(content, compression, blobs, self._host.memo, make)


def _is_windows(step: ImageStep) -> bool:
    return step.platform.os == "windows"


def _platform(step: ImageStep, document: Mapping[str, Any]) -> Platform:
    """The platform that an image is for, in OCI's words; on Windows with the base's version of it.

    Windows runs an image with process isolation only where its own version is that one (image-spec, os.version).
    """
    platform = step.platform.plain
    if not _is_windows(step):
        return platform
    version = document.get("os.version")
    if not isinstance(version, str) or not version:
        raise ImageError(f"the base {step.base_reference} says no os.version in its config", hint="take a base of Windows")
    return msgspec.structs.replace(platform, os_version=version)


def is_built_in(base: Base) -> bool:
    """Whether a base is made in process, so that all of its folders are known."""
    return base.reference in (SCRATCH, STATIC)


def _refuse_clashes(places: Iterable[tuple[str, bool, str]]) -> None:
    """Raises ImageError for two files at one path, and for a file where something else needs a folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path, is_folder, what in places:
        other = files.get(path) or ("" if is_folder else folders.get(path, ""))
        if other:
            raise ImageError(f"{other} and {what} would both be at /{path}", hint="give one of them another path")
        (folders if is_folder else files).setdefault(path, what)
        above = posixpath.dirname(path)
        while above and above not in folders:
            if above in files:
                raise ImageError(f"{files[above]} would be at /{above}, and {what} needs a folder there")
            folders[above] = what
            above = posixpath.dirname(above)
