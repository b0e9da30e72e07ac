"""Cursors: what a page gave leads on from there; everything else is refused, naming `after`."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.engine.errors import Refused
from batchwright.operations.paging import check_page, cursor, place_after

KINDS = (int, str, datetime, date)
PLACE = (7, "IN-1", datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC), date(2026, 2, 28))
FILTER = {"status": ["Error"], "before": datetime(2026, 3, 1, tzinfo=UTC), "code": None}
GOOD = cursor("runs", FILTER, PLACE)


@given(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=64),
        st.datetimes(timezones=st.just(UTC)),
        st.dates(),
    )
)
def test_a_cursor_leads_to_just_the_place_it_was_made_of(place: tuple[Any, ...]) -> None:
    assert place_after(cursor("runs", FILTER, place), "runs", FILTER, KINDS) == place


def test_a_filter_is_the_same_in_whatever_order_and_zone_it_is_told() -> None:
    there = timezone(timedelta(hours=2))
    same = {"before": datetime(2026, 3, 1, 2, tzinfo=there), "status": ["Error"]}
    assert place_after(GOOD, "runs", same, KINDS) == PLACE


@pytest.mark.parametrize(
    ("listing", "wanted"),
    [
        ("usage-inputs", FILTER),
        ("runs", {}),
        ("runs", {**FILTER, "status": []}),
        ("runs", {**FILTER, "code": "x"}),
    ],
)
def test_a_cursor_of_another_listing_or_filter_is_refused(listing: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="another listing or filter") as refusal:
        place_after(GOOD, listing, wanted, KINDS)
    assert refusal.value.field == "after"


def _altered(change: Any) -> str:
    parts = json.loads(urlsafe_b64decode(GOOD + "=="))
    change(parts)
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _put(position: int, value: object) -> Any:
    return lambda parts: parts.__setitem__(position, value)


BAD = {
    "empty": "", "no base64": "é?", "no JSON": "abcd", "a number": "MQ", "cut": GOOD[:-3], "longer": GOOD + "A",
    "padded": GOOD + "==", "a blank": GOOD + " ", "deep": urlsafe_b64encode(b"[" * 100_000).decode(),
    "long": "A" * 1_000_000, "two more parts": _altered(lambda parts: parts.extend([1, 2])),
    "a part less": _altered(lambda parts: parts.pop()), "version": _altered(_put(0, 2)),
    "version as truth": _altered(_put(0, True)), "key as text": _altered(_put(2, "7")),
    "key as truth": _altered(_put(2, True)), "key too large": _altered(_put(2, 2**63)),
    "key with a fraction": _altered(_put(2, 7.5)), "no number": _altered(_put(2, float("nan"))),
    "a NUL": _altered(_put(3, "a\0")), "half a pair": _altered(_put(3, "\ud800")),
    "text as a list": _altered(_put(3, ["a"])), "naive": _altered(_put(4, "2026-01-01T12:00:00.000001")),
    "out of time": _altered(_put(4, "0001-01-01T00:00:00.000000+14:00")), "no time": _altered(_put(4, "now")),
    "no day": _altered(_put(5, "2026-02-30")), "nothing": _altered(_put(5, None)),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        place_after(text, "runs", FILTER, KINDS)
    assert refusal.value.field == "after"
    assert refusal.value.remedy


@given(st.text())
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with pytest.raises(Refused):
        place_after(text, "runs", FILTER, KINDS)


@pytest.mark.parametrize("limit", [-1, 0, 1_001])
def test_a_page_too_long_is_refused_not_cut(limit: int) -> None:
    with pytest.raises(Refused) as refusal:
        check_page(limit)
    assert refusal.value.field == "limit"
