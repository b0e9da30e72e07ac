"""Values that a person typed for one record, read with the importer's own readers of cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from batchwright.billing.importing.cells import CellError
from batchwright.billing.importing.problems import shown
from batchwright.engine.errors import Refused

T = TypeVar("T")


def read_field(reader: Callable[[str], T], text: str, *, field: str) -> T:
    """What `reader` makes of the text. Raises `Refused` with the field, the text and the reader's remedy."""
    if not text:
        raise Refused(f"{field} is empty", field=field, remedy="Give a value")
    try:
        return reader(text)
    except CellError as error:
        remedy = error.remedy[:1].upper() + error.remedy[1:]
        raise Refused(f"{field} {shown(text)} {error.problem}", field=field, remedy=remedy) from None
