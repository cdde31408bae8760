"""What a goctl.toml need not say, filled in: names, targets, a registry, repositories, and where a member's output goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from goctl.config import members
from goctl.config.discover import discover
from goctl.config.layers import Source
from goctl.config.model import ArchiveDefaults, Config, Image, Registry, Release, Target


def complete(config: Config, folder: Path, root: Path, source: Source, shared: str) -> Config:
    """What a file need not say: the project's name, its targets, a registry, repositories, and its place in the folder
    that it shares with others.
    """
    name = config.project.name or members.folder_name(folder)
    changes: dict[str, Any] = {"project": msgspec.structs.replace(config.project, name=name)}
    targets = config.targets
    # A workspace's file is a project too where it declares targets; else it only holds others.
    tree = source.tree(source.overlay)
    if "targets" not in tree and not config.workspace.members:
        image = Image(**msgspec.structs.asdict(config.image))
        archive = (
            ArchiveDefaults(**{name: getattr(config.archive, name) for name in ArchiveDefaults.__struct_fields__})
            if "archive" in tree
            else False
        )
        found = _discover(config, folder, root, source)
        targets = {name: msgspec.structs.replace(target, image=image, archive=archive) for name, target in found.items()}
        source.discovered.update(targets)
    is_member = source.above is not None
    if is_member:
        targets = {one: _with_own_files(target, folder, root) for one, target in targets.items()}
    changes["targets"] = {
        one: msgspec.structs.replace(target, image=msgspec.structs.replace(target.image, repository=repository))
        if isinstance(target.image, Image) and not target.image.repository
        else target
        for one, target in targets.items()
        # In a workspace, targets of several projects may well have one name.
        for repository in [f"{name}/{one}" if is_member and one != name else one]
    }
    if not any(registry.push for registry in config.registries.values()):
        local = Registry(url=f"oci-layout:{config.release.dist}/images")
        changes["registries"] = {"local": local, **config.registries}
    if shared:
        changes["release"] = msgspec.structs.replace(config.release, dist=f"{shared}/{name}")
    return msgspec.structs.replace(config, **changes)


def shared_output(config: Config, source: Source) -> str:
    """The folder that members of a workspace share for what they make; empty for a project that has one of its own."""
    if source.above is None:
        return ""
    if ("release", "dist") in source.variables:
        return config.release.dist
    if source.says(("release", "dist")):
        return ""
    release = source.above.tree(source.above.overlay).get("release", {})
    dist = release.get("dist") if isinstance(release, dict) else None
    return dist if isinstance(dist, str) and dist else Release().dist


def _with_own_files(target: Target, folder: Path, root: Path) -> Target:
    """Where nobody said what archives hold, a member's hold its own README, and its own license or the workspace's."""
    archive = target.archive
    if not isinstance(archive, ArchiveDefaults) or archive.files != ArchiveDefaults().files:
        return target
    own = folder.relative_to(root).as_posix()
    has_license = next(folder.glob("LICENSE*"), None) is not None
    files = (f"{own}/README*", f"{own}/LICENSE*" if has_license else "LICENSE*")
    return msgspec.structs.replace(target, archive=msgspec.structs.replace(archive, files=files))


def _discover(config: Config, folder: Path, root: Path, source: Source) -> dict[str, Target]:
    """Targets of a file that declares none: below go.directory, or for a member of a larger module below its own folder."""
    module = Path(os.path.normpath(root / config.go.directory))
    if source.above is None or module.is_relative_to(folder):
        return discover(module)
    member = folder.relative_to(root).as_posix()
    directory = module.relative_to(root).as_posix() if module.is_relative_to(root) else config.go.directory
    return {
        name: msgspec.structs.replace(
            target, packages=tuple(members.moved(pattern, member, directory) for pattern in target.packages)
        )
        for name, target in discover(folder).items()
    }
