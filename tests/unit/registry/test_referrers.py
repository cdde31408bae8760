from __future__ import annotations

import threading

import pytest
from tests import images

from goctl.errors import RegistryError
from goctl.registry import referrers as lists
from goctl.registry.attaching import attach_files
from goctl.registry.referrers import referrers
from goctl.registry.tags import tag_of
from goctl.testing import Registry

SBOM = ("application/spdx+json", "text/plain")


@pytest.fixture(params=[True, False], ids=["api", "tag"])
def registry(request):
    with Registry(referrers=request.param) as running:
        yield running


@pytest.fixture
def paths(tmp_path):
    path = tmp_path / "sbom.json"
    path.write_text("{}", encoding="utf-8")
    return [path]


def test_what_is_attached_is_listed(host, registry, paths):
    place = images.place(host, registry)
    digest = images.image(place, "1.0")
    subject, made = attach_files(host, place, "1.0", paths, SBOM, {"by": "me"})
    assert subject == digest
    found = referrers(place, subject)
    assert [(one.digest, one.artifact_type, one.annotations) for one in found] == [(made, SBOM[0], {"by": "me"})]
    document = images.named(place, made)
    assert document["subject"]["digest"] == digest
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert document["layers"][0]["annotations"] == {"org.opencontainers.image.title": "sbom.json"}
    assert document["layers"][0]["mediaType"] == "text/plain"
    tags = set(registry.tags("shop/api"))
    assert tags == {"1.0"} if registry.referrers else tags == {"1.0", f"sha256-{digest.hex}"}


def test_attached_twice_is_attached_once(host, registry, paths):
    place = images.place(host, registry)
    images.image(place, "1.0")
    subject, one = attach_files(host, place, "1.0", paths, SBOM, {})
    assert attach_files(host, place, "1.0", paths, SBOM, {}) == (subject, one)
    assert len(referrers(place, subject)) == 1


def test_only_those_of_a_type(host, registry, paths):
    place = images.place(host, registry)
    images.image(place, "1.0")
    subject, sbom = attach_files(host, place, "1.0", paths, SBOM, {})
    attach_files(host, place, "1.0", paths, ("application/sarif+json", ""), {})
    assert len(referrers(place, subject)) == 2
    assert [one.digest for one in referrers(place, subject, SBOM[0])] == [sbom]


def test_nothing_refers(host, registry):
    place = images.place(host, registry)
    assert referrers(place, images.image(place, "1.0")) == []


def test_an_image_that_is_not_there(host, registry, paths):
    with pytest.raises(RegistryError, match=r"has no shop/api:1\.0"):
        attach_files(host, images.place(host, registry), "1.0", paths, SBOM, {})


def test_what_others_noted_behind_the_tag_stays_byte_for_byte(host, paths):
    with Registry(referrers=False) as registry:
        place = images.place(host, registry)
        subject = images.image(place, "1.0")
        other = {**images.entry(place, images.image(place, platform="linux/386")), "x-unknown": {"a": [1]}}
        images.index(place, [other], tag_of(subject))
        attach_files(host, place, "1.0", paths, SBOM, {})
        assert images.named(place, tag_of(subject))["manifests"][0] == other
        assert len(referrers(place, subject)) == 2


def test_many_at_once_lose_nothing_where_the_registry_compares(host, tmp_path):
    with Registry(referrers=False) as registry:
        place = images.place(host, registry)
        subject = images.image(place, "1.0")
        made, errors = set(), []

        def attach(number: int) -> None:
            path = tmp_path / f"{number}.txt"
            path.write_text(str(number), encoding="utf-8")
            try:
                made.add(attach_files(host, images.place(host, registry), "1.0", [path], SBOM, {})[1])
            except RegistryError as error:
                errors.append(error)

        threads = [threading.Thread(target=attach, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert {one.digest for one in referrers(place, subject)} == made
        assert len(made) == 6


def test_who_found_no_list_does_not_write_over_the_first(host, tmp_path, monkeypatch):
    write, files = lists._write, [tmp_path / "slow.txt", tmp_path / "fast.txt"]
    for file in files:
        file.write_text(file.name, encoding="utf-8")
    with Registry(referrers=False) as registry:
        place = images.place(host, registry)
        subject = images.image(place, "1.0")
        made = set()

        def overtaken(*args):
            monkeypatch.setattr(lists, "_write", write)
            made.add(attach_files(host, place, "1.0", files[1:], SBOM, {})[1])
            write(*args)

        monkeypatch.setattr(lists, "_write", overtaken)
        made.add(attach_files(host, place, "1.0", files[:1], SBOM, {})[1])
        assert {one.digest for one in referrers(place, subject)} == made
        assert len(made) == 2


def test_a_lost_entry_is_written_again(host, registry, paths):
    if registry.referrers:
        pytest.skip("the registry keeps the list itself")
    place = images.place(host, registry)
    subject = images.image(place, "1.0")
    # The first write is answered and goes under, as when somebody else writes at the same time.
    registry.fault(method="PUT", path=f"*/manifests/{tag_of(subject)}", status=201)
    _, made = attach_files(host, place, "1.0", paths, SBOM, {})
    assert [one.digest for one in referrers(place, subject)] == [made]


def test_a_registry_that_sees_the_empty_config_half_written_is_asked_again(host, registry, paths):
    place = images.place(host, registry)
    subject = images.image(place, "1.0")
    said = b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}'
    registry.fault(method="PUT", path="*/manifests/sha256:*", status=400, content=said, times=2)
    attach_files(host, place, "1.0", paths, SBOM, {})
    assert len(referrers(place, subject)) == 1


@pytest.mark.parametrize("status", [400, 405, 406])
def test_other_words_for_no_such_api(host, status):
    with Registry(referrers=False) as registry:
        place = images.place(host, registry)
        registry.fault(path="*/referrers/*", status=status)
        assert referrers(place, images.image(place, "1.0")) == []


def test_a_list_in_pages(host):
    with Registry() as registry:
        place = images.place(host, registry)
        subject = images.image(place, "1.0")
        one = images.entry(place, images.image(place, platform="linux/386"))
        two = images.entry(place, images.image(place, platform="linux/arm64"))
        import json

        more = {"Link": f'</v2/shop/api/referrers/{subject}?page=2>; rel="next"'}
        for entry, headers in ((one, more), (two, {})):
            registry.fault(
                path="*/referrers/*", status=200, headers=headers, content=json.dumps({"manifests": [entry]}).encode()
            )
        assert [found.digest for found in referrers(place, subject)] == [one["digest"], two["digest"]]
