"""`[cache]`: the levels that keep what was made, nearest first, and how each is treated.

A table with settings of its own and, beside them, a table for each level: `[cache.team]`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from goctl.config.convert import Problems, known_fields, suggestion, table, tables
from goctl.values import ByteSize, is_host, is_repository

Mode = Literal["off", "read", "write", "readwrite"]

#: The level that needs no table: a folder of this user's, shared by all projects.
DISK = "disk"
#: What a level's url may begin with, and whether what is there can be listed, so that it can be kept within a size.
SCHEMES = {"file": True, "s3": True, "gs": True, "az": True, "redis": True, "rediss": True}
SCHEMES |= {"oci": False, "http": False, "https": False}
_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _doc(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


class Level(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A place that keeps what was made. Without `url`, a folder of this user's that all projects share."""

    url: Annotated[
        str,
        _doc(
            "Where it is: `file:FOLDER`, `http(s)://` (GET and PUT, as WebDAV servers and bazel-remote speak it), `s3://`, "
            "`gs://`, `az://`, `redis://`, or `oci://HOST/REPOSITORY`.",
            examples=["s3://builds/shop", "oci://registry.example.com/shop/cache"],
        ),
    ] = ""
    path: Annotated[
        str,
        _doc("The folder of a level without `url`. Default: goctl's in the user's cache folder.", examples=["~/.cache/x"]),
    ] = ""
    mode: Annotated[Mode | None, _doc("What this level is used for; by default as `cache.mode` says.")] = None
    max_size: Annotated[
        str,
        _doc("What is kept, the longest unused goes first. For folders, object stores and Redis.", examples=["10GiB"]),
    ] = ""
    max_age: Annotated[str, _doc("Entries older than this count as absent: 12h, 30d, 8w.", examples=["30d"])] = ""
    reserve: Annotated[
        str, _doc("Disk space that a folder's level leaves free; where there is less, nothing is written.")
    ] = "1GiB"
    sign: Annotated[
        str,
        _doc(
            "The variable that holds the key which entries are signed with (HMAC). Others than signed ones count as absent.",
            examples=["env:GOCTL_CACHE_KEY"],
        ),
    ] = ""
    adaptive: Annotated[bool, _doc("Stop writing to it once it was found to cost more time than it saves.")] = False
    timeout: Annotated[
        int, _doc("Seconds it may be silent for; then it is left alone for the rest of the run.", ge=1, le=600)
    ] = 10
    username: Annotated[str, _doc("The variable that holds the user's name.", examples=["env:CACHE_USER"])] = ""
    password: Annotated[
        str, _doc("The variable that holds the password, or an access token.", examples=["env:CACHE_TOKEN"])
    ] = ""
    options: Annotated[
        dict[str, str],
        _doc("Settings of an object store, in obstore's words; no secrets.", examples=[{"endpoint": "http://minio:9000"}]),
    ] = {}


class Cache(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where what was made is kept for other checkouts and machines. Without this table each project keeps its own alone."""

    levels: Annotated[
        tuple[str, ...],
        _doc(
            "Levels by name, nearest first: `disk`, and those with a table `[cache.NAME]`. Default: all that have one.",
            examples=[["disk", "team"]],
        ),
    ] = ()
    mode: Annotated[Mode, _doc("What the levels are used for, where one says nothing of its own.")] = "readwrite"
    pull_request_mode: Annotated[
        Mode,
        _doc("What they are used for at most when CI builds a pull request: these must not write what others read."),
    ] = "read"
    go_actions: Annotated[
        bool,
        _doc(
            "Keep what the go command compiles there too, package by package, so that an edit on one machine is compiled "
            "with what others have compiled."
        ),
    ] = True
    tables: dict[str, Level] = {}

    @property
    def used(self) -> tuple[str, ...]:
        """The names of the levels, nearest first."""
        return self.levels or tuple(self.tables)

    def level(self, name: str) -> Level:
        return self.tables.get(name, Level())


def convert(raw: Any, problems: Problems) -> Cache | None:
    """The table as it stands in the file."""
    if not isinstance(raw, dict):
        problems.add(("cache",), "is no table", expected="a table")
        return None
    own = known_fields(Cache).keys() - {"tables"}
    levels = {name: value for name, value in raw.items() if name not in own and isinstance(value, dict)}
    rest = {name: value for name, value in raw.items() if name not in levels}
    for name in list(rest):
        if name not in own:
            problems.add(("cache", name), "unknown setting", hint=suggestion(name, own))
            del rest[name]
    made = table(Cache, rest, ("cache",), problems)
    return msgspec.structs.replace(made, tables=tables(Level, levels, ("cache",), problems)) if made is not None else None


def check(cache: Cache, problems: Problems) -> None:
    """Adds a problem for everything in `[cache]` that cannot be. Reads nothing."""
    for name in cache.levels:
        if name != DISK and name not in cache.tables:
            hint = suggestion(name, (DISK, *cache.tables))
            problems.add(("cache", "levels"), f"there is no [cache.{name}]", hint=hint)
    if len(set(cache.levels)) != len(cache.levels):
        problems.add(("cache", "levels"), "names a level twice")
    for name, level in cache.tables.items():
        if not _NAME.match(name):
            problems.add(("cache", name), f"{name!r} is no name of a level", expected="lower-case letters, digits, - and _")
        _level(name, level, problems)


def _level(name: str, level: Level, problems: Problems) -> None:
    where = ("cache", name)
    scheme = level.url.partition(":")[0] if level.url else ""
    _address(level, scheme, where, problems)
    if level.path and level.url:
        problems.add((*where, "path"), "counts only without url")
    for key, parse in (("max_size", ByteSize.parse), ("reserve", ByteSize.parse), ("max_age", age)):
        value = getattr(level, key)
        if value:
            try:
                parse(value)
            except ValueError as error:
                problems.add((*where, key.replace("_", "-")), str(error))
    if level.max_size and not SCHEMES.get(scheme, not scheme):
        problems.add(
            (*where, "max-size"), f"{scheme} cannot be asked what it keeps", hint="let the server keep within its size"
        )
    if level.options and scheme not in ("s3", "gs", "az"):
        problems.add((*where, "options"), "counts only for s3, gs and az")
    for key in ("sign", "username", "password"):
        value = getattr(level, key)
        if value and not _VARIABLE.match(value):
            # What stands there may be a secret: the text is not repeated.
            problems.add(
                (*where, key),
                "names no variable",
                expected='"env:NAME"',
                hint="goctl.toml holds no secrets: put the value into a variable of the environment",
            )
    if (level.username or level.password) and scheme not in ("http", "https", "redis", "rediss", "oci"):
        problems.add((*where, "username" if level.username else "password"), "counts only for http, redis and oci")
    if level.username and not level.password:
        problems.add((*where, "username"), "has no password", expected='password = "env:NAME"')


def _address(level: Level, scheme: str, where: tuple[str, ...], problems: Problems) -> None:
    where = (*where, "url")
    if not level.url:
        return
    if "@" in level.url:
        problems.add(where, "it holds a user name or password", hint="name variables: username, password; take them out")
        return
    if scheme not in SCHEMES:
        problems.add(where, f"{level.url!r} is no level", expected=", ".join(f"{known}:" for known in SCHEMES))
        return
    try:
        parts = urlsplit(level.url)
        bad = scheme != "file" and not parts.netloc
    except ValueError:
        bad = True
    if bad or (scheme == "file" and not level.url.removeprefix("file:").strip("/")):
        problems.add(
            where, f"{level.url!r} has no address", expected=f"{scheme}:{'FOLDER' if scheme == 'file' else '//HOST'}"
        )
    elif scheme == "oci":
        host, _, path = level.url.removeprefix("oci://").rstrip("/").partition("/")
        if not is_host(host) or not is_repository(path):
            problems.add(where, f"{level.url!r} is no repository", expected="oci://HOST/REPOSITORY in lower case")


def age(text: str) -> float:
    """Seconds, of `12h`, `30d`, `8w`. Raises ValueError."""
    match = _AGE.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no age: write a number and one of s, m, h, d, w")
    return float(match[1]) * _SECONDS[match[2]]
