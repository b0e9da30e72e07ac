"""Numbers, times and names as a mail says them."""

from __future__ import annotations

import pytest

from batchwright.notifications import humanize


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("6000.00", "6000.00"),
        ("12345.00", "12,345.00"),
        ("-1234567.5", "-1,234,567.5"),
        ("-12.00", "-12.00"),
        ("0", "0"),
        ("", ""),
    ],
)
def test_thousands_are_parted_from_five_digits_on(number: str, said: str) -> None:
    assert humanize.grouped(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (245, "4 minutes 5 seconds"),
        (7_200, "2 hours"),
        (7_205, "2 hours"),
        (93_600, "1 day 2 hours"),
        (None, "unknown"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float | None, said: str) -> None:
    assert humanize.duration(seconds) == said


@pytest.mark.parametrize(
    ("noun", "many"),
    [("usage input", "usage inputs"), ("entry", "entries"), ("day", "days"), ("box", "boxes")],
)
def test_plurals(noun: str, many: str) -> None:
    assert humanize.counted(2, noun) == f"2 {many}"
    assert humanize.counted(1, noun) == f"1 {noun}"


def test_a_time_is_said_in_utc_whatever_its_zone() -> None:
    assert humanize.instant("2026-11-22T00:05:12+01:00") == "2026-11-21 23:05:12 UTC"


def test_text_from_outside_becomes_one_line_of_bounded_length() -> None:
    assert humanize.one_line("a\r\nb\x00c\td") == "a b c d"
    assert len(humanize.one_line("x" * 10_000)) == 300


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (None, ""),
        (["2023-06"], "2023-06"),
        (["2022-12", "2023-01", "2023-02"], "2022-12 to 2023-02"),
        (["2023-01", "2023-02", "2023-06"], "2023-01 to 2023-02, 2023-06"),
        (["2023-01", "2023-03", "2023-05"], "2023-01, 2023-03, 2023-05"),
    ],
)
def test_months_that_follow_each_other_are_a_span(listed: list[str] | None, said: str) -> None:
    assert humanize.months(listed) == said
