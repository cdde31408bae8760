"""The levels of `[cache]`, from their settings: which kinds there are, what each may be used for in this run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from goctl.cache import tally
from goctl.cache.chain import Chain, Member
from goctl.cache.folder import FolderShelf, user_folder
from goctl.cache.shelved import ShelvedLevel
from goctl.config.cache import Level, Mode, age
from goctl.config.model import Login
from goctl.contracts import Shelf
from goctl.errors import LevelError
from goctl.events import Notice
from goctl.values import ByteSize

if TYPE_CHECKING:
    from goctl.release.session import Session

#: The folder in the project's own that holds what `cache.import` took in, and the name of that level.
IMPORTED: Final = "imported"
_NETWORKS: Final = frozenset({"http", "https", "s3", "gs", "az", "redis", "rediss", "oci"})
#: How CI systems tell that they build what somebody proposes: a variable, and the beginning of its value.
_PULL_REQUEST: Final = (
    ("GITHUB_EVENT_NAME", "pull_request"),
    ("CI_MERGE_REQUEST_IID", ""),
    ("CHANGE_ID", ""),
    ("BITBUCKET_PR_ID", ""),
    ("SYSTEM_PULLREQUEST_PULLREQUESTID", ""),
    ("CIRCLE_PULL_REQUEST", ""),
    ("DRONE_PULL_REQUEST", ""),
)


def is_pull_request(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether CI says that this run builds a pull request, or a merge request."""
    travis = environment.get("TRAVIS_PULL_REQUEST", "false")
    buildkite = environment.get("BUILDKITE_PULL_REQUEST", "false")
    if any(value not in ("false", "") for value in (travis, buildkite)):
        return True
    return any(environment.get(name, "").startswith(start) and environment.get(name) for name, start in _PULL_REQUEST)


def allowed(mode: Mode, *others: Mode) -> tuple[bool, bool]:
    """Whether a level is read, and whether it is written, where all of these modes hold."""
    modes = (mode, *others)
    return all("read" in one for one in modes), all("write" in one for one in modes)


def chain(session: Session, *, wanted: tuple[str, ...] = ()) -> Chain:
    """The levels of a project, or those that are `wanted`, with whatever mode. Raises ExtensionError for a package that is
    not there."""
    cache = session.config.cache
    accounts = tally.read(session.state)
    limit: Mode = cache.pull_request_mode if is_pull_request() else "readwrite"
    members = []
    made = Chain((), warn=lambda text: session.emit(Notice(text)))
    taken_in = session.state / IMPORTED
    if taken_in.is_dir() and not wanted:
        # What `cache.import` brought here; nearest of all, and nothing is added to it.
        made_of = ShelvedLevel(IMPORTED, FolderShelf(taken_in))
        members.append(Member(made_of, writes=False, near=True))
    for name in wanted or cache.used:
        level = cache.level(name)
        reads, writes = allowed(level.mode or cache.mode, cache.mode, limit)
        if scheme(level) in _NETWORKS and session.offline:
            continue
        if level.adaptive and name in accounts and accounts[name].is_loss:
            writes = False
        if reads or writes or wanted:
            member = _member(session, name, level, made)
            if member is not None:
                if isinstance(member.level, ShelvedLevel):
                    member.level.writes = writes
                member.reads, member.writes = (True, writes or not wanted) if wanted else (reads, writes)
                members.append(member)
    made.members = tuple(members)
    return made


def scheme(level: Level) -> str:
    """The kind of a level: the scheme of its url, or `disk`."""
    return level.url.partition(":")[0] or "disk"


def _member(session: Session, name: str, level: Level, chain: Chain) -> Member | None:
    """A level in its place; None, and a notice, for one that cannot even be set up."""
    kind = scheme(level)

    def check() -> None:
        if chain.ended.is_set():
            raise LevelError("the run has ended")

    try:
        secret = variable(name, "sign", level.sign).encode()
        shelf = _shelf(session, level, kind)
    except LevelError as error:
        session.emit(Notice(f"the cache level {name} is left alone: {error.message}"))
        return None
    made = ShelvedLevel(
        name,
        shelf,
        secret=secret,
        max_age=age(level.max_age) if level.max_age else 0.0,
        reserve=ByteSize.parse(level.reserve) if level.reserve else 0,
        timeout=level.timeout,
        check=check,
    )
    return Member(made, near=kind == "disk")


def _shelf(session: Session, level: Level, kind: str) -> Shelf:
    match kind:
        case "disk":
            return FolderShelf(Path(level.path).expanduser() if level.path else user_folder())
        case "file":
            return FolderShelf(folder_of(level.url, session.root), shared=True)
        case "http" | "https":
            from goctl.cache.web import WebShelf

            return WebShelf(level.url, login=_login(level), timeout=level.timeout, check=session.check)
        case "redis" | "rediss":
            from goctl.cache.redis import RedisShelf

            max_age = age(level.max_age) if level.max_age else 0.0
            return RedisShelf(level.url, login=_login(level), timeout=level.timeout, max_age=max_age)
        case "oci":
            from goctl.registry.artifacts import ArtifactShelf

            own = Login(username=level.username, password=level.password) if level.password else None
            return ArtifactShelf(level.url.removeprefix("oci://"), session, login=own, timeout=level.timeout)
        case _:
            from goctl.cache.objects import ObjectShelf

            return ObjectShelf(level.url, options=level.options, timeout=level.timeout)


def folder_of(url: str, root: Path) -> Path:
    """The folder of `file:PATH` (from `root`) or `file:///PATH`."""
    text = url.removeprefix("file:")
    if text.startswith("//"):
        path = unquote(urlsplit(url).path)
        # file:///C:/x is C:/x on Windows.
        return Path(path[1:] if os.name == "nt" and path[2:3] == ":" else path)
    return root / Path(text).expanduser()


def _login(level: Level) -> tuple[str, str]:
    return variable("", "username", level.username), variable("", "password", level.password)


def variable(level: str, setting: str, named: str) -> str:
    """The value of the variable that a setting names as `env:NAME`. Raises LevelError where it is not set:
    CI systems give secrets to no build of a fork, and such a build is to be right too."""
    if not named:
        return ""
    name = named.removeprefix("env:")
    value = os.environ.get(name, "")
    if not value:
        where = f"cache.{level}.{setting}" if level else f"{setting} of a cache level"
        raise LevelError(f"{where} names the variable {name}, which is not set")
    return value
