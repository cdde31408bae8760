"""What the templates of goctl.toml stand for: version, commit, date, project, target, platform, environment."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping

from goctl.config.template import file_name_problem, fill, names
from goctl.errors import ConfigError
from goctl.plan.facts import Facts
from goctl.values import Platform

_MISSING = {
    "version": (
        "there is no version: this is not a git checkout",
        'set project.version to a literal or to "file:VERSION"',
    ),
    "git": ("this is not a git checkout, or git was not found", "run `git init` and commit, or do without {git.*}"),
    "date": ("there is no date: this is not a git checkout", "set the variable SOURCE_DATE_EPOCH, or do without {date}"),
    "env": ("the variable is not set", "set it, or do without it"),
}


class Names(Mapping[str, str]):
    """The values of templates for one target and platform. A name without a value raises ConfigError that says why."""

    def __init__(self, facts: Facts, *, project: str = "", target: str = "", platform: Platform | None = None) -> None:
        self._values: dict[str, str] = {}
        if facts.version is not None:
            self._values["version"] = facts.version
        if facts.git is not None:
            self._values |= {"git.sha": facts.git.sha, "git.short": facts.git.short, "git.branch": facts.git.branch}
        created = creation_time(facts)
        if created is not None:
            self._values["date"] = datetime.datetime.fromtimestamp(created, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if project:
            self._values["project"] = project
        if target:
            self._values["target"] = target
        if platform is not None:
            self._values |= {"platform": str(platform), "os": platform.os, "arch": platform.architecture}
            self._values["variant"] = _variant(platform)
        self._environment = facts.environment

    def __getitem__(self, name: str) -> str:
        value = self._environment.get(name[4:]) if name.startswith("env.") else self._values.get(name)
        if value is None:
            message, hint = _MISSING.get(name.partition(".")[0], ("it has no value here", ""))
            raise ConfigError(f"{{{name}}}: {message}", hint=hint)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def fill(self, text: str) -> str:
        return fill(text, self) if "{" in text or "}" in text else text

    def fill_tag(self, text: str) -> str:
        """A tag: what a version may hold and a tag may not (`+` before build metadata) becomes `-`."""
        return re.sub(r"[^A-Za-z0-9._-]", "-", self.fill(text))[:128]

    def fill_file_name(self, text: str) -> str:
        """The name of a file or a folder. What a branch or a date may hold and a file's name may not becomes `-`; what the
        environment says is taken as it is. Raises ConfigError for a name that some system would refuse.
        """
        made = fill(text, {name: self._in_file_name(name) for name in names(text)})
        problem = file_name_problem(made)
        if problem:
            raise ConfigError(f"{text!r} comes to {made!r}, which {problem}", hint="give it another name")
        return made

    def _in_file_name(self, name: str) -> str:
        return self[name] if name.startswith("env.") else re.sub(r"[^\w.+~-]", "-", self[name])

    def fill_ldflag(self, text: str) -> str:
        """A linker flag. A value with spaces or quotes would be read as several flags, and is refused."""
        for name in names(text):
            if re.search(r"[\s'\"\\]", self[name]):
                raise ConfigError(
                    f"{{{name}}} in ldflags: its value holds spaces, quotes or backslashes",
                    hint="give it a value without them",
                )
        return self.fill(text)


def _variant(platform: Platform) -> str:
    """What follows an architecture in a name: `v7` for armv7, `-power9` for ppc64le-power9, nothing where there is none."""
    text = str(platform).removeprefix(platform.pair).lstrip("/").replace("+", "-")
    return text if not text or re.match(r"v[0-9]", text) else f"-{text}"


def creation_time(facts: Facts) -> int | None:
    """Seconds since the epoch that stand for the time of this release: SOURCE_DATE_EPOCH, else the commit's
    (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    text = facts.environment.get("SOURCE_DATE_EPOCH", "")
    if text:
        if not text.isascii() or not text.isdigit() or len(text) > 11:
            raise ConfigError(f"SOURCE_DATE_EPOCH is {text!r}", hint="it must be a whole number of seconds since 1970")
        return int(text)
    return facts.git.date if facts.git is not None else None
