"""The log's columns Customer and Period of a run: whose records it did, and of which months. Put together from its
scopes, whose column ``about`` keeps it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from batchwright.engine.errors import storable

MOST_MONTHS = 1_200
"""A span of more than a century is a slip in some date: only its ends are given."""
_MONTH = re.compile("[0-9]{4}-(0[1-9]|1[0-2])")


def encode(customers: Collection[str], months: Collection[str]) -> str | None:
    """The attribution of a scope as JSON: its customers, two at most since they say *several*, its first and last
    month (YYYY-MM). ``None`` where it has neither.
    """
    if not customers and not months:
        return None
    ends = [min(months), max(months)] if months else []
    return json.dumps({"customers": sorted(customers)[:2], "months": ends})


def combine(attributions: Iterable[str]) -> tuple[str | None, list[str] | None]:
    """The customer, where all scopes have the same one, and the months (YYYY-MM) from the first to the last.

    Anything but ids and months is left out: what a scope has said keeps no run open.
    """
    customers: set[str] = set()
    months: set[str] = set()
    for attribution in map(json.loads, attributions):
        customers.update(storable(one) for one in attribution["customers"] if isinstance(one, str))
        months.update(
            month for month in attribution["months"] if isinstance(month, str) and _MONTH.fullmatch(month)
        )
    customer = next(iter(customers)) if len(customers) == 1 else None
    return customer, _span(min(months), max(months)) if months else None


def _span(first: str, last: str) -> list[str]:
    begin, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    if end - begin >= MOST_MONTHS:
        return [first, last]
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(begin, end + 1)]
