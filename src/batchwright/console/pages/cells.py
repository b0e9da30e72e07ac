"""Cells and rows of tables, made without a macro for each: a list has a thousand, and is looked at each second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from batchwright.console.pages.formats import BLANK

MOST_ROWS: Final = 2_000
"""Rows that are kept; above that all are forgotten."""
_BLANKS: Final = frozenset({"\N{EN DASH}", str(BLANK)})


def cell(head: str, kind: str = "", *, caller: Callable[[], Markup]) -> Markup:
    """A cell under a head, ``{% call ui.cell("Job ID") %}…{% endcall %}``; "#Errors" is one of a number.

    It names its head again, for phones, where a row is a block.
    """
    inside = caller().strip()
    blank = " blank" if inside in _BLANKS else ""
    return Markup(f'{_beginning(head, kind)}{blank}"><div>{inside}</div></td>')


@cache
def _beginning(head: str, kind: str) -> str:
    number = "number " if head.startswith("#") else ""
    return f'<td data-head="{escape(head.removeprefix("#"))}" class="{number}{escape(kind)}'


class KeptRows:
    """Rows as they were made before, by all that they show; of one process, from any thread."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], Markup] = {}

    @pass_context
    def row(
        self, context: Context, table: str, shown: Mapping[str, Any], *, caller: Callable[[], Markup]
    ) -> Markup:
        """A row of that table, ``{% call ui.kept_row("log", run) %}<tr>…</tr>{% endcall %}``.

        ``shown`` is all that it is made of but for the role and the zone of who looks, and nothing else of them.
        """
        values = (tuple(value) if isinstance(value, list) else value for value in shown.values())
        key = (table, context["visit"].role, context["zone"].key, *values)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MOST_ROWS:
                self._rows.clear()
            row = self._rows[key] = caller()
        return row
