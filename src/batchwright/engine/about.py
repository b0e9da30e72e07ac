"""Whose records a run did, and of which months: the log's columns Customer and Period, put together from its scopes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

MOST_MONTHS = 1_200
"""A span of more than a century is a slip in some date: only its ends are given."""


def packed(customers: Collection[str], months: Collection[str]) -> str | None:
    """What a scope says of itself: its customers, two at most since they say *several*, its first and last month."""
    if not customers and not months:
        return None
    ends = [min(months), max(months)] if months else []
    return json.dumps({"customers": sorted(customers)[:2], "months": ends})


def of_run(said: Iterable[str]) -> tuple[str | None, list[str] | None]:
    """The customer, where all scopes say the same one, and the months (YYYY-MM) from the first to the last."""
    customers: set[str] = set()
    months: set[str] = set()
    for one in map(json.loads, said):
        customers.update(one["customers"])
        months.update(one["months"])
    customer = next(iter(customers)) if len(customers) == 1 else None
    return customer, _span(min(months), max(months)) if months else None


def _span(first: str, last: str) -> list[str]:
    begin, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    if end - begin >= MOST_MONTHS:
        return [first, last]
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(begin, end + 1)]
