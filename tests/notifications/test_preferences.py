"""Who gets the mail of a run now, who in a digest, and when that is due. Without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from batchwright.notifications.preferences import by_preference, next_midnight

CHOICES = {
    "all@example.com": "always",
    "bad@example.com": "errors",
    "none@example.com": "never",
    "day@example.com": "digest",
}
EVERYBODY = [None, "new@example.com", *CHOICES]


def test_a_run_without_trouble_is_mailed_to_who_wants_every_mail_or_did_not_choose() -> None:
    at_once, in_digest = by_preference(EVERYBODY, CHOICES, in_trouble=False)
    assert at_once == [None, "new@example.com", "all@example.com"]
    assert in_digest == ["day@example.com"]


def test_a_run_in_trouble_is_mailed_also_to_who_wants_errors_only() -> None:
    at_once, in_digest = by_preference(EVERYBODY, CHOICES, in_trouble=True)
    assert at_once == [None, "new@example.com", "all@example.com", "bad@example.com"]
    assert in_digest == ["day@example.com"]


@pytest.mark.parametrize("address", ["none@example.com", "None@Example.COM", "Nora <none@example.com>"])
def test_a_choice_goes_by_the_bare_address_in_any_case(address: str) -> None:
    assert by_preference([address], CHOICES, in_trouble=True) == ([], [])


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-11-21T23:05:12Z", "UTC", "2026-11-22T00:00:00Z"),
        ("2026-11-22T00:00:00Z", "UTC", "2026-11-23T00:00:00Z"),
        ("2026-11-21T23:05:12Z", "Europe/Berlin", "2026-11-22T23:00:00Z"),
        ("2026-11-21T23:05:12Z", "America/New_York", "2026-11-22T05:00:00Z"),
        ("2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-29T22:00:00Z"),
    ],
)
def test_a_digest_is_due_when_the_next_day_begins_in_the_zone(now: str, zone: str, midnight: str) -> None:
    due = next_midnight(datetime.fromisoformat(now), ZoneInfo(zone))
    assert due == datetime.fromisoformat(midnight)
    assert due.tzinfo is UTC
