"""Kubeconfigs: the lock that other programs take too, what is no kubeconfig, and what a cluster's refusals become."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx2
import pytest
from lightkube import ApiError

from goctl.cluster import access
from goctl.cluster.access import Access, asking
from goctl.errors import ClusterError

NAMED = '{"clusters": [{"name": "kind-shop"}], "users": [{"name": "kind-shop"}], "contexts": [{"name": "kind-shop"}]}'


@pytest.fixture
def shop(tmp_path: Path) -> Access:
    made = Access(tmp_path / "state", "shop", print)
    made.folder.mkdir(parents=True)
    made.file.write_text(NAMED)
    return made


def test_a_lock_that_another_program_holds_is_waited_for(
    shop: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "config.lock"
    lock.touch()
    monkeypatch.setattr(access.time, "sleep", lambda seconds: lock.unlink(missing_ok=True))
    shop.merge(tmp_path / "config")
    assert "kind-shop" in (tmp_path / "config").read_text()
    assert not lock.exists()


def test_a_lock_that_was_left_behind_is_taken(shop: Access, tmp_path: Path) -> None:
    lock = tmp_path / "config.lock"
    lock.touch()
    os.utime(lock, (time.time() - 3600,) * 2)
    shop.merge(tmp_path / "config")
    assert not lock.exists()


def test_a_lock_that_stays_is_told_of(shop: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.lock").touch()
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(access.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(access.time, "sleep", lambda seconds: None)
    with pytest.raises(ClusterError, match="another program holds"):
        shop.merge(tmp_path / "config")
    assert (tmp_path / "config.lock").exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes")
def test_keys_are_for_their_owner_alone(shop: Access, tmp_path: Path) -> None:
    shop.merge(tmp_path / "config")
    assert (tmp_path / "config").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_kubeconfig_that_is_a_link_stays_one(shop: Access, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "config").symlink_to("real")
    shop.merge(tmp_path / "config")
    assert (tmp_path / "config").is_symlink()
    assert "kind-shop" in (tmp_path / "real").read_text()


def test_files_that_are_gone_are_forgotten(shop: Access, tmp_path: Path) -> None:
    shop.merge(tmp_path / "config")
    (tmp_path / "config").unlink()
    assert shop.forget() == []
    assert not shop.file.exists()


def test_refusals_and_silence_are_cluster_errors() -> None:
    request = httpx2.Request("GET", "https://127.0.0.1/api")
    status = {"message": "configmaps is forbidden", "code": 403, "reason": "Forbidden"}
    with pytest.raises(ClusterError, match="refused to note it: configmaps is forbidden") as caught, asking("note it"):
        raise ApiError(request=request, response=httpx2.Response(403, json=status, request=request))
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    with pytest.raises(ClusterError, match="did not answer when asked to list nodes") as caught, asking("list nodes"):
        raise httpx2.ConnectError("connection refused")
    assert caught.value.temporary
