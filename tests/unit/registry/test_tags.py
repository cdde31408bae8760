from __future__ import annotations

import datetime

import pytest
from tests import images

from goctl.errors import RegistryError
from goctl.registry import tags
from goctl.registry.client import connect
from goctl.registry.tags import Rule, Tag, judge
from goctl.testing import Registry
from goctl.values import Digest

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def ago(days: float) -> datetime.datetime:
    return NOW - datetime.timedelta(days=days)


def tag(name: str, days: float | None = None, content: str = "", needs: tuple[str, ...] = ()) -> Tag:
    digest = Digest.of((content or name).encode())
    more = {Digest.of(each.encode()) for each in needs}
    return Tag(name, digest, None if days is None else ago(days), frozenset({digest, *more}))


def doomed(found: list[Tag], **rule: object) -> set[str]:
    return {verdict.tag.name for verdict in judge(found, Rule(**rule)) if verdict.doomed}


def test_a_list_in_pages_is_read_to_its_end_and_sorted_by_number(host):
    with Registry(page=2) as registry:
        place = images.place(host, registry)
        for name in ("v1.10", "v1.9", "latest", "v1.2", "v2"):
            images.image(place, name)
        registry.forget_requests()
        assert tags.list_tags(place.client, place.repository) == ["latest", "v1.2", "v1.9", "v1.10", "v2"]
        assert len(registry.requests) == 3


def test_a_list_that_never_ends_is_an_error(host, registry, monkeypatch):
    monkeypatch.setattr(tags, "MOST_PAGES", 3)
    place = images.place(host, registry)
    for number in range(4):
        link = {"Link": f'</v2/shop/api/tags/list?n=1&last={number}>; rel="next"'}
        registry.fault(path="*/tags/list", status=200, headers=link, content=b'{"name":"x","tags":["a"]}')
    with pytest.raises(RegistryError, match="no last page"):
        tags.list_tags(place.client, place.repository)


def test_a_next_page_at_another_host_is_not_asked_for(host, registry):
    place = images.place(host, registry)
    link = {"Link": '<http://127.0.0.2:1/v2/shop/api/tags/list?last=a>; rel="next"'}
    registry.fault(path="*/tags/list", status=200, headers=link, content=b'{"name":"x","tags":["a"]}')
    assert tags.list_tags(place.client, place.repository) == ["a"]


@pytest.mark.parametrize("content", [b"<html>", b'{"tags": 5}', b"\xff"])
def test_what_is_no_list_is_an_error(host, registry, content):
    place = images.place(host, registry)
    registry.fault(path="*/tags/list", status=200, content=content)
    with pytest.raises(RegistryError, match="no list of tags"):
        tags.list_tags(place.client, place.repository)


def test_a_list_of_null_is_empty(host, registry):
    place = images.place(host, registry)
    registry.fault(path="*/tags/list", status=200, content=b'{"name": "x", "tags": null}')
    assert tags.list_tags(place.client, place.repository) == []


def test_the_newest_are_kept_by_age_and_not_by_name():
    found = [tag("v3", 30), tag("v1", 1), tag("v2", 2)]
    assert doomed(found, keep=2) == {"v3"}
    assert doomed(found, keep=0) == {"v1", "v2", "v3"}


def test_several_names_of_one_image_count_once():
    found = [tag("v2", 1, "two"), tag("latest", 1, "two"), tag("v1", 5)]
    assert doomed(found, keep=1) == {"v1"}
    assert doomed(found, keep=2) == set()


def test_an_index_is_as_old_as_its_images_and_comes_before_them():
    found = [tag("1.0", 1, "index", ("amd64", "arm64")), tag("amd64", 1, "amd64"), tag("arm64", 1, "arm64")]
    verdicts = {verdict.tag.name: verdict for verdict in judge(found, Rule(keep=1))}
    assert not verdicts["1.0"].doomed
    assert [(one.doomed, one.whole) for name, one in verdicts.items() if name != "1.0"] == [(True, False)] * 2


def test_number_and_age_both_have_to_say_so():
    found = [tag("a", 1), tag("b", 40), tag("c", 50)]
    assert doomed(found, older=ago(30)) == {"b", "c"}
    assert doomed(found, older=ago(30), keep=2) == {"c"}
    assert doomed(found, older=ago(0.5), keep=3) == set()


def test_what_does_not_tell_its_age_is_never_old_and_versions_go_by_number():
    found = [tag("v1.9"), tag("v1.10"), tag("deadbeef"), tag("main"), tag("v1.2")]
    assert doomed(found, older=ago(0)) == set()
    # Reproducible images have no time: hashes and branches cannot be put in order.
    assert doomed(found, keep=1) == {"v1.2", "v1.9"}


def test_a_candidate_is_older_than_its_release_and_a_hash_is_no_version():
    found = [tag("v1.0-rc1"), tag("v1.0"), tag("v1.0-rc2"), tag("1234567"), tag("12ab34f"), tag("v0.9.9")]
    assert doomed(found, keep=1) == {"v1.0-rc1", "v1.0-rc2", "v0.9.9"}
    assert doomed(found, keep=2) == {"v1.0-rc1", "v0.9.9"}


def test_patterns_protect():
    found = [tag("v1", 50), tag("main", 50), tag("pr-1", 50)]
    assert doomed(found, keep=0, protect=("v*", "main")) == {"pr-1"}


def test_what_a_kept_tag_needs_is_not_deleted():
    found = [tag("index", 1, "index", ("amd64", "arm64")), tag("old-amd64", 90, "amd64"), tag("old", 90, "old")]
    verdicts = {verdict.tag.name: verdict for verdict in judge(found, Rule(older=ago(30)))}
    assert verdicts["old-amd64"].doomed
    assert not verdicts["old-amd64"].whole
    assert verdicts["old"].whole


def test_what_hangs_beside_an_image_goes_with_it():
    old, new = tag("v1", 90), tag("v2", 1)
    found = [old, new, *(tag(f"sha256-{one.digest.hex}{end}") for one in (old, new) for end in ("", ".sig"))]
    gone = doomed(found, older=ago(30))
    assert gone == {"v1", f"sha256-{old.digest.hex}", f"sha256-{old.digest.hex}.sig"}


def created(days: float) -> str:
    return ago(days).isoformat().replace("+00:00", "Z")


def delete(host, registry, **rule):
    place = images.place(host, registry)
    verdicts = judge(tags.look(host, place.client, place.repository), Rule(**rule))
    return {verdict.tag.name: how for verdict, how in tags.delete(place.client, place.repository, verdicts)}


def test_deleting_takes_image_and_names(host, registry):
    place = images.place(host, registry)
    old = images.image(place, "v1", created=created(90))
    images.image(place, "also-v1", created=created(90))
    new = images.image(place, "v2", created=created(1))
    assert delete(host, registry, older=ago(30)) == {"v1": "deleted", "also-v1": "deleted"}
    assert registry.tags("shop/api") == {"v2": new}
    assert place.client.get_manifest("shop/api", old) is None
    gone = [request.path for request in registry.requests if request.method == "DELETE"]
    assert gone == [f"/v2/shop/api/manifests/{old}"]


def test_deleting_a_name_leaves_an_image_that_others_need(host, registry):
    place = images.place(host, registry)
    child = images.image(place, "amd64", created=created(90))
    images.index(
        place,
        [images.entry(place, images.image(place, created=created(1)), platform={"os": "linux"}), images.entry(place, child)],
        "v2",
    )
    assert delete(host, registry, older=ago(30)) == {"amd64": "deleted"}
    assert place.client.get_manifest("shop/api", child) is not None
    assert set(registry.tags("shop/api")) == {"v2"}


def test_what_an_index_in_a_kept_index_needs_is_needed_too(host, registry):
    place = images.place(host, registry)
    child = images.image(place, "child", created=created(90))
    inner = images.index(place, [images.entry(place, child)])
    new = images.image(place, layers=(b"new",), created=created(1))
    images.index(place, [images.entry(place, new), images.entry(place, inner)], "v2")
    assert delete(host, registry, older=ago(30)) == {"child": "deleted"}
    assert place.client.get_manifest("shop/api", child) is not None


@pytest.mark.parametrize("status", [400, 405])
def test_a_registry_that_cannot_delete_names_keeps_those_of_what_is_needed(host, registry, status):
    place = images.place(host, registry)
    child = images.image(place, "amd64", created=created(90))
    other = images.image(place, created=created(1))
    images.index(place, [images.entry(place, other), images.entry(place, child)], "v2")
    registry.fault(method="DELETE", path="*/manifests/amd64", status=status)
    assert "stays" in delete(host, registry, older=ago(30))["amd64"]
    assert set(registry.tags("shop/api")) == {"amd64", "v2"}
    assert place.client.get_manifest("shop/api", child) is not None


def test_a_name_that_outlives_its_image_is_deleted_too(host, registry):
    """As with the registry of go-containerregistry, where a digest and a tag have nothing to do with each other."""
    place = images.place(host, registry)
    images.image(place, "v1", created=created(90))
    registry.fault(method="DELETE", path="*/manifests/sha256:*", status=202)
    assert delete(host, registry, older=ago(30)) == {"v1": "deleted"}
    assert registry.tags("shop/api") == {}


def test_a_registry_without_deletion_says_what_to_do(host, registry):
    images.image(images.place(host, registry), "v1", created=created(90))
    registry.fault(method="DELETE", status=405, times=9, content=b'{"errors":[{"code":"UNSUPPORTED","message":"not here"}]}')
    with pytest.raises(RegistryError, match="405 UNSUPPORTED not here") as caught:
        delete(host, registry, keep=0, older=ago(1))
    assert "storage.delete.enabled" in caught.value.hint
    assert set(registry.tags("shop/api")) == {"v1"}


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "0001-01-01T00:00:00Z", "", "soon", None])
def test_a_time_that_nobody_meant_is_none(host, registry, text):
    images.image(images.place(host, registry), "v1", created=text)
    assert [one.created for one in tags.look(host, connect(host, registry.address), "shop/api")] == [None]


def test_nanoseconds_are_read(host, registry):
    images.image(images.place(host, registry), "v1", created="2026-01-02T03:04:05.123456789Z")
    found = tags.look(host, connect(host, registry.address), "shop/api")[0].created
    assert found is not None
    assert (found.year, found.second) == (2026, 5)
