"""`invoke doctor`: what is here, what is missing, and what to do about it. Works with a broken goctl.toml too."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goctl.config.model import Config
from goctl.errors import ConfigError, GoctlError
from goctl.events import Document, Emit, Failed, Table
from goctl.values import ByteSize, to_json

if TYPE_CHECKING:
    from goctl.golang.advice.situation import Situation
    from goctl.release.session import Session


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. `state` is ok, warning or error; `code` is the exit code that an error calls for."""

    name: str
    state: str
    found: str
    advice: str = ""
    code: int = 0


def doctor(file: Path, emit: Emit, *, profile: str) -> int:
    """Looks at everything it can and tells it as a table, and what is wrong with Go's settings, as findings.

    Writes nothing. Returns the exit code of the first error, or 0; findings are no errors.
    """
    from goctl.release.crew import assemble

    code = 0
    checks = list(_machine(file.parent))
    try:
        crew = assemble(file, profile=profile, emit=emit, look_only=True)
    except ConfigError as error:
        code = error.exit_code
        checks += [Check("goctl.toml", "error", str(problem)) for problem in error.problems]
        _, findings = advice(Config(), file.parent, file.parent)
    else:
        for session in crew.files:
            found, failed = _project(session)
            code = code or failed
            name = f"{session.config.project.name}: " if len(crew.files) > 1 else ""
            checks += [msgspec.structs.replace(check, name=name + check.name) for check in found]
        first = crew.files[0]
        checks += _docker(first)
        _, findings = advice(first.config, first.root, first.module)
    checks.append(_summary(findings))
    emit(Table("doctor", ("check", "state", "found", "advice"), tuple((c.name, c.state, c.found, c.advice) for c in checks)))
    emit(findings)
    if code:
        emit(Failed("Doctor", code, f"{sum(c.state == 'error' for c in checks)} of {len(checks)} checks failed"))
    return code


def advice(config: Config, root: Path, module: Path) -> tuple[Situation, Document]:
    """The situation of a project, and what there is to say about it: `data` holds an advice.finding.Answer."""
    from goctl.golang.advice.findings import findings
    from goctl.golang.advice.look import look

    situation = look(config, root, module)
    answer = findings(situation)
    text = "\n".join(f"\n{finding.text(answer.shell)}" for finding in answer.findings)
    return situation, Document("findings", text, msgspec.Raw(to_json(answer)))


def _summary(findings: Document) -> Check:
    severities = [finding["severity"] for finding in msgspec.json.decode(findings.data)["findings"]]
    counts = {one: severities.count(one) for one in ("problem", "remark")}
    words = ", ".join(f"{count} {one}{'s' if count > 1 else ''}" for one, count in counts.items() if count)
    if not words:
        return Check("go settings", "ok", "nothing is wrong with them")
    return Check("go settings", "warning" if "problem" in severities else "ok", words, "told below")


def _machine(folder: Path) -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Check("system", "ok", f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores")
    git = shutil.which("git")
    yield Check("git", "ok", git) if git else Check("git", "warning", "not found", "needed for {version} and {git.*}")
    free = shutil.disk_usage(folder if folder.exists() else Path.cwd()).free
    if free < 2 * 10**9:
        yield Check("disk", "warning", f"{ByteSize(free)} free", "programs and layers may not fit: free some space")
    else:
        yield Check("disk", "ok", f"{ByteSize(free)} free")


def _project(session: Session) -> tuple[list[Check], int]:
    checks = [
        Check("goctl.toml", "ok", f"{len(session.config.targets)} targets, {len(session.config.registries)} registries")
    ]
    code = 0
    for name, look in (
        ("go", _go),
        ("modules", _modules),
        ("base images", _bases),
        ("registries", _registries),
        ("cache", _cache),
        ("clusters", _clusters),
    ):
        try:
            checks += look(session)
        except GoctlError as error:
            code = code or error.exit_code
            checks.append(Check(name, "error", str(error), error.hint))
    return checks, code or next((check.code for check in checks if check.code), 0)


def _docker(session: Session) -> Iterator[Check]:
    from goctl.release.dockers import remarks

    for one in remarks(session):
        yield Check(one.name, one.state, one.found, one.advice)


def _go(session: Session) -> Iterator[Check]:
    from goctl.golang.advice.situation import hidden

    toolchain = session.toolchain()
    yield Check("go", "ok", f"{toolchain.version} ({toolchain.command}, from {toolchain.source})")
    if toolchain.flags:
        yield Check("GOFLAGS", "ok", hidden("GOFLAGS", " ".join(toolchain.flags)), "these flags apply to every go command")


def _modules(session: Session) -> Iterator[Check]:
    if (session.module / "go.mod").is_file():
        yield Check("modules", "ok", str(session.module / "go.mod"))
    else:
        yield Check("modules", "error", f"no go.mod in {session.module}", "run `invoke mod.init`, or set go.directory")


def _bases(session: Session) -> Iterator[Check]:
    from goctl.oci.static import versions
    from goctl.release import lock

    locked = lock.read(session.root)
    lock.check_static(locked, versions())
    yield Check("base images", "ok", f"{len(locked.bases)} pinned in {lock.NAME}")


def _registries(session: Session) -> Iterator[Check]:
    from goctl.release.probes import registries

    for one in registries(session):
        yield Check(f"registry {one.name}", "error" if one.code else "ok", one.found, one.advice, one.code)


def _cache(session: Session) -> Iterator[Check]:
    """Whether levels answer, and whether what this machine makes would be found by others."""
    if not session.config.cache.used:
        return
    from goctl.release import identity, levels

    chain = levels.chain(session)
    there = identity.team(session, chain)
    for member in chain.members:
        if member.tally.failures:
            yield Check(f"cache {member.level.name}", "warning", "it does not answer as it should", "told above")
        else:
            uses = " and ".join(word for word, used in (("read", member.reads), ("written", member.writes)) if used)
            yield Check(f"cache {member.level.name}", "ok", f"it answers, and is {uses}")
    if there is None:
        yield Check("cache identity", "ok", "no level was told one yet")
        return
    wrong = identity.differences(identity.identity(session), there)
    if wrong:
        advice = "with these, no program or layer is shared: use the same versions"
        yield Check("cache identity", "warning", "; ".join(wrong), advice)
    else:
        yield Check("cache identity", "ok", "that of whoever wrote to the levels last")


def _clusters(session: Session) -> Iterator[Check]:
    if session.config.deploy:
        from goctl.release.clusters import checks

        yield from checks(session)
