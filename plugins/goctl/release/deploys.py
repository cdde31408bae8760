"""The stage `deploy`, and what is near to it: manifests with the digests of what was just published, printed or applied.

All that can be known beforehand is checked before anything is built: that the manifests can be read, that their references
name targets, that there is such a context, and a registry that nodes can pull from.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from goctl.cluster.manifests import STDIN, Manifest, load
from goctl.cluster.references import Reference, references, resolved, unknown
from goctl.config.cluster import Cluster
from goctl.config.deploy import Deploy, context_of, seconds
from goctl.config.model import Image
from goctl.errors import ConfigError
from goctl.events import Document, StageStarted, StepFinished
from goctl.oci.static import NONROOT
from goctl.plan.model import CompileStep, ImageStep, Plan
from goctl.plan.systems import SCRATCH
from goctl.release import sites, strategies
from goctl.release.sites import Site
from goctl.values import Platform, to_json

if TYPE_CHECKING:
    from goctl.cluster.verification import Subject
    from goctl.release.crew import Crew
    from goctl.release.publish import Push
    from goctl.release.run import Request
    from goctl.release.session import Session

#: Tasks that end with manifests.
TASKS = ("deploy", "apply", "resolve")


class Published(msgspec.Struct, frozen=True):
    """One target as it is now in one registry: name@digest, that of each platform's own image, and what a Deployment needs
    to know of it."""

    project: str
    target: str
    registry: str
    reference: str
    images: tuple[tuple[Platform, str], ...]
    import_paths: tuple[str, ...]
    user: str
    ports: tuple[str, ...]

    @property
    def platforms(self) -> tuple[Platform, ...]:
        return tuple(platform for platform, _ in self.images)


class Aim(msgspec.Struct, frozen=True):
    """What one project has to deploy, and where; `where` is None when manifests are only printed."""

    session: Session
    where: Site | None
    registry: str
    manifests: tuple[Manifest, ...]
    files: tuple[str, ...]


class Deploys:
    """What one command line deploys. Made before anything is built, carried out as projects are published."""

    def __init__(self, crew: Crew, request: Request, projects: Iterable[str]) -> None:
        self._crew = crew
        self._request = request
        self._published: list[Published] = []
        self._version: dict[str, str] = {}
        self._stdin = sys.stdin.read() if STDIN in request.files and sys.stdin is not None else ""
        self._aims = {project: aim for project in projects if (aim := self._aim(crew.sessions[project])) is not None}
        if request.deploy and not self._aims:
            raise ConfigError(f"there is no [deploy.{request.deploy}]", location=crew.first.loaded.place("deploy"))

    def __contains__(self, project: str) -> bool:
        return project in self._aims

    @property
    def targets(self) -> tuple[str, ...]:
        """The selections of targets: those asked for; else, of manifests that were named, the targets that they name. ko's
        references name packages, which only a plan knows."""
        request = self._request
        found = [one for aim in self._aims.values() for one in references(aim.manifests)]
        if request.task == "deploy" or request.task not in TASKS or request.select or not request.files:
            return request.select
        return () if any(one.scheme == "ko" for one in found) else tuple(dict.fromkeys(one.name for one in found))

    def add(self, made: Plan, pushes: Sequence[Push]) -> None:
        """Takes note of what was published."""
        steps = made.by_id()
        for push in pushes:
            session = self._crew.host(push.step)
            images = [one for id in steps[push.step.needs[0]].needs if isinstance(one := steps[id], ImageStep)]
            compiles = [one for image in images for id in image.needs if isinstance(one := steps[id], CompileStep)]
            settings = images[0].settings
            registry = session.destination(push.step.registry)
            self._published.append(
                Published(
                    session.config.project.name,
                    push.step.target.rpartition(":")[2],
                    push.step.registry,
                    registry.reference(push.step.repository, digest=push.index.digest),
                    tuple(
                        (image.platform, registry.reference(push.step.repository, digest=image.digest))
                        for image in push.index.images
                    ),
                    tuple(dict.fromkeys(one.import_path for one in compiles)),
                    settings.user or (str(NONROOT) if images[0].base_reference == SCRATCH else ""),
                    settings.ports,
                )
            )
        self._version |= {made.project: made.version or ""}

    def carry_out(self, projects: Iterable[str]) -> None:
        """Prints, applies or deploys what these projects have. Raises with the first that cannot be."""
        for project in projects:
            aim = self._aims.get(project)
            if aim is None:
                continue
            manifests = self._resolved(aim)
            if self._request.task == "resolve":
                _print(aim.session, manifests)
            elif aim.where is not None:
                self._deploy(aim, aim.where, manifests)

    def _aim(self, session: Session) -> Aim | None:
        """What a project has to deploy; None where it deploys nothing in this run."""
        request, config = self._request, session.config
        where: Site | None = None
        if request.task in TASKS:
            if request.task != "resolve" or request.deploy or (config.deploy and not request.files):
                where = sites.site(session, request.deploy)
        elif request.deploy in config.deploy or (not request.deploy and config.release.deploy):
            where = sites.site(session, request.deploy)
        else:
            return None
        if request.since:
            raise ConfigError("a deployment is of everything, and --since is not", hint="leave one of them out")
        files = request.files or (where.settings.manifests if where is not None else ())
        if request.select and not files and request.task in ("release", "deploy"):
            raise ConfigError(
                "a deployment without manifests is of every target",
                hint="leave --select out, or name manifests in its table",
            )
        loaded = load(files, session.root, stdin=[self._stdin]) if files else []
        self._check(session, loaded)
        if where is not None and request.task != "resolve":
            from goctl.cluster.kubeconfig import find

            cluster = where.settings.cluster
            find(context_of(cluster), sites.environment(session, cluster))
            strategies.rules(session, where)
        registry = sites.registry_of(session, where.settings if where is not None else None)
        return Aim(session, where, registry, tuple(loaded), tuple(files))

    def _check(self, session: Session, manifests: Sequence[Manifest]) -> None:
        """References to targets that there are not are told before anything is built; ko's need the packages."""
        own = session.config.project.name

        def known(reference: Reference) -> str:
            project, _, target = reference.name.rpartition(":")
            config = self._crew.configs.get(project or own)
            if reference.scheme == "goctl" and (
                config is None or not isinstance(getattr(config.targets.get(target), "image", None), Image)
            ):
                raise unknown(reference, session.config.targets)
            return str(reference)

        resolved(manifests, known)

    def _names(self, aim: Aim) -> tuple[dict[str, str], dict[str, str]]:
        """What was published to a deployment's registry, by the names of targets and by import paths."""
        own = aim.session.config.project.name
        names: dict[str, str] = {}
        paths: dict[str, str] = {}
        for one in self._published:
            if one.registry == aim.registry:
                names[f"{one.project}:{one.target}"] = one.reference
                if one.project == own:
                    names[one.target] = one.reference
                # The image of several programs is that of its first.
                for path in one.import_paths[:1]:
                    paths.setdefault(path, one.reference)
        return names, paths

    def _resolved(self, aim: Aim) -> list[Manifest]:
        names, paths = self._names(aim)

        def resolve(reference: Reference) -> str:
            known = names if reference.scheme == "goctl" else paths
            if reference.name not in known:
                raise unknown(reference, known)
            return known[reference.name]

        if aim.files:
            return resolved(aim.manifests, resolve)
        return self._made(aim)

    def _made(self, aim: Aim) -> list[Manifest]:
        """What goctl makes of each image where there are no manifests."""
        from goctl.cluster import defaults

        settings = aim.where.settings if aim.where is not None else Deploy(cluster=Cluster())
        own = aim.session.config.project.name
        return [
            manifest
            for one in self._published
            if one.registry == aim.registry and one.project == own
            for manifest in defaults.manifests(
                defaults.Workload(
                    name=one.target,
                    project=own,
                    image=one.reference,
                    platforms=one.platforms,
                    ports=one.ports,
                    user=one.user,
                    replicas=settings.replicas,
                    probe=settings.probe,
                    drain=int(seconds(settings.drain) or 0),
                    grace=int(seconds(settings.grace) or 0),
                )
            )
        ]

    def _deploy(self, aim: Aim, where: Site, manifests: Sequence[Manifest]) -> None:
        from goctl.cluster.deployment import Wanted

        session, request = aim.session, self._request
        if not manifests:
            raise ConfigError(f"there is nothing to deploy to {where.name}: no manifests, and no images")
        context = context_of(where.settings.cluster)
        session.emit(
            StageStarted(request.task if request.task == "apply" else "deploy", f"deploy {where.name} to {context}")
        )
        own = session.config.project.name
        published = [one for one in self._published if one.registry == aim.registry and one.project == own]
        wanted = Wanted(
            manifests=tuple(manifests),
            version=self._version.get(own, ""),
            images={one.target: one.reference for one in published},
            login=sites.login(session, where),
            subjects=_subjects(published) if "architecture" in where.settings.verify else (),
        )
        rules = strategies.rules(session, where, force=request.force_conflicts, prune=request.prune)
        started = time.perf_counter()
        with sites.deployment(session, where) as made:
            if not aim.files:
                wanted = msgspec.structs.replace(wanted, manifests=tuple(made.fitted(manifests)))
            if request.task == "apply":
                made.apply(wanted, rules)
                return
            _, is_new = made.deploy(wanted, rules)
        took = time.perf_counter() - started
        title = f"deploy {where.name} to {context}"
        session.emit(StepFinished(self._step_id(own, where), "done" if is_new else "cached", title, seconds=took))

    def _step_id(self, project: str, where: Site) -> str:
        return f"deploy:{project}:{where.name}" if self._crew.is_workspace else f"deploy:{where.name}"


def _subjects(published: Sequence[Published]) -> tuple[Subject, ...]:
    from goctl.cluster.verification import Subject

    return tuple(Subject(one.target, platform, image) for one in published for platform, image in one.images)


def _print(session: Session, manifests: Sequence[Manifest]) -> None:
    from goctl.cluster.yamls import dump

    contents = [one.content for one in manifests]
    session.emit(Document("manifests", dump(contents), msgspec.Raw(to_json(contents))))
