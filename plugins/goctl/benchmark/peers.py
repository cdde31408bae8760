"""Others, beside goctl: plain `go build`, ko with its cache on, and buildx bake; each on a machine of its own, in the rounds
that are goctl's too.

They do less: `go build` makes no images, ko no archives, bake pushes nothing. Flags are those of the targets, as far as the
other knows them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from goctl.benchmark.machine import Machine
from goctl.benchmark.measure import command
from goctl.benchmark.program import Images
from goctl.benchmark.states import State
from goctl.config.model import Config, Target
from goctl.errors import ConfigError, ToolchainError
from goctl.measures import Sample
from goctl.plan.goenv import go_environment
from goctl.plan.select import platforms_of
from goctl.system.process import run
from goctl.testing import Registry
from goctl.values import Digest, Platform

_OCI: Final = "application/vnd.oci.image"


class Build(msgspec.Struct, frozen=True):
    """Packages that one command builds: those that share platform, flags and environment."""

    platform: Platform
    flags: tuple[str, ...]
    env: tuple[tuple[str, str], ...]


def go_build(machine: Machine) -> Sample:
    """`go build -trimpath -o DIR/ PACKAGE...`, one after the other for each platform and set of flags."""
    made = []
    for number, (build, packages) in enumerate(_builds(machine).items()):
        output = machine.outputs / f"{number}-{build.platform.slug}"
        output.mkdir(parents=True, exist_ok=True)
        words = ["go", "build", "-trimpath", *build.flags, "-o", f"{output}/", *packages]
        made.append(command(words, _module(machine), {**machine.env, **dict(build.env)}))
    return Sample(sum(one.seconds for one in made), sum(one.cpu for one in made))


def ko(machine: Machine) -> Sample:
    """`ko build`, once for each set of platforms, on an empty base; without a bill of materials: goctl makes none either."""
    config = machine.config
    groups: dict[tuple[str, ...], dict[str, None]] = {}
    for target in _targets(machine).values():
        if target.image is not False:
            platforms = tuple(str(each) for each in platforms_of(config, target) if each.os == "linux")
            groups.setdefault(platforms, {}).update(dict.fromkeys(target.packages))
    env = {
        **machine.env,
        "KO_DOCKER_REPO": f"{machine.registry.address}/ko",
        "KOCACHE": str(machine.outputs / "kocache"),
        "KO_DEFAULTBASEIMAGE": f"{machine.registry.address}/base:latest",
    }
    machine.outputs.mkdir(exist_ok=True)
    made = []
    for platforms, packages in groups.items():
        plant(machine.registry, platforms)
        words = ["ko", "build", f"--platform={','.join(platforms)}", "--base-import-paths", "--sbom=none", *packages]
        made.append(command(words, _module(machine), env))
    return Sample(sum(one.seconds for one in made), sum(one.cpu for one in made))


def bake(machine: Machine) -> Sample:
    """`docker buildx bake` with the files that `invoke bake` writes, which compile in their Dockerfiles.

    Images end in files: a builder need not reach a registry on this machine's loopback.
    """
    file = machine.root / machine.config.release.dist / "docker-bake.json"
    if not file.exists():
        select = [word for one in machine.select for word in ("--select", one)]
        command([sys.executable, "-m", "invoke", "bake", *select], machine.folder, machine.env)
    machine.outputs.mkdir(exist_ok=True)
    words = ["docker", "buildx", "bake", "--builder", machine.config.buildkit.builder, "--progress", "plain"]
    words += ["--file", str(file), "--allow", f"fs.write={machine.outputs}"]
    for target in json.loads(file.read_bytes())["target"]:
        words += ["--set", f"{target}.output=type=oci,dest={machine.outputs / target}.tar"]
    return command(words, machine.root, machine.env)


class Contender(msgspec.Struct, frozen=True):
    """Who is measured, and how; `name` is empty for goctl as its settings have it. One that builds `images` with BuildKit is
    measured in states that empty nothing alone.
    """

    name: str
    run: Callable[[Machine], Sample]
    images: Images = ""

    def takes_part(self, state: State) -> bool:
        return not self.images or state.is_full


OURS: Final = Contender("", Machine.release)
#: By the command that has to be on PATH.
PEERS: Final = {"go": Contender("go", go_build), "ko": Contender("ko", ko)}


def present(config: Config) -> list[Contender]:
    """The peers whose commands are on PATH; bake where there is a builder, for a project of which one bake file is made."""
    found = [peer for program, peer in PEERS.items() if shutil.which(program)]
    if not config.workspace.members and has_builder(config.buildkit.builder):
        found.append(Contender("bake", bake, "bake"))
    return found


def engine(config: Config) -> Contender:
    """The BuildKit engine of goctl itself. Raises ConfigError where its builder is not there: no benchmark makes one."""
    if not has_builder(config.buildkit.builder):
        raise ConfigError(
            f"there is no builder {config.buildkit.builder!r}",
            hint="make it, with `invoke builder.create`, or leave --buildkit out",
        )
    return Contender("buildkit", Machine.release, "buildkit")


def has_builder(name: str) -> bool:
    """Whether buildx is here, and knows a builder of this name."""
    try:
        return (
            bool(name) and bool(shutil.which("docker")) and run(("docker", "buildx", "inspect", name), timeout=60).code == 0
        )
    except ToolchainError:
        return False


def _module(machine: Machine) -> Any:
    return machine.root / machine.config.go.directory


def _targets(machine: Machine) -> Mapping[str, Target]:
    """The targets that are released: those that [benchmark] select names, as far as names go."""
    names = {one.partition("@")[0] for one in machine.select}
    config = machine.config
    return {name: target for name, target in config.targets.items() if not names or name in names}


def _builds(machine: Machine) -> dict[Build, list[str]]:
    config = machine.config
    found: dict[Build, dict[str, None]] = {}
    for target in _targets(machine).values():
        # Templates in ldflags are goctl's own: what they come to has no part in what a build takes.
        flags = [*target.flags, *([f"-tags={','.join(target.build_tags)}"] if target.build_tags else [])]
        flags += [f"-ldflags={' '.join(target.ldflags)}"] if target.ldflags else []
        for platform in platforms_of(config, target):
            env = {**config.go.env, **go_environment(platform), **target.env}
            build = Build(platform, tuple(flags), tuple(sorted(env.items())))
            found.setdefault(build, {}).update(dict.fromkeys(target.packages))
    return {build: list(packages) for build, packages in found.items()}


def plant(registry: Registry, platforms: tuple[str, ...]) -> None:
    """Puts a base of one empty layer, for these platforms, into a registry: `base:latest`."""
    repository = registry.holdings.repository("base")
    layer = _put(registry, bytes(1024))  # the end of a tar archive (POSIX: two blocks of zeros), and nothing before it
    repository.blobs.add(layer)
    entries = []
    for platform in map(Platform.parse, platforms):
        words = {"architecture": platform.architecture, "os": platform.os}
        words |= {"variant": platform.variant} if platform.variant else {}
        config = json.dumps({**words, "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer]}}).encode()
        repository.blobs.add(_put(registry, config))
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": {"mediaType": f"{_OCI}.config.v1+json", "digest": Digest.of(config), "size": len(config)},
                "layers": [{"mediaType": f"{_OCI}.layer.v1.tar", "digest": layer, "size": 1024}],
            }
        ).encode()
        digest = _put(registry, manifest)
        repository.manifests[digest] = f"{_OCI}.manifest.v1+json"
        entries.append({"mediaType": f"{_OCI}.manifest.v1+json", "digest": digest, "size": len(manifest), "platform": words})
    index = json.dumps({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries}).encode()
    digest = _put(registry, index)
    repository.manifests[digest] = f"{_OCI}.index.v1+json"
    repository.tags["latest"] = digest


def _put(registry: Registry, content: bytes) -> str:
    digest = Digest.of(content)
    contents = registry.holdings.contents
    if contents.size(digest) is None:
        file = contents.begin()
        file.write(content)
        file.flush()
        contents.commit(file, digest)
    return digest
