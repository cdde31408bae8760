"""Publishing to several registries: all or any, and what is told of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from goctl.config.model import Config, Publish, Registry
from goctl.errors import ConfigError, Interrupted, RegistryError
from goctl.events import Notice, ReleasedImage, Table
from goctl.plan.model import PushStep
from goctl.release.publish import Publisher
from goctl.testing import Host, make_index


class There:
    """A destination that fails where it is told to."""

    def __init__(self, name: str, fails: str = "", error: Exception | None = None) -> None:
        self.name, self.fails, self.done = name, fails, []
        self.error = error or RegistryError(f"{name} is ill", status=500)

    def _do(self, what: str) -> None:
        if self.fails == what:
            raise self.error
        self.done.append(what)

    def reference(self, repository, tag="", digest=None):
        return f"{self.name}/{repository}"

    def missing(self, repository, index, tags):
        self._do("missing")
        return () if self.fails == "known" else tuple(tags)

    def upload(self, repository, content, progress):
        self._do("upload")
        return 10

    def tag(self, repository, index, tags):
        self._do("tag")


def publish(root: Path, policy: str, *there: There, targets: tuple[str, ...] = ("api",)) -> list[object]:
    host = Host(root)
    host.config = Config(registries={one.name: Registry(url=one.name) for one in there}, publish=Publish(policy=policy))
    host.look_only = False
    host.destination = {one.name: one for one in there}.__getitem__
    index = make_index(host)
    steps = tuple(
        PushStep(
            id=f"push:{target}@{one.name}", title="", needs=(f"index:{target}",), target=target, registry=one.name,
            repository=target, tags=("1",),
        )
        for one in there
        for target in targets
    )  # fmt: skip
    known = {f"index:{target}": SimpleNamespace(needs=()) for target in targets}
    plan = SimpleNamespace(steps=steps, by_id=lambda: {**known, **{step.id: step for step in steps}})
    results = SimpleNamespace(artifacts=dict.fromkeys(known, index), cached=set(), seconds={})
    try:
        Publisher(SimpleNamespace(first=host, host=lambda step: host), plan).finish(results, lambda steps: results)
    except Exception as error:
        error.events = host.events
        raise
    return host.events


def rows(events: list[object]) -> dict[str, str]:
    return {row[0]: row[-1] for event in events if isinstance(event, Table) for row in event.rows}


def released(events: list[object]) -> list[str]:
    return [event.registry for event in events if isinstance(event, ReleasedImage)]


class Slow(There):
    """One that has something to look up first."""

    def prepare(self):
        self._do("prepare")


def test_a_destination_prepares_itself_once_before_anything_is_asked(tmp_path):
    slow = Slow("slow")
    publish(tmp_path, "all", slow, targets=("api", "web"))
    assert slow.done[0] == "prepare"
    assert slow.done.count("prepare") == 1


def test_what_fails_while_preparing_is_left_to_be_found_again(tmp_path):
    ill = Slow("ill", "prepare")
    assert released(publish(tmp_path, "all", ill)) == ["ill"]
    assert "tag" in ill.done


@pytest.mark.parametrize("fails", ["missing", "upload"])
def test_all_names_nothing_where_one_registry_has_not_everything(tmp_path, fails):
    well, ill = There("well"), There("ill", fails)
    with pytest.raises(RegistryError, match="ill is ill") as caught:
        publish(tmp_path, "all", well, ill)
    assert "tag" not in well.done
    assert rows(caught.value.events)["ill"] == "failed"
    assert released(caught.value.events) == []


def test_all_says_what_is_complete(tmp_path):
    with pytest.raises(RegistryError) as caught:
        publish(tmp_path, "all", There("well"), There("ill", "upload"))
    assert rows(caught.value.events) == {"well": "complete, not named", "ill": "failed"}


@pytest.mark.parametrize("fails", ["missing", "upload", "tag"])
def test_any_releases_where_it_can(tmp_path, fails):
    well, ill = There("well"), There("ill", fails)
    events = publish(tmp_path, "any", well, ill, targets=("api", "web"))
    assert well.done.count("tag") == 2
    assert released(events) == ["well", "well"]
    assert rows(events) == {"well": "released", "ill": "failed"}
    (warning,) = [event for event in events if isinstance(event, Notice)]
    assert "ill has not got everything: ill is ill" in warning.message
    assert "tag" not in ill.done


def test_any_fails_where_all_do(tmp_path):
    with pytest.raises(RegistryError, match=r"(?s)a is ill.*b is ill") as caught:
        publish(tmp_path, "any", There("a", "missing"), There("b", "tag"))
    assert caught.value.exit_code == 8


def test_any_fails_where_the_only_one_does(tmp_path):
    with pytest.raises(RegistryError):
        publish(tmp_path, "any", There("a", "upload"))


def test_a_registry_that_knows_it_all_counts(tmp_path):
    events = publish(tmp_path, "any", There("known", "known"), There("ill", "upload"))
    assert rows(events) == {"known": "known", "ill": "failed"}


@pytest.mark.parametrize("error", [Interrupted(), ConfigError("a mistake")])
def test_what_no_other_registry_makes_good_ends_the_run(tmp_path, error):
    with pytest.raises(type(error)):
        publish(tmp_path, "any", There("well"), There("ill", "upload", error))


def test_with_one_registry_no_table_is_shown(tmp_path):
    assert rows(publish(tmp_path, "all", There("well"))) == {}
