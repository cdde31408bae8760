"""What doctor says of registries, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from goctl.config.loader import load
from goctl.release.probes import registries
from goctl.release.session import Session
from goctl.testing import Registry


@pytest.fixture(autouse=True)
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def look(root: Path, tables: str) -> dict[str, tuple[str, str, int]]:
    text = '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\n'
    (root / "goctl.toml").write_text(text + tables)
    session = Session(load(root / "goctl.toml"), emit=lambda _: None)
    return {one.name: (one.found, one.advice, one.code) for one in registries(session)}


def test_each_registry_has_a_row_and_a_bad_one_spoils_no_other(tmp_path: Path) -> None:
    with Registry() as gone:
        address = gone.address
    with Registry() as open, Registry(auth="basic") as closed:
        found = look(
            tmp_path,
            f'[registries.open]\nurl = "{open.address}/shop"\n[registries.closed]\nurl = "{closed.address}"\n'
            f'[registries.gone]\nurl = "{address}/shop"\n[registries.disk]\nurl = "oci-layout:images"\n',
        )
    assert list(found) == ["open", "closed", "gone", "disk"]
    assert [code for _, _, code in found.values()] == [0, 8, 8, 0]
    assert "may push" in found["open"][0]
    assert "chunked yes" in found["open"][0]
    assert "401" in found["closed"][0]
    assert f"--registry {closed.address}" in found["closed"][1]
    assert "cannot be let in" not in found["disk"][0]
    assert f"check that {address} runs" in found["gone"][1]


def test_who_may_not_push_gets_an_error_with_the_reason(tmp_path: Path) -> None:
    with Registry() as registry:
        registry.fault(method="POST", status=403, times=9)
        found, advice, code = look(tmp_path, f'[registries.corp]\nurl = "{registry.address}/shop"\n')["corp"]
    assert "may not push" in found
    assert "refused to push to shop/api: 403" in advice
    assert code == 8


def test_a_registry_that_is_not_pushed_to_need_not_let_us(tmp_path: Path) -> None:
    with Registry() as registry:
        registry.fault(method="POST", status=403, times=9)
        found = look(tmp_path, f'[registries.hub]\nurl = "{registry.address}/shop"\npush = false\n')["hub"]
    assert "may not push" in found[0]
    assert found[2] == 0
