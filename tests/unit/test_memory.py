"""The memory that new processes may take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from goctl.system import memory


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path


def limit(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_control_groups_the_machine_decides(groups: Path) -> None:
    assert 1 << 20 < memory.available() < 1 << 60


@pytest.mark.parametrize("text", [None, "MemTotal: 1 kB\n"])
def test_where_no_file_tells_psutil_does(groups: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    if text is not None:
        (groups / "meminfo").write_text(text)
    monkeypatch.setattr(memory, "_LINUX", groups / "meminfo")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4711))
    assert memory.available() == 4711


def test_linux_tells_in_a_file(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (groups / "meminfo").write_text("MemTotal:  24728696 kB\nMemFree:  1 kB\nMemAvailable:   22000 kB\n")
    monkeypatch.setattr(memory, "_LINUX", groups / "meminfo")
    assert memory.available() == 22000 * 1024


@pytest.mark.parametrize("folder", ["", "a", "a/b"])
def test_the_limit_of_a_group_or_one_above_it_counts(groups: Path, folder: str) -> None:
    limit(groups / "own", "0::/a/b\n")
    limit(groups / "cgroup" / folder / "memory.max", "1000\n")
    assert memory.available() == 1000


def test_the_least_limit_counts(groups: Path) -> None:
    limit(groups / "own", "0::/a/b\n")
    limit(groups / "cgroup/a/memory.max", "1000\n")
    limit(groups / "cgroup/a/b/memory.max", "2000\n")
    assert memory.available() == 1000


def test_no_limit_is_none(groups: Path) -> None:
    limit(groups / "own", "0::/\n")
    limit(groups / "cgroup/memory.max", "max\n")
    assert memory.available() > 1 << 20


def test_the_first_version_of_control_groups_counts(groups: Path) -> None:
    limit(groups / "own", "5:cpu,cpuacct:/c\n4:hugetlb,memory:/docker/x\n0::/\n")
    limit(groups / "cgroup/memory/memory.limit_in_bytes", "3000\n")
    limit(groups / "cgroup/cpu,cpuacct/c/memory.limit_in_bytes", "1\n")
    assert memory.available() == 3000
