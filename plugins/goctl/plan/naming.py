"""What the templates of goctl.toml stand for: version, commit, date, target, platform, environment."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping

from goctl.config.template import fill, names
from goctl.errors import ConfigError
from goctl.plan.facts import Facts
from goctl.values import Platform

_NO_CHECKOUT = "this is no git checkout with a commit, or git was not found"
_MISSING = {
    "version": (
        f"there is no version: {_NO_CHECKOUT}",
        'set project.version to a literal or to "file:VERSION"',
    ),
    "git": (_NO_CHECKOUT, "run `git init` and commit, or do without {git.*}"),
    "date": (f"there is no date: {_NO_CHECKOUT}", "set the variable SOURCE_DATE_EPOCH, or do without {date}"),
    "env": ("the variable is not set", "set it, or do without it"),
}


class Names(Mapping[str, str]):
    """The values of templates for one target and platform. A name without a value raises ConfigError that says why."""

    def __init__(self, facts: Facts, *, target: str = "", platform: Platform | None = None) -> None:
        self._values: dict[str, str] = {}
        if facts.version is not None:
            self._values["version"] = facts.version
        if facts.git is not None:
            self._values |= {"git.sha": facts.git.sha, "git.short": facts.git.short, "git.branch": facts.git.branch}
        created = creation_time(facts)
        if created is not None:
            self._values["date"] = datetime.datetime.fromtimestamp(created, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if target:
            self._values["target"] = target
        if platform is not None:
            self._values["platform"] = str(platform)
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

    def fill_ldflag(self, text: str) -> str:
        """A linker flag. A value with spaces or quotes would be read as several flags, and is refused."""
        for name in names(text):
            if re.search(r"[\s'\"\\]", self[name]):
                raise ConfigError(
                    f"{{{name}}} in ldflags: its value holds spaces, quotes or backslashes",
                    hint="give it a value without them",
                )
        return self.fill(text)


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
