"""What narrows lists of customers, contracts, prices, assets and the like down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from sqlalchemy import Connection

from batchwright.billing.importing import cells
from batchwright.billing.records import loaded
from batchwright.billing.records.loaded import Records
from batchwright.engine.errors import Refused
from batchwright.engine.store.pages import Listing
from batchwright.operations.app import Application
from batchwright.operations.billing.fields import read_field
from batchwright.operations.checks import Unknown, check_one_of

LONGEST_WORDS: Final = 200
STATUSES: Final = ("Active", "Archived")
"""Of contracts."""
_OWNERS: Final[Mapping[str, tuple[str, Records, str]]] = {
    "customer_id": ("customer", loaded.CUSTOMERS, "id"),
    "price_book_id": ("price book", loaded.PRICE_BOOKS, "id"),
    "contract_id": ("contract", loaded.CONTRACTS, "contract_id"),
}
"""What an id of a filter is of, and what of that the rows of the list hold."""


class Narrowing(TypedDict, total=False):
    """What a list is narrowed down by, as a person writes it; which of it a kind has, `filters_of` tells."""

    words: str | None
    """In an id, a name or a number, whatever the case."""
    customer_id: str | None
    price_book_id: str | None
    contract_id: str | None
    product: str | None
    status: str | None
    on: str | None
    """A day, YYYY-MM-DD, on which they are in force."""


def filters_of(records: Records) -> tuple[str, ...]:
    """The names of what a list of these records can be narrowed down by."""
    return (
        *(["words"] if records.texts else []),
        *records.filters,
        *records.others,
        *(["on"] if records.in_force else []),
    )


def narrowed(app: Application, noun: str, records: Records, by: Narrowing) -> tuple[Listing, Listing | None]:
    """The listing of what meets all of it, and what to walk through where no index finds that.

    Refuses a filter that the list has none of, and values that nothing can have.
    """
    given = {name: str(value) for name, value in by.items() if value is not None}
    for name, value in given.items():
        _check(noun, records, name, value)
    with app.database.read() as connection:
        found = [
            column == _value(connection, name, given[name])
            for name, column in records.filters.items()
            if name in given
        ]
    others = [column == given[name] for name, column in records.others.items() if name in given]
    if "words" in given:
        others.append(records.has_words(given["words"]))
    if records.in_force is not None and "on" in given:
        others.append(records.in_force(read_field(cells.day, given["on"], field="on")))
    return records.listing(conditions=[*found, *others]), records.walk(found) if others else None


def _check(noun: str, records: Records, name: str, value: str) -> None:
    if name not in (names := filters_of(records)):
        raise Refused(
            f"{noun}s cannot be filtered by {name}", field=name, remedy=f"There are: {', '.join(names)}"
        )
    if not value.isprintable() or len(value) > LONGEST_WORDS:
        raise Refused(
            f"{name} cannot be read", field=name, remedy=f"Give {LONGEST_WORDS} printable characters at most"
        )
    if name == "status":
        check_one_of(value, STATUSES, field=name)


def _value(connection: Connection, name: str, value: str) -> Any:
    if name not in _OWNERS:
        return value
    noun, owners, column = _OWNERS[name]
    owner = owners.named(connection, [value])
    if owner is None:
        raise Unknown(noun, [value], field=name)
    return owner[column]
