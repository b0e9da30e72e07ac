"""Periods by anniversary: month ends, leap years, rests, and that nothing is missed or counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.billing.periods import FREQUENCIES, MONTHS, Period, billing_periods, divides, periods


def _days(*pairs: str) -> list[Period]:
    return [Period(*(date.fromisoformat(day) for day in pair.split("/"))) for pair in pairs]


@pytest.mark.parametrize(
    ("first", "end", "frequency", "expected"),
    [
        ("2023-01-01", "2023-12-31", "Half Yearly", ["2023-01-01/2023-06-30", "2023-07-01/2023-12-31"]),
        ("2023-01-01", "2023-12-31", "Yearly", ["2023-01-01/2023-12-31"]),
        (
            *("2024-01-31", "2024-05-15", "Monthly"),
            [
                "2024-01-31/2024-02-28",
                "2024-02-29/2024-03-30",
                "2024-03-31/2024-04-29",
                "2024-04-30/2024-05-15",
            ],
        ),
        ("2023-01-31", "2023-03-30", "Monthly", ["2023-01-31/2023-02-27", "2023-02-28/2023-03-30"]),
        ("2024-02-29", "2026-02-27", "Yearly", ["2024-02-29/2025-02-27", "2025-02-28/2026-02-27"]),
        (
            *("2023-11-30", "2024-08-31", "Quarterly"),
            [
                "2023-11-30/2024-02-28",
                "2024-02-29/2024-05-29",
                "2024-05-30/2024-08-29",
                "2024-08-30/2024-08-31",
            ],
        ),
        (
            *("2023-08-31", "2024-08-30", "Half Yearly"),
            ["2023-08-31/2024-02-28", "2024-02-29/2024-08-30"],
        ),
        ("2023-06-05", "2023-06-05", "Monthly", ["2023-06-05/2023-06-05"]),
        ("2023-06-05", "2023-06-04", "Monthly", []),
    ],
)
def test_periods_run_by_anniversary_from_the_first_day(
    first: str, end: str, frequency: str, expected: list[str]
) -> None:
    assert periods(date.fromisoformat(first), date.fromisoformat(end), frequency) == _days(*expected)


def test_a_period_is_ready_for_invoice_the_day_after_it() -> None:
    assert Period(date(2023, 7, 1), date(2023, 12, 31)).ready_for_invoice == date(2024, 1, 1)


def test_usage_periods_fill_their_billing_period_from_the_same_anniversary() -> None:
    first, rest = billing_periods(date(2024, 1, 31), date(2024, 5, 10), "Quarterly", "Monthly")
    assert (first.start, first.end) == (date(2024, 1, 31), date(2024, 4, 29))
    assert list(first.usage) == _days(
        "2024-01-31/2024-02-28", "2024-02-29/2024-03-30", "2024-03-31/2024-04-29"
    )
    assert (rest.start, rest.end) == (date(2024, 4, 30), date(2024, 5, 10))
    assert list(rest.usage) == _days("2024-04-30/2024-05-10")


def test_a_usage_frequency_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        billing_periods(date(2024, 1, 1), date(2024, 12, 31), "Monthly", "Quarterly")


def test_each_frequency_divides_itself_and_the_longer_ones() -> None:
    assert [
        (usage, billing) for usage in FREQUENCIES for billing in FREQUENCIES if divides(usage, billing)
    ] == [(usage, billing) for place, usage in enumerate(FREQUENCIES) for billing in FREQUENCIES[place:]]


_dates = st.dates(date(1900, 1, 1), date(2990, 12, 31))


@given(first=_dates, length=st.integers(0, 4000), billing=st.sampled_from(FREQUENCIES), data=st.data())
def test_periods_tile_the_range_and_usage_periods_tile_each_billing_period(
    first: date, length: int, billing: str, data: st.DataObject
) -> None:
    usage = data.draw(st.sampled_from([name for name in FREQUENCIES if divides(name, billing)]))
    end = first + timedelta(length)
    made = billing_periods(first, end, billing, usage)
    assert [Period(one.start, one.end) for one in made] == periods(first, end, billing)
    _assert_tiled(first, end, made)
    for period in made:
        _assert_tiled(period.start, period.end, period.usage)
    assert all(len(one.usage) == MONTHS[billing] // MONTHS[usage] for one in made[:-1])


def _assert_tiled(first: date, end: date, parts: Sequence[Period]) -> None:
    assert parts[0].start == first
    assert parts[-1].end == end
    assert all(one.start <= one.end for one in parts)
    assert all(one.end + timedelta(1) == other.start for one, other in pairwise(parts))
