"""The tasks about manifests, tags, referrers and bases, called as invoke calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit
from tests import images

from goctl.commands import command
from goctl.testing import Host, Registry, make_index
from goctl.values import Digest

OPTIONS: dict[str, dict[str, Any]] = {
    "manifest.create": {"amend": None, "replace": False},
    "manifest.inspect": {"compare": "", "unpacked": False},
    "tags.delete": {"keep": "", "older": "", "protect": None},
    "referrer.attach": {"file": None, "artifact_type": "", "media_type": "", "annotation": None},
    "referrer.list": {"artifact_type": ""},
    "base.status": {"check": False},
}
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Path:
    root = tmp_path / "project"
    root.mkdir(exist_ok=True)
    (root / "goctl.toml").write_text(
        f'[project]\nname = "shop"\n[registries.corp]\nurl = "{registry.address}/shop"\n'
        '[registries.local]\nurl = "oci-layout:dist/images"\n'
        f'[targets.api]\npackages = ["./cmd/api"]\nplatforms = ["linux/amd64"]\n'
        f'[targets.api.image]\nbase = "{registry.address}/bases/small:1"\n',
        encoding="utf-8",
    )
    return root


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, /, *, code: int = 0, dry: bool = False, **options: Any) -> list[dict[str, Any]]:
        ended = 0
        try:
            given = {**OPTIONS.get(name, {}), **options}
            command(project / "goctl.toml", name, dry=dry, defaults={}, json=True, profile="", **given)
        except Exit as error:
            ended = error.code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert ended == code, lines
        return lines

    return run


def test_a_table_of_registries_stands_for_its_url(run: Run, registry: Registry, host: Host) -> None:
    place = images.place(host, registry)
    images.image(place, "a")
    images.image(place, "b", "linux/arm64")
    run("manifest.create", name="corp/api:all", amend=["corp/api:a", f"{registry.address}/shop/api:b"])
    data = run("manifest.inspect", reference="corp/api:all", compare="corp/api:a", unpacked=True)[-1]["data"]
    assert [part["platform"] for part in data["parts"]] == ["linux/amd64", "linux/arm64"]
    assert data["parts"][0]["layers"][0]["unpacked"] == 5
    assert data["compared"]["platforms"][0]["shared"] == [Digest.of(b"layer")]
    assert run("tags.list", repository="corp/api")[-1]["data"]["tags"] == ["a", "all", "b"]


def test_dry_runs_change_nothing(run: Run, registry: Registry, host: Host, project: Path) -> None:
    images.image(images.place(host, registry), "a", created="2020-01-01T00:00:00Z")
    before = registry.tags("shop/api")
    registry.forget_requests()
    run("manifest.create", name="corp/api:all", amend=["corp/api:a"], dry=True)
    rows = run("tags.delete", repository="corp/api", older="30d", dry=True)[-1]["rows"]
    assert [(row[0], row[3]) for row in rows] == [("a", "would be deleted")]
    run("referrer.attach", reference="corp/api:a", file=["goctl.toml"], artifact_type="text/plain", dry=True)
    assert registry.tags("shop/api") == before
    assert {request.method for request in registry.requests} <= {"GET", "HEAD"}
    assert {path.name for path in project.iterdir()} == {"goctl.toml"}


def test_attached_and_listed(run: Run, registry: Registry, host: Host, project: Path) -> None:
    digest = images.image(images.place(host, registry), "a")
    run("referrer.attach", reference="corp/api:a", file=["goctl.toml"], artifact_type="text/plain", annotation=["k=v"])
    data = run("referrer.list", reference="corp/api:a")[-1]["data"]
    assert data["subject"] == digest
    assert data["referrers"][0]["annotations"] == {"k": "v"}
    assert (project / ".goctl/.gitignore").exists()


def test_deleting_tells_what_became_of_each(run: Run, registry: Registry, host: Host) -> None:
    place = images.place(host, registry)
    images.image(place, "old", created="2020-01-01T00:00:00Z")
    images.image(place, "new", created="2026-01-01T00:00:00Z", layers=(b"new",))
    rows = run("tags.delete", repository="corp/api", keep="1")[-1]["rows"]
    assert [(row[0], row[3]) for row in rows] == [("new", "kept"), ("old", "deleted")]
    assert set(registry.tags("shop/api")) == {"new"}


def test_what_went_wrong_on_the_way_is_told_with_what_was_done(run: Run, registry: Registry, host: Host) -> None:
    place = images.place(host, registry)
    for name in ("a", "b"):
        images.image(place, name, created="2020-01-01T00:00:00Z", layers=(name.encode(),))
    second = registry.tags("shop/api")["b"]
    registry.fault(method="DELETE", path=f"*/{second}", status=403)
    table, failed = run("tags.delete", repository="corp/api", keep="0", code=8)[-2:]
    assert [(row[0], row[3]) for row in table["rows"]] == [("a", "deleted"), ("b", "not deleted")]
    assert "403" in failed["message"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("tags.delete", {"repository": "corp/api"}, "not said which"),
        ("tags.delete", {"repository": "corp/api:1", "keep": "1"}, "names an image"),
        ("tags.delete", {"repository": "corp/api", "keep": "-1"}, "no number"),
        ("tags.delete", {"repository": "corp/api", "older": "30"}, "no time"),
        ("tags.delete", {"repository": "local/api", "keep": "1"}, "no place in a registry"),
        ("tags.list", {"repository": "corp/API"}, "not an image reference"),
        ("tags.list", {"repository": "me:secret@corp.example.com/api"}, "names nobody who logs in"),
        ("manifest.create", {"name": "corp/api:all"}, "nothing to join"),
        ("manifest.create", {"name": f"corp/api@sha256:{'0' * 64}", "amend": ["corp/api:a"]}, "its digest"),
        ("manifest.create", {"name": "local/api:all", "amend": ["corp/api:a"]}, "no place in a registry"),
        ("manifest.inspect", {"reference": "corp/api:none"}, "has no shop/api:none"),
        ("referrer.attach", {"reference": "corp/api:a"}, "nothing to attach"),
        ("referrer.attach", {"reference": "corp/api:a", "file": ["no"]}, "is no file"),
        ("referrer.attach", {"reference": "corp/api:a", "file": ["goctl.toml"]}, "what is attached"),
        ("referrer.attach", {"reference": "corp/api:a", "file": ["goctl.toml"], "artifact_type": "x"}, "no media type"),
    ],
)
def test_what_cannot_be_is_said(run: Run, name: str, options: dict[str, Any], words: str) -> None:
    code = 8 if "none" in words else 3
    failed = run(name, code=code, **options)[-1]
    assert words in failed["message"]


def test_a_layout_is_looked_at_too(run: Run, project: Path) -> None:
    from goctl.config.model import Registry as Settings
    from goctl.oci.layout import LayoutDestination, LayoutOptions

    host = Host(project)
    index = make_index(host)
    layout = LayoutDestination("local", Settings(url="x"), "dist/images", LayoutOptions(), host)
    for part in (*index.images, index):
        layout.upload("api", part, lambda done, total: None)
    layout.tag("api", index, ("1.0", "latest"))
    for name in ("local/api:1.0", "local/api", f"local/api@{index.digest}", "oci-layout:dist/images:api:1.0"):
        data = run("manifest.inspect", reference=name, unpacked=True)[-1]["data"]
        assert data["digest"] == index.digest
        assert [part["platform"] for part in data["parts"]] == ["linux/amd64", "linux/arm64"]
    assert run("tags.list", repository="local/api")[-1]["data"]["tags"] == ["1.0", "latest"]
    assert run("tags.list", repository="local")[-1]["data"]["tags"] == ["api:1.0", "api:latest"]
    assert "api:1.0, api:latest" in run("manifest.inspect", reference="local/api:2", code=7)[-1]["message"]
    (project / "dist/images/blobs/sha256" / index.images[0].config.digest.hex).write_bytes(b"{}")
    assert "size" in run("manifest.inspect", reference="local/api:1.0", code=7)[-1]["message"]


def test_bases_that_moved_are_told_and_nothing_is_written(run: Run, registry: Registry, host: Host, project: Path) -> None:
    place = images.place(host, registry, "bases/small")
    first = images.image(place, "1")
    reference = f"{registry.address}/bases/small:1"

    def rows(**options: Any) -> list[list[str]]:
        events = run("base.status", **options)
        return next(event for event in events if event["event"] == "table")["rows"]

    assert rows() == [[reference, "-", first, "not pinned"]]
    assert "not pinned" in run("base.status", check=True, code=12)[-1]["message"]
    assert not (project / "goctl.lock").exists()
    run("base.update")
    registry.forget_requests()
    assert rows(check=True) == [[reference, first, first, "as pinned"]]
    assert [request.method for request in registry.requests] == ["HEAD"]
    second = images.image(place, "1", layers=(b"new",))
    before = (project / "goctl.lock").read_bytes()
    assert rows() == [[reference, first, second, "moved"]]
    assert "is moved" in run("base.status", check=True, code=12)[-1]["message"]
    place.client.request("x", "DELETE", "/v2/bases/small/manifests/1", scopes=(), expected=(202,))
    assert rows() == [[reference, first, "-", "gone"]]
    assert (project / "goctl.lock").read_bytes() == before


def test_a_registry_that_does_not_answer_is_no_answer(run: Run, registry: Registry) -> None:
    registry.fault(method="HEAD", status=403)
    table, failed = run("base.status", code=8)[-2:]
    assert table["rows"][0][3] == "not known"
    assert "403" in failed["message"]


def test_the_text_for_people(project: Path, registry: Registry, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    place = images.place(host, registry)
    images.image(place, "1", layers=(b"base", b"x" * 5000), history=[{"created_by": "FROM base"}, {"created_by": "COPY x"}])
    command(
        project / "goctl.toml", "manifest.inspect", dry=False, defaults={}, json=False, profile="",
        reference="corp/api:1", compare="corp/api:1", unpacked=False,
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{registry.address}/shop/api:1"
    assert any(line.endswith("5 kB  COPY x") for line in lines)
    assert any("2 layers shared" in line for line in lines)
