"""The Plan: steps with keys, as data.

A step's key covers everything that can change its result, and nothing else. A compile step's key is known from the facts.
What comes after it is keyed by what came out of it: an image step's `recipe` covers all but its programs, and
`key(inputs)` adds the digests of these, so that an edit which leaves a program as it was ends there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from goctl.plan.facts import Base, File
from goctl.values import Digest, Platform


class Step(msgspec.Struct, frozen=True, tag_field="kind", rename="kebab", kw_only=True):
    """What all steps have: `id` is unique in a plan and stable between runs; `needs` are the ids of steps before it.

    `project` is named in the plan of a workspace alone; then targets are told as `project:target`.
    """

    id: str
    title: str
    project: str = ""
    engine: str = "embedded"
    needs: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The stage of `[release] stages` that this step belongs to."""
        raise NotImplementedError

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        """The step's key, given the digests of what the steps it needs brought forth; None while one is not known."""
        raise NotImplementedError


class CompileStep(Step, frozen=True, tag="compile", kw_only=True):
    """One main package for one platform. The result is a program file.

    `flags` are go build's own, in order (`-trimpath`, `-ldflags=...`); `env` is what is set besides the platform's
    variables; `cgo` is as ListingKey has it; `unit` names the module and settings it is compiled in, `group` is equal for
    steps of a unit that one `go build` can do together. `targets` are those that want the program, `outputs` the files that
    will hold it, one for each of them: paths as Binary has them.
    """

    package: str
    import_path: str
    file_name: str
    platform: Platform
    flags: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    group: str
    targets: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str = ""
    cgo: str = ""
    input: Digest | None
    fields: dict[str, str]

    @property
    def linked_name(self) -> str:
        """The name that go itself gives the program: without .wasm."""
        return self.file_name.removesuffix(".wasm") if self.platform.architecture == "wasm" else self.file_name

    @property
    def stage(self) -> str:
        return "build"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        return self.input


class Program(msgspec.Struct, frozen=True, rename="kebab"):
    """A program in an image or an archive: the compile step it comes from, and its path there (in an image absolute)."""

    step: str
    path: str


class Asset(msgspec.Struct, frozen=True, rename="kebab"):
    """Files added to an image: `source` relative to goctl.toml's folder, `path` absolute in the image, `digest` of names
    and contents (None: it could not be read).
    """

    source: str
    path: str
    digest: Digest | None


class Settings(msgspec.Struct, frozen=True, rename="kebab", kw_only=True):
    """What goes into an image's config and manifest, templates filled in. None means the base's own."""

    user: str | None = None
    working_directory: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    created: int = 0


class Baking(msgspec.Struct, frozen=True, rename="kebab", kw_only=True):
    """What of an image only a Dockerfile has, templates filled in.

    `dockerfile` is the project's own, where there is one; `secrets` are ids; each cache is a list of options; `inside` are
    the programs that are compiled while the image is built, which are no steps of the plan.
    """

    dockerfile: str = ""
    packages: tuple[str, ...] = ()
    distribution: str = ""
    args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    cache_from: tuple[tuple[tuple[str, str], ...], ...] = ()
    cache_to: tuple[tuple[tuple[str, str], ...], ...] = ()
    inside: tuple[CompileStep, ...] = ()


class ImageStep(Step, frozen=True, tag="image", kw_only=True):
    """One target's image for one platform: base, a layer per asset, a layer per program, config and manifest.

    `compression` is gzip or zstd; `compressor` names the library and version whose bytes these are. `baking` is None where
    a Dockerfile would hold nothing besides.
    """

    target: str
    platform: Platform
    base_reference: str
    base: Base | None
    programs: tuple[Program, ...]
    assets: tuple[Asset, ...]
    settings: Settings
    compression: str
    compression_level: int
    compressor: str
    baking: Baking | None = None
    recipe: Digest | None
    fields: dict[str, str]

    @property
    def stage(self) -> str:
        return "image"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        from goctl.plan.keys import combine

        if self.recipe is None or any(need not in inputs for need in self.needs):
            return None
        return combine("image", self.recipe, *(inputs[need] for need in self.needs))


class IndexStep(Step, frozen=True, tag="index", kw_only=True):
    """One target's index over its images of all platforms."""

    target: str
    annotations: tuple[tuple[str, str], ...] = ()
    recipe: Digest

    @property
    def stage(self) -> str:
        return "image"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        from goctl.plan.keys import combine

        if any(need not in inputs for need in self.needs):
            return None
        return combine("index", self.recipe, *(inputs[need] for need in self.needs))


class PushStep(Step, frozen=True, tag="push", kw_only=True):
    """One target's index, with all it points to, to one registry, under its tags.

    A push has no key: what the registry answers decides whether there is anything to do.
    """

    target: str
    registry: str
    repository: str
    tags: tuple[str, ...]

    @property
    def stage(self) -> str:
        return "push"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        return None


class DeployStep(Step, frozen=True, tag="deploy", kw_only=True):
    """All that was pushed, brought to run in a cluster: `deployment` is the name of its `[deploy]` table, `cluster` the
    kubeconfig's name for where it goes, `manifests` are sources below goctl.toml's folder (none: they are made).

    A deployment has no key: every object is looked up in the cluster.
    """

    target: str = ""
    deployment: str
    cluster: str
    namespace: str
    manifests: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        return "deploy"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        return None


class ArchiveStep(Step, frozen=True, tag="archive", kw_only=True):
    """One target's archive for one platform: its programs, and files of the project.

    `path` is the archive's, as Binary has it; `folder` is the one that everything in it lies in, or empty; the paths of
    `programs` and `files` count from there. `created` is the time of all that is in it, in seconds since the epoch. `format`
    is tar.gz, tar.zst or zip; `compressor` names the library and version whose bytes these are.
    """

    target: str
    platform: Platform
    path: str
    folder: str
    programs: tuple[Program, ...]
    files: tuple[File, ...]
    created: int
    format: str
    compression_level: int
    compressor: str
    recipe: Digest
    fields: dict[str, str]

    @property
    def stage(self) -> str:
        return "archive"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        from goctl.plan.keys import combine

        if any(need not in inputs for need in self.needs):
            return None
        return combine("archive", self.recipe, *(inputs[need] for need in self.needs))


class ChecksumsStep(Step, frozen=True, tag="checksums", kw_only=True):
    """The file with the sha256 of every archive. `path` is its own, as Binary has it; `names` are the files of the archives
    it needs, in that order; `others` those of the project's archives that were not chosen, which keep their lines.

    It has no key: the file tells whether there is anything to do.
    """

    target: str = ""
    path: str
    names: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        return "archive"

    def key(self, inputs: Mapping[str, Digest]) -> Digest | None:
        return None


AnyStep = CompileStep | ImageStep | IndexStep | ArchiveStep | ChecksumsStep | PushStep | DeployStep


class Skipped(msgspec.Struct, frozen=True, rename="kebab"):
    """What was not planned although the configuration could be read so, and why (an image for Windows without a base)."""

    what: str
    why: str


class Plan(msgspec.Struct, frozen=True, rename="kebab", kw_only=True):
    """Steps in an order that respects `needs`. `unknown` says in words which facts were missing for a full plan."""

    project: str
    version: str | None
    steps: tuple[AnyStep, ...]
    skipped: tuple[Skipped, ...] = ()
    unknown: tuple[str, ...] = ()

    def of(self, *stages: str) -> Iterator[AnyStep]:
        return (step for step in self.steps if step.stage in stages)

    def by_id(self) -> dict[str, AnyStep]:
        return {step.id: step for step in self.steps}
