"""`[cache]` in goctl.toml: what it takes, what it refuses, and what each level is used for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goctl.config.loader import load
from goctl.errors import ConfigError
from goctl.release.levels import allowed, folder_of, is_pull_request

TARGET = '[targets.api]\npackages = ["./cmd/api"]\n'


def loaded(root: Path, text: str, **environment: str):  # type: ignore[no-untyped-def]
    (root / "goctl.toml").write_text(text + TARGET, encoding="utf-8")
    return load(root / "goctl.toml", environment=environment)


def test_without_a_table_there_are_no_levels(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").config.cache.used == ()


def test_levels_are_those_with_a_table_in_their_order(tmp_path: Path) -> None:
    made = loaded(tmp_path, '[cache.disk]\nmax-age = "30d"\n[cache.team]\nurl = "s3://builds/shop"\n')
    assert made.config.cache.used == ("disk", "team")
    assert made.config.cache.level("team").url == "s3://builds/shop"
    assert str(made.origin("cache", "team", "url")).endswith("goctl.toml:4)")


def test_disk_needs_no_table(tmp_path: Path) -> None:
    cache = loaded(tmp_path, '[cache]\nlevels = ["disk"]\n').config.cache
    assert (cache.used, cache.level("disk").url) == (("disk",), "")


def test_the_mode_may_come_from_the_environment(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[cache]\nlevels = ["disk"]\n', GOCTL_CACHE_MODE="off").config.cache.mode == "off"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[cache]\nlevels = ["team"]\n', "there is no [cache.team]"),
        ('[cache]\nmod = "read"\n', "did you mean 'mode'"),
        ('[cache]\nmode = "reed"\n', "did you mean 'read'"),
        ('[cache.team]\nurl = "ftp://x"\n', "is no level"),
        ('[cache.team]\nurl = "https://me:secret@x/y"\n', "holds a user name or password"),
        ('[cache.team]\nurl = "oci://host"\n', "is no repository"),
        ('[cache.team]\nurl = "s3:"\n', "has no address"),
        ('[cache.team]\nurl = "https://x"\nmax-size = "1GiB"\n', "cannot be asked what it keeps"),
        ('[cache.disk]\nmax-size = "much"\n', "is not a size"),
        ('[cache.disk]\nmax-age = "30"\n', "is no age"),
        ('[cache.team]\nurl = "https://x"\nsign = "secret"\n', "names no variable"),
        ('[cache.team]\nurl = "file:x"\npassword = "env:X"\n', "counts only for http"),
        ('[cache.team]\nurl = "https://x"\nusername = "env:X"\n', "has no password"),
        ('[cache.team]\nurl = "https://x"\noptions = { a = "b" }\n', "counts only for s3"),
        ('[cache.team]\nurl = "https://x"\npath = "y"\n', "counts only without url"),
        ("[cache.team]\ntimeout = 0\n", "will not do"),
        ('[cache."Team!"]\nurl = "https://x"\n', "is no name of a level"),
        ('[cache]\nlevels = ["disk", "disk"]\n', "names a level twice"),
        ("cache = 3\n", "is no table"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)
    assert "goctl.toml" in str(caught.value)
    assert "secret" not in str(caught.value).replace("holds no secrets", "")


def test_members_have_the_workspaces_levels(tmp_path: Path) -> None:
    (tmp_path / "goctl.toml").write_text('[workspace]\nmembers = ["a"]\n[cache.team]\nurl = "file:shared"\n')
    (tmp_path / "a").mkdir()
    (tmp_path / "a/goctl.toml").write_text(TARGET)
    assert load(tmp_path / "a/goctl.toml").config.cache.level("team").url == "file:shared"
    (tmp_path / "a/goctl.toml").write_text(TARGET + '[cache.own]\nurl = "file:mine"\n')
    assert load(tmp_path / "a/goctl.toml").config.cache.level("own").url == "file:a/mine"


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (("readwrite",), (True, True)),
        (("read",), (True, False)),
        (("write",), (False, True)),
        (("off",), (False, False)),
        (("readwrite", "read"), (True, False)),
        (("write", "read"), (False, False)),
    ],
)
def test_the_least_of_all_modes_holds(modes: tuple, expected: tuple[bool, bool]) -> None:  # type: ignore[type-arg]
    assert allowed(*modes) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"GITHUB_EVENT_NAME": "push"}, False),
        ({"GITHUB_EVENT_NAME": "pull_request"}, True),
        ({"GITHUB_EVENT_NAME": "pull_request_target"}, True),
        ({"CI_MERGE_REQUEST_IID": "7"}, True),
        ({"TRAVIS_PULL_REQUEST": "false"}, False),
        ({"BUILDKITE_PULL_REQUEST": "12"}, True),
    ],
)
def test_ci_says_what_it_builds(environment: dict[str, str], expected: bool) -> None:
    assert is_pull_request(environment) == expected


def test_a_folders_address(tmp_path: Path) -> None:
    assert folder_of("file:shared/x", tmp_path) == tmp_path / "shared/x"
    if os.name != "nt":
        assert folder_of("file:///srv/a%20b", tmp_path) == Path("/srv/a b")
