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
from goctl.plan.facts import Base
from goctl.plan.images import SCRATCH, STATIC
from goctl.plan.model import Asset, ImageStep, IndexStep, Program
from goctl.system.files import inside
from goctl.values import Descriptor, Platform

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
        _refuse_clashes(self._places(step))
        compression = Compression(step.compression, step.compression_level, step.compressor)
        added = [(self._asset_layer(asset, base, compression), f"goctl: asset {asset.path}") for asset in step.assets]
        added += [
            (self._program_layer(program, inputs[program.step], base, compression), f"goctl: program {program.path}")
            for program in step.programs
        ]
        document = self._base_config(step, base)
        content = manifests.config(
            document, step.platform, step.settings, [layer.diff_id for layer, _ in added], [words for _, words in added]
        )
        config = Descriptor(manifests.CONFIG, self._host.blobs.add(content), len(content))
        layers = (*(manifests.oci_layer(layer) for layer in base.layers), *(layer.descriptor for layer, _ in added))
        content = manifests.manifest(config, layers, self._annotations(step, base))
        manifest = Descriptor(manifests.MANIFEST, self._host.blobs.add(content), len(content))
        return Image(step.platform, manifest, config, layers)

    def index(self, step: IndexStep, inputs: Mapping[str, Artifact]) -> Index:
        """A target's index over its images."""
        images = tuple(image for need in step.needs if isinstance(image := inputs[need], Image))
        content = manifests.index([(image.manifest, image.platform) for image in images], dict(step.annotations))
        return Index(Descriptor(manifests.INDEX, self._host.blobs.add(content), len(content)), images)

    def _base_config(self, step: ImageStep, base: Base) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(self._host.blobs.read(base.config.digest), type=dict[str, Any])
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

    def _asset_layer(self, asset: Asset, base: Base, compression: Compression) -> Layer:
        source = inside(self._host.root, asset.source, what="assets")
        content = ("asset", str(asset.digest), asset.path, f"{FILE_MODE:o}")
        # Each file's digest is compared as it is read, here and for programs: what was declared or compiled is what goes in,
        # whoever writes there meanwhile.
        return self._layer(content, lambda: asset_entries(source, asset.path, asset.digest), base, compression)

    def _program_layer(self, program: Program, binary: Artifact, base: Base, compression: Compression) -> Layer:
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
        return self._layer(content, lambda: [entry], base, compression)

    def _layer(
        self, content: tuple[str, ...], entries: Callable[[], list[Entry]], base: Base, compression: Compression
    ) -> Layer:
        without = frozenset() if is_built_in(base) else LINKED
        blobs, check = self._host.blobs, self._host.check

        def make() -> Layer:
            return write_layer(entries(), compression, blobs, check, without=without)

        return remembered((*content, *sorted(without)), compression, blobs, self._host.memo, make)


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
