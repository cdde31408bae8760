"""Versions of Go in order, and the constraints on them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from goctl.errors import ConfigError
from goctl.golang.versions import is_constraint, meets, order

#: As cmd/go/internal/gover sorts them.
IN_ORDER = "devel 1.19 1.20rc1 1.20 1.20.1 1.21 1.21beta1 1.21rc2 1.21rc10 1.21.0 1.21.1 1.21.10 1.22 1.22.0 1.100 2".split()


@pytest.mark.parametrize(("older", "newer"), list(pairwise(IN_ORDER)))
def test_versions_are_in_gos_order(older: str, newer: str) -> None:
    assert order(older) < order("go" + newer)


def test_what_a_distribution_appends_counts_for_nothing() -> None:
    assert order("1.26.8-X:nodwarf5") == order("go1.26.8") == order("1.26.8 linux")


@pytest.mark.parametrize(
    ("constraint", "met", "unmet"),
    [
        (">=1.22,<1.24", "1.22.0 1.22rc1 1.23.9", "1.21.13 1.24.0 1.24rc1 1.25.1"),
        (">= 1.22 , < 1.24", "1.23.0", "1.24.0"),
        ("1.23.x", "1.23.0 1.23.12", "1.22.9 1.24.0"),
        ("1.23", "1.23.0 1.23.12", "1.2.3 1.24.0"),
        ("==1.23.*", "1.23.4", "1.24.0"),
        ("go1.26.8", "1.26.8 1.26.8-suse", "1.26.7 1.26.9"),
        ("1.26rc1", "1.26rc1", "1.26rc2 1.26.0"),
        (">=1.26.2", "1.26.2 1.27rc1 2.0.0", "1.26.1 1.26rc1"),
        ("<=1.26", "1.26.9 1.25.0", "1.27.0"),
        (">1.26", "1.27.0", "1.26.9"),
        ("!=1.26.3", "1.26.4 1.27.0", "1.26.3"),
        ("~=1.26.3", "1.26.3 1.26.9", "1.26.2 1.27.0"),
        ("~=1.26", "1.26.0 1.30.0", "1.25.9 2.0.0"),
        ("^1.22", "1.22.1 1.26.0", "1.21.0 2.0.0"),
    ],
)
def test_constraints(constraint: str, met: str, unmet: str) -> None:
    assert is_constraint(constraint)
    assert [version for version in met.split() if not meets(version, constraint)] == []
    assert [version for version in unmet.split() if meets(version, constraint)] == []


@pytest.mark.parametrize("constraint", [">=", "1.2.3.beta", ">=1.22,", "=>1.2", "1.x.3"])
def test_what_is_no_constraint_is_told(constraint: str) -> None:
    with pytest.raises(ConfigError, match="is no constraint"):
        meets("1.26.0", constraint)


@pytest.mark.parametrize(
    "setting", ["auto", "/opt/go/bin/go", "tools/go", "~/sdk/go1.24", "C:\\Go\\bin\\go.exe", "gofork/bin/go"]
)
def test_paths_are_no_constraints(setting: str) -> None:
    # `~/` is a home, `~=` an operator.
    assert not is_constraint(setting)
