"""Pages of a preview: every line once and in order, also where many are alike."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from batchwright.engine.store.scopes import insert_previews
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from batchwright.operations.runs.previews import page_of_preview, run_preview
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR

ID = "JR-00000001"


@pytest.mark.on_both
def test_lines_that_are_alike_come_once_each_and_the_sums_of_an_ended_run_are_made_once(
    app: Application,
) -> None:
    submit_run(app, "usage-rating", {}, actor=ACTOR, mode="dry_run", mail_actor=False)
    with app.database.write() as connection:
        insert_previews(connection, list(map(line, range(60))))
    whole = list(run_preview(app, ID))
    assert [pages(app, size) for size in (1, 7, 60, 61, 1_000)] == [whole] * 5
    assert app.preview_sums == {}
    with app.database.write() as connection:
        connection.execute(update(run_table).values(state="Completed", ended_at=app.clock.now()))
    assert pages(app, 7) == whole
    kept = dict(app.preview_sums)
    assert kept
    assert pages(app, 7) == whole
    assert all(app.preview_sums[key] is sums for key, sums in kept.items())


def line(number: int) -> dict[str, object]:
    """With few differences, three currencies one of which is none, and the largest amounts there are."""
    largest = 2**63 - 1
    return {
        "run_id": 1,
        "scope_id": None,
        "kind": ("usage_input", "usage_schedule", "of_a_plugin")[number % 3],
        "record_id": f"R-{number}",
        "customer_id": f"C-{number % 4}",
        "amount": None,
        "amount_before": None if number % 5 == 0 else -largest if number == 7 else number % 2,
        "amount_after": None if number % 6 == 0 else largest if number == 7 else 5,
        "currency": (None, "USD", "JPY")[number % 7 % 3],
        "detail": "{}",
    }


def pages(app: Application, size: int) -> list[object]:
    """All lines, read in pages."""
    found: list[object] = []
    after = None
    while True:
        page = page_of_preview(app, ID, None, after, size)
        found += page.items
        after = page.next
        if after is None:
            return found
