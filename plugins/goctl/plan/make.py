"""`make(config, facts)`: the whole plan, from values alone.

Targets become compile steps (one for each distinct package, platform and set of flags, shared by all targets that want
it), image steps, an index step each, archive steps and one for their checksums, and a push step for each registry.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

import msgspec

from goctl.config.deploy import context_of
from goctl.config.model import ArchiveDefaults, Config, Image, Target
from goctl.errors import ConfigError
from goctl.plan import keys
from goctl.plan.archives import archive_step, checksums_steps
from goctl.plan.baking import EMBEDDED, compiles_inside
from goctl.plan.facts import Facts, ListingKey, Main, Toolchain
from goctl.plan.goflags import declared_flags, go_flags
from goctl.plan.images import image_step, index_step
from goctl.plan.model import AnyStep, ArchiveStep, CompileStep, DeployStep, Plan, PushStep, Skipped
from goctl.plan.naming import Names
from goctl.plan.systems import file_name, no_image
from goctl.values import Digest, Platform

#: Flags of GOFLAGS that leave what is compiled as it is, or that goctl sets itself.
_HARMLESS = re.compile(r"--?(?:buildvcs|trimpath|v|x|p|n|json|mod|modcacherw|work)(?:=.*)?\Z")


def make(config: Config, facts: Facts, chosen: Mapping[str, tuple[Platform, ...]]) -> Plan:
    """The plan for the chosen platforms of the chosen targets.

    Pure: the same values give the same plan. Raises ConfigError where a template has no value.
    """
    builder = _Builder(config, facts)
    for name, platforms in chosen.items():
        builder.add(name, config.targets[name], platforms)
    unknown = []
    if facts.toolchain is None and facts.listings is None:
        unknown.append("no Go toolchain was found: the keys of compile steps are unknown")
    elif facts.listings is None:
        unknown.append("the packages could not be listed: the keys of compile steps are unknown")
    return Plan(
        project=config.project.name,
        version=facts.version,
        steps=(
            *builder.compiles.values(),
            *builder.images,
            *builder.indexes,
            *builder.archives,
            *checksums_steps(config, facts, builder.archives),
            *builder.pushes,
            *_deploy_steps(config, builder.pushes),
        ),
        skipped=tuple(builder.skipped),
        unknown=tuple(unknown),
    )


def _deploy_steps(config: Config, pushes: Sequence[AnyStep]) -> list[DeployStep]:
    """The deployment that `release.deploy` names, after every push."""
    name = config.release.deploy
    if name not in config.deploy or not pushes:
        return []
    deploy = config.deploy[name]
    return [
        DeployStep(
            id=f"deploy:{name}",
            title=f"deploy {name} to {context_of(deploy.cluster)}",
            needs=tuple(step.id for step in pushes),
            deployment=name,
            cluster=context_of(deploy.cluster),
            namespace=deploy.namespace,
            manifests=deploy.manifests,
        )
    ]


def listing_key(config: Config, target: Target, platform: Platform) -> ListingKey:
    """What `go list` must be told for a target on a platform."""
    return ListingKey(
        platform=platform,
        tags=tuple(sorted(set(target.build_tags))),
        flags=tuple(flag for flag in declared_flags(config, target, platform) if re.match(r"--?mod(=|\Z)", flag)),
        env=_environment(config, target, platform),
        cgo=f"zig:{target.libc}" if target.cgo == "zig" else str(target.cgo or ""),
    )


def _environment(config: Config, target: Target, platform: Platform) -> tuple[tuple[str, str], ...]:
    """Variables of the compiler besides the platform's own: [go], then the platform, then the target, each over the last."""
    settings = config.platforms.settings.get(str(platform))
    return tuple(sorted((config.go.env | (settings.env if settings else {}) | target.env).items()))


def unit_of(config: Config) -> str:
    """The module that a project's programs are compiled in, and a digest of what else [go] says of how. Projects of one unit
    are listed and compiled together.
    """
    go = config.go
    told = ("toolchain", go.toolchain, "proxy", *go.proxy, "private", *go.private, "env")
    told += tuple(text for name, value in sorted(go.env.items()) for text in (name, value))
    return f"{posixpath.normpath(go.directory)}#{keys.combine('unit', *told).hex[:12]}"


class _Builder:
    """Collects the steps of a plan, target by target."""

    def __init__(self, config: Config, facts: Facts) -> None:
        self.config = config
        self.facts = facts
        self.compiles: dict[tuple[str, str, str], CompileStep] = {}
        self.images: list[AnyStep] = []
        self.indexes: list[AnyStep] = []
        self.archives: list[ArchiveStep] = []
        self.pushes: list[AnyStep] = []
        self.skipped: list[Skipped] = []
        self._dist = posixpath.normpath(config.release.dist.replace("\\", "/"))
        self._ids: set[str] = set()
        # What [go] says of GOFLAGS is in the toolchain's flags already.
        self._counted = {(name, value) for name, value in config.go.env.items() if name == "GOFLAGS"}
        self._toolchain_fields = {} if facts.toolchain is None else toolchain_fields(facts.toolchain)

    def add(self, name: str, target: Target, platforms: tuple[Platform, ...]) -> None:
        children = []
        for platform in platforms:
            # Archives are packed from dist/, wherever the image's programs are compiled.
            inside = compiles_inside(target) and not isinstance(target.archive, ArchiveDefaults)
            compiles = self._compile(name, target, platform, {} if inside else self.compiles)
            if isinstance(target.archive, ArchiveDefaults):
                self.archives.append(archive_step(self.config, self.facts, name, platform, compiles))
            why = no_image(self.config, target, platform)
            if why:
                if isinstance(target.image, Image):
                    self.skipped.append(Skipped(f"image {name}@{platform}", why))
                continue
            children.append(image_step(self.config, self.facts, name, platform, compiles))
        if not children or not isinstance(target.image, Image):
            return
        self.images.extend(children)
        index = index_step(self.config, self.facts, name, tuple(child.id for child in children))
        self.indexes.append(index)
        self._push(name, target.image, index.id)

    def _names(self, name: str, platform: Platform | None = None) -> Names:
        return Names(self.facts, project=self.config.project.name, target=name, platform=platform)

    def _compile(
        self, name: str, target: Target, platform: Platform, into: dict[tuple[str, str, str], CompileStep]
    ) -> list[CompileStep]:
        """The steps that compile a target's programs. Those that are in the plan already are shared."""
        env = _environment(self.config, target, platform)
        names = self._names(name, platform)
        flags = go_flags(self.config, target, platform, names, self.facts.toolchain)
        key = listing_key(self.config, target, platform)
        told = (*flags, *(f"{k}={v}" for k, v in env), *(("cgo", key.cgo) if key.cgo else ()))
        group = keys.combine("group", target.engine, str(platform), *told).hex[:16]
        steps = []
        for pattern in target.packages:
            for main in self._mains(target, platform, pattern):
                slot = (main.import_path, group, name if target.engine != EMBEDDED else "")
                step = into.get(slot)
                if step is None:
                    step = self._new_compile(target, key, pattern, main, flags, group)
                    self._ids.update({step.id} if into is self.compiles else ())
                if name not in step.targets:
                    output = posixpath.join(self._dist, name, platform.slug, step.file_name)
                    step = msgspec.structs.replace(step, targets=(*step.targets, name), outputs=(*step.outputs, output))
                into[slot] = step
                if step not in steps:
                    steps.append(step)
        _check_names(name, steps)
        return steps

    def _mains(self, target: Target, platform: Platform, pattern: str) -> tuple[Main, ...]:
        # Another engine's programs are not looked into: only what comes out of it tells.
        if self.facts.listings is None or target.engine != EMBEDDED:
            return (Main(import_path=pattern, name=pattern, digest=Digest.of(b"")),)
        return self.facts.listings[listing_key(self.config, target, platform)].mains[pattern]

    def _new_compile(
        self,
        target: Target,
        key: ListingKey,
        pattern: str,
        main: Main,
        flags: tuple[str, ...],
        group: str,
    ) -> CompileStep:
        platform, env = key.platform, key.env
        fields = self._compile_fields(target, key, main, flags)
        known = target.engine == EMBEDDED and self.facts.listings is not None and self.facts.toolchain is not None
        known = known and (not key.cgo or key in self.facts.cgo)
        id = f"compile:{main.import_path}@{platform}"
        if id in self._ids:
            id = f"{id}#{group}"
        return CompileStep(
            id=id,
            title=f"compile {main.import_path} for {platform}",
            engine=target.engine,
            package=pattern,
            import_path=main.import_path,
            file_name=file_name(program_name(main.import_path), platform),
            platform=platform,
            flags=flags,
            env=env,
            group=group,
            unit=unit_of(self.config),
            cgo=key.cgo,
            targets=(),
            outputs=(),
            input=keys.of_fields("compile", fields) if known else None,
            fields=fields,
        )

    def _compile_fields(self, target: Target, key: ListingKey, main: Main, flags: tuple[str, ...]) -> dict[str, str]:
        """All that can change a program."""
        return {
            "engine": target.engine,
            "package": main.import_path,
            "platform": str(key.platform),
            "source": main.digest,
            **{f"flag {number}": flag for number, flag in enumerate(flags)},
            **{
                f"environment {name}": keys.shown(name, value)
                for name, value in key.env
                if (name, value) not in self._counted
            },
            **(self._toolchain_fields if target.engine == EMBEDDED else {}),
            **({"cgo": f"{key.cgo} {self.facts.cgo.get(key, '')}"} if key.cgo else {}),
        }

    def _push(self, name: str, image: Image, index: str) -> None:
        names = self._names(name)
        tags = tuple(dict.fromkeys(names.fill_tag(tag) for tag in self.config.publish.tags))
        pushed = tuple(name for name, registry in self.config.registries.items() if registry.push)
        for registry in self.config.publish.to or pushed:
            self.pushes.append(
                PushStep(
                    id=f"push:{name}>{registry}",
                    title=f"push {name} to {registry}",
                    needs=(index,),
                    target=name,
                    registry=registry,
                    repository=names.fill(image.repository or name),
                    tags=tags,
                )
            )


def _check_names(target: str, steps: Sequence[CompileStep]) -> None:
    """Raises ConfigError where a pattern found two programs of one name: both would be the same file, in dist/ and in the
    image. Names are compared as a case-insensitive disk would."""
    programs: dict[str, str] = {}
    for step in steps:
        other = programs.setdefault(step.file_name.lower(), step.import_path)
        if other != step.import_path:
            raise ConfigError(
                f"targets.{target}: {other} and {step.import_path} would both be called {step.file_name!r}",
                hint="put them into two targets, or rename one folder",
            )


def toolchain_fields(toolchain: Toolchain) -> dict[str, str]:
    """What of the toolchain enters a compile step's key."""
    flags = " ".join(flag for flag in toolchain.flags if not _HARMLESS.match(flag))
    return {
        "toolchain": toolchain.version,
        **({"GOFLAGS": flags} if flags else {}),
        **{f"go env {name}": value for name, value in toolchain.settings.items()},
    }


def program_name(import_path: str) -> str:
    """The name go build gives a program: the import path's last element, or the one before a major version (`v2`)."""
    elements = import_path.rstrip("/").split("/")
    if len(elements) > 1 and re.fullmatch(r"v[0-9]+", elements[-1]):
        elements.pop()
    return elements[-1]
