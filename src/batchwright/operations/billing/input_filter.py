"""Filters of usage inputs as people write them: `status=Error,code=no_price,from=2023-06-01`.

Every door reads them here: `--where`, the parameters of the API, the filter of a selection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection

from batchwright.billing.importing import cells
from batchwright.billing.records import input_filter
from batchwright.billing.records.input_filter import InputFilter
from batchwright.billing.records.inputs import CODES, InputStatus
from batchwright.engine.errors import Refused
from batchwright.operations.billing.fields import read_field
from batchwright.operations.checks import check_known, shortened

FIELD: Final = "where"
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "status": cells.one_of(*InputStatus),
    "code": cells.one_of(*CODES),
    "customer_id": cells.public_id,
    "asset_line_item_id": cells.public_id,
    "product": cells.public_id,
    "from": cells.day,
    "before": cells.day,
}
NAMES: Final = tuple(_READERS)
_DATES: Final = {"from": "usage_from", "before": "usage_before"}
_NOUNS: Final = {"customer_id": "customer", "asset_line_item_id": "asset line item", "product": None}
_EXAMPLE: Final = """Write it as status=Error,code=no_price; a value with a comma as product="Disk, fast\""""
_PAIR: Final = re.compile(r"""([^=,"]*)=(?:\s*"((?:[^"]|"")*)"\s*|([^",]*))(?:,|$)""")


def pairs_of(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of a text of `NAME=VALUE` with commas between them.

    A value with a comma or blanks around it stands in double quotes, a quote in it twice. Refuses an empty text: what
    was to narrow down must not end up meaning everything.
    """
    place = 0
    while place < len(text) or place == 0 or text[place - 1] == ",":
        match = _PAIR.match(text, place)
        if match is None:
            rest = repr(text[place:]) if text[place:].strip() else "its end"
            raise Refused(f"the filter cannot be read from {rest} on", field=FIELD, remedy=_EXAMPLE)
        name, quoted, plain = match.groups()
        yield name.strip(), plain.strip() if quoted is None else quoted.replace('""', '"')
        place = match.end()


def filter_of(pairs: Iterable[tuple[str, str]]) -> InputFilter:
    """The filter of names and values; a name that is repeated asks for either value.

    Refuses an unknown name, a bad value, and dates without a day between them.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in _READERS:
            near = get_close_matches(name, NAMES, 1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(NAMES)}"
            raise Refused(f"usage inputs are not filtered by {name!r}", field=FIELD, remedy=remedy)
        value = read_field(_READERS[name], text, field=name)
        of_name = values.setdefault(name, [])
        if value in of_name:
            continue
        if of_name and name in _DATES:
            raise Refused(f"{name} is given twice", field=name, remedy="Give one date")
        of_name.append(value)
    dates = {_DATES[name]: values.pop(name)[0] for name in _DATES if name in values}
    if len(dates) == 2 and dates["usage_from"] >= dates["usage_before"]:
        problem = f"no day lies between from {dates['usage_from']} and before {dates['usage_before']}"
        raise Refused(problem, field="before", remedy="Give a later day; the day itself is left out")
    fields: dict[str, Any] = {name: tuple(given) for name, given in values.items()}
    return InputFilter(**fields, **dates)


def filter_text(where: InputFilter) -> str:
    """The filter as `pairs_of` reads it, the same for filters that are the same."""
    pairs = [
        (name, value)
        for name in (*NAMES, "usage_input_id")
        if name not in _DATES
        for value in sorted(getattr(where, name))
    ]
    pairs += [(name, str(getattr(where, field))) for name, field in _DATES.items() if getattr(where, field)]
    return ",".join(f"{name}={_quoted(value)}" for name, value in pairs)


def checked_filter(connection: Connection, pairs: Iterable[tuple[str, str]]) -> InputFilter:
    """The filter of `filter_of`; refuses a customer, an asset line item or a product that nobody has, too."""
    where = filter_of(pairs)
    for name, noun in _NOUNS.items():
        named = getattr(where, name)
        known = input_filter.known(connection, name, named) if named else ()
        if noun is not None:
            check_known(noun, named, known, field=name)
        elif unknown := [one for one in named if one not in known]:
            problem = f"no asset line item has the product {shortened(unknown)}"
            raise Refused(
                problem, field=name, remedy="`batchwright asset-line-items list` shows their products"
            )
    return where


def _quoted(value: str) -> str:
    if re.fullmatch(r"""[^\s",]+( +[^\s",]+)*""", value):
        return value
    doubled = value.replace('"', '""')
    return f'"{doubled}"'
