"""Cells and rows of tables, and that no row is shown to who would be shown another."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from markupsafe import Markup

from batchwright.console.pages import cells
from batchwright.console.pages.cells import KeptRows, cell
from batchwright.console.pages.formats import number


class Rows:
    """Rows that are kept, and how often one was made."""

    def __init__(self) -> None:
        self._kept = KeptRows()
        self.made = 0

    def row(
        self, shown: Mapping[str, Any], table: str = "log", role: str = "viewer", zone: str = "UTC"
    ) -> str:
        def make() -> Markup:
            self.made += 1
            return Markup("{} {} {}").format(role, zone, str(dict(shown)))

        looks: Any = {"visit": SimpleNamespace(role=role), "zone": ZoneInfo(zone)}
        return str(self._kept.row(looks, table, shown, caller=make))


def test_a_cell_names_its_head_and_says_where_it_is_of_a_number_or_blank() -> None:
    shown = cell("#Errors", "words", caller=lambda: Markup(" <b>3</b>\n"))
    assert shown == '<td data-head="Errors" class="number words"><div><b>3</b></div></td>'
    assert 'class=" blank"' in cell("Customer", caller=lambda: Markup("\N{EN DASH}"))
    assert 'class=" blank"' in cell("Customer", caller=lambda: number(None))
    assert 'data-head="a&lt;b"' in cell("a<b", caller=Markup)


def test_a_row_is_made_once_for_all_who_are_shown_the_same() -> None:
    rows = Rows()
    assert len({rows.row({"run_id": "JR-1", "periods": ["2026-01"]}) for _ in range(20)}) == 1
    assert rows.made == 1


def test_a_row_is_made_anew_for_another_role_zone_table_or_value() -> None:
    rows, run = Rows(), {"run_id": "JR-1", "periods": ["2026-01"], "errored": 0}
    shown = {
        rows.row(run),
        rows.row(run, role="operator"),
        rows.row(run, zone="Europe/Berlin"),
        rows.row(run | {"errored": 1}),
        rows.row(run | {"periods": ["2026-02"]}),
    }
    assert len(shown) == 5
    rows.row(run, table="queue")
    assert rows.made == 6


def test_no_more_rows_are_kept_than_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_ROWS", 2)
    rows = Rows()
    for run_id in ("JR-1", "JR-2", "JR-2", "JR-3", "JR-1"):
        rows.row({"run_id": run_id})
    assert rows.made == 4
