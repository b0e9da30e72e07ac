"""Which periods stand after an amendment, and which inputs were on those that fell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import pytest

from batchwright.billing.amendment import (
    AssetTerms,
    Days,
    LiveSchedule,
    SupersededUsage,
    billed_until,
    new_periods,
)
from batchwright.billing.periods import Period

JANUARY = date(2023, 1, 1)
YEAR_END = date(2023, 12, 31)


def terms(billing: str = "Half Yearly", usage: str = "Monthly", end: date = YEAR_END) -> AssetTerms:
    return AssetTerms(end, None, billing, usage)


def days(start: str, end: str) -> Period:
    return Period(date.fromisoformat(start), date.fromisoformat(end))


def schedule(
    start: str, end: str, status: str = "Pending Billing", usage: Sequence[Period] = ()
) -> LiveSchedule:
    period = days(start, end)
    return LiveSchedule(period, status, tuple(usage) or (period,))


def starts(schedules: list[LiveSchedule], wanted: AssetTerms, first: date = JANUARY) -> list[str]:
    return [period.start.isoformat() for period in new_periods(first, wanted, schedules)]


def test_nothing_billed_makes_every_period_anew() -> None:
    schedules = [schedule("2023-01-01", "2023-06-30"), schedule("2023-07-01", "2023-12-31")]
    made = new_periods(JANUARY, terms(), schedules)
    assert [(period.start, period.end) for period in made] == [
        (one.period.start, one.period.end) for one in schedules
    ]
    assert [len(period.usage) for period in made] == [6, 6]


@pytest.mark.parametrize("status", ["Pending Invoice", "Invoiced"])
def test_new_periods_stand_from_the_day_after_the_last_billed_one(status: str) -> None:
    schedules = [schedule("2023-01-01", "2023-06-30", status), schedule("2023-07-01", "2023-12-31")]
    assert billed_until(schedules) == date(2023, 6, 30)
    assert starts(schedules, terms()) == ["2023-07-01"]
    assert starts(schedules, terms("Quarterly")) == ["2023-07-01", "2023-10-01"]


def test_the_anniversaries_of_the_first_billing_date_go_on() -> None:
    first = date(2023, 1, 31)
    billed = [schedule("2023-01-31", "2023-02-27", "Invoiced")]
    assert starts(billed, terms("Monthly", end=date(2023, 5, 15)), first) == [
        *("2023-02-28", "2023-03-31", "2023-04-30")
    ]


# First billing date, what is billed, its last day, new terms, the periods that follow.
_ANCHORED = [
    ("2024-01-31", "2024-02-28", terms("Quarterly", end=date(2024, 12, 31)),
     ["2024-02-29 2024-05-30", "2024-05-31 2024-08-30", "2024-08-31 2024-11-29", "2024-11-30 2024-12-31"]),
    ("2023-01-31", "2023-02-27", terms("Half Yearly", end=date(2024, 2, 10)),
     ["2023-02-28 2023-08-30", "2023-08-31 2024-02-10"]),
    ("2024-01-30", "2024-02-28", terms("Quarterly", end=date(2024, 8, 29)),
     ["2024-02-29 2024-05-29", "2024-05-30 2024-08-29"]),
    ("2023-08-31", "2024-02-28", terms("Quarterly", end=date(2024, 8, 30)),
     ["2024-02-29 2024-05-30", "2024-05-31 2024-08-30"]),
    ("2024-01-31", "2024-05-30", terms("Monthly", end=date(2024, 8, 1)),
     ["2024-05-31 2024-06-29", "2024-06-30 2024-07-30", "2024-07-31 2024-08-01"]),
    ("2024-02-29", "2025-02-27", terms("Yearly", end=date(2028, 12, 31)),
     ["2025-02-28 2026-02-27", "2026-02-28 2027-02-27", "2027-02-28 2028-02-28", "2028-02-29 2028-12-31"]),
    # The last period was cut short by an end date that no longer holds: the rest of it comes first.
    ("2024-01-31", "2024-04-15", terms("Monthly", end=date(2024, 6, 29)),
     ["2024-04-16 2024-04-29", "2024-04-30 2024-05-30", "2024-05-31 2024-06-29"]),
    ("2023-01-01", "2023-05-15", terms("Quarterly"),
     ["2023-05-16 2023-06-30", "2023-07-01 2023-09-30", "2023-10-01 2023-12-31"]),
    ("2024-01-31", "2024-02-10", terms("Quarterly", "Quarterly", end=date(2024, 5, 1)),
     ["2024-02-11 2024-04-29", "2024-04-30 2024-05-01"]),
]  # fmt: skip


@pytest.mark.parametrize(("first", "until", "wanted", "periods"), _ANCHORED)
def test_the_day_of_the_month_survives_an_amendment(
    first: str, until: str, wanted: AssetTerms, periods: list[str]
) -> None:
    made = new_periods(date.fromisoformat(first), wanted, [schedule(first, until, "Invoiced")])
    assert [f"{period.start} {period.end}" for period in made] == periods
    parts = [part for period in made for part in period.usage]
    assert [(period.usage[0].start, period.usage[-1].end) for period in made] == [
        (period.start, period.end) for period in made
    ]
    assert all(before.end + timedelta(days=1) == after.start for before, after in pairwise(parts))


def test_usage_periods_keep_the_day_of_the_month_too() -> None:
    billed = [schedule("2024-01-31", "2024-02-28", "Invoiced")]
    made = new_periods(date(2024, 1, 31), terms("Quarterly", end=date(2024, 5, 30)), billed)
    assert [f"{part.start} {part.end}" for part in made[0].usage] == [
        *("2024-02-29 2024-03-30", "2024-03-31 2024-04-29", "2024-04-30 2024-05-30")
    ]


def test_where_the_day_is_a_month_of_its_own_whole_periods_run_from_it() -> None:
    billed = [
        schedule("2023-01-01", "2023-01-31", "Invoiced"),
        schedule("2023-02-01", "2023-02-28", "Invoiced"),
    ]
    made = new_periods(JANUARY, terms("Half Yearly"), billed)
    assert [(str(period.start), str(period.end)) for period in made] == [
        ("2023-03-01", "2023-08-31"),
        ("2023-09-01", "2023-12-31"),
    ]
    assert [len(period.usage) for period in made] == [6, 4]


def test_an_earlier_end_date_makes_a_shorter_last_period() -> None:
    made = new_periods(JANUARY, terms(end=date(2023, 8, 15)), [])
    assert [(str(period.start), str(period.end)) for period in made] == [
        ("2023-01-01", "2023-06-30"),
        ("2023-07-01", "2023-08-15"),
    ]


def test_where_everything_is_billed_nothing_is_made() -> None:
    assert starts([schedule("2023-01-01", "2023-12-31", "Invoiced")], terms("Yearly")) == []


def test_a_billed_period_before_the_first_billing_date_draws_no_period_before_it() -> None:
    billed = [schedule("2022-12-01", "2022-12-15", "Invoiced")]
    assert starts(billed, terms())[0] == "2023-01-01"


def test_a_pending_period_before_a_billed_one_stands_again_with_its_days() -> None:
    schedules = [
        schedule("2023-01-01", "2023-03-31"),
        schedule("2023-04-01", "2023-06-30", "Invoiced"),
        schedule("2023-07-01", "2023-12-31"),
    ]
    made = new_periods(JANUARY, terms("Monthly"), schedules)
    assert [(str(period.start), str(period.end)) for period in made[:2]] == [
        ("2023-01-01", "2023-03-31"),
        ("2023-07-01", "2023-07-31"),
    ]
    assert made[0].usage == schedules[0].usage


def test_schedules_of_late_usage_beside_a_billed_one_do_not_stand_again() -> None:
    schedules = [schedule("2023-01-01", "2023-06-30", "Invoiced"), schedule("2023-01-01", "2023-06-30")]
    assert starts(schedules, terms()) == ["2023-07-01"]


def test_a_period_whose_invoice_was_cancelled_stands_again_although_its_late_usage_is_billed() -> None:
    march, april = days("2023-03-01", "2023-03-31"), days("2023-04-01", "2023-04-30")
    schedules = [
        schedule("2023-01-01", "2023-06-30", usage=(march, april)),
        schedule("2023-01-01", "2023-06-30", "Invoiced", usage=(march,)),
        schedule("2023-01-01", "2023-06-30", usage=(march,)),
    ]
    made = new_periods(JANUARY, terms(), schedules)
    assert [(str(period.start), len(period.usage)) for period in made] == [
        ("2023-01-01", 2),
        ("2023-07-01", 6),
    ]
    assert made[0].usage == (march, april)


def test_a_rated_input_is_on_the_schedule_it_was_charged_to_and_any_other_on_that_of_its_day() -> None:
    held = SupersededUsage({7: Period(date(2023, 6, 1), date(2023, 6, 30))})
    june, july = date(2023, 6, 30), date(2023, 7, 1)
    assert held.holding("Rated", 7, july) == 7
    assert held.holding("Rated", 8, june) is None
    assert held.holding("Loaded", None, june) == 7
    assert held.holding("Error", None, june) == 7
    assert held.holding("Loaded", None, july) is None


def test_days_know_the_days_of_periods_and_no_other() -> None:
    june, august = Period(date(2023, 6, 1), date(2023, 6, 30)), Period(date(2023, 8, 1), date(2023, 8, 1))
    days = Days([august, june, june])
    assert date(2023, 6, 1) in days
    assert date(2023, 6, 30) in days
    assert date(2023, 7, 1) not in days
    assert date(2023, 8, 1) in days
    assert date(2023, 5, 31) not in days
    assert date(2023, 5, 31) not in Days([])
