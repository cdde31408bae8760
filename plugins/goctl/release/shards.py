"""`--shard` and `merge`: a release on several machines. Each makes its part and pushes it under no name; then one of them
joins the parts into indexes, and gives the names.

A shard leaves `dist/shards/1-of-4/`: what it made, and the layers too where a destination is on one machine alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.contracts import Archive, Artifact, Image
from goctl.errors import ConfigError, ImageError, StorageError
from goctl.events import Notice, RunStarted
from goctl.plan.model import ChecksumsStep, ImageStep, IndexStep, Plan, PushStep
from goctl.plan.shard import Costs, Shard, Slot, identity
from goctl.release import costs
from goctl.release.extensions import scheme
from goctl.release.publish import Publisher
from goctl.release.walk import Results
from goctl.system.files import inside, move, storage_errors, write_atomic
from goctl.system.ledger import Ledger, digest_of
from goctl.values import Descriptor, Digest, from_json, to_json

if TYPE_CHECKING:
    from goctl.cache.store import Blobs
    from goctl.release.crew import Crew
    from goctl.release.session import Session

NAME = "shard.json"
FOLDER = "shards"
_FORMAT = 2


class Part(msgspec.Struct, frozen=True, rename="kebab", kw_only=True):
    """What one shard made. `split` is equal for all shards of one release; `steps` are those that the merge needs, of the
    whole plan; `images`, `archives` and `spent` (seconds) are by step id, `costs` is what was measured.
    """

    format: int
    number: int
    count: int
    split: Digest
    project: str
    version: str | None
    steps: tuple[ImageStep | IndexStep | ChecksumsStep | PushStep, ...]
    images: dict[str, Image]
    archives: dict[str, Archive]
    spent: dict[str, float]
    costs: Costs


def own_steps(plan: Plan, part: Iterable[Slot], project: str) -> Plan:
    """The steps of a plan that one shard takes: no index, and no names."""
    slots = {str(slot) for slot in part}
    kept = []
    for step in plan.steps:
        if isinstance(step, IndexStep | ChecksumsStep | PushStep):
            continue
        targets: Sequence[str] = getattr(step, "targets", None) or (getattr(step, "target", ""),)
        platform = getattr(step, "platform", None)
        taken = [target for target in targets if f"{_qualified(target, project)}@{platform}" in slots]
        if taken and hasattr(step, "outputs"):
            outputs = tuple(output for target, output in zip(targets, step.outputs, strict=True) if target in taken)
            kept.append(msgspec.structs.replace(step, targets=tuple(taken), outputs=outputs))
        elif taken:
            kept.append(step)
    return msgspec.structs.replace(plan, steps=tuple(kept))


def _qualified(target: str, project: str) -> str:
    return target if ":" in target else f"{project}:{target}"


def split_of(plan: Plan, parts: Sequence[Sequence[Slot]]) -> Digest:
    """The identity of a split: shards that were made from other commits or settings have another."""
    told = [step for step in plan.steps if isinstance(step, IndexStep | ChecksumsStep | PushStep)]
    return identity(parts, to_json(told).decode())


def publish(crew: Crew, plan: Plan, own: Plan, results: Results) -> None:
    """Sends a shard's images everywhere, under no name but their digests."""
    publisher = Publisher(crew, plan)
    try:
        for step in own.steps:
            if isinstance(step, ImageStep):
                artifact = results.artifacts[step.id]
                if isinstance(artifact, Image):
                    publisher.begin(step, artifact)
        publisher.sent()
    finally:
        publisher.close()


def write(crew: Crew, shard: Shard, split: Digest, plan: Plan, own: Plan, results: Results) -> None:
    """Leaves what a shard made in dist/shards/."""
    images = {id: artifact for id, artifact in results.artifacts.items() if isinstance(artifact, Image)}
    archives = {id: artifact for id, artifact in results.artifacts.items() if isinstance(artifact, Archive)}
    folder = crew.first.output / FOLDER / f"{shard.number}-of-{shard.count}"
    with storage_errors(str(folder)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _export(crew, images.values(), folder / "blobs", whole=_needs_content(crew, plan))
        for archive in archives.values():
            _link(crew.first.root / archive.path, folder / "files" / archive.digest.hex)
    part = Part(
        format=_FORMAT,
        number=shard.number,
        count=shard.count,
        split=split,
        project=plan.project,
        version=plan.version,
        steps=tuple(step for step in plan.steps if isinstance(step, ImageStep | IndexStep | ChecksumsStep | PushStep)),
        images=images,
        archives=archives,
        spent=dict(results.seconds),
        costs=costs.of_plan(own, results.spent, results.cached, crew.name),
    )
    write_atomic(folder / NAME, to_json(part))
    crew.first.emit(Notice(f"shard {shard}: {len(images)} images, told in {folder / NAME}", level="info"))


def _needs_content(crew: Crew, plan: Plan) -> bool:
    """Whether some destination is no registry, so that other machines cannot see what was put there."""
    pushes = [step for step in plan.steps if isinstance(step, PushStep)]
    return not pushes or any(
        scheme(crew.host(step).config.registries[step.registry].url)[0] != "registry" for step in pushes
    )


def _blobs(crew: Crew) -> Blobs:
    from goctl.cache.store import Blobs

    blobs = crew.first.blobs
    if not isinstance(blobs, Blobs):
        raise TypeError("a session keeps blobs in a folder")
    return blobs


def _content(images: Iterable[Image]) -> dict[Digest, Descriptor]:
    return {blob.digest: blob for image in images for blob in (image.manifest, image.config, *image.layers)}


def _documents(images: Iterable[Image]) -> dict[Digest, Descriptor]:
    return {blob.digest: blob for image in images for blob in (image.manifest, image.config)}


def _export(crew: Crew, images: Iterable[Image], folder: Path, *, whole: bool) -> None:
    """Leaves manifests and configs, which name what is there; and layers, where others cannot have them from elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    store = _blobs(crew)
    for digest, blob in (_content(images) if whole else _documents(images)).items():
        if not store.has(digest, blob.size):
            raise ImageError(f"the content of {digest} is gone from the store", hint="run the shard again")
        _link(store.path(digest), folder / digest.hex)


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def merge(crew: Crew, folders: Sequence[str]) -> None:
    """Joins the shards of one release: indexes over all their images, and the names that these get.

    Raises ConfigError where the shards are not all there, or not of one release.
    """
    parts = _read(crew, folders)
    first = parts[0][1]
    plan = Plan(project=first.project, version=first.version, steps=first.steps)
    crew.first.emit(RunStarted("merge", plan.project, len(plan.steps)))
    for folder, part in parts:
        _import(crew, folder / "blobs", part.images.values())
        for archive in part.archives.values():
            _bring(crew.first, archive, folder / "files" / archive.digest.hex)
    artifacts: dict[str, Artifact] = {id: one for _, part in parts for id, one in (part.images | part.archives).items()}
    lacking = [
        need
        for step in plan.steps
        if not isinstance(step, ImageStep | PushStep)
        for need in step.needs
        if need not in artifacts
    ]
    if lacking:
        raise ConfigError(f"no shard made {', '.join(lacking[:5])}", hint="run the shards again, all from one commit")
    spent = {id: seconds for _, part in parts for id, seconds in part.spent.items()}
    results = Results({**artifacts, **_joined(crew, plan, artifacts)}, frozenset(), spent, costs.Spent())
    publisher = Publisher(crew, plan)
    try:
        # What is not on this machine is in the registries, or cannot be had.
        publisher.finish(results, again=lambda _: results)
    finally:
        publisher.close()
    costs.learn(crew.first.state, costs.joined(part.costs for _, part in parts))


def _joined(crew: Crew, plan: Plan, made: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The steps over what several shards made: indexes, and the files of checksums."""
    found: dict[str, Artifact] = {}
    for step in plan.steps:
        if isinstance(step, IndexStep | ChecksumsStep):
            for outcome in crew.host(step).engine(step.engine).run([step], {need: made[need] for need in step.needs}):
                if outcome.error is not None:
                    raise outcome.error
                if outcome.artifact is not None:
                    found[step.id] = outcome.artifact
    return found


def _read(crew: Crew, folders: Sequence[str]) -> list[tuple[Path, Part]]:
    """The parts in their order, checked to be one release."""
    root = crew.first.output / FOLDER
    places = [crew.first.root / folder for folder in folders] or (sorted(root.iterdir()) if root.is_dir() else [])
    if not places:
        raise ConfigError("there are no shards to merge", hint=f"name their folders; they are made below {root} by --shard")
    parts = sorted(((place, _part(place)) for place in places), key=lambda pair: pair[1].number)
    first = parts[0][1]
    for place, part in parts:
        if (part.split, part.count) != (first.split, first.count):
            raise ConfigError(
                f"{place} and {parts[0][0]} are not of one release: commit, settings, selection or costs differ",
                hint="run all shards from one commit, with the same options and the same .goctl/costs.json",
            )
    there = [part.number for _, part in parts]
    missing = sorted(set(range(1, first.count + 1)) - set(there))
    if missing or len(set(there)) != len(there):
        what = f"shards {', '.join(map(str, missing))} of {first.count} are missing" if missing else "a shard is there twice"
        raise ConfigError(what, hint="name each shard's folder once")
    return parts


def _part(place: Path) -> Part:
    file = place / NAME if place.is_dir() else place
    try:
        part = from_json(file.read_bytes(), Part)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is no shard's result: {error}", hint="run that shard again") from error
    if part.format != _FORMAT:
        raise ConfigError(f"{file} was written by another version of goctl", hint="use one version for all shards")
    return part


def _bring(session: Session, archive: Archive, source: Path) -> None:
    """Puts an archive of a shard where the release has it, verified."""
    place = session.root / archive.path
    if place.is_file() and digest_of(place) == archive.digest:
        return
    inside(session.root, archive.path, what="the shard's result")
    with storage_errors(str(place)):
        session.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="merge.", dir=session.scratch) as folder:
            beside = Path(shutil.copyfile(source, Path(folder, "archive")))
            if digest_of(beside) != archive.digest:
                raise StorageError(f"{source} is damaged", hint="run that shard again")
            place.parent.mkdir(parents=True, exist_ok=True)
            move(beside, place)
    Ledger(session.memo, session.root, session.scratch).made(place, archive.digest)


def _import(crew: Crew, folder: Path, images: Iterable[Image]) -> None:
    """Brings a shard's content into the store, verified; what it did not leave is in the registries."""
    if not folder.is_dir():
        return
    for digest, blob in _content(images).items():
        if crew.first.blobs.has(digest, blob.size):
            continue
        source = folder / digest.hex
        if source.is_file():
            with open(source, "rb") as file, crew.first.blobs.writer() as writer:
                while piece := file.read(1 << 20):
                    writer.write(piece)
                writer.commit(digest)
