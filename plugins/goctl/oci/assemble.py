"""Images and indexes from their steps: base, a layer for each asset, a layer for each program, config, manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from goctl.contracts import Artifact, Binary, Host, Image, Index
from goctl.errors import ImageError
from goctl.oci import manifests
from goctl.oci.assets import asset_digest, asset_entries
from goctl.oci.layers import Compression, Layer, remembered, write_layer
from goctl.oci.tar import FILE_MODE, Entry
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
        _refuse_clashes(step)
        compression = Compression(step.compression, step.compression_level, step.compressor)
        added = [(self._asset_layer(asset, compression), f"goctl: asset {asset.path}") for asset in step.assets]
        added += [
            (self._program_layer(program, inputs[program.step], compression), f"goctl: program {program.path}")
            for program in step.programs
        ]
        document = self._base_config(step)
        content = manifests.config(
            document, step.platform, step.settings, [layer.diff_id for layer, _ in added], [words for _, words in added]
        )
        config = Descriptor(manifests.CONFIG, self._host.blobs.add(content), len(content))
        layers = (*(manifests.oci_layer(layer) for layer in base.layers), *(layer.descriptor for layer, _ in added))
        content = manifests.manifest(config, layers, self._annotations(step))
        manifest = Descriptor(manifests.MANIFEST, self._host.blobs.add(content), len(content))
        return Image(step.platform, manifest, config, layers)

    def index(self, step: IndexStep, inputs: Mapping[str, Artifact]) -> Index:
        """A target's index over its images."""
        images = tuple(image for need in step.needs if isinstance(image := inputs[need], Image))
        content = manifests.index([(image.manifest, image.platform) for image in images], dict(step.annotations))
        return Index(Descriptor(manifests.INDEX, self._host.blobs.add(content), len(content)), images)

    def _base_config(self, step: ImageStep) -> dict[str, Any]:
        if step.base is None:
            return {}
        document = msgspec.json.decode(self._host.blobs.read(step.base.config.digest))
        found = Platform.parse(f"{document.get('os', 'linux')}/{document.get('architecture', step.platform.architecture)}")
        if (found.os, found.architecture) != (step.platform.os, step.platform.architecture):
            raise ImageError(
                f"the base {step.base_reference} is for {found}, not for {step.platform}",
                hint='take a base that has this platform, or set platforms."OS/ARCH".base',
            )
        return dict(document)

    def _annotations(self, step: ImageStep) -> dict[str, str]:
        own = dict(step.settings.annotations)
        if step.base is None or step.base.reference in (SCRATCH, STATIC):
            return own
        return {BASE_NAME: step.base.reference.partition("@")[0], BASE_DIGEST: step.base.digest, **own}

    def _asset_layer(self, asset: Asset, compression: Compression) -> Layer:
        source = inside(self._host.root, asset.source, what="assets")

        def make() -> Layer:
            if asset_digest(source) != asset.digest:
                raise ImageError(f"the asset {asset.source} was edited during the release", hint="run it again")
            layer = write_layer(asset_entries(source, asset.path), compression, self._host.blobs, self._host.check)
            if asset_digest(source) != asset.digest:
                raise ImageError(f"the asset {asset.source} was edited during the release", hint="run it again")
            return layer

        return remembered(("asset", str(asset.digest), asset.path), compression, self._host.blobs, self._host.memo, make)

    def _program_layer(self, program: Program, binary: Artifact, compression: Compression) -> Layer:
        if not isinstance(binary, Binary):
            raise ImageError(f"{program.step} gave no program for {program.path}")
        path = self._host.root / binary.path
        content = ("program", binary.digest, program.path, f"{FILE_MODE:o}")

        # The digest is compared as the file is read: what was compiled is what goes in, whoever writes to dist/ meanwhile.
        entry = Entry(name=program.path.strip("/"), source=path, expected=binary.digest)

        def make() -> Layer:
            return write_layer([entry], compression, self._host.blobs, self._host.check)

        return remembered(content, compression, self._host.blobs, self._host.memo, make)


def _refuse_clashes(step: ImageStep) -> None:
    seen: dict[str, str] = {}
    for path, what in _paths(step):
        if path in seen:
            raise ImageError(f"{seen[path]} and {what} would both be at {path}", hint="give one of them another path")
        seen[path] = what


def _paths(step: ImageStep) -> Iterator[tuple[str, str]]:
    yield from ((asset.path.rstrip("/"), f"the asset {asset.source}") for asset in step.assets)
    yield from ((program.path, f"the program of {program.step}") for program in step.programs)
