"""The state of the checkout, from three git processes at the same time, and only where the configuration asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from goctl.config.model import ArchiveDefaults, Config, Image
from goctl.config.template import names
from goctl.errors import ConfigError, ToolchainError
from goctl.events import Emit, Notice
from goctl.plan.facts import Git
from goctl.system.files import inside
from goctl.system.process import Completed, run


def wanted_names(config: Config) -> frozenset[str]:
    """The template names that this configuration uses, with those that a stamp adds."""
    # {registry} is known to these two alone.
    caches = (text.replace("{registry}", "") for text in (*config.buildkit.cache_from, *config.buildkit.cache_to))
    texts = [*config.publish.tags, *caches]
    found: set[str] = set()
    for target in config.targets.values():
        texts += target.ldflags
        if isinstance(target.image, Image):
            image = target.image
            texts += [image.repository, *image.env.values(), *image.labels.values(), *image.annotations.values()]
            texts += image.dockerfile.args.values()
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


def look(root: Path, prefix: str = "", tell: Emit | None = None) -> Git | None:
    """What git says of the checkout `root` is in; None without git, without a checkout, or without a commit.

    Only tags that begin with `prefix` count, and are told without it. `tell` hears of a clone that is too shallow for a
    version. Raises ConfigError where git trusts nothing in a folder that belongs to another user.
    """
    with ThreadPoolExecutor(3) as pool:
        return Look(root, pool).at(prefix, tell)()


def checkout_of(folder: Path) -> Path:
    """The top of the checkout a folder is in; the folder itself where there is none."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)


class Look:
    """Looks at one checkout: commit and work tree once, tags once for each prefix. git runs in the pool's threads."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._told = False
        self._described: dict[str, Future[Completed | None]] = {}
        self._commit = self._ask("log", "-1", "--no-show-signature", "--format=%H%x00%ct%x00%D")
        # Not `describe --dirty`, which writes to the index whatever it is told of locks. In a workspace every go command may
        # add checksums to go.work.sum, go list too: that alters no program, and makes no other version of it.
        clean = (":/", ":(top,exclude,glob)**/go.work.sum")
        self._status = self._ask("status", "--porcelain", "--untracked-files=no", "--", *clean)

    def _ask(self, *args: str) -> Future[Completed | None]:
        return self._pool.submit(_git, self._folder, *args)

    def at(self, prefix: str, tell: Emit | None = None) -> Callable[[], Git | None]:
        """Begins to look for tags with a prefix; what is returned waits for the answer. `tell` is as `look` has it."""
        if prefix not in self._described:
            match = ("--match", re.sub(r"([*?\[\\])", r"\\\1", prefix) + "*") if prefix else ()
            self._described[prefix] = self._ask("describe", "--tags", "--always", "--abbrev=7", *match)
        return lambda: self._answer(prefix, tell)

    def _answer(self, prefix: str, tell: Emit | None) -> Git | None:
        commit, described, changes = (one.result() for one in (self._commit, self._described[prefix], self._status))
        if commit is None:
            return None
        if commit.code != 0:
            _refuse_distrust(commit.errors)
            return None
        sha, date, names = commit.text.strip().split("\0")
        text = described.text.strip() if described is not None and described.code == 0 else ""
        dirty = changes is not None and bool(changes.text.strip())
        if not text or sha.startswith(text):
            # No tag is reachable (or the clone is too shallow to tell): a version that sorts before every release.
            text = f"{prefix}v0.0.0-{sha[:7]}"
            self._tell_shallow(tell)
        text += "-dirty" if dirty else ""
        heads = (name.removeprefix("HEAD -> ") for name in names.split(", ") if name.startswith("HEAD -> "))
        describe = text.removeprefix(prefix)
        return Git(sha, sha[:7], next(heads, "HEAD"), describe=describe, date=int(date), dirty=dirty)

    def _tell_shallow(self, tell: Emit | None) -> None:
        if tell is not None and not self._told and _is_shallow(self._folder):
            self._told = True
            tell(Notice("the clone is shallow, and holds no tag to take the version from", hint=_DEEPEN))


_DEEPEN = "`git fetch --unshallow --tags`; in CI, have the whole history checked out (for GitHub's checkout: fetch-depth: 0)"


def _is_shallow(root: Path) -> bool:
    said = _git(root, "rev-parse", "--is-shallow-repository")
    return said is not None and said.text.strip() == "true"


def _refuse_distrust(errors: str) -> None:
    """Git refuses to look into folders of other users, as a checkout that was mounted into a container is one."""
    match = re.search(r"git config --global --add safe\.directory \S.*", errors)
    if match is not None:
        raise ConfigError("git does not trust this checkout: it belongs to another user", hint=f"run `{match[0].strip()}`")


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
