"""What a job may report: checked in the call that reports it, so that it is that scope's or that record's exception.

Later it would be the run's, its mail's, or that of everybody who lists runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from iso4217 import Currency

from batchwright.engine.errors import storable

BIGINT = range(-(2**63), 2**63)
LONGEST_NAME = 64
"""Characters of a code, of a total's name, and of an id that people see."""
_MONTH = re.compile("[0-9]{4}-(0[1-9]|1[0-2])")


def check_whole(value: object) -> None:
    """Raise ``TypeError`` unless it is a whole number of minor units. A total may exceed what an amount can hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            f"{value!r} is not a whole number of minor units: give an int, such as 1250 for 12.50 USD"
        )


def check_minor(value: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless it is a whole number of minor units that a database can keep."""
    check_whole(value)
    if value not in BIGINT:
        raise ValueError(f"{value} minor units are more than can be kept")


def check_minors(values: Iterable[object]) -> None:
    """The same of many."""
    values = list(values)
    if not set(map(type, values)) <= {int} or any(value not in BIGINT for value in values):
        for value in values:
            check_minor(value)


@cache
def _has_minor_unit(currency: str) -> bool:
    try:
        return Currency(currency).exponent is not None
    except ValueError:
        return False


def check_currency(currency: object) -> None:
    """Raise ``ValueError`` unless it is a currency with minor units."""
    if not isinstance(currency, str) or not _has_minor_unit(currency):
        raise ValueError(f"{currency!r} is not a currency: use a code of ISO 4217 such as USD, EUR or JPY")


def check_totals(totals: object) -> None:
    """Raise unless these are totals: minor units by name and currency."""
    if not isinstance(totals, Mapping):
        raise TypeError("totals are minor units by name and currency")
    for name, amounts in totals.items():
        checked_name("name of a total", name)
        if not isinstance(amounts, Mapping):
            raise TypeError(f"the total {name!r} has to be minor units by currency")
        for currency, minor in amounts.items():
            check_currency(currency)
            check_whole(minor)


def check_kinds(outcomes: Iterable[object]) -> None:
    """Raise ``ValueError`` for what a job cannot say that a record came to."""
    if strange := set(outcomes) - {"error", "skipped"}:
        raise ValueError(
            f"{strange.pop()!r} is not an outcome that a job reports: call error or skip of the scope"
        )


def check_key(key: object) -> None:
    """Raise ``TypeError`` unless it is a record's key."""
    if not isinstance(key, int) or isinstance(key, bool):
        raise TypeError(f"{key!r} is not the key of a record: give an int, as start gave it")


def checked_name(what: str, value: object) -> str:
    """A code or a name of 1 to 64 characters, storable. Raises ``TypeError`` or ``ValueError``."""
    text = checked_text(what, value)
    if not 1 <= len(text) <= LONGEST_NAME:
        raise ValueError(f"a {what} has 1 to {LONGEST_NAME} characters, not {text[:80]!r}")
    return text


def checked_text(what: str, value: object) -> str:
    """A text, storable. Raises ``TypeError``."""
    if not isinstance(value, str):
        raise TypeError(f"a {what} is a text, not {value!r}")
    return storable(value)


def checked_ids(what: str, values: Iterable[object]) -> list[str]:
    """Ids that people see. Raises ``TypeError`` or ``ValueError``."""
    if isinstance(values, str):
        raise TypeError(f"give a list of {what}s, not the single text {values!r}")
    return [checked_name(what, value) for value in values]


def checked_months(values: Iterable[object]) -> list[str]:
    """Months as YYYY-MM. Raises ``TypeError`` or ``ValueError``."""
    months = checked_ids("month", values)
    for month in months:
        if not _MONTH.fullmatch(month):
            raise ValueError(f"{month!r} is not a valid month: write YYYY-MM, such as 2026-01")
    return months
