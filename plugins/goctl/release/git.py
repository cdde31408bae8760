"""The state of the checkout, from three git processes at the same time, and only where the configuration asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from goctl.config.model import ArchiveDefaults, Config, Image
from goctl.config.template import names
from goctl.errors import ConfigError, ToolchainError
from goctl.plan.facts import Git
from goctl.system.files import inside
from goctl.system.process import Completed, run


def wanted_names(config: Config) -> frozenset[str]:
    """The template names that this configuration uses, with those that a stamp adds."""
    texts = list(config.publish.tags)
    found: set[str] = set()
    for target in config.targets.values():
        texts += target.ldflags
        if isinstance(target.image, Image):
            image = target.image
            texts += [image.repository, *image.env.values(), *image.labels.values(), *image.annotations.values()]
        if isinstance(target.archive, ArchiveDefaults):
            texts += [target.archive.name, target.archive.folder, config.archive.checksums]
        if target.stamp != "none":
            found |= {"version", "git.sha", "date"}
    for text in texts:
        found.update(names(text))
    return frozenset(found)


def needs_git(config: Config, wanted: frozenset[str]) -> bool:
    return any(name.startswith("git.") or name == "date" for name in wanted) or (
        config.project.version == "git" and "version" in wanted
    )


def look(root: Path, prefix: str = "") -> Git | None:
    """What git says of the checkout `root` is in; None without git, without a checkout, or without a commit.

    Only tags that begin with `prefix` count, and are told without it.
    """
    with ThreadPoolExecutor(3) as pool:
        return Look(root, pool).at(prefix)()


def checkout_of(folder: Path) -> Path:
    """The top of the checkout a folder is in; the folder itself where there is none."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)


class Look:
    """Looks at one checkout: commit and work tree once, tags once for each prefix. git runs in the pool's threads."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._described: dict[str, Future[Completed | None]] = {}
        self._commit = self._ask("log", "-1", "--no-show-signature", "--format=%H%x00%ct%x00%D")
        # Not `describe --dirty`, which writes to the index whatever it is told of locks.
        self._status = self._ask("status", "--porcelain", "--untracked-files=no")

    def _ask(self, *args: str) -> Future[Completed | None]:
        return self._pool.submit(_git, self._folder, *args)

    def at(self, prefix: str) -> Callable[[], Git | None]:
        """Begins to look for tags with a prefix; what is returned waits for the answer."""
        if prefix not in self._described:
            match = ("--match", re.sub(r"([*?\[\\])", r"\\\1", prefix) + "*") if prefix else ()
            self._described[prefix] = self._ask("describe", "--tags", "--always", "--abbrev=7", *match)
        return lambda: self._answer(prefix)

    def _answer(self, prefix: str) -> Git | None:
        commit, described, changes = (one.result() for one in (self._commit, self._described[prefix], self._status))
        if commit is None or commit.code != 0:
            return None
        sha, date, names = commit.text.strip().split("\0")
        text = described.text.strip() if described is not None and described.code == 0 else ""
        dirty = changes is not None and bool(changes.text.strip())
        if not text or sha.startswith(text):
            # No tag is reachable (or the clone is too shallow to tell): a version that sorts before every release.
            text = f"{prefix}v0.0.0-{sha[:7]}"
        text += "-dirty" if dirty else ""
        heads = (name.removeprefix("HEAD -> ") for name in names.split(", ") if name.startswith("HEAD -> "))
        describe = text.removeprefix(prefix)
        return Git(sha, sha[:7], next(heads, "HEAD"), describe=describe, date=int(date), dirty=dirty)


def _git(root: Path, *args: str) -> Completed | None:
    try:
        # Without optional locks: looking must not write to the index, nor wait for another git that does.
        return run(("git", "--no-optional-locks", *args), cwd=root)
    except ToolchainError:
        return None


def version(config: Config, root: Path, git: Git | None) -> str | None:
    """`project.version` looked up: git describe, the first line of a file, or the text itself."""
    setting = config.project.version
    if setting == "git":
        return git.describe if git is not None else None
    if not setting.startswith("file:"):
        return setting
    path = inside(root, setting.removeprefix("file:"), what="project.version")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"project.version: {path.name} cannot be read: {error}", hint="write the version into it"
        ) from error
    if not lines or not lines[0].strip():
        raise ConfigError(f"project.version: the first line of {path.name} is empty", hint="write the version into it")
    return lines[0].strip()
