"""What is thrown away, and when entries are renewed, for every state of a level."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from goctl.cache.policy import EARLY, GRACE, doomed, is_due
from goctl.config.cache import age
from goctl.contracts import Held

NOW = 1_000_000.0
HELD = st.lists(
    st.builds(Held, st.text("abcdef", min_size=1, max_size=8), st.integers(0, 1000), st.floats(0, NOW + 10)),
    max_size=30,
    unique_by=lambda one: one.name,
)
SIZES = st.integers(0, 20_000)
AGES = st.floats(0, NOW)


@given(HELD, SIZES, AGES, SIZES)
def test_nothing_that_was_just_used_goes(held: list[Held], max_size: int, max_age: float, wanted: int) -> None:
    for one in doomed(held, NOW, max_size=max_size, max_age=max_age, wanted=wanted):
        assert NOW - one.used >= GRACE


@given(HELD, SIZES, AGES)
def test_what_is_kept_is_within_its_bounds(held: list[Held], max_size: int, max_age: float) -> None:
    gone = doomed(held, NOW, max_size=max_size, max_age=max_age, grace=0)
    kept = [one for one in held if one not in gone and one.used <= NOW]
    if max_age:
        assert all(NOW - one.used <= max_age for one in kept)
    if max_size and all(one.used <= NOW for one in held):
        assert sum(one.size for one in kept) <= max_size


@given(HELD, SIZES)
def test_the_longest_unused_goes_first_and_no_more_than_needed(held: list[Held], max_size: int) -> None:
    gone = doomed(held, NOW, max_size=max_size, grace=0)
    kept = [one for one in held if one not in gone]
    assert max((one.used for one in gone), default=0) <= min((one.used for one in kept), default=NOW + 10)
    if gone and max_size:
        assert sum(one.size for one in kept) + gone[-1].size > max_size


@given(HELD)
def test_without_bounds_nothing_goes(held: list[Held]) -> None:
    assert doomed(held, NOW) == []


@given(HELD, SIZES)
def test_room_is_made_as_far_as_it_can_be(held: list[Held], wanted: int) -> None:
    gone = doomed(held, NOW, wanted=wanted, grace=0)
    old = [one for one in held if one.used <= NOW]
    assert sum(one.size for one in gone) >= min(wanted, sum(one.size for one in old))


@given(st.floats(0, 1), st.floats(1, 1e6), st.floats(0, 1))
def test_an_entry_is_renewed_only_near_its_end(spent: float, max_age: float, luck: float) -> None:
    due = is_due(NOW - spent * max_age, NOW, max_age, luck)
    assert not due or 1 - EARLY - 1e-6 <= spent <= 1 + 1e-6
    assert not is_due(NOW, NOW, 0.0, luck)


def test_the_nearer_the_end_the_more_readers_renew() -> None:
    draws = [number / 1000 for number in range(1000)]
    shares = [sum(is_due(0.0, when, 100.0, luck) for luck in draws) / 1000 for when in (79, 85, 95, 99.9)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.98


@given(st.integers(1, 999_999), st.sampled_from("smhdw"))
def test_ages_are_read(number: int, unit: str) -> None:
    assert age(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]
