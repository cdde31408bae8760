"""The files of another commit, in a folder outside of the repository, without a trace in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from goctl.errors import ConfigError, StorageError
from goctl.system.files import storage_errors
from goctl.system.process import Completed, run

#: What git's own environment would turn its commands to another repository with (they are set inside of hooks).
_LOCAL = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_COMMON_DIR")


def git(folder: Path, *args: str, env: Mapping[str, str] | None = None, input: bytes | None = None) -> Completed:
    """Runs git in a folder, in whatever repository that folder is in."""
    variables = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    return run(("git", "--no-optional-locks", *args), cwd=folder, env=variables | dict(env or {}), input=input)


def top_of(folder: Path) -> Path:
    """The top of the checkout. Raises ConfigError where there is none."""
    found = git(folder, "rev-parse", "--show-toplevel")
    if found.code:
        raise ConfigError("--since: this is not a git checkout", hint="run `git init` and commit, or do without --since")
    return Path(found.text.strip())


def base_commit(folder: Path, reference: str) -> str:
    """The commit that HEAD and a reference have in common: what a branch changed counts from there, not what happened to the
    other one meanwhile. Raises ConfigError for what is no commit here.
    """
    if reference.startswith("-") or not reference:
        raise ConfigError(f"--since: {reference!r} names no commit", hint="name a branch, a tag or a commit")
    named = git(folder, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    if named.code:
        shallow = git(folder, "rev-parse", "--is-shallow-repository").text.strip() == "true"
        hint = (
            "this clone is shallow: `git fetch --unshallow`"
            if shallow
            else f"`git fetch origin {reference}`, or mend the name"
        )
        raise ConfigError(f"--since: {reference!r} is no commit that is here", hint=hint)
    common = git(folder, "merge-base", named.text.strip(), "HEAD")
    return common.text.strip() if common.code == 0 and common.text.strip() else named.text.strip()


def _is_loose(top: Path, root: Path, name: str) -> bool:
    """Whether a file of now is not in another commit's tree."""
    return not name.startswith("..") and (top / name).is_file() and not os.path.lexists(root / name)


class Checkout:
    """A commit's files in a temporary folder, for as long as the context lasts."""

    def __init__(self, top: Path, commit: str) -> None:
        self._top = top
        self._commit = commit
        with storage_errors(tempfile.gettempdir()):
            # Outside of the repository: a go.work or goctl.toml above would be taken for one of that commit.
            self._scratch = Path(os.path.realpath(tempfile.mkdtemp(prefix="goctl-since-")))
        self.root = self._scratch / "tree"

    def __enter__(self) -> Self:
        try:
            self._fill(self._top, self._commit, self.root)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fill(self, top: Path, commit: str, target: Path) -> None:
        """The files of a commit, and those of its submodules as far as their commits are here."""
        target.mkdir(parents=True, exist_ok=True)
        index = {"GIT_INDEX_FILE": str(self._scratch / "index")}
        for args in (("read-tree", commit), ("checkout-index", "--all", "--force", f"--prefix={target}{os.sep}")):
            done = git(top, *args, env=index)
            if done.code:
                words = done.errors.strip().splitlines() or ["it printed nothing"]
                raise StorageError(f"the files of {commit[:12]} cannot be had: {words[-1]}")
        staged = git(top, "ls-files", "--stage", "-z", env=index).stdout.decode("utf-8", "surrogateescape")
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        for entry in staged.split("\0"):
            mode, _, path = entry.partition("\t")
            if mode.startswith("160000 ") and (top / path / ".git").exists():
                inner = mode.split()[1]
                if git(top / path, "cat-file", "-e", f"{inner}^{{commit}}").code == 0:
                    self._fill(top / path, inner, target / path)

    def carry(self, paths: Iterable[Path]) -> None:
        """Brings files over that git ignores, as they are now: what is generated, or kept out of git, is no change."""
        below = [os.path.relpath(path, self._top) for path in paths]
        names = sorted({name for name in below if _is_loose(self._top, self.root, name)})
        if not names:
            return
        asked = "\0".join(names).encode("utf-8", "surrogateescape")
        ignored = git(self._top, "check-ignore", "--stdin", "-z", input=asked)
        for name in ignored.stdout.decode("utf-8", "surrogateescape").split("\0"):
            if name:
                place = self.root / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._top / name, place)
