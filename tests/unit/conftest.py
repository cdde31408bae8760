"""What unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from goctl.system import process


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[process.Children]:
    """A register of children of this test's own, for ending it is for good."""
    made = process.Children()
    monkeypatch.setattr(process, "children", made)
    yield made
    made.end()
